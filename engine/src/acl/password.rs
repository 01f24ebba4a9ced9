//! Passwords as SHA-256 hashes.
//!
//! Invariant: how long a comparison takes depends neither on where two hashes differ nor on which
//! of a user's passwords matches.

use core::hint::black_box;

use sha2::{Digest, Sha256};

/// The hash of a password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash([u8; 32]);

/// Digits of a hash's spelling.
const DIGITS: usize = 64;

impl Hash {
    /// The hash of a password.
    pub(super) fn of(password: &[u8]) -> Self {
        Self(Sha256::digest(password).into())
    }

    /// A hash from exactly 64 lower-case hexadecimal digits.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != DIGITS {
            return None;
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(hash))
    }

    /// The spelling that `parse` reads.
    pub(super) fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether this is one of `others`, in a time that depends on their number alone.
    pub(super) fn is_among(self, others: &[Self]) -> bool {
        let mut found = false;
        for other in others {
            let pairs = self.0.iter().zip(&other.0);
            let difference = pairs.fold(0, |difference, (a, b)| black_box(difference | (a ^ b)));
            found |= black_box(difference) == 0;
        }
        found
    }
}

impl core::fmt::Debug for Hash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Hash(..)")
    }
}

/// Random passwords: SHA-256 over a secret and a counter.
#[derive(Clone)]
pub(super) struct Passwords {
    secret: [u8; 32],
    counter: u64,
}

impl Passwords {
    /// A stream of passwords that nobody can foretell who does not know the secret.
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self { secret, counter: 0 }
    }

    /// So many hexadecimal digits.
    pub(super) fn next(&mut self, digits: usize) -> String {
        let mut text = String::new();
        while text.len() < digits {
            let mut sha = Sha256::new();
            sha.update(self.secret);
            sha.update(self.counter.to_le_bytes());
            self.counter += 1;
            text.push_str(&Hash(sha.finalize().into()).hex());
        }
        text.truncate(digits);
        text
    }
}

impl core::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Passwords").field("counter", &self.counter).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_sha_256_and_spelled_in_lower_case() {
        let hex = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        assert_eq!(Hash::of(b"secret").hex(), hex);
        assert_eq!(Hash::parse(hex.as_bytes()), Some(Hash::of(b"secret")));
        for wrong in [&hex[1..], &hex.to_uppercase(), &format!("{hex}0"), &"g".repeat(64)] {
            assert_eq!(Hash::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_hash_is_found_wherever_it_stands() {
        let hashes: Vec<Hash> = ["a", "b", "c"].map(|word| Hash::of(word.as_bytes())).into();
        for word in ["a", "b", "c"] {
            assert!(Hash::of(word.as_bytes()).is_among(&hashes));
        }
        assert!(!Hash::of(b"d").is_among(&hashes) && !Hash::of(b"a").is_among(&[]));
    }

    #[test]
    fn passwords_have_the_length_asked_for_and_never_repeat() {
        let mut passwords = Passwords::new([7; 32]);
        assert_eq!(passwords.next(1).len(), 1);
        let (long, other) = (passwords.next(1024), passwords.next(1024));
        assert_eq!((long.len(), other.len()), (1024, 1024));
        assert_ne!(long, other);
        assert!(long.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let again = Passwords::new([7; 32]).next(64);
        assert_ne!(again, Passwords::new([8; 32]).next(64));
    }
}
