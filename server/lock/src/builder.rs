//! How locks are set up: what is asked of them, and what servers there are.
//!
//! Invariant: nothing is granted by a set-up that this has refused.

use std::sync::Arc;
use std::time::Duration;

use orrery_lock_machine::{
    Doubt, Extension, FailedExtension, Fencing, Replicas, Settings, TTL_MS_MAX,
};
use tokio::task::JoinSet;

#[cfg(feature = "tls")]
use crate::address::Address;
use crate::connection::{Greeted, Keeper};
use crate::facts::{Facts, Roster, Unfit};
use crate::hub::{Hub, millis};
use crate::locks::{Locks, Owner};
use crate::primary::{Source, Whereabouts};
use crate::refusal::{Refusal, Warning};
use crate::stream::Dialer;
#[cfg(feature = "tls")]
use crate::tls::Certificates;

/// Without a word about it a lock lives so long after its last extension.
const TTL: Duration = Duration::from_secs(10);
const WAIT: Duration = Duration::from_secs(30);
const RETRY_DELAY: Duration = Duration::from_millis(50);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Least and most time that a server has to answer, if it is not said.
const NODE_TIMEOUT_MS: (u64, u64) = (50, 250);
/// How long a server may owe answers before its connection is given up.
const STALL_MS: (u64, u64) = (1000, 5000);

/// Sets up [`Locks`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `build`"]
pub struct Builder {
    nodes: Vec<Result<Source, &'static str>>,
    ttl: Duration,
    quorum: Option<u16>,
    node_timeout: Option<Duration>,
    wait: Duration,
    retry_delay: Duration,
    extends: bool,
    held_max: Option<Duration>,
    replicas: Option<(u16, Duration)>,
    hears_of_losses: bool,
    connect_timeout: Duration,
    #[cfg(feature = "tls")]
    certificates: Certificates,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            ttl: TTL,
            quorum: None,
            node_timeout: None,
            wait: WAIT,
            retry_delay: RETRY_DELAY,
            extends: true,
            held_max: None,
            replicas: None,
            hears_of_losses: false,
            connect_timeout: CONNECT_TIMEOUT,
            #[cfg(feature = "tls")]
            certificates: Certificates::default(),
        }
    }
}

impl Builder {
    /// One more server: `redis://[[user]:password@]host[:port][/database]`, or a unix socket:
    /// `redis+unix://[[user]:password@]/path[?db=database]`. `rediss://` is TLS, with the crate's
    /// feature `tls`. One is enough; three or five that do not copy from each other survive the
    /// loss of one or two.
    pub fn node(mut self, address: impl Into<String>) -> Self {
        self.nodes.push(Source::one(&address.into()));
        self
    }

    /// One more server: whichever of these is primary, asked anew whenever the connection breaks or
    /// the primary turns out to be one no more. If two say that they are primary, the one that more
    /// replicas follow is used, then the one that has written more.
    ///
    /// What a primary had not sent when a replica takes over is lost, locks and numbers alike: see
    /// [`Warning::Failover`].
    pub fn primary_among<I>(mut self, addresses: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.nodes.push(Source::among(addresses.into_iter().map(Into::into)));
        self
    }

    /// One more server: the primary that sentinels name, asked one after another. It is known to
    /// them by `primary`, a plain name, or one with a login, a database or TLS as in
    /// `redis://:password@name/2`. What stands in the sentinels' own addresses is for them alone;
    /// their port is 26379 where none is named. [`Warning::Failover`] holds here, too.
    pub fn sentinels<I>(mut self, primary: impl Into<String>, addresses: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let addresses = addresses.into_iter().map(Into::into);
        self.nodes.push(Source::sentinels(&primary.into(), addresses));
        self
    }

    /// How long servers keep a lock that nobody extends: 10 s if it is not said. After a crash of
    /// its holder a lock is free again so much later. It must be several times as long as the
    /// longest pause that a holder should survive.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How many servers must grant: more than half of them if it is not said, and never fewer.
    pub fn quorum(mut self, quorum: u16) -> Self {
        self.quorum = Some(quorum);
        self
    }

    /// A server that has not answered after this has not granted. If it is not said: a fiftieth of
    /// the time to live, at least 50 ms and at most 250 ms, and four measured round trips.
    pub fn node_timeout(mut self, timeout: Duration) -> Self {
        self.node_timeout = Some(timeout);
        self
    }

    /// How long [`Locks::lock`] tries: 30 s if it is not said.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Least time between two attempts: 50 ms if it is not said. As much again, at most, is drawn
    /// by lot, so that those who collided do not collide again.
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.retry_delay = delay;
        self
    }

    /// A lock is not extended: it ends when its time is over.
    pub fn without_extension(mut self) -> Self {
        self.extends = false;
        self
    }

    /// A lock is extended, each third of its time to live, until it was held so long: a hundred
    /// times the time to live if it is not said. A holder that hangs loses it after that.
    pub fn held_at_most(mut self, time: Duration) -> Self {
        self.held_max = Some(time);
        self
    }

    /// So many of each server's replicas must have a grant, and every extension, before it is one;
    /// they are waited for so long (WAIT). No replica is waited for if it is not said.
    ///
    /// Where a replica may take its primary's place this makes it less likely that a lock is lost
    /// with it, and not impossible: one that does not have it may be chosen (S10). While a server
    /// waits for its replicas, nothing else that is asked over the same connection is answered.
    pub fn replicas(mut self, needed: u16, timeout: Duration) -> Self {
        self.replicas = Some((needed, timeout));
        self
    }

    /// Servers tell when somebody else deletes or changes the key of a lock, or it is evicted or
    /// flushed, and the lock is extended at once to find out whether it is lost. Otherwise the next
    /// extension finds out, within a third of the time to live. It takes a second connection to
    /// each server, and one short command more for each request (client-side caching: Redis 6 and
    /// later). It is good for stopping early; what changes data must still check the token. Fair,
    /// read-write and semaphore locks do not hear of it.
    pub fn hears_of_losses(mut self) -> Self {
        self.hears_of_losses = true;
        self
    }

    /// How long connecting to a server may take: 2 s if it is not said.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Whose signatures make a server's certificate good, for `rediss://`: certificates of
    /// authorities as PEM, one after another. Those of the system if it is not said.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificates.roots = Some(pem.into());
        self
    }

    /// How this client shows servers who it is: its certificate, with those that lead from it to an
    /// authority behind it, and its key, each as PEM. Servers that want none are not shown it.
    #[cfg(feature = "tls")]
    pub fn client_certificate(
        mut self,
        certificate_pem: impl Into<Vec<u8>>,
        key_pem: impl Into<Vec<u8>>,
    ) -> Self {
        self.certificates.identity = Some((certificate_pem.into(), key_pem.into()));
        self
    }

    /// Connects to the servers, and refuses what cannot be safe.
    ///
    /// # Errors
    /// The [`Refusal`] says what must be changed.
    ///
    /// # Panics
    /// Outside of a tokio runtime that has I/O and time.
    pub async fn build(self) -> Result<Locks, Refusal> {
        let sources = self.sources()?;
        let settings = self.settings(sources.len() as u16)?;
        let (mut warnings, serious) = doubts(&settings);
        if let Some(doubt) = serious {
            return Err(Refusal::Unsafe(doubt));
        }
        let dialer = self.dialer(&sources)?;
        let found = greet_all(&sources, &dialer).await;
        let roster = Roster::new(sources.len());
        let mut names: Vec<String> = sources.iter().map(ToString::to_string).collect();
        let mut there = Vec::new();
        let mut troubles = Vec::new();
        for (node, result) in found.into_iter().enumerate() {
            match result {
                Ok(greeted) => {
                    names[node] = greeted.address.to_string();
                    admit(&roster, node, &greeted.facts, &names)?;
                    note_facts(&greeted.facts, &names[node], &mut warnings);
                    there.push(Some(greeted));
                }
                Err(why) => {
                    troubles.push((names[node].clone(), why.to_string()));
                    there.push(None);
                }
            }
        }
        let connected = there.iter().flatten().count();
        if connected < usize::from(settings.quorum) {
            return Err(Refusal::Unreachable { needed: settings.quorum, troubles });
        }
        let no_server = |(server, why)| Warning::Unreachable { server, why };
        warnings.extend(troubles.into_iter().map(no_server));
        let changing = sources.iter().filter(|source| source.may_change());
        warnings.extend(changing.map(|it| Warning::Failover { servers: it.to_string() }));
        self.check_round_trips(&settings, &there, &mut warnings)?;
        for warning in &warnings {
            tracing::warn!(%warning, "locks are not as they should be");
        }
        self.start(settings, sources, dialer, roster, there, warnings)
    }

    fn sources(&self) -> Result<Vec<Source>, Refusal> {
        let mut sources: Vec<Source> = Vec::new();
        for source in &self.nodes {
            let source = source.clone().map_err(Refusal::Address)?;
            for address in source.servers() {
                let mut others = sources.iter().flat_map(Source::servers);
                if let Some(twin) = others.find(|other| other.is_same_server(address)) {
                    let (one, other) = (twin.to_string(), address.to_string());
                    return Err(Refusal::SameServer { one, other });
                }
            }
            sources.push(source);
        }
        if sources.is_empty() {
            return Err(Refusal::Settings("a lock has 1 to 64 servers"));
        }
        Ok(sources)
    }

    #[cfg_attr(
        not(feature = "tls"),
        expect(
            clippy::unnecessary_wraps,
            unused_variables,
            reason = "only certificates can be wrong"
        )
    )]
    fn dialer(&self, sources: &[Source]) -> Result<Dialer, Refusal> {
        #[cfg(feature = "tls")]
        let is_secure = sources.iter().flat_map(Source::addresses).any(Address::is_secure);
        #[cfg(feature = "tls")]
        let tls = is_secure.then(|| self.certificates.connector());
        Ok(Dialer {
            patience: self.connect_timeout,
            #[cfg(feature = "tls")]
            tls: tls.transpose().map_err(Refusal::Certificates)?,
        })
    }

    fn settings(&self, nodes: u16) -> Result<Settings, Refusal> {
        let ttl_ms = millis(self.ttl);
        // Everything but the servers is checked with the settings.
        let base = Settings::fenced(nodes, ttl_ms);
        let held_ms_max = self.held_max.map_or_else(|| ttl_ms.saturating_mul(100), millis);
        let extension = Extension {
            every_ms: (ttl_ms / 3).max(1),
            held_ms_max: held_ms_max.min(TTL_MS_MAX),
            recreates: false,
            repairs: true,
            failed: FailedExtension::Keep,
        };
        let fencing = if nodes == 1 { Fencing::Counter } else { Fencing::Proposed };
        let replicas = self.replicas.map(|(needed, timeout)| Replicas {
            needed,
            timeout_ms: millis(timeout),
            none_will_do: false,
        });
        let usual = (ttl_ms / 50).clamp(NODE_TIMEOUT_MS.0, NODE_TIMEOUT_MS.1);
        let usual = usual.saturating_add(replicas.map_or(0, |it| it.timeout_ms));
        let settings = Settings {
            quorum: self.quorum.unwrap_or(base.quorum),
            node_timeout_ms: self.node_timeout.map_or(usual, millis),
            retry_delay_ms: millis(self.retry_delay),
            retry_jitter_ms: millis(self.retry_delay).max(1),
            retries: 0,
            extension: self.extends.then_some(extension),
            fencing,
            replicas,
            ..base
        };
        if self.hears_of_losses && !self.extends {
            return Err(Refusal::Settings(
                "an extension finds out what was lost: without one no news helps",
            ));
        }
        settings.problem().map_or(Ok(settings), |why| Err(Refusal::Settings(why)))
    }

    /// Compares the times of the settings with the time that the servers take.
    fn check_round_trips(
        &self,
        settings: &Settings,
        there: &[Option<Greeted>],
        warnings: &mut Vec<Warning>,
    ) -> Result<(), Refusal> {
        let trips = there.iter().flatten().map(|greeted| greeted.facts.round_trip);
        let slowest = trips.max().unwrap_or_default();
        if self.ttl < slowest * 2 {
            return Err(Refusal::ShortTtl { ttl: self.ttl, round_trip: slowest });
        }
        let timeout = Duration::from_millis(settings.node_timeout_ms);
        if self.node_timeout.is_some() && timeout < slowest * 2 {
            warnings.push(Warning::ShortTimeout { timeout, round_trip: slowest });
        }
        Ok(())
    }

    fn start(
        self,
        settings: Settings,
        sources: Vec<Source>,
        dialer: Dialer,
        roster: Roster,
        there: Vec<Option<Greeted>>,
        warnings: Vec<Warning>,
    ) -> Result<Locks, Refusal> {
        let (identity, seed) = entropy()?;
        let hub = Arc::new(Hub::new(settings, self.node_timeout.is_some(), identity, seed));
        let stall_ms = settings.ttl_ms.clamp(STALL_MS.0, STALL_MS.1);
        let roster = Arc::new(roster);
        let place = |source| Arc::new(Whereabouts::new(source));
        let servers: Vec<_> = sources.into_iter().map(place).collect();
        let mut tasks = JoinSet::new();
        for (node, (server, greeted)) in servers.iter().zip(there).enumerate() {
            let keeper = Keeper {
                hub: Arc::clone(&hub),
                node,
                server: Arc::clone(server),
                dialer: dialer.clone(),
                stall: Duration::from_millis(stall_ms),
                roster: Arc::clone(&roster),
                hears_of_losses: self.hears_of_losses,
            };
            let attached = greeted.map(|greeted| keeper.attach(greeted));
            tasks.spawn(keeper.keep(attached));
        }
        let owner =
            Owner::new(hub, servers, dialer, self.wait, warnings, tasks).map_err(Refusal::Clock)?;
        Ok(Locks::of(owner))
    }
}

/// What is dangerous about settings: what is warned about, and what is refused.
fn doubts(settings: &Settings) -> (Vec<Warning>, Option<Doubt>) {
    // What one process tries again is a new acquisition with an identity of its own.
    let doubts = settings.doubts();
    let is_bearable =
        |doubt: &Doubt| matches!(doubt, Doubt::EvenNodes | Doubt::Failover | Doubt::OtherReplicas);
    let serious = doubts.iter().copied().find(|doubt| !is_bearable(doubt));
    (doubts.into_iter().map(Warning::Doubt).collect(), serious)
}

async fn greet_all(sources: &[Source], dialer: &Dialer) -> Vec<std::io::Result<Greeted>> {
    let mut greetings = JoinSet::new();
    for (node, source) in sources.iter().cloned().enumerate() {
        let dialer = dialer.clone();
        greetings.spawn(async move { (node, source.greet(&dialer).await) });
    }
    let mut found: Vec<(usize, _)> = greetings.join_all().await;
    found.sort_by_key(|(node, _)| *node);
    found.into_iter().map(|(_, result)| result).collect()
}

fn admit(roster: &Roster, node: usize, facts: &Facts, names: &[String]) -> Result<(), Refusal> {
    let name = |node: usize| names[node].clone();
    roster.admit(node, facts).map_err(|unfit| match unfit {
        Unfit::Replica => Refusal::Replica(name(node)),
        Unfit::Same(twin) => Refusal::SameServer { one: name(twin), other: name(node) },
    })
}

fn note_facts(facts: &Facts, server: &str, warnings: &mut Vec<Warning>) {
    let server = server.to_owned();
    if let Some(policy) = facts.policy.clone().filter(|policy| policy != "noeviction") {
        warnings.push(Warning::Evicts { server: server.clone(), policy });
    }
    if facts.run_id.is_none() {
        warnings.push(Warning::Nameless { server });
    }
}

fn entropy() -> Result<(u128, u64), Refusal> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|_| Refusal::Entropy)?;
    let (identity, seed) = bytes.split_at(16);
    let identity = identity.iter().fold(0, |sum, &byte| sum << 8 | u128::from(byte));
    Ok((identity, seed.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte))))
}
