//! Intsets: what small sets of integers are packed in.
//!
//! Four bytes of width (2, 4 or 8), four of count, the integers in ascending order; all little
//! endian.

use super::Corrupt;

const HEADER_BYTES: usize = 8;

const BAD: Corrupt = Corrupt("an intset that does not fit together");

/// The integers of an intset; fails at the first that is not above the one before.
pub(super) fn integers(
    bytes: &[u8],
) -> Result<impl Iterator<Item = Result<i64, Corrupt>>, Corrupt> {
    let (header, body) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(BAD)?;
    let [a, b, c, d, e, f, g, h] = *header;
    let width = u32::from_le_bytes([a, b, c, d]) as usize;
    let count = u32::from_le_bytes([e, f, g, h]) as usize;
    if !matches!(width, 2 | 4 | 8) || count.checked_mul(width) != Some(body.len()) {
        return Err(BAD);
    }
    let mut before = None;
    Ok(body.chunks_exact(width).map(move |chunk| {
        let mut value = [0; 8];
        value[8 - width..].copy_from_slice(chunk);
        // The sign comes from above.
        let value = i64::from_le_bytes(value) >> (64 - 8 * width);
        if before.is_some_and(|before| value <= before) {
            return Err(Corrupt("integers out of order"));
        }
        before = Some(value);
        Ok(value)
    }))
}

/// The intset of integers in ascending order.
pub(super) fn build(integers: &[i64]) -> Vec<u8> {
    let fits = |bits: u32| {
        let range = -(1_i64 << (bits - 1))..1_i64 << (bits - 1);
        integers.iter().all(|value| range.contains(value))
    };
    let width = if fits(16) {
        2
    } else if fits(32) {
        4
    } else {
        8
    };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + width * integers.len());
    bytes.extend_from_slice(&(width as u32).to_le_bytes());
    bytes.extend_from_slice(&(integers.len() as u32).to_le_bytes());
    integers.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()[..width]));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<i64>, Corrupt> {
        integers(bytes)?.collect()
    }

    #[test]
    fn every_width_is_read_back() {
        for (integers, width) in [
            (vec![-32_768, 0, 32_767], 2),
            (vec![-32_769, 5], 4),
            (vec![i64::from(i32::MIN), 32_768], 4),
            (vec![1 << 31], 8),
            (vec![i64::MIN, -1, i64::MAX], 8),
        ] {
            let bytes = build(&integers);
            assert_eq!(bytes.len(), HEADER_BYTES + width * integers.len());
            assert_eq!(read(&bytes).unwrap(), integers);
        }
    }

    #[test]
    fn damage_is_noticed() {
        let bytes = build(&[1, 2, 70_000]);
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "cut to {len}");
        }
        for (at, other) in [(0, 3), (0, 2), (4, 2), (4, 4), (8, 2), (8, 3), (19, 0x80)] {
            let mut damaged = bytes.clone();
            damaged[at] = other;
            assert!(read(&damaged).is_err(), "{other} at {at}");
        }
    }
}
