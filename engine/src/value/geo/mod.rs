//! Places on the globe as scores of a sorted set, distances between them, and searches.
//!
//! A place is rounded to one of 2^26 columns and 2^26 rows of the map; the bits of column and row,
//! interleaved, are a number of 52 bits, which a double holds exactly. Places near each other
//! mostly have scores near each other: the members inside any square of the map whose side is a
//! power of two are one range of scores.
//!
//! Invariant: all results follow from IEEE arithmetic and the `libm` crate, so that they are the
//! same on every machine.

mod area;
mod cell;
mod distance;

pub use area::{Area, Shape};
pub use cell::Cell;
pub use distance::distance_m;

/// The largest longitude, in degrees; the smallest is its negative.
pub const LONGITUDE_MAX: f64 = 180.0;
/// The largest latitude, where the Mercator projection's map is square; the smallest is its
/// negative.
pub const LATITUDE_MAX: f64 = 85.051_128_78;

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// East of Greenwich.
    pub longitude: f64,
    /// North of the equator.
    pub latitude: f64,
}

impl Point {
    /// The place, if it is on the map.
    pub fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let on_the_map = (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&longitude)
            && (-LATITUDE_MAX..=LATITUDE_MAX).contains(&latitude);
        on_the_map.then_some(Self { longitude, latitude })
    }

    /// The place's score.
    pub fn score(self) -> u64 {
        Cell::around(self, cell::STEPS_MAX).bits()
    }

    /// The middle of the places that have this score. Any number stands for a place, as in Redis
    /// on 64-bit x86.
    pub fn of_score(score: f64) -> Self {
        let bounds = Cell::of_bits(bits_of(score), cell::STEPS_MAX).bounds();
        let longitude = (bounds.west + bounds.east) / 2.0;
        let latitude = (bounds.south + bounds.north) / 2.0;
        Self {
            longitude: longitude.clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: latitude.clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }

    /// The eleven characters of the place's geohash, which has 52 bits: the last one is always `0`.
    ///
    /// Source: Gustavo Niemeyer's geohash.org; the map reaches from pole to pole there.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = cell::interleaved(
            cell::part(self.latitude, 90.0, cell::STEPS_MAX),
            cell::part(self.longitude, LONGITUDE_MAX, cell::STEPS_MAX),
        );
        core::array::from_fn(|at| match 47_usize.checked_sub(5 * at) {
            Some(shift) => ALPHABET[(bits >> shift & 31) as usize],
            None => b'0',
        })
    }
}

/// The score as an integer. What does not fit becomes what x86 makes of it.
fn bits_of(score: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let signed =
        |value: f64| if (-LIMIT..LIMIT).contains(&value) { value as i64 as u64 } else { SIGN };
    if score >= LIMIT { signed(score - LIMIT) ^ SIGN } else { signed(score) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Seed};

    pub(super) fn random_point(rng: &mut Rng, latitude_max: f64) -> Point {
        let mut unit = || rng.next_u64() as f64 / u64::MAX as f64 * 2.0 - 1.0;
        let (longitude, latitude) = (unit() * LONGITUDE_MAX, unit() * latitude_max);
        Point::new(longitude, latitude).expect("it is on the map")
    }

    #[test]
    fn scores_are_those_of_redis() {
        for (longitude, latitude, score) in [
            (13.361389, 38.115556, 3_479_099_956_230_698),
            (15.087269, 37.502669, 3_479_447_370_796_909),
            (-74.0131604, 40.7126674, 1_791_873_972_053_020),
            (-180.0, -85.05112878, 0),
        ] {
            let point = Point::new(longitude, latitude).expect("it is on the map");
            assert_eq!(point.score(), score);
        }
    }

    #[test]
    fn a_point_is_near_the_point_of_its_score() {
        let mut rng = Rng::new(Seed(1), "geo");
        for _ in 0..1000 {
            let point = random_point(&mut rng, LATITUDE_MAX);
            let back = Point::of_score(point.score() as f64);
            assert!(distance_m(point, back) < 0.6, "{point:?} {back:?}");
        }
    }

    #[test]
    fn geohashes_are_the_standard_ones() {
        for (longitude, latitude, geohash) in [
            (-5.6, 42.6, "ezs42e44yx0"),
            (13.361389, 38.115556, "sqc8b49rny0"),
            (15.087269, 37.502669, "sqdtr74hyu0"),
        ] {
            let point = Point::new(longitude, latitude).expect("it is on the map");
            let point = Point::of_score(point.score() as f64);
            assert_eq!(point.geohash(), geohash.as_bytes());
        }
    }

    #[test]
    fn any_score_is_a_point() {
        let scores = [-1.0, 0.5, 1e300, -1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e18];
        for score in scores {
            let Point { longitude, latitude } = Point::of_score(score);
            assert!(Point::new(longitude, latitude).is_some(), "{score}");
        }
        assert_eq!(bits_of(-1.0), u64::MAX);
        assert_eq!(bits_of(f64::INFINITY), 0);
        assert_eq!(bits_of(9.3e18), 9_300_000_000_000_000_000);
    }

    #[test]
    fn what_is_off_the_map_is_no_point() {
        for (longitude, latitude) in
            [(180.1, 0.0), (-180.1, 0.0), (0.0, 85.06), (0.0, -85.06), (f64::NAN, 0.0)]
        {
            assert_eq!(Point::new(longitude, latitude), None);
        }
    }
}
