//! FENCE: a command runs only if no newer fencing token was seen.
//!
//! Whoever holds a lock sends its token along with all that it does, reads included. The register,
//! an ordinary key, keeps the newest token that was ever sent; what comes with an older one is
//! refused. So a holder that has lost its lock without knowing it can change nothing once the next
//! one has begun, and has read nothing that the next one did not see.
//!
//! Invariants: a command that is refused has changed nothing; the token in a register never gets
//! older by FENCE; the token and what the command did are one unit of the log, the token first.

use super::Cx;
use super::carried::{flags_of_both, keys_from, run_carried};
use super::keys::{BadKeys, FoundKey};
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::{Found, NewValue};

/// Bytes of a token's owner.
const OWNER_BYTES_MAX: usize = 128;
/// The word at which the command begins.
const CARRIED_AT: usize = 3;
/// It may be made, whatever the command does.
const REGISTER: &[&str] = &["RW", "ACCESS", "UPDATE", "INSERT"];
/// Those of the command.
const OTHER_KEYS: KeySpec = KeySpec {
    flags: &["RW", "ACCESS", "UPDATE", "INCOMPLETE"],
    begin: Begin::Unknown,
    find: Find::Unknown,
};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[Command {
    name: "FENCE",
    syntax: "register:key token command [arg ...]",
    arity: -4,
    // Those who watch see it before what a script in it calls.
    flags: Flags::WRITE.and(Flags::NOSCRIPT).and(Flags::SKIP_MONITOR),
    flags_with: Some(flags_of_both),
    carries: Some(CARRIED_AT),
    keys: &[one_key(REGISTER), OTHER_KEYS],
    find_keys: Some(keys),
    group: Group::Transactions,
    since: "orrery 0.1.0",
    complexity: "That of the command, and O(1).",
    summary: "Runs a command if no newer fencing token was seen, and registers the token.",
    reply: "any",
    run: fence,
    ..Command::ROW
}];

const BAD_TOKEN: Error = Error::fixed(
    "ERR a fencing token is N or N:OWNER, N from 0 to 9223372036854775807 without leading zeros, \
     OWNER 1 to 128 bytes",
);
const BAD_REGISTER: Error =
    Error::fixed("ERR the register holds a string that is no fencing token");

fn keys(args: Args<'_>) -> Result<Vec<FoundKey>, BadKeys> {
    let register = FoundKey { index: 1, flags: REGISTER };
    Ok([register].into_iter().chain(keys_from(args, CARRIED_AT)).collect())
}

/// A token: later holders of a lock have higher numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token<'a> {
    number: u64,
    owner: Option<&'a [u8]>,
}

impl<'a> Token<'a> {
    fn parse(word: &'a [u8]) -> Option<Self> {
        let colon = word.iter().position(|&byte| byte == b':');
        let (digits, owner) = match colon {
            Some(colon) => (&word[..colon], Some(&word[colon + 1..])),
            None => (word, None),
        };
        let has_leading_zero = digits.len() > 1 && digits[0] == b'0';
        let is_number = digits.iter().all(u8::is_ascii_digit) && !has_leading_zero;
        let number: u64 = str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()?;
        let is_owner = |owner: &[u8]| (1..=OWNER_BYTES_MAX).contains(&owner.len());
        let is_token = i64::try_from(number).is_ok() && owner.is_none_or(is_owner);
        is_token.then_some(Self { number, owner })
    }

    /// Whether it is newer than the newest that was seen; an error if it is not even that one.
    fn is_news_after(self, newest: Token<'_>) -> Result<bool, Error> {
        let (number, seen) = (self.number, newest.number);
        match number.cmp(&seen) {
            _ if self == newest => Ok(false),
            core::cmp::Ordering::Greater => Ok(true),
            core::cmp::Ordering::Less => {
                Err(Error::text(format!("FENCED token {number} is older than {seen}")))
            }
            core::cmp::Ordering::Equal => {
                Err(Error::text(format!("FENCED token {number} is another owner's")))
            }
        }
    }
}

/// `FENCE register token command [arg ...]`
fn fence(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let carried = cx.state.carried(cx.row, args)?.expect("its row says that it carries one");
    let register = args.at(1);
    let token = Token::parse(args.at(2)).ok_or(BAD_TOKEN)?;
    // What is logged are the token and what the command does.
    cx.log_nothing();
    let found = cx.find(register);
    if is_news(cx, found, token)? {
        store(cx, register, found, args.at(2));
    }
    run_carried(cx, carried);
    Ok(())
}

/// Whether a token is newer than that at `found`; an error if it must not be used.
fn is_news(cx: &mut Cx<'_>, found: Option<Found>, token: Token<'_>) -> Result<bool, Error> {
    let Some(found) = found else { return Ok(true) };
    let mut buffer = itoa::Buffer::new();
    let newest = cx.value(found).string(&mut buffer)?;
    let is_news = token.is_news_after(Token::parse(newest).ok_or(BAD_REGISTER)?)?;
    // It must not be evicted as if nobody used it.
    if !cx.session.no_touch {
        cx.state.note_read(cx.db(), found);
    }
    Ok(is_news)
}

/// Makes a token the newest; a time to live that the register has stays.
fn store(cx: &mut Cx<'_>, register: &[u8], found: Option<Found>, token: &[u8]) {
    let deadline = found.and_then(|found| cx.deadline(found));
    match found {
        Some(found) => cx.overwrite(register, found, NewValue::String(token), deadline),
        None => cx.add(register, NewValue::String(token), None),
    }
    let words = [b"SET".as_slice(), register, token, b"KEEPTTL"];
    cx.log_also(words.into_iter().take(3 + usize::from(deadline.is_some())));
    cx.changed(register, "set");
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn tokens_have_one_spelling() {
        let token = |number, owner| Some(Token { number, owner });
        let max = i64::MAX as u64;
        let owner = [b'x'; 128];
        assert_eq!(Token::parse(b"0"), token(0, None));
        assert_eq!(Token::parse(b"9223372036854775807"), token(max, None));
        assert_eq!(Token::parse(b"34:a:b"), token(34, Some(&b"a:b"[..])));
        let long = [&b"7:"[..], &owner].concat();
        assert_eq!(Token::parse(&long), token(7, Some(&owner)));
        let too_long = [&long[..], b"x"].concat();
        let bad: [&[u8]; 13] = [
            b"",
            b":",
            b":a",
            b"1:",
            b"00",
            b"07",
            b"+1",
            b"-1",
            b" 1",
            b"1 ",
            b"x",
            b"9223372036854775808",
            b"99999999999999999999",
        ];
        for word in bad.into_iter().chain([&too_long[..]]) {
            assert_eq!(Token::parse(word), None, "{}", word.escape_ascii());
        }
    }
}
