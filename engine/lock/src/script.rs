//! Scripts that a server is sent once, and called by their names from then on.
//!
//! Invariant: a server is never told a name that it was not sent the text of over the same
//! connection, before it said that it has forgotten it.

use orrery_base::encode::{array, bulk};

/// A script, and what a server calls it.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// One that no other has which the same [`Sent`] is kept for.
    pub bit: u8,
    /// What it does, in Lua.
    pub text: &'static [u8],
    /// The hexadecimal digits of the text's SHA-1.
    pub sha1: &'static [u8; 40],
}

/// The scripts that a server has been sent: it is told their names from then on, and not their
/// texts. What it has forgotten, as it says with NOSCRIPT, it is sent again after [`Sent::forget`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent(u8);

impl Sent {
    /// Nothing is known to be there.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Appends the call of a script. The words are how many keys there are, the keys, and what is
    /// behind them.
    pub fn call<'a>(
        &mut self,
        script: &Script,
        words: impl ExactSizeIterator<Item = &'a [u8]>,
        out: &mut Vec<u8>,
    ) {
        array(out, 2 + words.len());
        if self.0 & script.bit == 0 {
            bulk(out, b"EVAL");
            bulk(out, script.text);
            self.0 |= script.bit;
        } else {
            bulk(out, b"EVALSHA");
            bulk(out, script.sha1);
        }
        words.for_each(|word| bulk(out, word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_sent_once_and_again_when_it_was_forgotten() {
        let script = Script { bit: 2, text: b"return 1", sha1: &[b'f'; 40] };
        let mut sent = Sent::default();
        let call = |sent: &mut Sent| {
            let mut out = Vec::new();
            sent.call(&script, [b"0".as_slice()].into_iter(), &mut out);
            String::from_utf8(out).expect("all words are text")
        };
        assert_eq!(call(&mut sent), "*3\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n0\r\n");
        assert!(call(&mut sent).starts_with("*3\r\n$7\r\nEVALSHA\r\n$40\r\nffff"));
        sent.forget();
        assert!(call(&mut sent).contains("\r\nreturn 1\r\n"));
    }
}
