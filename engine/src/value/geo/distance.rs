//! Distances on a sphere, by the haversine formula.
//!
//! Invariant: [`Center`] measures as [`distance_m`] does, bit by bit; it only does once what
//! depends on its place alone.

use super::Point;

/// The radius of the sphere in metres: the one that Redis uses.
pub(super) const EARTH_RADIUS_M: f64 = 6_372_797.560_856;
const RADIANS_PER_DEGREE: f64 = core::f64::consts::PI / 180.0;

pub(super) fn to_radians(degrees: f64) -> f64 {
    degrees * RADIANS_PER_DEGREE
}

pub(super) fn to_degrees(radians: f64) -> f64 {
    radians / RADIANS_PER_DEGREE
}

/// The distance between two places, in metres.
pub fn distance_m(a: Point, b: Point) -> f64 {
    Center::new(a).distance_m(b)
}

/// The distance between two parallels, in metres.
pub(super) fn latitude_distance_m(a: f64, b: f64) -> f64 {
    EARTH_RADIUS_M * (to_radians(b) - to_radians(a)).abs()
}

/// A place that distances are measured from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Center {
    point: Point,
    longitude_radians: f64,
    latitude_radians: f64,
    cosine: f64,
}

impl Center {
    pub(super) fn new(point: Point) -> Self {
        let latitude_radians = to_radians(point.latitude);
        Self {
            point,
            longitude_radians: to_radians(point.longitude),
            latitude_radians,
            cosine: libm::cos(latitude_radians),
        }
    }

    pub(super) fn point(&self) -> Point {
        self.point
    }

    pub(super) fn distance_m(&self, other: Point) -> f64 {
        let v = libm::sin((to_radians(other.longitude) - self.longitude_radians) / 2.0);
        if v == 0.0 {
            return latitude_distance_m(self.point.latitude, other.latitude);
        }
        let latitude = to_radians(other.latitude);
        let u = libm::sin((latitude - self.latitude_radians) / 2.0);
        let a = u * u + self.cosine * libm::cos(latitude) * v * v;
        2.0 * EARTH_RADIUS_M * libm::asin(libm::sqrt(a))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::random_point;
    use super::*;
    use crate::rng::{Rng, Seed};

    #[test]
    fn known_distances() {
        let palermo = Point { longitude: 13.361389, latitude: 38.115556 };
        let catania = Point { longitude: 15.087269, latitude: 37.502669 };
        assert!((distance_m(palermo, catania) - 166_274.15).abs() < 1.0);
        let pole = Point { longitude: 0.0, latitude: 85.0 };
        let across = Point { longitude: 180.0, latitude: 85.0 };
        let expected = EARTH_RADIUS_M * to_radians(10.0);
        assert!((distance_m(pole, across) - expected).abs() < 1e-3);
    }

    #[test]
    fn a_metric() {
        let mut rng = Rng::new(Seed(1), "distance");
        for _ in 0..1000 {
            let [a, b, c] = [(); 3].map(|()| random_point(&mut rng, 85.0));
            assert_eq!(distance_m(a, a), 0.0);
            assert!((distance_m(a, b) - distance_m(b, a)).abs() < 1e-6);
            assert!(distance_m(a, c) <= distance_m(a, b) + distance_m(b, c) + 1e-6);
        }
    }
}
