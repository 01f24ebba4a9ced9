//! Names of scripts: the SHA-1 of the text, in hexadecimal digits.

/// The SHA-1 of a script's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sha([u8; 20]);

/// The name of a text that comes in parts.
#[derive(Default)]
pub(super) struct Digest(sha1_smol::Sha1);

impl Digest {
    /// Takes the next part.
    pub(super) fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// The name of all parts.
    pub(super) fn finish(&self) -> Sha {
        Sha(self.0.digest().bytes())
    }
}

impl Sha {
    /// The name of a text.
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut digest = Digest::default();
        digest.update(text);
        digest.finish()
    }

    /// Reads forty hexadecimal digits of either case.
    pub(crate) fn parse(word: &[u8]) -> Option<Self> {
        let digits: &[u8; 40] = word.try_into().ok()?;
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(bytes))
    }
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        b'A'..=b'F' => Some(character - b'A' + 10),
        _ => None,
    }
}

impl core::fmt::Display for Sha {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_shown() {
        let shown = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
        let name = Sha::of(b"return 1");
        assert_eq!(name.to_string(), shown);
        assert_eq!(Sha::parse(shown.as_bytes()), Some(name));
        assert_eq!(Sha::parse(shown.to_uppercase().as_bytes()), Some(name));
        assert_eq!(Sha::parse(&shown.as_bytes()[1..]), None);
        assert_eq!(Sha::parse(shown.replace('e', "g").as_bytes()), None);
    }
}
