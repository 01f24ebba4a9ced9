//! Where a server is: `redis://[[user]:password@]host[:port][/database]`.
//!
//! Invariant: a password is never shown.

use std::fmt;
use std::str::FromStr;

const PORT: u16 = 6379;
/// Longer ones are none.
const BYTES_MAX: usize = 2048;

/// The address of a server, and as whom to speak to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    database: u32,
    user: Option<String>,
    password: Option<String>,
}

impl Address {
    /// The host's name or number, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 6379 where none is named.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The database, 0 where none is named.
    #[must_use]
    pub fn database(&self) -> u32 {
        self.database
    }

    /// The words of AUTH behind its name.
    pub(crate) fn credentials(&self) -> impl Iterator<Item = &[u8]> {
        self.user.iter().chain(&self.password).map(String::as_bytes)
    }

    /// Whether both are the same server as far as their names tell: databases of one server fail
    /// together.
    pub(crate) fn is_same_server(&self, other: &Self) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > BYTES_MAX {
            return Err("an address is at most 2048 bytes long");
        }
        if text.starts_with("rediss://") {
            return Err("TLS is not supported: use redis:// over a network that is safe");
        }
        let rest = text.strip_prefix("redis://").ok_or("an address begins with redis://")?;
        let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = match place.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, place),
        };
        let (user, password) = match login.map(|login| login.split_once(':')) {
            None => (None, None),
            Some(None) => return Err("before the @ stands user:password or :password"),
            Some(Some((user, password))) => {
                (Some(decoded(user)?).filter(|it| !it.is_empty()), Some(decoded(password)?))
            }
        };
        let (host, port) = host_and_port(place)?;
        let database = match database {
            "" => 0,
            digits => digits.parse().map_err(|_| "behind the / stands a database's number")?,
        };
        Ok(Self { host: host.to_owned(), port, database, user, password })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, database, .. } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")?;
        } else {
            write!(f, "{host}:{port}")?;
        }
        if *database > 0 { write!(f, "/{database}") } else { Ok(()) }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

fn host_and_port(place: &str) -> Result<(&str, u16), &'static str> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or("a [ without a ]")?,
        None => place.find(':').map_or((place, ""), |at| place.split_at(at)),
    };
    if host.is_empty() {
        return Err("an address names a host");
    }
    let port = match port.strip_prefix(':') {
        Some(digits) => digits.parse().map_err(|_| "behind the : stands a port")?,
        None if port.is_empty() => PORT,
        None => return Err("behind the ] stands a : and a port"),
    };
    if port == 0 { Err("no server has port 0") } else { Ok((host, port)) }
}

/// Text whose awkward characters are written as %40 and the like.
fn decoded(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "behind a % stand two hexadecimal digits";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = behind;
            continue;
        }
        let digits = behind.get(..2).ok_or(WRONG)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(WRONG);
        bytes.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = &behind[2..];
    }
    String::from_utf8(bytes).map_err(|_| "user and password are UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Address {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn addresses_are_read_and_shown_without_their_passwords() {
        for (text, shown) in [
            ("redis://localhost", "localhost:6379"),
            ("redis://localhost:1/", "localhost:1"),
            ("redis://[::1]:7000/15", "[::1]:7000/15"),
            ("redis://me:secret@host:2/3", "host:2/3"),
        ] {
            assert_eq!(parsed(text).to_string(), shown);
        }
        let full = parsed("redis://m%40e:s:e%2Fcret@host:2/3");
        let words: Vec<&[u8]> = full.credentials().collect();
        assert_eq!(words, [b"m@e".as_slice(), b"s:e/cret"]);
        assert!(!format!("{full} {full:?}").contains("cret"));
        let nameless = parsed("redis://:pass@host");
        assert_eq!(nameless.credentials().collect::<Vec<_>>(), [b"pass".as_slice()]);
        assert!(parsed("redis://Host/1").is_same_server(&parsed("redis://host/2")));
        assert!(!parsed("redis://host:1").is_same_server(&parsed("redis://host:2")));
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for text in [
            "",
            "localhost",
            "rediss://host",
            "redis://",
            "redis://:1",
            "redis://host:0",
            "redis://host:65536",
            "redis://host:x",
            "redis://[::1",
            "redis://[::1]7",
            "redis://host/x",
            "redis://me@host",
            "redis://:%4@host",
            "redis://:%zz@host",
            "redis://:%ff@host",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        let longest = format!("redis://{}", "h".repeat(BYTES_MAX - 8));
        assert!(longest.parse::<Address>().is_ok());
        assert!(format!("{longest}h").parse::<Address>().is_err());
    }
}
