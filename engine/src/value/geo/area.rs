//! What a search looks for: places inside a circle, a box or a polygon.
//!
//! A search reads the members of the cell around its centre and of the eight cells around that, at
//! a size that was chosen so that they cover the shape, and measures each. Cells and their order
//! are those of Redis, which decide what is found first; near the poles, where Redis misses a place
//! now and then, so does this one.

use super::cell::{Bounds, STEPS_MAX};
use super::distance::{Center, EARTH_RADIUS_M, latitude_distance_m, to_degrees, to_radians};
use super::{Cell, LATITUDE_MAX, LONGITUDE_MAX, Point, cell, distance_m};

/// Half the length of the equator on the map, in metres.
const MAP_EDGE_M: f64 = 20_037_726.37;

/// The centre's neighbours in the order in which they are searched: how far east and north.
const NEIGHBOURS: [(i32, i32); 8] =
    [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

/// The outline of an area; lengths in metres.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A circle around the centre.
    Circle {
        /// Its radius.
        radius_m: f64,
    },
    /// A box around the centre, as long as wide everywhere.
    Box {
        /// From west to east.
        width_m: f64,
        /// From south to north.
        height_m: f64,
    },
    /// A polygon on the map, by its corners; the last one is joined to the first.
    Polygon(Vec<Point>),
}

/// A shape at its place.
#[derive(Clone, Debug)]
pub struct Area {
    center: Center,
    shape: Shape,
}

impl Area {
    /// A circle or box around a place.
    pub fn around(center: Point, shape: Shape) -> Self {
        Self { center: Center::new(center), shape }
    }

    /// A polygon. Its centre is the middle of its corners on the globe.
    pub fn polygon(corners: Vec<Point>) -> Self {
        let center = middle(&corners);
        Self { center: Center::new(center), shape: Shape::Polygon(corners) }
    }

    /// How far from the centre a place is, in metres, if it is inside.
    pub fn distance_if_inside_m(&self, point: Point) -> Option<f64> {
        let center = self.center.point();
        match &self.shape {
            Shape::Circle { radius_m } => {
                // Two places are at least as far apart as their parallels; with a little room for
                // what rounding does, most places are seen to be outside without trigonometry.
                let far = latitude_distance_m(center.latitude, point.latitude);
                if far > radius_m * 1.000_001 + 1e-3 {
                    return None;
                }
                let distance = self.center.distance_m(point);
                (distance <= *radius_m).then_some(distance)
            }
            Shape::Box { width_m, height_m } => {
                let on_its_parallel = Point { latitude: point.latitude, ..center };
                let is_inside = latitude_distance_m(point.latitude, center.latitude)
                    <= height_m / 2.0
                    && distance_m(point, on_its_parallel) <= width_m / 2.0;
                is_inside.then(|| self.center.distance_m(point))
            }
            Shape::Polygon(corners) => {
                is_inside(corners, point).then(|| self.center.distance_m(point))
            }
        }
    }

    /// The cells to search, in order. They do not overlap.
    pub fn cells(&self) -> Vec<Cell> {
        let bounds = self.bounds();
        let center = self.center.point();
        let mut steps = steps_for(self.radius_m(&bounds), center.latitude);
        let covers = |steps| {
            let cell = Cell::around(center, steps);
            let edge = |east, north| cell.moved(east, north).bounds();
            !(edge(0, 1).north < bounds.north
                || edge(0, -1).south > bounds.south
                || edge(1, 0).east < bounds.east
                || edge(-1, 0).west > bounds.west)
        };
        if steps > 1 && !covers(steps) {
            steps -= 1;
        }
        if let Shape::Polygon(_) = self.shape
            && !surrounds(center, &bounds, steps)
        {
            return grid(&bounds);
        }
        let middle = Cell::around(center, steps);
        let inner = middle.bounds();
        let is_needed = |(east, north): (i32, i32)| {
            let south_of_all = north < 0 && inner.south < bounds.south;
            let north_of_all = north > 0 && inner.north > bounds.north;
            let west_of_all = east < 0 && inner.west < bounds.west;
            let east_of_all = east > 0 && inner.east > bounds.east;
            steps < 2 || !(south_of_all || north_of_all || west_of_all || east_of_all)
        };
        let mut cells = vec![middle];
        for (east, north) in NEIGHBOURS.into_iter().filter(|&neighbour| is_needed(neighbour)) {
            let cell = middle.moved(east, north);
            // In a world of two by two cells, east is west.
            if !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        cells
    }

    /// A radius around the centre that all of the shape is in, in metres.
    fn radius_m(&self, bounds: &Bounds) -> f64 {
        match &self.shape {
            Shape::Circle { radius_m } => *radius_m,
            Shape::Box { width_m, height_m } => {
                let (width, height) = (width_m / 2.0, height_m / 2.0);
                libm::sqrt(width * width + height * height)
            }
            Shape::Polygon(_) => {
                let corners = [bounds.west, bounds.east].into_iter().flat_map(|longitude| {
                    [bounds.south, bounds.north].map(|latitude| Point { longitude, latitude })
                });
                corners.map(|corner| self.center.distance_m(corner)).fold(0.0, f64::max)
            }
        }
    }

    /// The edges of the shape, which may be beyond those of the map.
    fn bounds(&self) -> Bounds {
        let (width, height) = match &self.shape {
            Shape::Circle { radius_m } => (*radius_m, *radius_m),
            Shape::Box { width_m, height_m } => (width_m / 2.0, height_m / 2.0),
            Shape::Polygon(corners) => return bounds_of(corners),
        };
        let Point { longitude, latitude } = self.center.point();
        let half_height = to_degrees(height / EARTH_RADIUS_M);
        // Parallels are shortest near the poles, where the same width is the widest angle.
        let widest = if latitude < 0.0 { latitude - half_height } else { latitude + half_height };
        let half_width = to_degrees(width / EARTH_RADIUS_M / libm::cos(to_radians(widest)));
        Bounds {
            west: longitude - half_width,
            south: latitude - half_height,
            east: longitude + half_width,
            north: latitude + half_height,
        }
    }
}

/// How often the world must be cut so that nine cells around a place cover a circle.
fn steps_for(radius_m: f64, latitude: f64) -> u32 {
    if radius_m == 0.0 {
        return STEPS_MAX;
    }
    let (mut steps, mut reach) = (-1, radius_m);
    while reach < MAP_EDGE_M {
        reach *= 2.0;
        steps += 1;
    }
    // Towards the poles cells are smaller than they look.
    steps -= i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    steps.clamp(1, STEPS_MAX as i32) as u32
}

/// The middle of places on the globe, as the sum of vectors points to it.
fn middle(points: &[Point]) -> Point {
    let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
    for point in points {
        let (longitude, latitude) = (to_radians(point.longitude), to_radians(point.latitude));
        x += libm::cos(latitude) * libm::cos(longitude);
        y += libm::cos(latitude) * libm::sin(longitude);
        z += libm::sin(latitude);
    }
    Point {
        longitude: to_degrees(libm::atan2(y, x)).clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
        latitude: to_degrees(libm::atan2(z, libm::sqrt(x * x + y * y)))
            .clamp(-LATITUDE_MAX, LATITUDE_MAX),
    }
}

fn bounds_of(points: &[Point]) -> Bounds {
    let longitudes = || points.iter().map(|point| point.longitude);
    let latitudes = || points.iter().map(|point| point.latitude);
    Bounds {
        west: longitudes().fold(LONGITUDE_MAX, f64::min),
        south: latitudes().fold(LATITUDE_MAX, f64::min),
        east: longitudes().fold(-LONGITUDE_MAX, f64::max),
        north: latitudes().fold(-LATITUDE_MAX, f64::max),
    }
}

/// Whether a place is inside a polygon: whether a ray to the east crosses its outline an odd number
/// of times.
///
/// Source: W. Randolph Franklin, "PNPOLY - Point Inclusion in Polygon Test".
fn is_inside(corners: &[Point], point: Point) -> bool {
    let Some(last) = corners.last() else { return false };
    let (mut inside, mut before) = (false, last);
    for corner in corners {
        let (a, b) = (corner, before);
        if (a.latitude > point.latitude) != (b.latitude > point.latitude) {
            let (width, height) = (b.longitude - a.longitude, b.latitude - a.latitude);
            let crossing = width * (point.latitude - a.latitude) / height + a.longitude;
            inside ^= point.longitude < crossing;
        }
        before = corner;
    }
    inside
}

/// Columns and rows, from the first to the last, of the cells that a part of the map touches.
fn touched(bounds: &Bounds, steps: u32) -> [(u32, u32); 2] {
    let last = (1 << steps) - 1;
    let place = |coordinate, max| cell::part(coordinate, max, steps).min(last);
    [
        (place(bounds.west, LONGITUDE_MAX), place(bounds.east, LONGITUDE_MAX)),
        (place(bounds.south, LATITUDE_MAX), place(bounds.north, LATITUDE_MAX)),
    ]
}

/// Whether a part of the map lies inside the nine cells around a place, not around an edge.
fn surrounds(center: Point, bounds: &Bounds, steps: u32) -> bool {
    let middle = Cell::around(center, steps);
    let [columns, rows] = touched(bounds, steps);
    let near = |(first, last): (u32, u32), middle: u32| first + 1 >= middle && last <= middle + 1;
    near(columns, middle.column()) && near(rows, middle.row())
}

/// At most nine cells that cover a part of the map, as small as possible.
fn grid(bounds: &Bounds) -> Vec<Cell> {
    let few = |steps: &u32| {
        let [columns, rows] = touched(bounds, *steps);
        (columns.1 - columns.0 + 1) * (rows.1 - rows.0 + 1) <= 9
    };
    // One cut always is few: two by two cells.
    let steps = (1..=STEPS_MAX).take_while(few).last().unwrap_or(1);
    let [columns, rows] = touched(bounds, steps);
    (rows.0..=rows.1)
        .flat_map(|row| (columns.0..=columns.1).map(move |column| Cell::at(column, row, steps)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::random_point;
    use super::*;
    use crate::rng::{Rng, Seed};

    fn is_covered(area: &Area, point: Point) -> bool {
        let score = point.score() as f64;
        let inside = |cell: &Cell| {
            let (first, end) = cell.scores();
            (first..end).contains(&score)
        };
        let times = area.cells().iter().filter(|cell| inside(cell)).count();
        assert!(times <= 1, "{area:?} searches {point:?} {times} times");
        times == 1
    }

    /// A place not far from another one.
    fn near(rng: &mut Rng, point: Point, degrees: f64) -> Option<Point> {
        let mut offset = || (rng.next_u64() as f64 / u64::MAX as f64 - 0.5) * 2.0 * degrees;
        let longitude = point.longitude + offset();
        let wrapped = (longitude + 540.0).rem_euclid(360.0) - 180.0;
        Point::new(wrapped, point.latitude + offset())
    }

    #[test]
    fn cells_cover_circles_and_boxes_away_from_the_poles() {
        let mut rng = Rng::new(Seed(1), "area");
        let mut inside = 0;
        for _ in 0..20_000 {
            let center = random_point(&mut rng, 60.0);
            let size = 10_f64.powi(rng.below(6) as i32) * (1 + rng.below(9)) as f64;
            let shape = if rng.chance(1, 2) {
                Shape::Circle { radius_m: size }
            } else {
                Shape::Box { width_m: 2.0 * size, height_m: size * (1 + rng.below(3)) as f64 }
            };
            let area = Area::around(center, shape);
            let Some(point) = near(&mut rng, center, size / 60_000.0) else { continue };
            if area.distance_if_inside_m(point).is_some() {
                inside += 1;
                assert!(is_covered(&area, point), "{area:?} does not search {point:?}");
            }
        }
        assert!(inside > 3000, "only {inside} were inside");
    }

    #[test]
    fn cells_cover_every_polygon() {
        let mut rng = Rng::new(Seed(2), "area");
        let mut inside = 0;
        for round in 0..4000 {
            let center = random_point(&mut rng, LATITUDE_MAX);
            let degrees = [0.001, 0.1, 3.0, 60.0, 200.0][round % 5];
            let corners: Vec<Point> =
                (0..3 + rng.below(5)).filter_map(|_| near(&mut rng, center, degrees)).collect();
            let area = Area::polygon(corners);
            for _ in 0..5 {
                let Some(point) = near(&mut rng, center, degrees) else { continue };
                if area.distance_if_inside_m(point).is_some() {
                    inside += 1;
                    assert!(is_covered(&area, point), "{area:?} does not search {point:?}");
                }
            }
        }
        assert!(inside > 1500, "only {inside} were inside");
    }

    #[test]
    fn a_square_is_a_polygon() {
        let corners = [(10.0, 10.0), (20.0, 10.0), (20.0, 20.0), (10.0, 20.0)]
            .map(|(longitude, latitude)| Point { longitude, latitude });
        let at = |longitude, latitude| is_inside(&corners, Point { longitude, latitude });
        assert!(at(15.0, 15.0) && at(10.1, 19.9));
        assert!(!at(9.9, 15.0) && !at(15.0, 20.1) && !at(25.0, 15.0));
        let middle = middle(&corners);
        assert!((middle.longitude - 15.0).abs() < 0.1 && (middle.latitude - 15.0).abs() < 0.2);
    }

    #[test]
    fn sizes_follow_from_the_radius() {
        for (radius_m, latitude, steps) in [
            (0.0, 0.0, 26),
            (f64::INFINITY, 0.0, 1),
            (5e-324, 0.0, 26),
            (20_000.0, 41.0, 9),
            (20_000.0, 70.0, 8),
            (20_000.0, -81.0, 7),
            (30_000_000.0, 0.0, 1),
        ] {
            assert_eq!(steps_for(radius_m, latitude), steps, "{radius_m}");
        }
    }
}
