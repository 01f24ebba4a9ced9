//! The table of an atlas: one line a point, as CSV, added to as points are measured.
//!
//! Invariant: a table is only gone on with by the sweep that began it; a line that was cut off is
//! measured again.

use core::fmt::Write as _;

use super::point::{MEASURES, Point};
use super::sweep::Sweep;

const VIOLATIONS: [&str; 4] = ["belief", "grants", "stale_writes", "lost_updates"];

fn head(sweep: &Sweep) -> String {
    let [x, y] = &sweep.axes;
    let mut text = format!("# orrery atlas {:016x}\n", sweep.fingerprint());
    let _ = write!(text, "algorithm,{},{}", x.name(), y.name());
    MEASURES.iter().for_each(|measure| {
        let _ = write!(text, ",{}", measure.name);
    });
    for name in VIOLATIONS {
        let _ = write!(text, ",{name}_per_million,{name}_least,{name}_most");
    }
    text.push('\n');
    text
}

/// The first lines of a sweep's table.
#[must_use]
pub fn write_head(sweep: &Sweep) -> String {
    head(sweep)
}

/// A point's line.
#[must_use]
pub fn write_point(sweep: &Sweep, point: &Point) -> String {
    let name = sweep.algorithms[point.algorithm].name;
    let mut text = format!("{name},{},{}", point.at[0], point.at[1]);
    for figure in point.figures {
        let _ = write!(text, ",{figure}");
    }
    for name in VIOLATIONS {
        let interval = point.per_million(name);
        let _ = write!(text, ",{:.1},{:.1},{:.1}", interval.seen, interval.least, interval.most);
    }
    text.push('\n');
    text
}

/// The points of a table that a sweep has begun, those of them that belong to it.
///
/// # Errors
/// The table is another sweep's, or no table.
pub fn read_table(sweep: &Sweep, text: &str) -> Result<Vec<Point>, String> {
    let head = head(sweep);
    let Some(lines) = text.strip_prefix(&head) else {
        return Err("it was begun with other settings, seed or number of acquisitions".to_owned());
    };
    let mut points = Vec::new();
    for (at, line) in lines.split_inclusive('\n').enumerate() {
        let Some(line) = line.strip_suffix('\n') else { break };
        let wrong = || format!("line {} is no point", at + 3);
        points.extend(point(sweep, line).ok_or_else(wrong)?);
    }
    Ok(points)
}

/// Reads a line; `Some(None)`: it is of an algorithm or a value that this sweep does not have.
fn point(sweep: &Sweep, line: &str) -> Option<Option<Point>> {
    let mut words = line.split(',');
    let name = words.next()?;
    let mut number = || words.next()?.parse::<u64>().ok();
    let at = [number()?, number()?];
    let mut figures = [0; MEASURES.len()];
    for figure in &mut figures {
        *figure = number()?;
    }
    let algorithm = sweep.algorithms.iter().position(|algorithm| algorithm.name == name);
    let is_there = sweep.axes.iter().zip(at).all(|(axis, value)| axis.values.contains(&value));
    Some(algorithm.filter(|_| is_there).map(|algorithm| Point { algorithm, at, figures }))
}
