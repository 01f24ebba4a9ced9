//! Reply schemas: what a row says its replies look like, and the check of reply bytes against it.
//!
//! Debug builds check every reply. A schema speaks of what a command means (a map, a double); how
//! each protocol version spells that is known here a second time, on purpose: a mistake in the
//! writer or in a handler's choice of words is caught. Errors fit every schema.

use std::fmt;
use std::sync::LazyLock;

use super::table::{Row, table};
use crate::args::Args;
use crate::resp::Protocol;

/// Bytes of a command and of a reply that a complaint shows.
const SHOWN_BYTES_MAX: usize = 400;

/// A parsed schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// Any one value.
    Any,
    /// `+OK`.
    Ok,
    /// A status.
    Simple,
    /// A binary-safe string.
    Bulk,
    /// An integer.
    Integer,
    /// A double.
    Double,
    /// A truth value.
    Boolean,
    /// Nothing there, with or without an array having been asked for.
    Null,
    /// Text for a person.
    Verbatim,
    /// Any number of values of one kind.
    Array(Box<Self>),
    /// Any number of values without an order.
    Set(Box<Self>),
    /// Any number of pairs.
    Map(Box<(Self, Self)>),
    /// So many values in this order.
    Tuple(Vec<Self>),
    /// One of these.
    Either(Vec<Self>),
    /// No reply, but one or more messages out of band.
    Messages(Box<Self>),
}

/// A schema is not in the notation: what is wrong, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSchema {
    /// What was expected.
    pub expected: &'static str,
    /// Where.
    pub at: usize,
}

impl Schema {
    /// Reads the notation of [`super::spec::Command::reply`].
    pub fn parse(text: &str) -> Result<Self, BadSchema> {
        let mut reader = Notation { text: text.as_bytes(), at: 0 };
        let schema = reader.either()?;
        match reader.peek() {
            None => Ok(schema),
            Some(_) => Err(reader.bad("nothing more")),
        }
    }

    /// Whether `bytes` are exactly one reply of this kind, as a client of `protocol` gets it.
    /// Attributes and messages out of band may come before it.
    pub fn fits(&self, protocol: Protocol, bytes: &[u8]) -> bool {
        let reply = Bytes { bytes, protocol };
        if let Self::Messages(message) = self
            && reply.messages(message) == Some(bytes.len())
        {
            return true;
        }
        reply.body(0).is_some_and(|at| {
            bytes.get(at) == Some(&b'-') && reply.skip(at) == Some(bytes.len())
                || reply.end(self, at) == Some(bytes.len())
        })
    }
}

/// Checks what a command of `row` has replied.
///
/// # Panics
/// If the reply does not fit the row's schema: the handler or the row is wrong.
pub(crate) fn check(row: &Row, args: Args<'_>, protocol: Protocol, reply: &[u8]) {
    static SCHEMAS: LazyLock<Vec<Option<Schema>>> = LazyLock::new(|| {
        table().rows().iter().map(|row| Schema::parse(row.command.reply).ok()).collect()
    });
    let fits = SCHEMAS[row.index].as_ref().is_some_and(|schema| schema.fits(protocol, reply));
    assert!(
        fits,
        "{} replied \"{}\", which is not \"{}\" in {protocol:?}; the words: {}",
        row.full_name,
        Shown(reply),
        row.command.reply,
        args.from(0).map(|word| format!("\"{}\"", Shown(word))).collect::<Vec<_>>().join(" ")
    );
}

/// Bytes in a complaint, cut.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = &self.0[..self.0.len().min(SHOWN_BYTES_MAX)];
        let more = if cut.len() < self.0.len() { "..." } else { "" };
        write!(f, "{}{more}", cut.escape_ascii())
    }
}

/// A reader of the notation.
struct Notation<'a> {
    text: &'a [u8],
    at: usize,
}

impl Notation<'_> {
    fn bad(&self, expected: &'static str) -> BadSchema {
        BadSchema { expected, at: self.at }
    }

    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8, name: &'static str) -> Result<(), BadSchema> {
        if self.peek() != Some(wanted) {
            return Err(self.bad(name));
        }
        self.at += 1;
        Ok(())
    }

    /// Kinds with `|` between them.
    fn either(&mut self) -> Result<Schema, BadSchema> {
        let mut kinds = vec![self.kind()?];
        while self.peek() == Some(b'|') {
            self.at += 1;
            kinds.push(self.kind()?);
        }
        Ok(if kinds.len() == 1 { kinds.remove(0) } else { Schema::Either(kinds) })
    }

    fn kind(&mut self) -> Result<Schema, BadSchema> {
        if self.peek() == Some(b'[') {
            self.at += 1;
            let mut parts = vec![self.either()?];
            while self.peek() == Some(b',') {
                self.at += 1;
                parts.push(self.either()?);
            }
            self.take(b']', "`]`")?;
            return Ok(Schema::Tuple(parts));
        }
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_lowercase) {
            self.at += 1;
        }
        Ok(match &self.text[start..self.at] {
            b"any" => Schema::Any,
            b"ok" => Schema::Ok,
            b"simple" => Schema::Simple,
            b"bulk" => Schema::Bulk,
            b"integer" => Schema::Integer,
            b"double" => Schema::Double,
            b"boolean" => Schema::Boolean,
            b"null" => Schema::Null,
            b"verbatim" => Schema::Verbatim,
            b"array" => Schema::Array(Box::new(self.parameter()?)),
            b"messages" => Schema::Messages(Box::new(self.parameter()?)),
            b"set" => Schema::Set(Box::new(self.parameter()?)),
            b"map" => {
                self.take(b'<', "`<`")?;
                let key = self.either()?;
                self.take(b',', "`,`")?;
                let value = self.either()?;
                self.take(b'>', "`>`")?;
                Schema::Map(Box::new((key, value)))
            }
            _ => {
                self.at = start;
                return Err(self.bad("a kind of reply"));
            }
        })
    }

    fn parameter(&mut self) -> Result<Schema, BadSchema> {
        self.take(b'<', "`<`")?;
        let inner = self.either()?;
        self.take(b'>', "`>`")?;
        Ok(inner)
    }
}

/// Reply bytes. Every function gets the position where a value begins and gives that where it ends,
/// or `None` if there is no such value. Nothing here allocates: tests count allocations.
struct Bytes<'a> {
    bytes: &'a [u8],
    protocol: Protocol,
}

impl<'a> Bytes<'a> {
    fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    /// The end of the value at `at` if it is of this kind.
    fn end(&self, schema: &Schema, at: usize) -> Option<usize> {
        match schema {
            Schema::Any => self.skip(at),
            Schema::Ok => self.bytes[at..].starts_with(b"+OK\r\n").then_some(at + 5),
            Schema::Simple => self.line(at, b'+').map(|(_, end)| end),
            Schema::Bulk => self.block(at, b'$').map(|(_, end)| end),
            Schema::Integer => self.number(at, b':').map(|(_, end)| end),
            Schema::Double => {
                let (text, end) =
                    if self.is_resp3() { self.line(at, b',') } else { self.block(at, b'$') }?;
                str::from_utf8(text).ok()?.parse::<f64>().ok().map(|_| end)
            }
            Schema::Boolean if self.is_resp3() => {
                let (text, end) = self.line(at, b'#')?;
                matches!(text, b"t" | b"f").then_some(end)
            }
            Schema::Boolean => {
                let (value, end) = self.number(at, b':')?;
                matches!(value, 0 | 1).then_some(end)
            }
            Schema::Null => self.null(at),
            Schema::Verbatim if self.is_resp3() => {
                let (text, end) = self.block(at, b'=')?;
                (text.get(3) == Some(&b':')).then_some(end)
            }
            Schema::Verbatim => self.block(at, b'$').map(|(_, end)| end),
            Schema::Array(item) => {
                let (len, at) = self.count(at, b'*')?;
                (0..len).try_fold(at, |at, _| self.end(item, at))
            }
            Schema::Set(item) => {
                let (len, at) = self.count(at, if self.is_resp3() { b'~' } else { b'*' })?;
                (0..len).try_fold(at, |at, _| self.end(item, at))
            }
            Schema::Map(pair) => {
                let (len, at) = self.pairs(at)?;
                (0..len).try_fold(at, |at, _| self.end(&pair.1, self.end(&pair.0, at)?))
            }
            Schema::Tuple(parts) => self.tuple(b'*', parts, at),
            Schema::Either(kinds) => kinds.iter().find_map(|kind| self.end(kind, at)),
            // They are no value: a command has them instead of a reply.
            Schema::Messages(_) => None,
        }
    }

    fn tuple(&self, kind: u8, parts: &[Schema], at: usize) -> Option<usize> {
        let (len, at) = self.count(at, kind)?;
        let fits = len == parts.len();
        fits.then(|| parts.iter().try_fold(at, |at, part| self.end(part, at)))?
    }

    /// The end of one or more messages, which are tuples.
    fn messages(&self, message: &Schema) -> Option<usize> {
        let Schema::Tuple(parts) = message else { return None };
        let kind = if self.is_resp3() { b'>' } else { b'*' };
        let mut at = self.tuple(kind, parts, 0)?;
        while at < self.bytes.len() {
            at = self.tuple(kind, parts, at)?;
        }
        Some(at)
    }

    /// Where the reply itself begins: behind attributes and messages out of band.
    fn body(&self, mut at: usize) -> Option<usize> {
        while self.is_resp3() && matches!(self.bytes.get(at), Some(b'>' | b'|')) {
            at = self.skip(at)?;
        }
        Some(at)
    }

    /// The end of any value.
    fn skip(&self, at: usize) -> Option<usize> {
        let kind = *self.bytes.get(at)?;
        match kind {
            b'+' | b'-' => self.line(at, kind).map(|(_, end)| end),
            b':' => self.number(at, kind).map(|(_, end)| end),
            b'$' => self.null(at).or_else(|| self.block(at, kind).map(|(_, end)| end)),
            b'*' => self.null(at).or_else(|| self.skip_values(self.count(at, kind)?)),
            _ if !self.is_resp3() => None,
            b'_' => self.null(at),
            b'#' | b',' | b'(' => self.line(at, kind).map(|(_, end)| end),
            b'=' => self.block(at, kind).map(|(_, end)| end),
            b'~' | b'>' => self.skip_values(self.count(at, kind)?),
            b'%' | b'|' => {
                let (pairs, at) = self.count(at, kind)?;
                self.skip_values((pairs * 2, at))
            }
            _ => None,
        }
    }

    fn skip_values(&self, (len, at): (usize, usize)) -> Option<usize> {
        (0..len).try_fold(at, |at, _| self.skip(self.body(at)?))
    }

    fn null(&self, at: usize) -> Option<usize> {
        let spellings: &[&[u8]] =
            if self.is_resp3() { &[b"_\r\n"] } else { &[b"$-1\r\n", b"*-1\r\n"] };
        let rest = self.bytes.get(at..)?;
        spellings.iter().find(|text| rest.starts_with(text)).map(|text| at + text.len())
    }

    /// The number of pairs, which RESP2 does not tell from twice as many values.
    fn pairs(&self, at: usize) -> Option<(usize, usize)> {
        if self.is_resp3() {
            return self.count(at, b'%');
        }
        let (len, at) = self.count(at, b'*')?;
        (len % 2 == 0).then_some((len / 2, at))
    }

    fn line(&self, at: usize, kind: u8) -> Option<(&'a [u8], usize)> {
        let rest = self.bytes.get(at..)?.strip_prefix(&[kind])?;
        let len = rest.iter().position(|&byte| matches!(byte, b'\r' | b'\n'))?;
        rest[len..].starts_with(b"\r\n").then_some((&rest[..len], at + 1 + len + 2))
    }

    fn number(&self, at: usize, kind: u8) -> Option<(i64, usize)> {
        let (text, end) = self.line(at, kind)?;
        Some((str::from_utf8(text).ok()?.parse().ok()?, end))
    }

    fn count(&self, at: usize, kind: u8) -> Option<(usize, usize)> {
        let (value, end) = self.number(at, kind)?;
        Some((usize::try_from(value).ok()?, end))
    }

    fn block(&self, at: usize, kind: u8) -> Option<(&'a [u8], usize)> {
        let (len, at) = self.count(at, kind)?;
        let text = self.bytes.get(at..at.checked_add(len)?)?;
        self.bytes[at + len..].starts_with(b"\r\n").then_some((text, at + len + 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Span;

    /// The complaint about a reply to `GET k`.
    fn complaint(reply: &'static [u8]) -> Option<String> {
        let spans = [Span { start: 0, len: 3 }, Span { start: 3, len: 1 }];
        let row = table().find_full(b"get").expect("GET has a row");
        let checked = std::panic::catch_unwind(|| {
            check(row, Args::new(b"GETk", &spans), Protocol::Resp2, reply);
        });
        checked.err().map(|panic| *panic.downcast::<String>().expect("a text"))
    }

    #[test]
    fn a_wrong_reply_is_caught() {
        assert_eq!(complaint(b"$1\r\nv\r\n"), None);
        assert_eq!(complaint(b"-WRONGTYPE\r\n"), None);
        for (reply, shown) in [
            (&b":1\r\n"[..], ":1\\r\\n"),
            (b"", ""),
            (b"$1\r\nv\r\n:1\r\n", "$1\\r\\nv\\r\\n:1\\r\\n"),
        ] {
            let expected = format!(
                "get replied \"{shown}\", which is not \"bulk | null\" in Resp2; the words: \
                 \"GET\" \"k\""
            );
            assert_eq!(complaint(reply), Some(expected));
        }
    }

    fn fits(schema: &str, protocol: Protocol, bytes: &[u8]) -> bool {
        Schema::parse(schema).expect("the notation").fits(protocol, bytes)
    }

    #[test]
    fn every_row_has_a_schema_that_parses() {
        for row in table().rows() {
            let command = row.command;
            // A container that needs a subcommand never runs itself.
            if !row.subcommands.is_empty() && command.arity < -1 {
                assert_eq!(command.reply, "", "{} has no reply of its own", command.name);
                continue;
            }
            if let Err(bad) = Schema::parse(command.reply) {
                panic!("{}: {bad:?} in {:?}", command.name, command.reply);
            }
        }
    }

    #[test]
    fn the_notation_is_read_to_its_end() {
        use Schema::{Array, Bulk, Either, Integer, Map, Null, Tuple};
        assert_eq!(
            Schema::parse("null | array<[bulk, integer|null]> | map<bulk, integer>"),
            Ok(Either(vec![
                Null,
                Array(Box::new(Tuple(vec![Bulk, Either(vec![Integer, Null])]))),
                Map(Box::new((Bulk, Integer))),
            ]))
        );
        for (text, expected, at) in [
            ("", "a kind of reply", 0),
            ("bulks", "a kind of reply", 0),
            ("array", "`<`", 5),
            ("array<bulk", "`>`", 10),
            ("[bulk, integer", "`]`", 14),
            ("map<bulk>", "`,`", 8),
            ("bulk integer", "nothing more", 5),
            ("bulk |", "a kind of reply", 6),
        ] {
            assert_eq!(Schema::parse(text), Err(BadSchema { expected, at }), "{text}");
        }
    }

    #[test]
    fn each_kind_has_its_spelling_in_each_protocol() {
        let both: &[(&str, &[u8], &[u8])] = &[
            ("ok", b"+OK\r\n", b"+OK\r\n"),
            ("simple", b"+PONG\r\n", b"+PONG\r\n"),
            ("bulk", b"$3\r\na\r\n\r\n", b"$0\r\n\r\n"),
            ("integer", b":-5\r\n", b":7\r\n"),
            ("double", b"$3\r\n1.5\r\n", b",-inf\r\n"),
            ("boolean", b":1\r\n", b"#t\r\n"),
            ("null", b"$-1\r\n", b"_\r\n"),
            ("null", b"*-1\r\n", b"_\r\n"),
            ("verbatim", b"$2\r\nhi\r\n", b"=6\r\ntxt:hi\r\n"),
            ("set<bulk>", b"*1\r\n$1\r\na\r\n", b"~1\r\n$1\r\na\r\n"),
            ("map<bulk, integer>", b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
            ("array<integer | null>", b"*2\r\n:1\r\n$-1\r\n", b"*2\r\n:1\r\n_\r\n"),
            ("[bulk, [integer]]", b"*2\r\n$0\r\n\r\n*1\r\n:1\r\n", b"*2\r\n$0\r\n\r\n*1\r\n:1\r\n"),
            ("any", b"*1\r\n*1\r\n$-1\r\n", b"%1\r\n+a\r\n~2\r\n#f\r\n(1\r\n"),
            ("messages<[bulk]>", b"*1\r\n$1\r\na\r\n", b">1\r\n$1\r\na\r\n"),
            ("integer", b"-ERR no\r\n", b"-ERR no\r\n"),
            ("integer", b":1\r\n", b">1\r\n+x\r\n|1\r\n+a\r\n:1\r\n:1\r\n"),
        ];
        for (schema, resp2, resp3) in both {
            assert!(fits(schema, Protocol::Resp2, resp2), "{schema} in RESP2");
            assert!(fits(schema, Protocol::Resp3, resp3), "{schema} in RESP3");
            for (protocol, bytes) in [(Protocol::Resp2, resp2), (Protocol::Resp3, resp3)] {
                for cut in 0..bytes.len() {
                    assert!(!fits(schema, protocol, &bytes[..cut]), "{schema} cut at {cut}");
                }
                assert!(!fits(schema, protocol, &[bytes, &b":1\r\n"[..]].concat()), "{schema}");
            }
        }
    }

    #[test]
    fn there_may_be_several_messages_and_nothing_else() {
        let schema = "messages<[bulk, integer | null]>";
        let resp2 = b"*2\r\n$1\r\na\r\n:1\r\n*2\r\n$1\r\nb\r\n$-1\r\n";
        let resp3 = b">2\r\n$1\r\na\r\n:1\r\n>2\r\n$1\r\nb\r\n_\r\n";
        assert!(fits(schema, Protocol::Resp2, resp2) && fits(schema, Protocol::Resp3, resp3));
        assert!(!fits(schema, Protocol::Resp3, resp2) && !fits(schema, Protocol::Resp2, resp3));
        assert!(!fits(schema, Protocol::Resp3, &[resp3, &b"+OK\r\n"[..]].concat()));
    }

    #[test]
    fn another_kind_does_not_fit() {
        let wrong: &[(&str, Protocol, &[u8])] = &[
            ("ok", Protocol::Resp2, b"+PONG\r\n"),
            ("bulk", Protocol::Resp2, b"$-1\r\n"),
            ("bulk", Protocol::Resp2, b"+a\r\n"),
            ("null", Protocol::Resp3, b"$-1\r\n"),
            ("double", Protocol::Resp2, b"$1\r\nx\r\n"),
            ("double", Protocol::Resp3, b"$1\r\n1\r\n"),
            ("boolean", Protocol::Resp2, b":2\r\n"),
            ("boolean", Protocol::Resp3, b":1\r\n"),
            ("verbatim", Protocol::Resp3, b"$2\r\nhi\r\n"),
            ("array<bulk>", Protocol::Resp2, b"*1\r\n:1\r\n"),
            ("set<bulk>", Protocol::Resp3, b"*0\r\n"),
            ("map<bulk, bulk>", Protocol::Resp2, b"*1\r\n$1\r\na\r\n"),
            ("map<bulk, bulk>", Protocol::Resp3, b"*0\r\n"),
            ("[bulk, bulk]", Protocol::Resp2, b"*1\r\n$1\r\na\r\n"),
            ("any", Protocol::Resp2, b"%0\r\n"),
            ("array<integer>", Protocol::Resp2, b"*1\r\n-ERR no\r\n"),
            ("messages<[bulk]>", Protocol::Resp2, b""),
            ("messages<[bulk]>", Protocol::Resp3, b"*1\r\n$1\r\na\r\n"),
            ("messages<[bulk]>", Protocol::Resp2, b"*1\r\n:1\r\n"),
        ];
        for (schema, protocol, bytes) in wrong {
            let shown = bytes.escape_ascii();
            assert!(!fits(schema, *protocol, bytes), "{shown} as {schema} in {protocol:?}");
        }
    }
}
