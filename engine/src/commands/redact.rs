//! The words of a command as logs and MONITOR show them: without secrets, and in logs not too long.
//!
//! Invariants: what Redis redacts is redacted here, also where the command failed before Redis
//! would have come so far; in a log a command has at most 32 words of at most 128 bytes each, and
//! what is said about the rest.

use super::table::Row;
use crate::args::Args;
use crate::config::is_sensitive;

/// Words that a log keeps.
const WORDS_MAX: usize = 32;
/// Bytes of a word that a log keeps.
const WORD_BYTES_MAX: usize = 128;

/// What is shown instead.
pub(crate) const REDACTED: &[u8] = b"(redacted)";

/// Whether word `index` of a command must not be shown.
pub(crate) fn is_secret(row: &Row, args: Args<'_>, index: usize) -> bool {
    match row.full_name {
        "auth" => index >= 1,
        "acl|setuser" => index >= 2,
        "hello" => follows(args, index, 2, "AUTH", 2),
        "migrate" => follows(args, index, 6, "AUTH", 1) || follows(args, index, 6, "AUTH2", 2),
        "config|set" => {
            index >= 3
                && index % 2 == 1
                && str::from_utf8(args.at(index - 1)).is_ok_and(is_sensitive)
        }
        _ => false,
    }
}

/// Whether word `index` is one of the `count` words behind the option `word`, which may stand from
/// word `from` on.
fn follows(args: Args<'_>, index: usize, from: usize, word: &str, count: usize) -> bool {
    (1..=count).any(|distance| index >= from + distance && args.is(index - distance, word))
}

/// The words of a command as a log keeps them.
pub(crate) fn shortened(row: &Row, args: Args<'_>) -> Vec<Box<[u8]>> {
    let shown = args.len().min(WORDS_MAX);
    let is_cut = args.len() > WORDS_MAX;
    let whole = if is_cut { WORDS_MAX - 1 } else { shown };
    let mut words: Vec<Box<[u8]>> = Vec::with_capacity(shown);
    for (index, word) in args.from(0).take(whole).enumerate() {
        words.push(match word.len().checked_sub(WORD_BYTES_MAX) {
            _ if is_secret(row, args, index) => REDACTED.into(),
            None | Some(0) => word.into(),
            Some(more) => {
                let mut text = word[..WORD_BYTES_MAX].to_vec();
                text.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
                text.into_boxed_slice()
            }
        });
    }
    if is_cut {
        let more = args.len() - whole;
        words.push(format!("... ({more} more arguments)").into_bytes().into_boxed_slice());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::table::table;
    use super::*;
    use crate::args::Words;

    fn shown(line: &str) -> String {
        let words = Words::new(line.split(' ').map(str::as_bytes).collect::<Vec<_>>().into_iter());
        let args = words.args();
        let row = table().find(args).expect("a known command");
        let shown = |index| if is_secret(row, args, index) { REDACTED } else { args.at(index) };
        let words: Vec<&[u8]> = (0..args.len()).map(shown).collect();
        String::from_utf8(words.join(&b' ')).expect("text")
    }

    #[test]
    fn secrets_are_hidden_and_nothing_else() {
        for (line, expected) in [
            ("auth secret", "auth (redacted)"),
            ("auth user secret", "auth (redacted) (redacted)"),
            ("hello 2 AUTH user secret SETNAME n", "hello 2 AUTH (redacted) (redacted) SETNAME n"),
            ("hello 3 setname auth", "hello 3 setname auth"),
            ("acl setuser u >secret on", "acl setuser (redacted) (redacted) (redacted)"),
            ("acl getuser u", "acl getuser u"),
            ("config set masterauth x port 1", "config set masterauth (redacted) port 1"),
            ("config set port 1 requirepass x", "config set port 1 requirepass (redacted)"),
            ("config get requirepass", "config get requirepass"),
            ("set auth secret", "set auth secret"),
        ] {
            assert_eq!(shown(line), expected);
        }
    }

    fn short(words: &[&[u8]]) -> Vec<String> {
        let words = Words::new(words.iter().copied());
        let row = table().find(words.args()).expect("a known command");
        let short = shortened(row, words.args());
        short.iter().map(|word| word.escape_ascii().to_string()).collect()
    }

    #[test]
    fn words_are_cut_where_redis_cuts_them() {
        let long = [b'A'; 129];
        let many = [b"sadd".as_slice(); 33];
        assert_eq!(short(&[b"get", &long[..128]])[1], "A".repeat(128));
        assert_eq!(short(&[b"get", &long])[1], format!("{}... (1 more bytes)", "A".repeat(128)));
        assert_eq!(short(&many[..32]).len(), 32);
        let cut = short(&many);
        assert_eq!((cut.len(), cut[30].as_str()), (32, "sadd"));
        assert_eq!(cut[31], "... (2 more arguments)");
    }
}
