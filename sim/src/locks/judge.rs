//! What must be true of a lock, and a judge who watches whether it is.
//!
//! The judge knows true time. It is told what happens as it happens, and keeps only what it needs
//! to judge what comes next.
//!
//! Invariant: it changes nothing, and judges the same events alike.

use core::fmt;

use orrery_engine::lock::Settings;

use super::story::CLIENTS_MAX;

/// What must be true of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Invariant {
    /// No two clients take the lock for theirs at the same time, each by its own clock.
    Belief,
    /// No client is granted a lock whose time, as it was granted, is not over for another.
    Grants,
    /// The store takes no write of a holder after it has seen the next one.
    StaleWrite,
    /// No write replaces what its writer had not read.
    LostUpdate,
    /// Only the owner's requests change a lock.
    Foreign,
    /// Who is told that its lock goes on has had it without a break.
    Continuity,
    /// Later grants have higher numbers.
    Numbers,
    /// What a client that is gone has held is free again after its time to live.
    Recovery,
    /// While most servers are there and nobody has the lock, who asks gets it.
    Availability,
    /// Who loses the lock knows it by the time that another one can have it.
    TimelyLoss,
    /// Nobody waits while others get the lock again and again.
    Fairness,
}

impl Invariant {
    /// All, in order.
    pub const ALL: [Self; 11] = [
        Self::Belief,
        Self::Grants,
        Self::StaleWrite,
        Self::LostUpdate,
        Self::Foreign,
        Self::Continuity,
        Self::Numbers,
        Self::Recovery,
        Self::Availability,
        Self::TimelyLoss,
        Self::Fairness,
    ];

    /// What it says, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Belief => "two clients take the lock for theirs",
            Self::Grants => "the lock is granted while another's time is not over",
            Self::StaleWrite => "a write of a holder before is taken",
            Self::LostUpdate => "an update is lost",
            Self::Foreign => "somebody else's lock is changed",
            Self::Continuity => "a lock goes on that another one had meanwhile",
            Self::Numbers => "the number of a grant is not higher than one before",
            Self::Recovery => "the lock of one that is gone is not freed",
            Self::Availability => "a free lock is not to be had",
            Self::TimelyLoss => "a holder learns too late that it has lost the lock",
            Self::Fairness => "one waits while others get the lock again and again",
        }
    }
}

/// As the catalogue counts them: I1 to I11.
impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I{}", *self as u8 + 1)
    }
}

/// Something that must not have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When, in microseconds of true time.
    pub at_us: u64,
    /// What was to be true.
    pub invariant: Invariant,
    /// Who is concerned.
    pub client: usize,
    /// And who else.
    pub other: Option<usize>,
    /// For how long in microseconds, or by how much, where that says something.
    pub extent: u64,
}

/// What became of a request at a server, as far as the lock's key is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyChange {
    /// The client has it until this moment of true time.
    Set { client: usize, until_us: u64 },
    /// A request of this client has changed its time.
    Extended { client: usize, until_us: u64 },
    /// A request of this client has deleted it.
    Released { client: usize },
    /// It is gone for another reason.
    Gone,
    /// It is gone, and the server grants nothing before this moment of true time.
    Withheld { until_us: u64 },
}

/// What a client is told that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    /// When the attempt, or the extension, began, in true time.
    pub(super) began_us: u64,
    /// When the client's clock ends it, in true time, if the clock does.
    pub(super) believes_until: Option<u64>,
    /// Its number.
    pub(super) fence: Option<u64>,
}

/// What the judge knows of a client.
#[derive(Clone, Debug, Default)]
struct Party {
    settings: Option<Settings>,
    /// When its acquisition began, while one is under way.
    acquiring_since: Option<u64>,
    /// The serial number of its last grant, and when its time is over as it was granted.
    grant: u64,
    promised_until: u64,
    /// It takes the lock for its own.
    holds: bool,
    /// Until then, if its clock ends that; in true time.
    believes_until: Option<u64>,
    is_gone: bool,
    /// Since when it has had nothing.
    idle_since: u64,
    /// Until when it could not reach enough servers, last.
    unreached_until: Option<u64>,
    /// Grants of others since its acquisition began.
    bypassed: u64,
    /// Until when each server keeps its key.
    keys: Vec<u64>,
}

/// Figures of what was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Grants.
    pub grants: u64,
    /// Acquisitions that came to nothing.
    pub refusals: u64,
    /// Of these: while the lock was free and most servers there.
    pub unavailable: u64,
    /// How long acquisitions took that came to something, in microseconds.
    pub latencies_us: Vec<u64>,
    /// How late holders learned of their loss, in microseconds; only those that were late.
    pub lateness_us: Vec<u64>,
    /// From the end of one holder to the next grant, where somebody waited, in microseconds.
    pub handovers_us: Vec<u64>,
    /// The same after a holder that was gone.
    pub recoveries_us: Vec<u64>,
    /// Grants of each client.
    pub grants_each: Vec<u64>,
    /// Writes that the store took.
    pub writes: u64,
    /// How often each invariant was broken.
    pub broken: [u64; Invariant::ALL.len()],
}

/// Watches one lock.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    parties: Vec<Party>,
    /// Who has the key on each server.
    owners: Vec<Option<usize>>,
    grants: u64,
    /// The highest number so far, and whose it was.
    number: Option<(u64, usize)>,
    /// The newest grant whose holder the store has seen.
    seen: u64,
    believers: usize,
    /// When somebody last stopped to take the lock for its own, and whether that one was gone.
    free_since: u64,
    freed_by_crash: bool,
    /// When most servers were last not there.
    pub(super) majority_lost_us: Option<u64>,
    pub(super) figures: Figures,
    pub(super) violations: Vec<Violation>,
}

fn ttl_us(party: &Party) -> u64 {
    party.settings.map_or(0, |settings| settings.ttl_ms * 1000)
}

/// After so many grants to others since it asked, a client is being passed over.
const BYPASSED_MAX: u64 = 50;
/// Violations that are kept; the figures count them all.
const VIOLATIONS_MAX: usize = 1000;
/// What is allowed for messages and processing when a lock is to be free again.
const RECOVERY_US: u64 = 1_000_000;

impl Judge {
    pub(super) fn new(nodes: usize, clients: usize) -> Self {
        assert!(clients <= CLIENTS_MAX, "there are no so many clients");
        let party = Party { keys: vec![0; nodes], ..Party::default() };
        Self {
            parties: vec![party; clients],
            owners: vec![None; nodes],
            grants: 0,
            number: None,
            seen: 0,
            believers: 0,
            free_since: 0,
            freed_by_crash: false,
            majority_lost_us: None,
            figures: Figures { grants_each: vec![0; clients], ..Figures::default() },
            violations: Vec::new(),
        }
    }

    fn broken(
        &mut self,
        at_us: u64,
        invariant: Invariant,
        client: usize,
        other: Option<usize>,
        extent: u64,
    ) {
        self.figures.broken[invariant as usize] += 1;
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { at_us, invariant, client, other, extent });
        }
    }

    /// A client begins to acquire the lock.
    pub(super) fn begins(&mut self, at_us: u64, client: usize, settings: Settings) {
        let party = &mut self.parties[client];
        party.settings = Some(settings);
        party.acquiring_since = Some(at_us);
        party.bypassed = 0;
    }

    /// A client is told that it has the lock.
    pub(super) fn granted(&mut self, at_us: u64, client: usize, lease: Lease) {
        self.expire(at_us);
        self.grants += 1;
        self.figures.grants += 1;
        self.figures.grants_each[client] += 1;
        for other in (0..self.parties.len()).filter(|&other| other != client) {
            self.granted_to_another(at_us, client, other, lease);
        }
        if let Some(number) = lease.fence {
            if let Some((highest, whose)) = self.number
                && number <= highest
            {
                self.broken(at_us, Invariant::Numbers, client, Some(whose), highest - number);
            }
            self.number = self.number.max(Some((number, client)));
        }
        let party = &mut self.parties[client];
        let since = party.acquiring_since.take().unwrap_or(at_us);
        (party.grant, party.holds) = (self.grants, true);
        party.believes_until = lease.believes_until;
        party.promised_until = lease.began_us + ttl_us(party);
        let (free_since, is_free) = (self.free_since, self.believers == 0);
        self.believers += 1;
        self.figures.latencies_us.push(at_us - since);
        if is_free && self.grants > 1 {
            let Figures { recoveries_us, handovers_us, .. } = &mut self.figures;
            if self.freed_by_crash {
                // Who waits for one that is gone asks again and again.
                recoveries_us.push(at_us - free_since);
            } else if since < free_since {
                handovers_us.push(at_us - free_since);
            }
        }
    }

    /// `client` is granted what `other` may have, or wait for.
    fn granted_to_another(&mut self, at_us: u64, client: usize, other: usize, lease: Lease) {
        let party = &mut self.parties[other];
        let (holds, until, promised) = (party.holds, party.believes_until, party.promised_until);
        if party.acquiring_since.is_some() {
            party.bypassed += 1;
            if party.bypassed == BYPASSED_MAX {
                self.broken(at_us, Invariant::Fairness, other, Some(client), BYPASSED_MAX);
            }
        }
        if promised > at_us {
            self.broken(at_us, Invariant::Grants, client, Some(other), promised - at_us);
        }
        let believes = lease.believes_until.is_none_or(|until| until > at_us);
        if holds && believes {
            let ends = [until, lease.believes_until].into_iter().flatten().min();
            let extent = ends.map_or(0, |end| end - at_us);
            self.broken(at_us, Invariant::Belief, client, Some(other), extent);
        }
    }

    /// A client is told that its lock goes on.
    pub(super) fn extended(&mut self, at_us: u64, client: usize, lease: Lease) {
        self.expire(at_us);
        let party = &mut self.parties[client];
        party.promised_until = party.promised_until.max(lease.began_us + ttl_us(party));
        party.believes_until = lease.believes_until;
        let (own, newest) = (party.grant, self.grants);
        if newest > own {
            let whose = self.parties.iter().position(|party| party.grant == newest);
            self.broken(at_us, Invariant::Continuity, client, whose, newest - own);
        }
    }

    /// Clocks have ended what clients believe.
    fn expire(&mut self, at_us: u64) {
        for client in 0..self.parties.len() {
            let party = &self.parties[client];
            if let Some(until) = party.believes_until
                && party.holds
                && until <= at_us
            {
                self.lets_go(until, client);
            }
        }
    }

    /// The moment at which a client's clock ends what it believes has moved.
    pub(super) fn believes_until(&mut self, client: usize, until_us: Option<u64>) {
        self.parties[client].believes_until = until_us;
    }

    fn lets_go(&mut self, at_us: u64, client: usize) {
        let party = &mut self.parties[client];
        if !core::mem::take(&mut party.holds) {
            return;
        }
        party.idle_since = at_us;
        self.believers -= 1;
        self.free_since = self.free_since.max(at_us);
        self.freed_by_crash = party.is_gone;
        if !party.is_gone {
            self.check_lateness(at_us, client);
        }
    }

    /// A client takes the lock for its own no more: it was told, or gave it back.
    pub(super) fn ends(&mut self, at_us: u64, client: usize) {
        self.expire(at_us);
        self.lets_go(at_us, client);
        let party = &mut self.parties[client];
        party.acquiring_since = None;
        party.idle_since = at_us;
        party.promised_until = party.promised_until.min(at_us);
    }

    /// By the time that a holder stops, no other can have got the lock.
    fn check_lateness(&mut self, at_us: u64, client: usize) {
        let party = &self.parties[client];
        let Some(settings) = party.settings else { return };
        let mut keys = party.keys.clone();
        keys.sort_unstable_by(|one, next| next.cmp(one));
        // Another gets a quorum when so many servers are free.
        let still = usize::from(settings.nodes.saturating_sub(settings.quorum));
        let end_us = keys.get(still).copied().unwrap_or(0);
        if end_us < at_us {
            self.figures.lateness_us.push(at_us - end_us);
            self.broken(at_us, Invariant::TimelyLoss, client, None, at_us - end_us);
        }
    }

    /// An acquisition has come to nothing.
    pub(super) fn refused(&mut self, at_us: u64, client: usize) {
        self.expire(at_us);
        self.figures.refusals += 1;
        let since = self.parties[client].acquiring_since.unwrap_or(at_us);
        self.check_availability(at_us, client, since);
        self.ends(at_us, client);
    }

    fn check_availability(&mut self, at_us: u64, client: usize, since: u64) {
        // The time of one that is gone runs on: how long that may last is I8.
        let is_owed = |party: &Party| {
            party.is_gone && party.promised_until.max(party.idle_since + ttl_us(party)) > since
        };
        let is_owed = self.parties.iter().any(is_owed);
        let was_free = self.believers == 0 && self.free_since <= since && !is_owed;
        let unreached = self.parties[client].unreached_until;
        let were_there = self.majority_lost_us.max(unreached).is_none_or(|lost| lost < since);
        if was_free && were_there {
            self.figures.unavailable += 1;
            self.broken(at_us, Invariant::Availability, client, None, at_us - since);
        }
    }

    /// A client cannot reach enough servers until then.
    pub(super) fn unreached(&mut self, client: usize, until_us: u64) {
        let party = &mut self.parties[client];
        party.unreached_until = party.unreached_until.max(Some(until_us));
    }

    /// A client is gone.
    pub(super) fn crashed(&mut self, at_us: u64, client: usize) {
        self.expire(at_us);
        let party = &mut self.parties[client];
        party.is_gone = true;
        party.idle_since = at_us;
        party.acquiring_since = None;
        self.lets_go(at_us, client);
    }

    /// Another takes the place of a client that is gone.
    pub(super) fn is_back(&mut self, client: usize) {
        self.parties[client].is_gone = false;
    }

    /// The key of a server has changed.
    pub(super) fn key(&mut self, at_us: u64, node: usize, change: KeyChange) {
        let before = self.owners[node];
        let requester = match change {
            KeyChange::Set { client, until_us } => {
                self.owners[node] = Some(client);
                self.parties[client].keys[node] = until_us;
                None
            }
            KeyChange::Extended { client, until_us } => {
                if let Some(owner) = before {
                    self.parties[owner].keys[node] = until_us;
                }
                Some(client)
            }
            KeyChange::Released { client } => Some(client),
            KeyChange::Withheld { until_us } => {
                // Nobody else can have it before.
                if let Some(owner) = before {
                    self.parties[owner].keys[node] = until_us;
                }
                None
            }
            KeyChange::Gone => None,
        };
        if matches!(change, KeyChange::Released { .. } | KeyChange::Gone) {
            if let Some(owner) = before {
                let until = &mut self.parties[owner].keys[node];
                *until = (*until).min(at_us);
            }
            self.owners[node] = None;
        }
        if let (Some(client), Some(owner)) = (requester, before)
            && client != owner
        {
            self.broken(at_us, Invariant::Foreign, client, Some(owner), 0);
        }
    }

    /// Who has the key of a server, as far as is known.
    pub(super) fn owner(&self, node: usize) -> Option<usize> {
        self.owners[node]
    }

    /// The clock by which a server's keys go was set.
    pub(super) fn server_clock(&mut self, at_us: u64, node: usize, by_ms: i64) {
        if let Some(owner) = self.owners[node] {
            let until = &mut self.parties[owner].keys[node];
            if *until > at_us {
                *until = until.saturating_add_signed(-by_ms * 1000).max(at_us);
            }
        }
    }

    /// The store was asked by the holder of this grant, and it has not refused.
    pub(super) fn accessed(&mut self, at_us: u64, client: usize, grant: u64, is_write: bool) {
        self.figures.writes += u64::from(is_write);
        if is_write && grant < self.seen {
            let newest = self.seen;
            let whose = self.parties.iter().position(|party| party.grant == newest);
            self.broken(at_us, Invariant::StaleWrite, client, whose, newest - grant);
        }
        self.seen = self.seen.max(grant);
    }

    /// A write has replaced what its writer had not read.
    pub(super) fn lost_update(&mut self, at_us: u64, client: usize) {
        self.broken(at_us, Invariant::LostUpdate, client, None, 0);
    }

    /// The serial number of a client's last grant.
    pub(super) fn grant_of(&self, client: usize) -> u64 {
        self.parties[client].grant
    }

    /// The story has ended.
    pub(super) fn finish(&mut self, at_us: u64, ttl_us: u64) {
        self.expire(at_us);
        for client in 0..self.parties.len() {
            if let Some(since) = self.parties[client].acquiring_since
                && at_us - since > ttl_us + RECOVERY_US
            {
                self.check_availability(at_us, client, since);
            }
            let party = &self.parties[client];
            if party.holds && !party.is_gone {
                self.check_lateness(at_us, client);
            }
            let party = &self.parties[client];
            let has_key = party.keys.iter().any(|&until| until > at_us);
            let is_over = !party.holds && party.acquiring_since.is_none();
            if has_key && is_over && at_us - party.idle_since > ttl_us + RECOVERY_US {
                let since = at_us - party.idle_since;
                self.broken(at_us, Invariant::Recovery, client, None, since);
            }
        }
    }
}
