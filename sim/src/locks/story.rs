//! A story of locks: who there is, and what happens when.
//!
//! What a scenario tells, what chance draws and what a shrinker makes smaller is all this one type,
//! and it has a spelling ([`super::spelling`]).
//!
//! Invariant: a story says nothing about the algorithm; with one, it happens in one way.

use orrery_engine::lock::{NODES_MAX, TTL_MS_MAX};

use super::lab::{CALM, Network, Servers};

/// Most clients: one letter each.
pub const CLIENTS_MAX: usize = 26;
/// Most steps.
pub const STEPS_MAX: usize = 10_000;
/// Greatest seed.
const SEED_MAX: u64 = u64::MAX / 1000;
/// Longest story, in microseconds: a day.
pub const UNTIL_US_MAX: u64 = 86_400_000_000;

/// Who there is, and what happens when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// In one word.
    pub name: String,
    /// In one line.
    pub title: String,
    /// How many lock servers there are.
    pub nodes: u16,
    /// How many clients.
    pub clients: usize,
    /// How many replicas each of them has. They are nothing but a number: none takes its place.
    pub replicas: u16,
    /// How long a server keeps a grant that nobody extends.
    pub ttl_ms: u64,
    /// What the servers are.
    pub servers: Servers,
    /// What lies between.
    pub network: Network,
    /// What is left to chance: how long messages take, how long clients wait.
    pub seed: u64,
    /// When it ends, in microseconds.
    pub until_us: u64,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, in microseconds of true time.
    pub at_us: u64,
    /// To whom.
    pub who: Who,
    /// What.
    pub what: What,
}

/// Whom a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A client, counted from 0.
    Client(usize),
    /// A lock server, counted from 0.
    Node(usize),
    /// The way between a client and a lock server.
    Link(usize, usize),
    /// The way between a client and the store.
    Store(usize),
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The client asks for the lock.
    Acquire,
    /// It asks for the lock, and when it has it reads the value, works for so long, looks whether
    /// it still has the lock if it is one that does, writes, and gives the lock back.
    Work {
        /// For so long.
        for_us: u64,
    },
    /// It reads the value.
    Read,
    /// It writes what it has made of what it read, whether it still has the lock or not.
    Write,
    /// It gives the lock back.
    Release,
    /// It goes by these servers only, as bits.
    Use {
        /// The servers.
        nodes: u64,
    },
    /// It does nothing for so long, and then goes on as if nothing had happened.
    Pause {
        /// For so long.
        for_us: u64,
    },
    /// It is gone.
    Crash,
    /// Somebody sets the clock of a client's or a server's host.
    Clock {
        /// By so much.
        by_ms: i64,
    },
    /// The clocks of a client's or a server's host go faster or slower from now on.
    Rate {
        /// By so many millionths.
        by_ppm: i64,
    },
    /// The server answers nobody for so long, and keeps what it has; what was sent is lost.
    Stop {
        /// For so long.
        for_us: u64,
    },
    /// The server loses everything that it knew.
    Forget,
    /// The server loses the lock's key.
    Delete,
    /// The server refuses to set keys for so long.
    Fill {
        /// For so long.
        for_us: u64,
    },
    /// The server loses everything, and grants nothing until its keys' clock says that so much
    /// time has passed.
    Grace {
        /// So much.
        for_us: u64,
    },
    /// Everything that is sent on the way for so long is lost.
    Cut {
        /// For so long.
        for_us: u64,
    },
    /// What the client sends for so long takes so much time.
    SlowRequests {
        /// So much time.
        by_us: u64,
        /// For so long.
        for_us: u64,
    },
    /// What the server or the store sends for so long takes so much time.
    SlowReplies {
        /// So much time.
        by_us: u64,
        /// For so long.
        for_us: u64,
    },
}

impl What {
    /// Whether it is something that goes wrong; other steps are what clients do by themselves.
    #[must_use]
    pub fn is_fault(self) -> bool {
        !matches!(
            self,
            Self::Acquire
                | Self::Work { .. }
                | Self::Read
                | Self::Write
                | Self::Release
                | Self::Use { .. }
        )
    }

    /// The longest of the times in it.
    fn longest_us(self) -> u64 {
        match self {
            Self::Work { for_us }
            | Self::Pause { for_us }
            | Self::Stop { for_us }
            | Self::Fill { for_us }
            | Self::Grace { for_us }
            | Self::Cut { for_us } => for_us,
            Self::SlowRequests { by_us, for_us } | Self::SlowReplies { by_us, for_us } => {
                by_us.max(for_us)
            }
            Self::Acquire
            | Self::Read
            | Self::Write
            | Self::Release
            | Self::Use { .. }
            | Self::Crash
            | Self::Clock { .. }
            | Self::Rate { .. }
            | Self::Forget
            | Self::Delete => 0,
        }
    }

    fn suits(self, who: Who) -> bool {
        match self {
            Self::Acquire
            | Self::Work { .. }
            | Self::Read
            | Self::Write
            | Self::Release
            | Self::Use { .. }
            | Self::Pause { .. }
            | Self::Crash => matches!(who, Who::Client(_)),
            Self::Clock { .. } | Self::Rate { .. } => matches!(who, Who::Client(_) | Who::Node(_)),
            Self::Stop { .. }
            | Self::Forget
            | Self::Delete
            | Self::Fill { .. }
            | Self::Grace { .. } => matches!(who, Who::Node(_)),
            Self::Cut { .. } | Self::SlowRequests { .. } | Self::SlowReplies { .. } => {
                matches!(who, Who::Link(..) | Who::Store(_))
            }
        }
    }
}

impl Story {
    /// A story in which nothing happens.
    #[must_use]
    pub fn new(nodes: u16, clients: usize) -> Self {
        Self {
            name: "story".to_owned(),
            title: String::new(),
            nodes,
            clients,
            replicas: 0,
            ttl_ms: 10_000,
            servers: Servers::Ideal,
            network: CALM,
            seed: 1,
            until_us: 60_000_000,
            steps: Vec::new(),
        }
    }

    /// What must be changed before it can happen.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        if self.nodes == 0 || self.nodes > NODES_MAX {
            return Some(format!("there are 1 to {NODES_MAX} servers"));
        }
        if self.replicas > NODES_MAX {
            return Some(format!("a server has at most {NODES_MAX} replicas"));
        }
        if self.clients == 0 || self.clients > CLIENTS_MAX {
            return Some(format!("there are 1 to {CLIENTS_MAX} clients"));
        }
        if self.ttl_ms == 0 || self.ttl_ms > TTL_MS_MAX {
            return Some("the time to live is 1 ms to a year".to_owned());
        }
        if self.seed > SEED_MAX {
            return Some(format!("the seed is at most {SEED_MAX}"));
        }
        if self.steps.len() > STEPS_MAX {
            return Some(format!("there are at most {STEPS_MAX} steps"));
        }
        if self.until_us > UNTIL_US_MAX {
            return Some("it lasts a day at most".to_owned());
        }
        if self.network.most_us > UNTIL_US_MAX {
            return Some("messages take a day at most".to_owned());
        }
        if self.network.least_us > self.network.most_us {
            return Some("messages take at least more than at most".to_owned());
        }
        if !self.steps.is_sorted_by_key(|step| step.at_us) {
            return Some("its steps are not in order".to_owned());
        }
        self.steps.iter().find_map(|step| self.problem_of(step))
    }

    fn problem_of(&self, step: &Step) -> Option<String> {
        let (client, node) = match step.who {
            Who::Client(client) | Who::Store(client) => (client, 0),
            Who::Node(node) => (0, node),
            Who::Link(client, node) => (client, node),
        };
        if client >= self.clients {
            return Some(format!("there are only {} clients", self.clients));
        }
        if node >= usize::from(self.nodes) {
            return Some(format!("there are only {} servers", self.nodes));
        }
        if !step.what.suits(step.who) {
            return Some(format!("that does not happen to {}", step.who));
        }
        match step.what {
            What::Use { nodes } => {
                let others = nodes.checked_shr(self.nodes.into()).unwrap_or(0);
                let is_wrong = nodes == 0 || others != 0;
                is_wrong.then(|| "a client uses one of the servers at least, and no others".into())
            }
            What::Clock { by_ms } if by_ms.unsigned_abs() > TTL_MS_MAX => {
                Some("clocks are set by a year at most".to_owned())
            }
            What::Rate { by_ppm } if by_ppm.unsigned_abs() > 1_000_000 => {
                Some("clocks' rates change by a million millionths at most".to_owned())
            }
            what if what.longest_us() > UNTIL_US_MAX => {
                Some("nothing lasts longer than a day".to_owned())
            }
            _ => None,
        }
    }
}
