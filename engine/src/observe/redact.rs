//! Which words of a command are secrets: logs and MONITOR show something else in their place.
//!
//! Invariant: what Redis redacts is redacted here, also where the command failed before Redis
//! would have come so far.

use crate::args::Args;
use crate::commands::table::Row;
use crate::config::is_sensitive;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Words;
    use crate::commands::table::table;

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
}
