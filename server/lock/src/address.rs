//! Where a server is: `redis://[[user]:password@]host[:port][/database]`, the same with `rediss://`
//! for TLS, or `redis+unix://[[user]:password@]/path[?db=database]` for a socket in a folder.
//!
//! Invariant: a password is never shown.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

const PORT: u16 = 6379;
/// Longer ones are none.
const BYTES_MAX: usize = 2048;
/// The system has room for 108 bytes, of which the last is zero.
const PATH_BYTES_MAX: usize = 107;

/// The address of a server, and as whom to speak to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    place: Place,
    database: u32,
    user: Option<String>,
    password: Option<String>,
}

/// What a connection is made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp { host: String, port: u16, is_secure: bool },
    Unix { path: String },
}

impl Address {
    /// The host's name or number, without brackets; none where the server is at a path.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match &self.place {
            Place::Tcp { host, .. } => Some(host),
            Place::Unix { .. } => None,
        }
    }

    /// The port, 6379 where none is named; none where the server is at a path.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self.place {
            Place::Tcp { port, .. } => Some(port),
            Place::Unix { .. } => None,
        }
    }

    /// The path of the server's socket, where it has one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Tcp { .. } => None,
            Place::Unix { path } => Some(path.as_ref()),
        }
    }

    /// The database, 0 where none is named.
    #[must_use]
    pub fn database(&self) -> u32 {
        self.database
    }

    /// Reads an address of something that listens elsewhere if it is not said.
    pub(crate) fn with_usual_port(text: &str, port: u16) -> Result<Self, &'static str> {
        if text.len() > BYTES_MAX {
            return Err("an address is at most 2048 bytes long");
        }
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        match scheme {
            "redis" => tcp(rest, port, false),
            "rediss" if cfg!(feature = "tls") => tcp(rest, port, true),
            "rediss" => Err("rediss:// needs the feature `tls` of orrery-lock"),
            "redis+unix" | "unix" => unix(rest),
            _ => Err("an address begins with redis://, rediss:// or redis+unix://"),
        }
    }

    /// The same login and database elsewhere.
    pub(crate) fn moved_to(&self, host: String, port: u16) -> Self {
        let is_secure = matches!(self.place, Place::Tcp { is_secure: true, .. });
        Self { place: Place::Tcp { host, port, is_secure }, ..self.clone() }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self.place, Place::Tcp { is_secure: true, .. })
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The words of AUTH behind its name.
    pub(crate) fn credentials(&self) -> impl Iterator<Item = &[u8]> {
        self.user.iter().chain(&self.password).map(String::as_bytes)
    }

    /// Whether both are the same server as far as their names tell: databases of one server fail
    /// together.
    pub(crate) fn is_same_server(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Place::Tcp { host, port, .. }, Place::Tcp { host: other, port: other_port, .. }) => {
                port == other_port && host.eq_ignore_ascii_case(other)
            }
            (one, other) => one == other,
        }
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::with_usual_port(text, PORT)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = match &self.place {
            Place::Tcp { host, port, .. } if host.contains(':') => {
                write!(f, "[{host}]:{port}")?;
                "/"
            }
            Place::Tcp { host, port, .. } => {
                write!(f, "{host}:{port}")?;
                "/"
            }
            Place::Unix { path } => {
                f.write_str(path)?;
                "?db="
            }
        };
        let database = self.database;
        if database > 0 { write!(f, "{separator}{database}") } else { Ok(()) }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

fn tcp(rest: &str, usual_port: u16, is_secure: bool) -> Result<Address, &'static str> {
    let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, place) = match place.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, place),
    };
    let (user, password) = login.map_or(Ok((None, None)), user_and_password)?;
    let (host, port) = host_and_port(place, usual_port)?;
    let database = if database.is_empty() { 0 } else { number(database)? };
    let place = Place::Tcp { host: host.to_owned(), port, is_secure };
    Ok(Address { place, database, user, password })
}

/// A path, with the login before it or, as some write it, behind a question mark.
fn unix(rest: &str) -> Result<Address, &'static str> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let at = rest.find('/').ok_or("the path of a socket begins with /")?;
    let (login, path) = rest.split_at(at);
    let (mut user, mut password) = match login {
        "" => (None, None),
        login => user_and_password(
            login
                .strip_suffix('@')
                .ok_or("before the path of a socket stands nothing, or user:password@")?,
        )?,
    };
    let path = decoded(path)?;
    if path.len() > PATH_BYTES_MAX {
        return Err("the path of a socket is at most 107 bytes long");
    }
    if path.contains('\0') {
        return Err("no path contains a zero byte");
    }
    let mut database = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let is_second = match pair.split_once('=') {
            Some(("db", digits)) => database.replace(number(digits)?).is_some(),
            Some(("user" | "username", text)) => user.replace(decoded(text)?).is_some(),
            Some(("pass" | "password", text)) => password.replace(decoded(text)?).is_some(),
            _ => return Err("behind the ? of a socket stand db=, user= and password="),
        };
        if is_second {
            return Err("database, user and password are named once");
        }
    }
    if user.is_some() && password.is_none() {
        return Err("a user has a password");
    }
    let place = Place::Unix { path };
    Ok(Address { place, database: database.unwrap_or(0), user, password })
}

fn user_and_password(login: &str) -> Result<(Option<String>, Option<String>), &'static str> {
    let (user, password) =
        login.split_once(':').ok_or("before the @ stands user:password or :password")?;
    let user = Some(decoded(user)?).filter(|user| !user.is_empty());
    Ok((user, Some(decoded(password)?)))
}

fn number(digits: &str) -> Result<u32, &'static str> {
    digits.parse().map_err(|_| "a database is a number")
}

fn host_and_port(place: &str, usual_port: u16) -> Result<(&str, u16), &'static str> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or("a [ without a ]")?,
        None => place.find(':').map_or((place, ""), |at| place.split_at(at)),
    };
    if host.is_empty() {
        return Err("an address names a host");
    }
    let port = match port.strip_prefix(':') {
        Some(digits) => digits.parse().map_err(|_| "behind the : stands a port")?,
        None if port.is_empty() => usual_port,
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
    String::from_utf8(bytes).map_err(|_| "user, password and path are UTF-8")
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
            ("unix:///run/redis.sock", "/run/redis.sock"),
            ("redis+unix://me:secret@/run/re%20dis.sock?db=3", "/run/re dis.sock?db=3"),
        ] {
            assert_eq!(parsed(text).to_string(), shown);
        }
        let full = parsed("redis://m%40e:s:e%2Fcret@host:2/3");
        let words: Vec<&[u8]> = full.credentials().collect();
        assert_eq!(words, [b"m@e".as_slice(), b"s:e/cret"]);
        assert!(!format!("{full} {full:?}").contains("cret"));
        let nameless = parsed("redis://:pass@host");
        assert_eq!(nameless.credentials().collect::<Vec<_>>(), [b"pass".as_slice()]);
        for same in [
            "unix://me:pass@/s",
            "unix:///s?user=me&pass=pass",
            "unix:///s?password=pass&username=me",
        ] {
            let address = parsed(same);
            assert_eq!(address, parsed("redis+unix://me:pass@/s?db=0"), "{same}");
            assert_eq!(address.path(), Some(Path::new("/s")));
            assert_eq!((address.host(), address.port()), (None, None));
        }
        assert!(parsed("redis://Host/1").is_same_server(&parsed("redis://host/2")));
        assert!(!parsed("redis://host:1").is_same_server(&parsed("redis://host:2")));
        assert!(parsed("unix:///s?db=1").is_same_server(&parsed("unix://:x@/s")));
        assert!(!parsed("unix:///s").is_same_server(&parsed("unix:///S")));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn an_address_with_tls_is_another_way_to_the_same_host() {
        assert_eq!(parsed("rediss://:x@host:1/2").to_string(), "host:1/2");
        assert_ne!(parsed("rediss://host"), parsed("redis://host"));
        assert!(parsed("rediss://host").is_same_server(&parsed("redis://host")));
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn without_the_feature_tls_is_refused_with_its_name() {
        let refused = "rediss://host".parse::<Address>();
        assert_eq!(refused, Err("rediss:// needs the feature `tls` of orrery-lock"));
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for text in [
            "",
            "localhost",
            "rediss://",
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
            "redis+unix://",
            "unix://run.sock",
            "unix://me@/run.sock",
            "unix://me:pass/run.sock",
            "unix:///run%00.sock",
            "unix:///run.sock?db=x",
            "unix:///run.sock?db=1&db=2",
            "unix://:one@/run.sock?password=two",
            "unix:///run.sock?user=me",
            "unix:///run.sock?protocol",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        let longest = format!("redis://{}", "h".repeat(BYTES_MAX - 8));
        assert!(longest.parse::<Address>().is_ok());
        assert!(format!("{longest}h").parse::<Address>().is_err());
        let longest = format!("unix:///{}", "p".repeat(PATH_BYTES_MAX - 1));
        assert!(longest.parse::<Address>().is_ok());
        assert!(format!("{longest}p").parse::<Address>().is_err());
    }
}
