//! What rules have in common: the terms that they are read under, what can be wrong with one, and
//! how the words of a command become rules.

use super::catalogue::Catalogue;

/// What the meaning of rules depends on beside their text.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The commands.
    pub catalogue: &'a Catalogue,
    /// How many databases there are.
    pub databases: usize,
    /// Whether new selectors begin with all channels (`acl-pubsub-default`).
    pub all_channels: bool,
}

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// It is no rule.
    Syntax,
    /// It names a command or category that there is not.
    Unknown,
    /// A key pattern cannot add to all keys.
    HasAllKeys,
    /// A channel pattern cannot add to all channels.
    HasAllChannels,
    /// The password to take away is not there.
    NoSuchPassword,
    /// A hash of a password is not one.
    BadHash,
    /// The user is there already, where it may be defined once.
    DuplicateUser,
    /// A first word is given for a subcommand.
    FirstWordOfSubcommand,
    /// There is no such database.
    DatabaseOutOfRange,
    /// The user would have more of something than it may.
    TooMany,
    /// The rule is longer than any can be.
    TooLong,
}

impl RuleError {
    /// Redis's text.
    pub fn text(self) -> &'static str {
        match self {
            Self::Syntax => "Syntax error",
            Self::Unknown => "Unknown command or category name in ACL",
            Self::HasAllKeys => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and \
                 does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            Self::HasAllChannels => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and \
                 does not have any effect. Try 'resetchannels' to start with an empty list of \
                 channels"
            }
            Self::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            Self::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase \
                 hexadecimal characters"
            }
            Self::DuplicateUser => {
                "Duplicate user found. A user can only be defined once in config files"
            }
            Self::FirstWordOfSubcommand => "Allowing first-arg of a subcommand is not supported",
            Self::DatabaseOutOfRange => "The database ID is out of range",
            Self::TooLong => "The rule is too long",
            Self::TooMany => "Too many rules of this kind for one user",
        }
    }
}

/// Words into rules: those from a `(` to its `)` are one. The error is the word with the open
/// parenthesis.
pub(super) fn merge<'a>(words: &[&'a [u8]]) -> Result<Vec<Vec<u8>>, &'a [u8]> {
    let mut rules = Vec::with_capacity(words.len());
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for &word in words {
        let closes = word.last() == Some(&b')');
        if word.first() == Some(&b'(') && !closes {
            // As in Redis one inside another begins anew.
            open = Some((word, word.to_vec()));
        } else if let Some((_, rule)) = &mut open {
            rule.push(b' ');
            rule.extend_from_slice(word);
            if closes {
                rules.extend(open.take().map(|(_, rule)| rule));
            }
        } else {
            rules.push(word.to_vec());
        }
    }
    match open {
        Some((word, _)) => Err(word),
        None => Ok(rules),
    }
}

/// What is said of a parenthesis that nothing closes.
pub(super) fn unmatched(word: &[u8]) -> String {
    let word = String::from_utf8_lossy(word);
    format!("Unmatched parenthesis in acl selector starting at '{word}'.")
}

/// Whether a name or pattern has what would be read as its end.
pub(super) fn has_space(text: &[u8]) -> bool {
    text.iter().any(|&byte| byte == 0 || byte == 0x0b || byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Result<&[&str], &str>) {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let merged = merge(&words);
        let shown = merged.as_ref().map(|rules| {
            rules.iter().map(|rule| str::from_utf8(rule).unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(
            shown.as_ref().map(Vec::as_slice).map_err(|word| str::from_utf8(word).unwrap()),
            expected.as_ref().copied().map_err(|word| *word)
        );
    }

    #[test]
    fn parentheses_make_one_rule_of_many_words() {
        check("on +get", Ok(&["on", "+get"]));
        check("on (+get ~a) off", Ok(&["on", "(+get ~a)", "off"]));
        check("( +get )", Ok(&["( +get )"]));
        check("() )", Ok(&["()", ")"]));
        check("on (+get ~a", Err("(+get"));
        check("(a (b c)", Ok(&["(b c)"]));
        check("(a b) (", Err("("));
    }
}
