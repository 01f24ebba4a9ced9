//! A heat map of one measure and one algorithm, as SVG.
//!
//! Invariant: a picture holds everything that it shows: no fonts, scripts or files from elsewhere.

use core::fmt::Write as _;

use super::point::Point;
use super::sweep::Sweep;

const CELL: [usize; 2] = [58, 30];
const MARGIN: [usize; 4] = [64, 84, 20, 62];

/// How a measure is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// How many in a million, from none to all.
    PerMillion,
    /// Microseconds, shown as milliseconds.
    Millis,
    /// Thousandths, of which 1000 is best.
    PerMille,
}

/// What is shown of a point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    /// The measure's name.
    pub(super) name: &'static str,
    pub(super) scale: Scale,
}

/// A heat map as SVG: the points of one algorithm, how many violations of a measure in a million.
/// Cells in which a holder's deadline was not safe are framed.
#[must_use]
pub fn picture(sweep: &Sweep, points: &[Point], algorithm: usize, measure: &'static str) -> String {
    heat_map(sweep, points, algorithm, Shown { name: measure, scale: Scale::PerMillion })
}

pub(super) fn heat_map(sweep: &Sweep, points: &[Point], algorithm: usize, shown: Shown) -> String {
    let [x, y] = &sweep.axes;
    let [top, left, right, bottom] = MARGIN;
    let width = left + x.values.len() * CELL[0] + right;
    let height = top + y.values.len() * CELL[1] + bottom;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let name = sweep.algorithms[algorithm].name;
    let _ = writeln!(
        svg,
        "<text x=\"{left}\" y=\"22\" font-size=\"15\" font-weight=\"600\">{name}</text>\n\
         <text x=\"{left}\" y=\"42\" fill=\"#555\">{}</text>",
        caption(shown)
    );
    for point in points.iter().filter(|point| point.algorithm == algorithm) {
        let place = |values: &[u64], value| values.iter().position(|&it| it == value);
        let (Some(column), Some(row)) =
            (place(&x.values, point.at[0]), place(&y.values, point.at[1]))
        else {
            continue;
        };
        let corner = [left + column * CELL[0], top + (y.values.len() - 1 - row) * CELL[1]];
        cell(&mut svg, sweep, point, shown, corner);
    }
    axes(&mut svg, sweep);
    svg.push_str("</svg>\n");
    svg
}

fn caption(shown: Shown) -> String {
    let words = super::point::MEASURES.iter().find(|measure| measure.name == shown.name);
    let words = words.map_or(shown.name, |measure| measure.words);
    let unit = match shown.scale {
        Scale::PerMillion => ", in a million acquisitions",
        Scale::Millis => ", ms",
        Scale::PerMille => "",
    };
    format!("{words}{unit}")
}

fn cell(svg: &mut String, sweep: &Sweep, point: &Point, shown: Shown, corner: [usize; 2]) {
    let (value, heat, title) = match shown.scale {
        Scale::PerMillion => {
            let it = point.per_million(shown.name);
            let title = format!("{:.1} (95 %: {:.1} to {:.1})", it.seen, it.least, it.most);
            let heat = if it.seen > 0.0 { 0.1 + 0.9 * it.seen.max(1.0).log10() / 6.0 } else { 0.0 };
            (short(it.seen), heat, title)
        }
        Scale::Millis => {
            let ms = point.figure(shown.name) as f64 / 1000.0;
            (short(ms), (1.0 + ms).log10() / 5.0, format!("{ms} ms"))
        }
        Scale::PerMille => {
            let share = point.figure(shown.name) as f64 / 1000.0;
            (format!("{share:.2}"), 1.0 - share, format!("{share:.3}"))
        }
    };
    let [x, y] = &sweep.axes;
    let title = format!("{} {}, {} {}: {title}", x.name(), point.at[0], y.name(), point.at[1]);
    let dark = heat > 0.62;
    let [left, top] = corner;
    let _ = writeln!(
        svg,
        "<g><title>{title}</title><rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" \
         fill=\"{}\" stroke=\"#fff\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\" \
         fill=\"{}\">{value}</text></g>",
        CELL[0],
        CELL[1],
        colour(heat),
        left + CELL[0] / 2,
        top + CELL[1] / 2 + 4,
        if dark { "#fff" } else { "#222" },
    );
    if point.figure("late_losses") > 0 {
        let _ = writeln!(
            svg,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#1a4fa3\" \
             stroke-width=\"2\"/>",
            left + 2,
            top + 2,
            CELL[0] - 4,
            CELL[1] - 4
        );
    }
}

fn axes(svg: &mut String, sweep: &Sweep) {
    let [x, y] = &sweep.axes;
    let [top, left, ..] = MARGIN;
    let floor = top + y.values.len() * CELL[1];
    for (column, value) in x.values.iter().enumerate() {
        let middle = left + column * CELL[0] + CELL[0] / 2;
        let _ = writeln!(
            svg,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{value}</text>",
            floor + 18
        );
    }
    for (row, value) in y.values.iter().rev().enumerate() {
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{value}</text>",
            left - 8,
            top + row * CELL[1] + CELL[1] / 2 + 4
        );
    }
    let parameters = super::parameters::PARAMETERS;
    let middle = top + y.values.len() * CELL[1] / 2;
    let _ = writeln!(
        svg,
        "<text x=\"{left}\" y=\"{}\" fill=\"#555\">{}</text>\n\
         <text transform=\"translate(16 {middle}) rotate(-90)\" text-anchor=\"middle\" \
         fill=\"#555\">{}</text>",
        floor + 42,
        parameters[x.place].words,
        y.name(),
    );
}

/// A number in at most four characters or so.
fn short(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        ..0.095 => "<0.1".to_owned(),
        ..9.95 => format!("{value:.1}"),
        ..999.5 => format!("{value:.0}"),
        ..9_950.0 => format!("{:.1}k", value / 1e3),
        ..999_500.0 => format!("{:.0}k", value / 1e3),
        _ => format!("{:.1}M", value / 1e6),
    }
}

/// From nearly white over orange to dark red; nothing at all is a pale green.
fn colour(heat: f64) -> String {
    if heat <= 0.0 {
        return "#e8f3ea".to_owned();
    }
    const STOPS: [[f64; 3]; 4] =
        [[255.0, 244.0, 222.0], [253.0, 187.0, 110.0], [224.0, 79.0, 48.0], [110.0, 8.0, 20.0]];
    let along = heat.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let at = (along as usize).min(STOPS.len() - 2);
    let part = along - at as f64;
    let [red, green, blue] =
        core::array::from_fn(|i| (STOPS[at][i] * (1.0 - part) + STOPS[at + 1][i] * part) as u8);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_heat_has_a_colour() {
        let all = [0.0, 0.01, 0.5, 9.96, 123.4, 1234.0, 12_345.0, 999_600.0, 1e6].map(short);
        assert_eq!(all, ["0", "<0.1", "0.5", "10", "123", "1.2k", "12k", "1.0M", "1.0M"]);
        assert_eq!([colour(0.0), colour(1.0), colour(9.0)], ["#e8f3ea", "#6e0814", "#6e0814"]);
    }
}
