//! What clients do: keys, commands and the values they write.
//!
//! Every value written in a run is different and says which operation wrote it, so that a read
//! tells exactly which write it saw.

mod caching;
mod locks;
mod replies;
mod transaction;
mod values;
mod words;

pub(crate) use caching::CHANNEL;
pub use caching::{Manner, Mode, Scope, Step, Via};
pub use locks::Lease;
pub(crate) use locks::{Leases, TTL_MOST_MS as LOCK_TTL_MOST_MS};
pub(crate) use replies::{Said, number, parse_reply};
pub use transaction::{Plan, Style};
pub(crate) use transaction::{READ, first_key};
pub use values::Values;

use crate::chance::Draw;
use crate::setup::Knobs;
use words::push_number;

/// The id of an entry of a stream: milliseconds and sequence.
pub type Id = (u64, u64);

/// The longest time that a command asks to wait; some wait longer than their clients.
const BLOCK_MOST_MS: u64 = 1_500;

/// The longest of the times to live that are meant to end while clients keep copies.
const TTL_SHORT_MS: u64 = 300;
/// Turns of the loop of a script that ends, at most.
const TURNS_MAX: u64 = 100_000;

/// A kind of use, with keys of its own on each server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Workload {
    /// Registers with nothing but GET and SET.
    Plain,
    /// Registers: reads, writes, conditional writes, deletions.
    Registers,
    /// Counters: increments and reads.
    Counters,
    /// Keys with a time to live.
    Ttl,
    /// Lists as queues: pushes at one end, pops at the other, some of them waiting.
    Queues,
    /// Streams with a consumer group.
    Groups,
    /// Fields of hashes with a time to live.
    Fields,
    /// Many keys, written and read back in pipelines, so that tables grow.
    Bulk,
    /// Transactions that append to lists and read them.
    Transactions,
    /// Messages that some publish and others have subscribed to.
    Messages,
    /// Strings of which clients keep copies, told of changes by CLIENT TRACKING.
    Caches,
    /// Strings written by scripts that take long or never end, until somebody kills them.
    Scripts,
    /// Locks: strings with a time to live that nobody else may set meanwhile.
    Locks,
    /// Strings that are saved and read all at once.
    Saves,
}

impl Workload {
    /// What runs when nothing else is said.
    pub const DEFAULT: [Self; 7] = [
        Self::Registers,
        Self::Counters,
        Self::Ttl,
        Self::Queues,
        Self::Groups,
        Self::Fields,
        Self::Bulk,
    ];
    /// What the swarm adds to some runs. It is drawn by itself, so that a seed means what it meant.
    pub const ADDED: [Self; 5] =
        [Self::Transactions, Self::Messages, Self::Caches, Self::Scripts, Self::Locks];
    /// Those that have times to live, locks excepted: those have a judge who knows of deaths.
    pub const TIMED: [Self; 3] = [Self::Ttl, Self::Fields, Self::Caches];
    /// Those that may lose something at a death, for what they lose is judged.
    pub const LOSABLE: [Self; 2] = [Self::Locks, Self::Saves];
    /// All there are.
    pub const ALL: [Self; 14] = [
        Self::Plain,
        Self::Registers,
        Self::Counters,
        Self::Ttl,
        Self::Queues,
        Self::Groups,
        Self::Fields,
        Self::Bulk,
        Self::Transactions,
        Self::Messages,
        Self::Caches,
        Self::Scripts,
        Self::Locks,
        Self::Saves,
    ];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Registers => "registers",
            Self::Counters => "counters",
            Self::Ttl => "ttl",
            Self::Queues => "queues",
            Self::Groups => "groups",
            Self::Fields => "fields",
            Self::Bulk => "bulk",
            Self::Transactions => "transactions",
            Self::Messages => "messages",
            Self::Caches => "caches",
            Self::Scripts => "scripts",
            Self::Locks => "locks",
            Self::Saves => "saves",
        }
    }

    /// The workload of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|workload| workload.name() == name)
    }

    /// The commands it sends.
    #[must_use]
    pub fn commands(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::Bulk => &["GET", "SET"],
            Self::Registers => &["GET", "SET", "DEL", "GETDEL"],
            Self::Counters => &["GET", "INCRBY"],
            Self::Ttl => &["GET", "SET", "PEXPIRE", "PTTL"],
            Self::Queues => &["RPUSH", "LPOP", "BLPOP", "LRANGE"],
            Self::Groups => {
                &["XADD", "XGROUP", "XREADGROUP", "XACK", "XAUTOCLAIM", "XPENDING", "XRANGE"]
            }
            Self::Messages => &["PUBLISH", "SUBSCRIBE", "PING"],
            Self::Transactions => &["MULTI", "EXEC", "RPUSH", "LRANGE", "EVAL", "WATCH"],
            Self::Caches => &[
                "GET",
                "SET",
                "GETDEL",
                "DEL",
                "PEXPIRE",
                "MULTI",
                "EVAL",
                "CLIENT",
                "FLUSHDB",
                "FLUSHALL",
                "SWAPDB",
                "HELLO",
                "SELECT",
                "SUBSCRIBE",
                "PING",
            ],
            Self::Scripts => &["GET", "SET", "EVAL", "SCRIPT"],
            Self::Locks => &["GET", "SET", "EVAL"],
            Self::Saves => &["SET", "MGET", "SAVE", "BGSAVE", "INFO"],
            Self::Fields => &["HGET", "HSET", "HSETEX", "HPTTL", "HPEXPIRE"],
        }
    }

    /// How the names of all its keys begin.
    pub(crate) fn prefix(self) -> String {
        char::from(self.letter()).to_string()
    }

    fn letter(self) -> u8 {
        match self {
            Self::Plain => b'p',
            Self::Registers => b'r',
            Self::Counters => b'c',
            Self::Ttl => b't',
            Self::Queues => b'q',
            Self::Groups => b'g',
            Self::Fields => b'f',
            Self::Bulk => b'b',
            Self::Transactions => b'x',
            Self::Messages => b'm',
            Self::Caches => b'k',
            Self::Scripts => b's',
            Self::Locks => b'l',
            Self::Saves => b'd',
        }
    }
}

/// A key of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName {
    /// Its use.
    pub workload: Workload,
    /// Which of them.
    pub index: u16,
}

impl KeyName {
    /// Appends the key as the server sees it.
    #[inline]
    pub fn write(self, out: &mut Vec<u8>) {
        out.push(self.workload.letter());
        push_number(out, u64::from(self.index));
    }
}

/// A command on one key. Values are numbers; [`Values`] says how they look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the arguments that Redis's manual names")]
pub enum Ask {
    /// GET.
    Get,
    /// SET.
    Set { value: u64 },
    /// SET NX.
    SetNx { value: u64 },
    /// SET XX.
    SetXx { value: u64 },
    /// SET IFEQ.
    Cas { from: u64, value: u64 },
    /// SET PX.
    SetPx { value: u64, ttl_ms: u64 },
    /// GETDEL.
    GetDel,
    /// DEL.
    Del,
    /// INCRBY.
    IncrBy { by: i64 },
    /// PEXPIRE.
    Pexpire { ttl_ms: u64 },
    /// PTTL.
    Pttl,
    /// RPUSH.
    Push { value: u64 },
    /// LPOP.
    Pop,
    /// BLPOP.
    BlockingPop { timeout_ms: u64 },
    /// LRANGE of everything.
    Look,
    /// XADD.
    Add { value: u64 },
    /// XGROUP CREATE.
    CreateGroup,
    /// XREADGROUP of new entries; without BLOCK if `block_ms` is zero.
    ReadGroup { count: u64, block_ms: u64 },
    /// XACK.
    Ack { id: Id },
    /// XAUTOCLAIM.
    Claim { idle_ms: u64 },
    /// XPENDING of every entry.
    Pending,
    /// XRANGE of everything.
    Range,
    /// Several RPUSH and LRANGE as one.
    Transact(Plan),
    /// PUBLISH.
    Publish { value: u64 },
    /// SUBSCRIBE to the first channels.
    Subscribe { channels: u16 },
    /// PING.
    Ping,
    /// WATCH of some lists and a read of them: the first half of a transaction.
    Watch(Plan),
    /// MULTI, RPUSH, EXEC: the second half.
    Commit(Plan),
    /// What clients do that keep copies.
    Cached(Step),
    /// SET by a script that goes on for so many turns of a loop; 0: for ever.
    SlowSet { value: u64, turns: u64 },
    /// SCRIPT KILL.
    Kill,
    /// SET NX PX of a lock.
    Acquire { value: u64, ttl_ms: u64 },
    /// DEL of a lock if it has this value.
    Release { value: u64 },
    /// PEXPIRE of a lock if it has this value.
    Extend { value: u64, ttl_ms: u64 },
    /// MGET of the first keys.
    GetAll { keys: u16 },
    /// SAVE.
    Save,
    /// BGSAVE.
    SaveInBackground,
    /// INFO persistence: whether the snapshot is safe that was asked for at this time.
    HasSaved { since_ns: u64 },
}

/// What a client knows about a key from what it saw there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// The value that it saw last; zero: none.
    pub value: u64,
    /// An entry that was handed to it.
    pub id: Option<Id>,
    /// What it believes that it holds, if the key is a lock.
    pub lease: Option<Lease>,
}

impl Ask {
    /// Draws the next command on a key of this workload. `value` is a value that nobody has
    /// written.
    #[must_use]
    pub fn draw(
        draw: &mut Draw,
        workload: Workload,
        value: u64,
        known: Known,
        knobs: &Knobs,
    ) -> Self {
        let seen = known.value;
        let die = draw.below(100);
        let ttl_ms = |draw: &mut Draw| draw.between(knobs.ttl_least_ms, knobs.ttl_most_ms);
        match workload {
            Workload::Plain | Workload::Bulk if die < 50 => Self::Get,
            Workload::Plain | Workload::Bulk => Self::Set { value },
            Workload::Registers => Self::on_register(die, seen, value),
            Workload::Counters if die < 60 => {
                // Mostly the same step: increments whose outcome is unknown then stay
                // exchangeable.
                Self::IncrBy { by: if die < 54 { 1 } else { -1 } }
            }
            Workload::Counters => Self::Get,
            Workload::Queues => match die {
                0..45 => Self::Push { value },
                45..62 => Self::Pop,
                62..92 => Self::BlockingPop { timeout_ms: draw.between(1, BLOCK_MOST_MS) },
                _ => Self::Look,
            },
            Workload::Groups => match (die, known.id) {
                (0..35, _) => Self::Add { value },
                (35..65, Some(id)) => Self::Ack { id },
                (65..72, _) => Self::Claim { idle_ms: draw.between(1, BLOCK_MOST_MS) },
                (72..77, _) => Self::Pending,
                (77..80, _) => Self::Range,
                _ => {
                    let block_ms = draw.between(1, BLOCK_MOST_MS) * (die % 2);
                    Self::ReadGroup { count: draw.between(1, 4), block_ms }
                }
            },
            Workload::Messages => Self::Publish { value },
            Workload::Saves if draw.below(100) < knobs.saves => {
                if die < 35 {
                    Self::Save
                } else {
                    Self::SaveInBackground
                }
            }
            Workload::Saves if die < 15 => Self::GetAll { keys: knobs.saved_keys },
            Workload::Saves => Self::Set { value },
            Workload::Transactions => {
                let (style, bits) = (Style::drawn(die), draw.bits());
                let plan = Plan { value, bits, first_key: 0, keys: knobs.keys, style };
                if style == Style::Watched { Self::Watch(plan) } else { Self::Transact(plan) }
            }
            Workload::Scripts => match die {
                0..50 => Self::Get,
                50..80 => Self::Set { value },
                80..99 => Self::SlowSet { value, turns: draw.spread(1_000, TURNS_MAX) },
                _ => Self::SlowSet { value, turns: 0 },
            },
            Workload::Caches => Self::on_cached(die, value, draw, knobs),
            Workload::Locks => locks::drawn(draw, die, value, known.lease),
            Workload::Ttl | Workload::Fields => match die {
                0..35 => Self::Get,
                35..68 => Self::SetPx { value, ttl_ms: ttl_ms(draw) },
                68..74 => Self::Set { value },
                74..90 => Self::Pttl,
                _ => Self::Pexpire { ttl_ms: ttl_ms(draw) },
            },
        }
    }

    fn on_cached(die: u64, value: u64, draw: &mut Draw, knobs: &Knobs) -> Self {
        let (least, most) = (knobs.ttl_least_ms, knobs.ttl_most_ms);
        match die {
            0..20 => Self::Get,
            20..40 => Self::Set { value },
            // Mostly so short that they end before anybody writes again.
            40..75 => Self::SetPx { value, ttl_ms: draw.between(1, TTL_SHORT_MS) },
            75..80 => Self::SetPx { value, ttl_ms: draw.between(least, most) },
            80..85 => Self::SetNx { value },
            85..90 => Self::Pexpire { ttl_ms: draw.between(least, most) },
            90..95 => Self::GetDel,
            _ => Self::Del,
        }
    }

    fn on_register(die: u64, seen: u64, value: u64) -> Self {
        match die {
            0..42 => Self::Get,
            42..66 => Self::Set { value },
            66..84 if seen != 0 => Self::Cas { from: seen, value },
            66..86 => Self::SetNx { value },
            86..91 => Self::SetXx { value },
            91..95 => Self::GetDel,
            _ => Self::Del,
        }
    }

    /// How many replies come, the last of which says what came of it.
    pub(crate) fn replies(self) -> u16 {
        match self {
            Self::Transact(plan) => plan.replies(),
            Self::Watch(_) => 2,
            Self::Commit(plan) => 2 + plan.appends().count() as u16,
            // One confirmation for each channel.
            Self::Subscribe { channels } => channels,
            Self::Cached(step) => step.replies(),
            _ => 1,
        }
    }

    /// Whether it goes over the client's second connection.
    pub(crate) fn is_aside(self) -> bool {
        matches!(self, Self::Cached(step) if step.is_aside())
    }

    /// What a client asks in the last round, when everybody looks at everything once more.
    #[must_use]
    pub fn last(workload: Workload, client: u16, knobs: &Knobs) -> Self {
        match workload {
            Workload::Saves => Self::GetAll { keys: knobs.saved_keys },
            Workload::Queues | Workload::Transactions => Self::Look,
            Workload::Groups if client.is_multiple_of(2) => Self::Range,
            Workload::Groups => Self::Pending,
            Workload::Messages => Self::Ping,
            _ => Self::Get,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::{Chance, Stream};

    #[test]
    fn draws_of_a_workload_stay_with_its_commands() {
        let knobs = Knobs::draw(Chance::new(1));
        let key = Chance::new(1).key(Stream::Command, 0);
        let values = Values::new(Chance::new(1));
        for workload in Workload::ALL {
            for index in 0..500 {
                let id = (index % 2 == 0).then_some((index, 1));
                let lease = (index % 3 > 0).then_some(Lease { token: index, ttl_ms: 500 });
                let known = Known { value: index % 3, id, lease };
                let ask = Ask::draw(&mut key.at(index), workload, index + 1, known, &knobs);
                let mut out = Vec::new();
                ask.write(KeyName { workload, index: 0 }, 0, &values, &mut out);
                let name = out.split(|&byte| byte == b'\n').nth(2).expect("a name");
                let name = std::str::from_utf8(&name[..name.len() - 1]).expect("ASCII");
                assert!(workload.commands().contains(&name), "{workload:?} {name}");
            }
        }
    }
}
