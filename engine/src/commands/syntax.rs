//! The notation of the `syntax` column, read into a tree of arguments.
//!
//! | written | means |
//! |---|---|
//! | `key`, `seconds` | a value; its type follows from its name, or is given: `increment:double` |
//! | `KEEPTTL` | a token, taken as it is, in any case |
//! | `EX seconds` | a value with a token before it |
//! | `[...]` | may be left out |
//! | `(A \| B)`, `[A \| B]` | one of them |
//! | `key [key ...]`, `[PREFIX prefix ...]` | one or more times; in brackets alone also never |
//!
//! COMMAND DOCS and the generator of random commands work on the tree.

use core::fmt;

/// One argument of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// What it is called in COMMAND DOCS.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The word before it, or the word that it is.
    pub token: Option<&'static str>,
    /// It may be left out.
    pub optional: bool,
    /// It may be there more than once.
    pub multiple: bool,
    /// Each time with its token.
    pub multiple_token: bool,
}

/// The types of arguments; the names are those of COMMAND DOCS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A key.
    Key,
    /// Any string.
    String,
    /// A 64-bit integer.
    Integer,
    /// A floating point number.
    Double,
    /// A point in time.
    UnixTime,
    /// A glob.
    Pattern,
    /// Only its token.
    PureToken,
    /// Exactly one of these.
    OneOf(Vec<Arg>),
    /// All of these, one after the other.
    Block(Vec<Arg>),
}

impl Kind {
    /// The name in COMMAND DOCS.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Double => "double",
            Self::UnixTime => "unix-time",
            Self::Pattern => "pattern",
            Self::PureToken => "pure-token",
            Self::OneOf(_) => "oneof",
            Self::Block(_) => "block",
        }
    }

    /// The arguments inside.
    pub fn children(&self) -> &[Arg] {
        match self {
            Self::OneOf(children) | Self::Block(children) => children,
            _ => &[],
        }
    }
}

/// A `syntax` column that is not in the notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSyntax(String);

impl fmt::Display for BadSyntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a `syntax` column.
pub fn parse(syntax: &'static str) -> Result<Vec<Arg>, BadSyntax> {
    let mut reader = Reader { rest: syntax };
    let mut alternatives = reader.choice()?;
    if !reader.rest.is_empty() {
        return Err(BadSyntax(format!("'{syntax}': a bracket too many")));
    }
    if alternatives.len() > 1 {
        let children = alternatives.iter().map(|nodes| single(arguments(nodes, false)));
        return Ok(vec![group(Kind::OneOf(children.collect()))]);
    }
    Ok(arguments(&alternatives.remove(0), false))
}

/// The column as people read it: without the types that some names carry.
pub fn readable(syntax: &str) -> String {
    let mut text = String::new();
    for (index, word) in syntax.split(' ').enumerate() {
        if index > 0 {
            text.push(' ');
        }
        let end = word.trim_end_matches([']', ')']);
        let (name, _) = typed(end);
        text.push_str(name);
        text.push_str(&word[end.len()..]);
    }
    text
}

/// What is written, before its meaning is worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Word(&'static str),
    Group {
        optional: bool,
        alternatives: Vec<Vec<Self>>,
    },
    Dots,
    /// The nodes, once or more; made from what is followed by itself and dots.
    Repeat {
        inner: Vec<Self>,
        optional: bool,
    },
}

struct Reader {
    rest: &'static str,
}

impl Reader {
    /// Alternatives up to a closing bracket or the end.
    fn choice(&mut self) -> Result<Vec<Vec<Node>>, BadSyntax> {
        let mut alternatives = vec![Vec::new()];
        loop {
            self.rest = self.rest.trim_start();
            let nodes = alternatives.last_mut().expect("there is one");
            match self.rest.chars().next() {
                None | Some(']' | ')') => return Ok(alternatives),
                Some('|') => {
                    self.rest = &self.rest[1..];
                    alternatives.push(Vec::new());
                }
                Some(open @ ('[' | '(')) => {
                    self.rest = &self.rest[1..];
                    let inner = self.choice()?;
                    let close = if open == '[' { "]" } else { ")" };
                    let Some(rest) = self.rest.strip_prefix(close) else {
                        return Err(BadSyntax(format!("no '{close}' before '{}'", self.rest)));
                    };
                    self.rest = rest;
                    if inner.iter().any(Vec::is_empty) {
                        return Err(BadSyntax(format!("nothing inside brackets before '{rest}'")));
                    }
                    nodes.push(Node::Group { optional: open == '[', alternatives: inner });
                }
                Some(_) => {
                    let word = self.word();
                    nodes.push(if word == "..." { Node::Dots } else { Node::Word(word) });
                }
            }
        }
    }

    fn word(&mut self) -> &'static str {
        let end = self.rest.find([' ', '[', ']', '(', ')', '|']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }
}

/// The arguments that nodes in a row mean. In brackets (`is_whole`) a token that comes first
/// belongs to all that follows, elsewhere to the values up to the next bracket or token.
fn arguments(nodes: &[Node], is_whole: bool) -> Vec<Arg> {
    let nodes = join_repeats(nodes);
    let mut args = Vec::new();
    let mut index = 0;
    while index < nodes.len() {
        let node = &nodes[index];
        index += 1;
        let Node::Word(token) = node else {
            args.extend(argument(node));
            continue;
        };
        if !is_token(token) {
            args.extend(argument(node));
            continue;
        }
        let end = if is_whole && index == 1 { nodes.len() } else { values_end(&nodes, index) };
        let values = nodes[index..end].iter().flat_map(argument).collect();
        args.push(with_token(token, values));
        index = end;
    }
    args
}

/// The end of the values that belong to a token before `start`.
fn values_end(nodes: &[Node], start: usize) -> usize {
    let is_value = |node: &Node| match node {
        Node::Word(word) => !is_token(word),
        Node::Repeat { inner, .. } => !starts_with_token(inner),
        _ => false,
    };
    let values = nodes[start..].iter().take_while(|node| is_value(node)).count();
    match nodes.get(start) {
        Some(Node::Group { optional: false, .. }) if values == 0 => start + 1,
        _ => start + values,
    }
}

/// The argument that one node means; a token alone is one, dots are none.
fn argument(node: &Node) -> Option<Arg> {
    match node {
        Node::Dots => None,
        Node::Word(word) if is_token(word) => Some(with_token(word, Vec::new())),
        Node::Word(word) => Some(value(word)),
        Node::Group { optional, alternatives } => {
            let mut children: Vec<Arg> =
                alternatives.iter().map(|nodes| single(arguments(nodes, true))).collect();
            let mut arg =
                if children.len() == 1 { children.remove(0) } else { group(Kind::OneOf(children)) };
            arg.optional |= optional;
            Some(arg)
        }
        Node::Repeat { inner, optional } => {
            let mut arg = single(arguments(inner, true));
            arg.multiple = true;
            arg.multiple_token = starts_with_token(inner);
            arg.optional |= optional;
            Some(arg)
        }
    }
}

/// Makes `x [x ...]` and `[x ...]` one node.
fn join_repeats(nodes: &[Node]) -> Vec<Node> {
    let mut joined: Vec<Node> = Vec::new();
    for node in nodes {
        let Some(inner) = repeated(node) else {
            joined.push(node.clone());
            continue;
        };
        let optional = !joined.ends_with(inner);
        if !optional {
            joined.truncate(joined.len() - inner.len());
        }
        joined.push(Node::Repeat { inner: inner.to_vec(), optional });
    }
    joined
}

/// What `[x ...]` repeats.
fn repeated(node: &Node) -> Option<&[Node]> {
    match node {
        Node::Group { optional: true, alternatives } => match &alternatives[..] {
            [nodes] => nodes.strip_suffix(&[Node::Dots]).filter(|inner| !inner.is_empty()),
            _ => None,
        },
        _ => None,
    }
}

fn starts_with_token(nodes: &[Node]) -> bool {
    matches!(nodes.first(), Some(Node::Word(word)) if is_token(word))
}

/// Words in capitals and signs are tokens, names begin with a small letter.
fn is_token(word: &str) -> bool {
    !word.starts_with(|first: char| first.is_ascii_lowercase())
}

fn with_token(token: &'static str, mut values: Vec<Arg>) -> Arg {
    match &mut values[..] {
        [] => {
            Arg { name: token.to_ascii_lowercase(), token: Some(token), ..group(Kind::PureToken) }
        }
        [only] if only.token.is_none() && !only.optional => {
            only.token = Some(token);
            values.remove(0)
        }
        _ => Arg { token: Some(token), ..group(Kind::Block(values)) },
    }
}

/// One argument from some in a row.
fn single(mut args: Vec<Arg>) -> Arg {
    if args.len() == 1 { args.remove(0) } else { group(Kind::Block(args)) }
}

/// An argument of this kind, named after what is in it.
fn group(kind: Kind) -> Arg {
    let names: Vec<&str> = kind.children().iter().map(|child| child.name.as_str()).collect();
    Arg {
        name: names.join("_"),
        kind,
        token: None,
        optional: false,
        multiple: false,
        multiple_token: false,
    }
}

fn value(word: &str) -> Arg {
    let (name, kind) = typed(word);
    let kind = kind.unwrap_or_else(|| kind_by_name(name));
    Arg { name: name.to_owned(), ..group(kind) }
}

/// Splits `increment:double`.
fn typed(word: &str) -> (&str, Option<Kind>) {
    let kinds =
        [Kind::Key, Kind::String, Kind::Integer, Kind::Double, Kind::UnixTime, Kind::Pattern];
    let found = word.rsplit_once(':').and_then(|(name, kind)| {
        kinds.into_iter().find(|known| known.name() == kind).map(|kind| (name, kind))
    });
    found.map_or((word, None), |(name, kind)| (name, Some(kind)))
}

fn kind_by_name(name: &str) -> Kind {
    match name {
        "key" | "key1" | "key2" | "newkey" | "source" | "destination" | "srckey" | "destkey" => {
            Kind::Key
        }
        "pattern" => Kind::Pattern,
        "seconds" | "milliseconds" | "count" | "offset" | "start" | "end" | "stop" | "cursor"
        | "index" | "index1" | "index2" | "db" | "destination-db" | "numkeys" | "increment"
        | "decrement" | "len" | "length" | "min-match-len" | "protover" | "client-id"
        | "timeout" | "maxage" | "port" | "bit" | "rank" | "limit" | "threshold" => Kind::Integer,
        _ if name.starts_with("unix-time") => Kind::UnixTime,
        _ => Kind::String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A compact spelling of the tree: `?` optional, `+` multiple, `*` multiple with its token.
    fn shape(args: &[Arg]) -> String {
        let shapes: Vec<String> = args
            .iter()
            .map(|arg| {
                let token = arg.token.unwrap_or_default();
                let inner = match &arg.kind {
                    Kind::PureToken => String::new(),
                    Kind::OneOf(children) => {
                        let children: Vec<String> = children
                            .iter()
                            .map(|child| shape(core::slice::from_ref(child)))
                            .collect();
                        format!("<{}>", children.join("|"))
                    }
                    Kind::Block(children) => format!("{{{}}}", shape(children)),
                    kind => format!(":{}", kind.name()),
                };
                let marks = [("?", arg.optional), ("+", arg.multiple), ("*", arg.multiple_token)];
                let marks: String =
                    marks.iter().filter(|(_, set)| *set).map(|&(mark, _)| mark).collect();
                format!("{token}{inner}{marks}")
            })
            .collect();
        shapes.join(" ")
    }

    #[test]
    fn notation_becomes_a_tree() {
        for (syntax, expected) in [
            ("", ""),
            ("key", ":key"),
            ("key value [NX | XX] [GET]", ":key :string <NX|XX>? GET?"),
            (
                "key [EX seconds | PX milliseconds | KEEPTTL]",
                ":key <EX:integer|PX:integer|KEEPTTL>?",
            ),
            ("key [key ...]", ":key+"),
            ("[key ...]", ":key?+"),
            ("[name [name ...]]", ":string?+"),
            ("key value [key value ...]", "{:key :string}+"),
            ("numkeys key [key ...]", ":integer :key+"),
            ("key increment:double", ":key :double"),
            ("cursor [MATCH pattern] [COUNT count]", ":integer MATCH:pattern? COUNT:integer?"),
            ("[LIMIT offset count]", "LIMIT{:integer :integer}?"),
            ("[PREFIX prefix [PREFIX prefix ...]]", "PREFIX:string?+*"),
            ("[TYPE (NORMAL | MASTER)]", "TYPE<NORMAL|MASTER>?"),
            ("KEYS key [key ...]", "KEYS:key+"),
            ("GROUP group consumer [NOACK]", "GROUP{:string :string} NOACK?"),
            ("[protover [AUTH username password]]", "{:integer AUTH{:string :string}?}?"),
            ("ip:port | [ID client-id] [USER username]", "<:string|{ID:integer? USER:string?}>"),
            ("key EXAT unix-time-seconds", ":key EXAT:unix-time"),
            ("(* | id)", "<*|:string>"),
        ] {
            let args = parse(syntax).expect(syntax);
            assert_eq!(shape(&args), expected, "{syntax}");
        }
    }

    #[test]
    fn what_is_not_in_the_notation_is_refused() {
        for syntax in ["[key", "key]", "(a | b]", "[]", "[a |]"] {
            assert!(parse(syntax).is_err(), "{syntax}");
        }
    }

    #[test]
    fn types_are_not_shown_to_people() {
        assert_eq!(
            readable("key increment:double [ip:port] [x:key]"),
            "key increment [ip:port] [x]"
        );
    }
}
