//! Zipmaps: what small hashes were packed in before Redis 2.6.
//!
//! One byte of count (254 and up: unknown), the pairs, one byte 255. A pair is the length of the
//! field, the field, the length of the value, a count of unused bytes, the value, the unused bytes.

use super::Corrupt;

const END: u8 = 0xff;
const LONG: u8 = 0xfe;

const BAD: Corrupt = Corrupt("a zipmap that does not fit together");

/// The pairs of a zipmap, checked one by one as they are read.
#[derive(Clone, Debug)]
pub(super) struct Zipmap<'a> {
    rest: &'a [u8],
    /// How many pairs must be left, if the header says it.
    left: Option<u8>,
    done: bool,
}

impl<'a> Zipmap<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        match bytes {
            [count, rest @ .., END] => {
                let left = (*count < LONG).then_some(*count);
                Ok(Self { rest, left, done: false })
            }
            _ => Err(BAD),
        }
    }

    fn len(&mut self) -> Result<usize, Corrupt> {
        let (len, rest) = match self.rest {
            [LONG, a, b, c, d, rest @ ..] => {
                let len = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
                // As in Redis one that has room in a byte is in no other form.
                if len < usize::from(LONG) {
                    return Err(BAD);
                }
                (len, rest)
            }
            [LONG | END, ..] | [] => return Err(BAD),
            [len, rest @ ..] => (usize::from(*len), rest),
        };
        self.rest = rest;
        Ok(len)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(BAD)?;
        self.rest = rest;
        Ok(taken)
    }

    fn pair(&mut self) -> Result<(&'a [u8], &'a [u8]), Corrupt> {
        let len = self.len()?;
        let field = self.take(len)?;
        let len = self.len()?;
        let unused = self.take(1)?[0];
        let value = self.take(len)?;
        self.take(usize::from(unused))?;
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or(BAD)?;
        }
        Ok((field, value))
    }
}

impl<'a> Iterator for Zipmap<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Corrupt>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.rest.is_empty() {
            self.done = true;
            return self.left.is_some_and(|left| left != 0).then_some(Err(BAD));
        }
        let pair = self.pair();
        self.done = pair.is_err();
        Some(pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &[u8] = b"\x02\x03foo\x03\x00bar\x05hello\x05\x02world..\xff";

    type Pairs<'a> = Vec<(&'a [u8], &'a [u8])>;

    fn read(bytes: &[u8]) -> Result<Pairs<'_>, Corrupt> {
        Zipmap::open(bytes)?.collect()
    }

    #[test]
    fn pairs_are_read() {
        let pairs: [(&[u8], &[u8]); 2] = [(b"foo", b"bar"), (b"hello", b"world")];
        assert_eq!(read(SAMPLE).unwrap(), pairs);
        let mut uncounted = SAMPLE.to_vec();
        uncounted[0] = 254;
        assert_eq!(read(&uncounted).unwrap(), pairs);
    }

    #[test]
    fn a_length_is_long_only_if_it_must_be() {
        let name = [b'n'; 254];
        let long = [b"\x01\xfe\xfe\x00\x00\x00", &name[..], b"\x01\x00v\xff"].concat();
        assert_eq!(read(&long).unwrap(), [(&name[..], &b"v"[..])]);
        let short = b"\x01\xfe\x01\x00\x00\x00n\x01\x00v\xff";
        assert!(read(short).is_err());
    }

    #[test]
    fn every_damage_of_the_structure_is_noticed() {
        for len in 0..SAMPLE.len() {
            assert!(read(&SAMPLE[..len]).is_err(), "cut to {len}");
        }
        for (at, other) in [(0, 1), (0, 3), (1, 200), (1, 255), (6, 9), (16, 3), (16, 1)] {
            let mut damaged = SAMPLE.to_vec();
            damaged[at] = other;
            assert!(read(&damaged).is_err(), "{other} at {at}");
        }
    }
}
