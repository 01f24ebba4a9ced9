//! Squares of the map: the world cut in halves `steps` times in each direction.
//!
//! Invariant: the members inside a cell are exactly those whose score lies in its range.

use super::{LATITUDE_MAX, LONGITUDE_MAX, Point};

/// How often the world is cut for scores.
pub(super) const STEPS_MAX: u32 = 26;

/// One square of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Counted from the west. At the eastern edge of the world it is one too many.
    column: u32,
    /// Counted from the south. At the northern edge of the map it is one too many.
    row: u32,
    steps: u32,
}

/// The edges of a part of the map, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) west: f64,
    pub(super) south: f64,
    pub(super) east: f64,
    pub(super) north: f64,
}

/// Which of `2^steps` parts between `-max` and `max` a coordinate is in.
pub(super) fn part(coordinate: f64, max: f64, steps: u32) -> u32 {
    let offset = (coordinate - -max) / (max - -max);
    (offset * (1_u64 << steps) as f64) as u32
}

/// The bits of the row at even places, those of the column at odd places.
pub(super) fn interleaved(row: u32, column: u32) -> u64 {
    spread(row) | spread(column) << 1
}

/// Moves bit `i` to place `2 i`.
fn spread(bits: u32) -> u64 {
    let mut bits = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// Undoes [`spread`]; what is at odd places is lost.
fn gathered(bits: u64) -> u32 {
    let mut bits = bits & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

impl Cell {
    /// The cell that a place is in.
    pub(super) fn around(point: Point, steps: u32) -> Self {
        let column = part(point.longitude, LONGITUDE_MAX, steps);
        let row = part(point.latitude, LATITUDE_MAX, steps);
        Self { column, row, steps }
    }

    /// The cell with this column and row.
    pub(super) fn at(column: u32, row: u32, steps: u32) -> Self {
        Self { column, row, steps }
    }

    /// The cell whose interleaved column and row these are.
    pub(super) fn of_bits(bits: u64, steps: u32) -> Self {
        Self { column: gathered(bits >> 1), row: gathered(bits), steps }
    }

    /// Column and row, interleaved.
    pub(super) fn bits(self) -> u64 {
        interleaved(self.row, self.column)
    }

    pub(super) fn column(self) -> u32 {
        self.column
    }

    pub(super) fn row(self) -> u32 {
        self.row
    }

    /// The scores inside the cell: from the first one on, and below the second one.
    pub fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEPS_MAX - self.steps);
        ((self.bits() << shift) as f64, ((self.bits() + 1) << shift) as f64)
    }

    /// The cell that lies some cells east and north, around the edges of the map if need be.
    pub(super) fn moved(self, east: i32, north: i32) -> Self {
        let mask = (1 << self.steps) - 1;
        let step = |place: u32, by: i32| match by {
            // A place that is not moved stays one too many.
            0 => place,
            _ => place.wrapping_add_signed(by) & mask,
        };
        Self { column: step(self.column, east), row: step(self.row, north), ..self }
    }

    pub(super) fn bounds(self) -> Bounds {
        let parts = (1_u64 << self.steps) as f64;
        let edge = |place: u32, max: f64| -max + f64::from(place) / parts * (max - -max);
        Bounds {
            west: edge(self.column, LONGITUDE_MAX),
            south: edge(self.row, LATITUDE_MAX),
            east: edge(self.column.wrapping_add(1), LONGITUDE_MAX),
            north: edge(self.row.wrapping_add(1), LATITUDE_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::random_point;
    use super::*;
    use crate::rng::{Rng, Seed};

    #[test]
    fn interleaving_can_be_undone() {
        let mut rng = Rng::new(Seed(1), "cell");
        for _ in 0..1000 {
            let (row, column) = (rng.next_u64() as u32, rng.next_u64() as u32);
            let bits = interleaved(row, column);
            let cell = Cell::of_bits(bits, STEPS_MAX);
            assert_eq!((cell.row, cell.column, cell.bits()), (row, column, bits));
            for place in 0..32 {
                assert_eq!(bits >> (2 * place) & 1, u64::from(row >> place & 1));
                assert_eq!(bits >> (2 * place + 1) & 1, u64::from(column >> place & 1));
            }
        }
    }

    #[test]
    fn a_cell_has_the_scores_of_the_places_in_it() {
        let mut rng = Rng::new(Seed(2), "cell");
        for _ in 0..2000 {
            let (point, other) =
                (random_point(&mut rng, LATITUDE_MAX), random_point(&mut rng, LATITUDE_MAX));
            let cell = Cell::around(point, 1 + rng.below(6) as u32);
            let (first, end) = cell.scores();
            assert!((first..end).contains(&(point.score() as f64)));
            let Bounds { west, south, east, north } = cell.bounds();
            let inside =
                (west..east).contains(&other.longitude) && (south..north).contains(&other.latitude);
            assert_eq!((first..end).contains(&(other.score() as f64)), inside);
        }
    }

    #[test]
    fn the_world_is_round_and_the_map_has_no_end() {
        let cell = Cell::at(0, 7, 3);
        assert_eq!(cell.moved(-1, 0), Cell::at(7, 7, 3));
        assert_eq!(cell.moved(1, 1), Cell::at(1, 0, 3));
        let edge = Point { longitude: LONGITUDE_MAX, latitude: LATITUDE_MAX };
        let cell = Cell::around(edge, 3);
        assert_eq!(cell, Cell::at(8, 8, 3));
        assert_eq!(cell.moved(-1, 0), Cell::at(7, 8, 3));
        assert_eq!(cell.moved(1, -1), Cell::at(1, 7, 3));
    }
}
