//! LOLWUT: a small drawing and the version.

use super::Cx;
use super::info::{ORRERY_VERSION, REDIS_VERSION};
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::error::Error;
use crate::rng::Rng;
use crate::value::number::parse_integer;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[Command {
    name: "LOLWUT",
    syntax: "[VERSION version:integer]",
    arity: -1,
    flags: Flags::READONLY.and(Flags::FAST),
    group: Group::Server,
    since: "5.0.0",
    summary: "Draws an orrery and returns it with the version.",
    reply: "verbatim",
    run: lolwut,
    ..Command::ROW
}];

const COLUMNS: usize = 61;
const ROWS: usize = 21;
/// Half the height of each orbit; a character is about twice as high as wide.
const RADII: [f64; 4] = [2.5, 5.0, 7.5, 10.0];
const PLANETS: [char; 4] = ['.', 'o', '@', 'O'];

/// All versions of the drawing are this one.
fn lolwut(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.is(1, "VERSION") && args.len() > 2 {
        parse_integer(args.at(2)).ok_or(Error::NotAnInteger)?;
    }
    let mut text = orrery(&mut cx.state.rng);
    text.push_str(&format!(
        "\nOrrery ver. {ORRERY_VERSION}, speaks as Redis ver. {REDIS_VERSION}\n"
    ));
    cx.reply.verbatim("txt", &text);
    Ok(())
}

/// A sun and four planets at random places of their orbits.
fn orrery(rng: &mut Rng) -> String {
    let mut cells = [[' '; COLUMNS]; ROWS];
    let place = |radius: f64, turn: f64| {
        let (sin, cos) = (turn * core::f64::consts::TAU).sin_cos();
        let column = COLUMNS as f64 / 2.0 + 3.0 * radius * cos;
        let row = ROWS as f64 / 2.0 + radius * sin;
        ((row as usize).min(ROWS - 1), (column as usize).min(COLUMNS - 1))
    };
    for radius in RADII {
        let dots = (radius * 8.0) as u32;
        for dot in 0..dots {
            let (row, column) = place(radius, f64::from(dot) / f64::from(dots));
            cells[row][column] = '·';
        }
    }
    cells[ROWS / 2][COLUMNS / 2] = '☼';
    for (radius, planet) in RADII.into_iter().zip(PLANETS) {
        let turn = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let (row, column) = place(radius, turn);
        cells[row][column] = planet;
    }
    let mut text = String::new();
    for row in cells {
        let line: String = row.into_iter().collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn every_planet_is_drawn_once_and_the_seed_decides_where() {
        let draw = |seed| orrery(&mut Rng::new(Seed(seed), "test"));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        for seed in 0..100 {
            let text = draw(seed);
            for planet in PLANETS {
                assert_eq!(text.matches(planet).count(), 1, "{planet} in\n{text}");
            }
            assert_eq!(text.lines().count(), ROWS);
        }
    }
}
