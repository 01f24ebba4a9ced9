//! Which server is meant: always the same, or whoever is primary now.
//!
//! Invariants: where the primary may change, nobody is used who does not say that it is one; of
//! several who say so the same is chosen, in whatever order they answer.

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::address::Address;
use crate::connection::{Greeted, ask, greet};
use crate::facts::Facts;
use crate::reply::Value;
use crate::stream::Dialer;

/// Most servers of which one is primary, and most sentinels.
const ADDRESSES_MAX: usize = 64;
/// Where sentinels listen if it is not said.
const SENTINEL_PORT: u16 = 26379;
/// Longest name of a host that a sentinel may tell.
const HOST_BYTES_MAX: usize = 255;
/// How much longer others are waited for when one has said that it is primary: one that hangs must
/// not keep everybody from the one that is there.
const GRACE: Duration = Duration::from_millis(250);
/// How often sentinels are asked whether they name another by now: a primary that was cut off from
/// them and answers this client would otherwise be asked for ever.
const ASK_EVERY: Duration = Duration::from_secs(3);

/// Where one of a lock's servers is to be found.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Always here.
    One(Address),
    /// Whichever of these is primary.
    Among(Vec<Address>),
    /// Whom the first of these that knows it names. The primary's address has its name at the
    /// sentinels in place of a host.
    Sentinels { primary: Address, sentinels: Vec<Address> },
}

impl Source {
    pub(crate) fn one(address: &str) -> Result<Self, &'static str> {
        address.parse().map(Self::One)
    }

    pub(crate) fn among(addresses: impl Iterator<Item = String>) -> Result<Self, &'static str> {
        let addresses: Vec<Address> =
            addresses.map(|text| text.parse()).collect::<Result<_, _>>()?;
        if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
            return Err("a primary is among 1 to 64 servers");
        }
        Ok(Self::Among(addresses))
    }

    pub(crate) fn sentinels(
        primary: &str,
        addresses: impl Iterator<Item = String>,
    ) -> Result<Self, &'static str> {
        let primary: Address = if primary.contains("://") {
            primary.parse()?
        } else {
            format!("redis://{primary}").parse()?
        };
        if primary.host().is_none() {
            return Err("sentinels name no unix sockets");
        }
        let sentinels: Vec<Address> = addresses
            .map(|text| Address::with_usual_port(&text, SENTINEL_PORT))
            .collect::<Result<_, _>>()?;
        if sentinels.is_empty() || sentinels.len() > ADDRESSES_MAX {
            return Err("there are 1 to 64 sentinels");
        }
        if sentinels.iter().any(|sentinel| sentinel.database() > 0) {
            return Err("a sentinel has no databases: name the primary's with its name");
        }
        Ok(Self::Sentinels { primary, sentinels })
    }

    /// All addresses that it has, those of sentinels, too.
    #[cfg(feature = "tls")]
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Address> {
        let (first, others) = match self {
            Self::One(address) => (Some(address), &[][..]),
            Self::Among(addresses) => (None, &addresses[..]),
            Self::Sentinels { primary, sentinels } => (Some(primary), &sentinels[..]),
        };
        first.into_iter().chain(others)
    }

    /// Servers of this source that can be told from those of another.
    pub(crate) fn servers(&self) -> &[Address] {
        match self {
            Self::One(address) => std::slice::from_ref(address),
            Self::Among(addresses) => addresses,
            Self::Sentinels { .. } => &[],
        }
    }

    /// Whether another server may take over.
    pub(crate) fn may_change(&self) -> bool {
        !matches!(self, Self::One(_))
    }

    /// Finds the server that is meant now, and greets it.
    pub(crate) async fn greet(&self, dialer: &Dialer) -> io::Result<Greeted> {
        match self {
            Self::One(address) => greet(address, dialer).await,
            Self::Among(addresses) => among(addresses, dialer).await,
            Self::Sentinels { primary, sentinels } => named(primary, sentinels, dialer).await,
        }
    }

    /// Waits until sentinels name another primary than the one here, and that one says so, too.
    pub(crate) async fn moved(&self, here: &Address, dialer: &Dialer) {
        let Self::Sentinels { primary, sentinels } = self else {
            return std::future::pending().await;
        };
        loop {
            sleep(ASK_EVERY).await;
            // As when it is looked for: the first that answers is believed, if whom it names is.
            for sentinel in sentinels {
                let Ok(named) = named_by(sentinel, primary, dialer).await else { continue };
                if named == *here {
                    break;
                }
                if greet(&named, dialer).await.is_ok_and(|it| primary_only(it).is_ok()) {
                    return;
                }
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = match self {
            Self::One(address) => return address.fmt(f),
            Self::Among(addresses) => {
                f.write_str("the primary among")?;
                addresses
            }
            Self::Sentinels { primary, sentinels } => {
                write!(f, "the primary {} of the sentinels", primary.host().unwrap_or_default())?;
                sentinels
            }
        };
        for (number, address) in addresses.iter().enumerate() {
            write!(f, "{} {address}", if number > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

/// A source, and where its server was found last.
pub(crate) struct Whereabouts {
    pub(crate) source: Source,
    current: watch::Sender<Option<Address>>,
}

impl Whereabouts {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, current: watch::Sender::new(None) }
    }

    /// It was found here.
    pub(crate) fn note(&self, address: &Address) {
        self.current.send_if_modified(|current| {
            let is_new = current.as_ref() != Some(address);
            if is_new {
                *current = Some(address.clone());
            }
            is_new
        });
    }

    /// Tells where it is, now and whenever it is elsewhere.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Address>> {
        self.current.subscribe()
    }
}

impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.current.borrow() {
            Some(address) => address.fmt(f),
            None => self.source.fmt(f),
        }
    }
}

/// Asks all of them at once which is primary.
async fn among(addresses: &[Address], dialer: &Dialer) -> io::Result<Greeted> {
    let mut asked = JoinSet::new();
    for (number, address) in addresses.iter().cloned().enumerate() {
        let dialer = dialer.clone();
        asked.spawn(async move { (number, greet(&address, &dialer).await) });
    }
    let mut primaries = Vec::new();
    let mut troubles = Vec::new();
    let mut end = None;
    loop {
        let next = match end {
            None => asked.join_next().await,
            Some(end) => timeout_at(end, asked.join_next()).await.unwrap_or(None),
        };
        let Some(answered) = next else { break };
        let (number, greeted) = answered.expect("nobody aborts a greeting, and none panics");
        match greeted.map_err(|error| error.to_string()).and_then(primary_only) {
            Ok(primary) => {
                primaries.push((number, primary));
                end.get_or_insert_with(|| Instant::now() + GRACE);
            }
            Err(why) => troubles.push((number, why)),
        }
    }
    primaries.sort_by_key(|(number, _)| *number);
    if primaries.is_empty() {
        troubles.sort_unstable();
        let names = troubles.into_iter().map(|(number, why)| (addresses[number].to_string(), why));
        return Err(nobody(names));
    }
    let chosen = first_choice(primaries.iter().map(|(_, greeted)| &greeted.facts));
    let chosen = primaries.remove(chosen).1;
    for (_, other) in primaries.iter().filter(|(_, other)| !is_same(other, &chosen)) {
        let (used, other) = (&chosen.address, &other.address);
        tracing::warn!(%used, %other, "two servers say that they are primary: locks may be double");
    }
    Ok(chosen)
}

/// One server under two names says twice that it is primary.
fn is_same(one: &Greeted, other: &Greeted) -> bool {
    one.facts.run_id.is_some() && one.facts.run_id == other.facts.run_id
}

/// Of several primaries, the one that most replicas follow, then the one that has written most.
fn first_choice<'a>(primaries: impl Iterator<Item = &'a Facts>) -> usize {
    let ranks = primaries.enumerate().map(|(number, it)| (it.replicas, it.offset, number));
    let best = ranks
        .max_by_key(|&(replicas, offset, number)| (replicas, offset, std::cmp::Reverse(number)));
    best.map_or(0, |(.., number)| number)
}

/// Asks one sentinel after another, and whom it names.
async fn named(primary: &Address, sentinels: &[Address], dialer: &Dialer) -> io::Result<Greeted> {
    let mut troubles = Vec::new();
    for sentinel in sentinels {
        let why = match named_by(sentinel, primary, dialer).await {
            Ok(address) => {
                let greeted = greet(&address, dialer).await.map_err(|error| error.to_string());
                match greeted.and_then(primary_only) {
                    Ok(greeted) => return Ok(greeted),
                    Err(why) => format!("it names {address}: {why}"),
                }
            }
            Err(why) => why,
        };
        troubles.push((sentinel.to_string(), why));
    }
    Err(nobody(troubles.into_iter()))
}

/// Whom a sentinel names.
async fn named_by(
    sentinel: &Address,
    primary: &Address,
    dialer: &Dialer,
) -> Result<Address, String> {
    let name = primary.host().unwrap_or_default();
    let words: [&[u8]; 3] = [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", name.as_bytes()];
    let said = ask(sentinel, dialer, &words).await.map_err(|error| error.to_string())?;
    place(&said).map(|(host, port)| primary.moved_to(host, port))
}

/// The host and the port that a sentinel names.
fn place(said: &Value) -> Result<(String, u16), String> {
    let words = match said {
        Value::Array(words) => words,
        Value::Null => return Err("it knows no primary of this name".to_owned()),
        Value::Error(said) => return Err(String::from_utf8_lossy(said).into_owned()),
        _ => return Err("it is no sentinel".to_owned()),
    };
    let text = |word: &Value| Some(str::from_utf8(word.text()?).ok()?.to_owned());
    let place = match &words[..] {
        [host, port] => text(host).zip(text(port).and_then(|port| port.parse().ok())),
        _ => None,
    };
    let is_place = |(host, port): &(String, u16)| {
        !host.is_empty() && host.len() <= HOST_BYTES_MAX && *port > 0
    };
    place.filter(is_place).ok_or_else(|| "what it names is no host and port".to_owned())
}

fn primary_only(greeted: Greeted) -> Result<Greeted, String> {
    if greeted.facts.is_primary {
        Ok(greeted)
    } else if greeted.facts.is_replica {
        Err("it is a replica".to_owned())
    } else {
        Err("it does not say that it is a primary".to_owned())
    }
}

fn nobody(troubles: impl Iterator<Item = (String, String)>) -> io::Error {
    let whys: Vec<String> = troubles.map(|(server, why)| format!("{server}: {why}")).collect();
    io::Error::new(ErrorKind::NotFound, format!("no primary is found ({})", whys.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(replicas: u64, offset: u64) -> Facts {
        let info = format!(
            "role:master\r\nconnected_slaves:{replicas}\r\nmaster_repl_offset:{offset}\r\n"
        );
        Facts::read(&[Value::Text(info.into_bytes())], &Value::Null, Duration::ZERO)
    }

    #[test]
    fn of_two_primaries_the_one_with_more_replicas_and_then_with_more_data_is_chosen() {
        for (several, chosen) in [
            ([facts(0, 9), facts(1, 5)], 1),
            ([facts(2, 1), facts(1, 5)], 0),
            ([facts(1, 4), facts(1, 5)], 1),
            ([facts(1, 5), facts(1, 5)], 0),
        ] {
            assert_eq!(first_choice(several.iter()), chosen, "{several:?}");
        }
    }

    #[test]
    fn what_sentinels_say_is_read_or_refused() {
        let text = |text: &str| Value::Text(text.into());
        let said = |host: &str, port: &str| place(&Value::Array(vec![text(host), text(port)]));
        assert_eq!(said("host", "7000"), Ok(("host".into(), 7000)));
        let longest = "h".repeat(HOST_BYTES_MAX);
        assert_eq!(said(&longest, "1"), Ok((longest.clone(), 1)));
        for (host, port) in
            [("", "1"), (&*(longest + "h"), "1"), ("h", "0"), ("h", "65536"), ("h", "")]
        {
            assert!(said(host, port).is_err(), "{host} {port}");
        }
        let odd = Value::Array(vec![Value::Text(vec![0xff]), text("1")]);
        for odd in [odd, Value::Null, Value::Number(1), Value::Array(vec![Value::Null])] {
            assert!(place(&odd).is_err(), "{odd:?}");
        }
        assert_eq!(place(&Value::Error(b"IDONTKNOW".to_vec())), Err("IDONTKNOW".into()));
    }

    #[test]
    fn sources_have_limits_and_are_shown_without_passwords() {
        let many = |count: usize| (0..count).map(|number| format!("redis://:secret@h{number}"));
        assert!(Source::among(many(ADDRESSES_MAX)).is_ok());
        assert!(Source::sentinels("name", many(ADDRESSES_MAX)).is_ok());
        for count in [0, ADDRESSES_MAX + 1] {
            assert!(Source::among(many(count)).is_err(), "{count}");
            assert!(Source::sentinels("name", many(count)).is_err(), "{count}");
        }
        let database = ["redis://host/1".to_owned()];
        assert!(Source::sentinels("name", database.into_iter()).is_err());
        assert!(Source::sentinels("unix:///name", many(1)).is_err());
        assert!(Source::sentinels("", many(1)).is_err());
        let source = Source::sentinels("redis://:secret@name/3", many(2)).expect("it is good");
        let shown = "the primary name of the sentinels h0:26379, h1:26379";
        assert_eq!(source.to_string(), shown);
        assert!(!format!("{source:?}").contains("secret"));
        let Source::Sentinels { primary, .. } = source else { panic!("it was made so") };
        let moved = primary.moved_to("::1".into(), 7).to_string();
        assert_eq!(moved, "[::1]:7/3");
    }
}
