//! Which clients CLIENT LIST and CLIENT KILL mean: a client must match everything that is asked
//! for, and nothing that is asked for with NOT.

use super::Cx;
use super::client_list::{ClientType, FLAG_LETTERS, flags_of};
use crate::acl::Acl;
use crate::args::Args;
use crate::error::Error;
use crate::input::Origin;
use crate::session::{Session, UserId};
use crate::value::number::parse_integer;

/// Words that begin a filter, but for NOT and ID.
const WORDS: [&str; 14] = [
    "TYPE", "USER", "ADDR", "LADDR", "SKIPME", "MAXAGE", "NAME", "IDLE", "FLAGS", "LIB-NAME",
    "LIB-VER", "DB", "IP", "CAPA",
];

/// One thing that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Property<'a> {
    Ids(Vec<u64>),
    Kind(ClientType),
    User(UserId),
    Address(&'a [u8]),
    LocalAddress(&'a [u8]),
    /// Connected for at least so many seconds.
    AgeSecs(u64),
    /// Silent for at least so many seconds.
    IdleSecs(u64),
    Name(&'a [u8]),
    LibName(&'a [u8]),
    LibVersion(&'a [u8]),
    /// All of these letters.
    Flags(&'a [u8]),
    Db(usize),
    Ip(&'a [u8]),
    /// It said that it can be redirected.
    Redirects,
}

/// Everything that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter<'a> {
    /// Each with whether a client must not have it.
    properties: Vec<(Property<'a>, bool)>,
    /// Whether the client that asks is left out.
    pub(super) spares_self: bool,
}

/// Whether word `index` begins a filter.
pub(super) fn is_filter(args: Args<'_>, index: usize) -> bool {
    let (_, word) = without_not(args.at(index));
    word.eq_ignore_ascii_case(b"ID")
        || WORDS.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

/// A word without the `NOT-` that it may begin with, and whether it did.
fn without_not(word: &[u8]) -> (bool, &[u8]) {
    match word.split_at_checked(4) {
        Some((not, rest)) if not.eq_ignore_ascii_case(b"NOT-") => (true, rest),
        _ => (false, word),
    }
}

impl<'a> Filter<'a> {
    /// Clients that came from `address`.
    pub(super) fn of_address(address: &'a [u8]) -> Self {
        Self { properties: vec![(Property::Address(address), false)], spares_self: false }
    }

    /// The filters from word 2 on.
    pub(super) fn parse(
        args: Args<'a>,
        acl: &Acl,
        databases: usize,
        spares_self: bool,
    ) -> Result<Self, Error> {
        let mut filter = Self { properties: Vec::new(), spares_self };
        let mut index = 2;
        while index < args.len() {
            let value = args.opt(index + 1).ok_or(Error::Syntax)?;
            let (is_not, word) = without_not(args.at(index));
            let word = word.to_ascii_uppercase();
            index += 2;
            let property = match word.as_slice() {
                b"ID" => {
                    let mut ids = vec![
                        positive(value)
                            .map_err(|_| Error::fixed("ERR client-id should be greater than 0"))?,
                    ];
                    while let Some(id) = args.opt(index).and_then(|word| positive(word).ok()) {
                        ids.push(id);
                        index += 1;
                    }
                    Property::Ids(ids)
                }
                b"SKIPME" if !is_not => {
                    filter.spares_self = match value {
                        _ if value.eq_ignore_ascii_case(b"yes") => true,
                        _ if value.eq_ignore_ascii_case(b"no") => false,
                        _ => return Err(Error::Syntax),
                    };
                    continue;
                }
                word => property(word, value, acl, databases, is_not)?,
            };
            filter.properties.push((property, is_not));
        }
        Ok(filter)
    }

    /// Whether a client that is not being closed is meant.
    pub(super) fn matches(&self, cx: &Cx<'_>, session: &Session) -> bool {
        let has =
            |(property, is_not): &(Property<'_>, bool)| property.is_of(cx, session) != *is_not;
        !session.closing && self.properties.iter().all(has)
    }
}

fn property<'a>(
    word: &[u8],
    value: &'a [u8],
    acl: &Acl,
    databases: usize,
    is_not: bool,
) -> Result<Property<'a>, Error> {
    Ok(match word {
        b"TYPE" => Property::Kind(ClientType::parse(value)?),
        b"ADDR" => Property::Address(value),
        b"LADDR" => Property::LocalAddress(value),
        b"USER" => Property::User(acl.find(value).ok_or_else(|| {
            let user = String::from_utf8_lossy(value);
            Error::text(format!("ERR No such user '{user}'"))
        })?),
        b"MAXAGE" if !is_not => Property::AgeSecs(seconds(value, "maxage")?),
        b"IDLE" if !is_not => Property::IdleSecs(seconds(value, "idle")?),
        b"NAME" => Property::Name(value),
        b"LIB-NAME" => Property::LibName(value),
        b"LIB-VER" => Property::LibVersion(value),
        b"FLAGS" => {
            if let Some(unknown) = value.iter().find(|letter| !FLAG_LETTERS.contains(letter)) {
                return Err(Error::text(format!(
                    "ERR Unknown flags found in the provided filter: {}",
                    unknown.escape_ascii()
                )));
            }
            Property::Flags(value)
        }
        b"DB" => {
            let db = parse_integer(value).and_then(|db| usize::try_from(db).ok());
            Property::Db(db.filter(|&db| db < databases).ok_or_else(|| {
                Error::text(format!("ERR DB number should be between 0 and {}", databases - 1))
            })?)
        }
        b"IP" => Property::Ip(value),
        b"CAPA" => {
            if value.iter().any(|&letter| letter != b'r') {
                let place = if is_not { "NOT-CAPA" } else { "provided" };
                return Err(Error::text(format!(
                    "ERR Unknown capa found in the {place} filter: {}",
                    value.escape_ascii()
                )));
            }
            Property::Redirects
        }
        _ => return Err(Error::Syntax),
    })
}

impl Property<'_> {
    fn is_of(&self, cx: &Cx<'_>, session: &Session) -> bool {
        let secs = |since| cx.now.mono.since(since).as_millis() / 1000;
        match self {
            Self::Ids(ids) => ids.contains(&session.id.0),
            Self::Kind(kind) => ClientType::of(session) == *kind,
            Self::User(user) => session.user == *user,
            Self::Address(wanted) => session.address().as_bytes() == *wanted,
            Self::LocalAddress(wanted) => session.local_address().as_bytes() == *wanted,
            Self::AgeSecs(least) => secs(session.created) >= *least,
            Self::IdleSecs(least) => secs(session.last_active) >= *least,
            Self::Name(wanted) => *session.name == **wanted,
            Self::LibName(wanted) => *session.lib_name == **wanted,
            Self::LibVersion(wanted) => *session.lib_ver == **wanted,
            Self::Flags(letters) => {
                let flags = flags_of(cx, session);
                letters.iter().all(|letter| flags.as_bytes().contains(letter))
            }
            Self::Db(db) => session.db == *db,
            Self::Redirects => session.redirects,
            Self::Ip(wanted) => match &session.origin {
                Origin::Tcp { peer, .. } | Origin::Tls { peer, .. } => {
                    peer.ip().to_string().as_bytes() == *wanted
                }
                Origin::Unix { path } => path.as_bytes() == *wanted,
            },
        }
    }
}

/// A positive number of seconds, for the filter called `name`.
fn seconds(value: &[u8], name: &str) -> Result<u64, Error> {
    positive(value).map_err(|is_integer| {
        Error::text(if is_integer {
            format!("ERR {name} should be greater than 0")
        } else {
            format!("ERR {name} is not an integer or out of range")
        })
    })
}

/// A positive integer; the error says whether it was an integer at all.
fn positive(text: &[u8]) -> Result<u64, bool> {
    match parse_integer(text) {
        Some(value) if value > 0 => Ok(value as u64),
        Some(_) => Err(true),
        None => Err(false),
    }
}
