//! What a run is about: what the command line says, and what the seed adds to it.
//!
//! Invariant: a [`Setup`] determines a run completely; its command line repeats it.

use orrery_engine::config::{Encodings, Order, Policy};
use orrery_engine::planted::PlantedBug;
use orrery_engine::time::TtlClock;

use crate::chance::{Chance, Stream};
use crate::disk::Pace;
use crate::fault::FaultKind;
use crate::model::redis::Vanishing;
use crate::plan::{Plan, Stage};
use crate::workload::Workload;
use crate::world::Weather;

/// Most hosts in a world: a set of hosts is one word.
pub const HOSTS_MAX: usize = 64;
/// The least memory that the swarm gives a server beyond what it takes when it is empty.
const MEMORY_LEAST_BYTES: u64 = 8 << 10;
/// The most.
const MEMORY_MOST_BYTES: u64 = 256 << 10;
/// Longest safety phase, in seconds.
pub const SECONDS_MAX: u64 = 600;

/// A limit of memory, and what goes when it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// `maxmemory-policy`.
    pub policy: Policy,
    /// `maxmemory`, beyond what an empty server takes.
    pub room_bytes: u64,
}

impl Memory {
    /// From `POLICY:BYTES`.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let (name, bytes) = text.split_once(':')?;
        Some(Self { policy: Policy::named(name)?, room_bytes: bytes.parse().ok()? })
    }

    /// Which keys may be gone at any time.
    #[must_use]
    pub fn vanishing(self) -> Vanishing {
        match self.policy {
            Policy { order: Order::Never, .. } => Vanishing::Never,
            Policy { only_volatile: true, .. } => Vanishing::WithTtl,
            Policy { only_volatile: false, .. } => Vanishing::Always,
        }
    }
}

/// What servers keep on their disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keeping {
    /// Nothing: after a death a server is empty.
    #[default]
    Nothing,
    /// What a client has asked to be saved.
    Snapshots,
    /// A log that is never synced.
    Unsynced,
    /// A log that is synced once a second.
    EverySecond,
    /// A log that is synced before anybody is told.
    Always,
}

impl Keeping {
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::Nothing, Self::Snapshots, Self::Unsynced, Self::EverySecond, Self::Always];

    /// The word on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Snapshots => "snapshots",
            Self::Unsynced => "unsynced",
            Self::EverySecond => "everysec",
            Self::Always => "always",
        }
    }

    /// Whether drawn worlds that keep things this way have this fault of disks. A log has no
    /// checksums, so what rots in it is taken for what was written; and unless every write is
    /// synced, as in Redis, the writes that find the disk full are answered before those that
    /// follow are refused, and what a failed sync throws away was answered.
    fn is_drawn_with(self, kind: FaultKind) -> bool {
        let is_rot = matches!(kind, FaultKind::BitRot | FaultKind::MisdirectedWrite);
        let is_failure =
            matches!(kind, FaultKind::DiskError | FaultKind::DiskFull | FaultKind::SyncFailure);
        let is_kept_late = matches!(self, Self::Unsynced | Self::EverySecond);
        !(is_rot || is_failure && is_kept_late)
    }

    /// What `appendfsync` is, if there is a log.
    #[must_use]
    pub fn log_sync(self) -> Option<&'static str> {
        match self {
            Self::Nothing | Self::Snapshots => None,
            Self::Unsynced => Some("no"),
            Self::EverySecond => Some("everysec"),
            Self::Always => Some("always"),
        }
    }

    /// Whether a death takes nothing that anybody was told of.
    #[must_use]
    pub fn loses_nothing(self) -> bool {
        self == Self::Always
    }

    /// Whether there is a disk, and a death may take what somebody was told of.
    #[must_use]
    pub fn may_lose(self) -> bool {
        matches!(self, Self::Snapshots | Self::Unsynced | Self::EverySecond)
    }

    /// What a word means.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|keeping| keeping.name() == name)
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Everything that is not said is drawn from this.
    pub seed: u64,
    /// How many servers, each with its own data.
    pub servers: usize,
    /// How many clients.
    pub clients: usize,
    /// How long the safety phase lasts, in simulated seconds.
    pub seconds: u64,
    /// What clients do.
    pub workloads: Vec<Workload>,
    /// What happens to them.
    pub faults: Vec<FaultKind>,
    /// Which clock the servers' keys expire by.
    pub ttl_clock: TtlClock,
    /// How much memory the servers have; `None`: no limit.
    pub memory: Option<Memory>,
    /// What the servers keep.
    pub keeping: Keeping,
    /// Whether servers with disks are told which keys are locks.
    pub lock_grace: bool,
    /// A bug that the servers are to have.
    pub planted: Option<PlantedBug>,
    /// The faults to carry out, if they are not to be drawn.
    pub plan: Option<Plan>,
    /// Places of planned faults to leave out.
    pub without: Vec<usize>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 1,
            servers: 3,
            clients: 10,
            seconds: 20,
            workloads: Workload::DEFAULT.to_vec(),
            faults: FaultKind::DEFAULT.to_vec(),
            ttl_clock: TtlClock::Monotonic,
            memory: None,
            keeping: Keeping::Nothing,
            lock_grace: true,
            planted: None,
            plan: None,
            without: Vec::new(),
        }
    }
}

impl Setup {
    /// Faults by which a server's next process finds another time than the one before knew.
    const SETS_CLOCKS: [FaultKind; 2] = [FaultKind::ClockStep, FaultKind::ClockStrobe];

    /// Why this run cannot be, if so.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let hosts = self.servers + self.clients;
        if self.servers == 0 || self.clients == 0 || hosts > HOSTS_MAX {
            return Some(format!("servers and clients: at least one of each, {HOSTS_MAX} in all"));
        }
        if self.seconds == 0 || self.seconds > SECONDS_MAX {
            return Some(format!("seconds: from 1 to {SECONDS_MAX}"));
        }
        if self.workloads.is_empty() {
            return Some("there is no workload".to_owned());
        }
        if let Some(problem) = self.problem_of_keeping() {
            return Some(problem);
        }
        let bad = self.plan.iter().flat_map(|plan| &plan.faults).find(|planned| {
            usize::from(planned.fault.host) >= hosts || planned.at_ns >= self.stage().safety_ns
        });
        if let Some(planned) = bad {
            return Some(format!("the plan has a fault that this world cannot have: {planned}"));
        }
        let missing = self.workloads.iter().flat_map(|workload| workload.commands()).find(|name| {
            let table = orrery_engine::commands::table::table();
            table.rows().iter().all(|row| !row.command.name.eq_ignore_ascii_case(name))
        });
        missing.map(|name| format!("the engine has no command {name}, which a workload needs"))
    }

    /// What cannot be with what servers keep.
    fn problem_of_keeping(&self) -> Option<String> {
        let problem = match self.keeping {
            Keeping::Nothing if self.workloads.contains(&Workload::Saves) => {
                "saves: the servers must keep snapshots"
            }
            Keeping::Nothing if self.faults.iter().any(|kind| kind.is_of_disk()) => {
                "faults of disks: the servers must keep something"
            }
            // A history that goes back has judges of its own.
            Keeping::Snapshots | Keeping::Unsynced | Keeping::EverySecond
                if !self.workloads.iter().all(|it| Workload::LOSABLE.contains(it)) =>
            {
                "where something may be lost, the only workloads are locks and saves"
            }
            // A server that was dead has lost count of the time.
            Keeping::Always if self.workloads.iter().any(|it| Workload::TIMED.contains(it)) => {
                "times to live are not judged over deaths: no ttl, fields, caches"
            }
            // Leases that are kept end by the wall clock of the next process.
            Keeping::Always
                if self.workloads.contains(&Workload::Locks)
                    && self.faults.iter().any(|kind| Self::SETS_CLOCKS.contains(kind)) =>
            {
                "leases that outlive a process need its wall clock: no clock-step, clock-strobe"
            }
            _ => return None,
        };
        Some(problem.to_owned())
    }

    /// The decisions of this run.
    #[must_use]
    pub fn chance(&self) -> Chance {
        Chance::new(self.seed)
    }

    /// Who there is, and for how long.
    #[must_use]
    pub fn stage(&self) -> Stage {
        Stage {
            servers: self.servers,
            clients: self.clients,
            safety_ns: self.seconds * 1_000_000_000,
        }
    }

    /// The faults of this run.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let plan = self.plan.clone();
        plan.unwrap_or_else(|| Plan::draw(self.chance(), &self.stage(), &self.faults))
            .without(&self.without)
    }

    /// The command that repeats this run.
    #[must_use]
    pub fn command_line(&self) -> String {
        let workloads: Vec<&str> = self.workloads.iter().map(|workload| workload.name()).collect();
        let faults: Vec<&str> = self.faults.iter().map(|kind| kind.name()).collect();
        let faults = match faults.len() {
            0 => "none".to_owned(),
            _ if self.faults == FaultKind::DEFAULT => "all".to_owned(),
            _ => faults.join(","),
        };
        let Self { seed, servers, clients, seconds, .. } = self;
        let mut line = format!(
            "orrery-sim run --seed {seed} --servers {servers} --clients {clients} \
             --seconds {seconds} --workload {} --faults {faults}",
            workloads.join(","),
        );
        if self.ttl_clock == TtlClock::Wall {
            line.push_str(" --ttl-clock wall");
        }
        if let Some(Memory { policy, room_bytes }) = self.memory {
            line.push_str(&format!(" --memory {}:{room_bytes}", policy.name()));
        }
        if self.keeping != Keeping::Nothing {
            line.push_str(&format!(" --keep {}", self.keeping.name()));
        }
        if !self.lock_grace {
            line.push_str(" --without-lock-grace");
        }
        if let Some(bug) = self.planted {
            line.push_str(&format!(" --planted {}", bug.name()));
        }
        for place in &self.without {
            line.push_str(&format!(" --without {place}"));
        }
        line
    }

    /// A setup of the swarm: everything is drawn from the seed.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let mut draw = Chance::new(seed).key(Stream::Swarm, 0).at(0);
        let all = Workload::DEFAULT;
        let mut workloads: Vec<Workload> = all.into_iter().filter(|_| draw.chance(1, 2)).collect();
        if workloads.is_empty() {
            workloads.push(draw.pick(&all));
        }
        // In the order in which workloads have numbers: the command line gives them so.
        let lots = [3, 3, 3, 8, 4];
        for ((place, added), one_in) in (1..).zip(Workload::ADDED).zip(lots) {
            if Chance::new(seed).key(Stream::Swarm, place).at(0).chance(1, one_in) {
                workloads.push(added);
            }
        }
        let mut lot = Chance::new(seed).key(Stream::Swarm, 1 << 16).at(0);
        let memory = lot.chance(1, 4).then(|| Memory {
            policy: lot.pick(&Policy::ALL),
            room_bytes: lot.spread(MEMORY_LEAST_BYTES, MEMORY_MOST_BYTES),
        });
        // Swarm testing: each run leaves many faults out, so that the others meet a world that
        // still works. One run in eight has none.
        let share = draw.pick(&[0, 1, 2, 2, 3, 4, 6, 8]);
        let faults: Vec<FaultKind> =
            FaultKind::DEFAULT.into_iter().filter(|_| draw.chance(share, 16)).collect();
        let drawn = Self {
            seed,
            servers: draw.between(1, 5) as usize,
            clients: draw.between(2, 16) as usize,
            seconds: draw.between(5, 30),
            workloads,
            faults,
            memory,
            ..Self::default()
        };
        drawn.or_with_disks()
    }

    /// One world in six of the swarm has disks, and what else it was drawn to have.
    fn or_with_disks(mut self) -> Self {
        let mut draw = self.chance().key(Stream::Swarm, 1 << 17).at(0);
        if !draw.chance(1, 6) {
            return self;
        }
        self.keeping = draw.pick(&[Keeping::Snapshots, Keeping::EverySecond, Keeping::Always]);
        if self.keeping.loses_nothing() {
            self.workloads.retain(|workload| !Workload::TIMED.contains(workload));
        } else {
            self.workloads.clear();
        }
        self.add_locks();
        self.memory = None;
        let share = draw.pick(&[0, 2, 4, 8]);
        let keeping = self.keeping;
        let drawn = FaultKind::DISKS.into_iter().filter(|_| draw.chance(share, 16));
        self.faults.extend(drawn.filter(|kind| keeping.is_drawn_with(*kind)));
        // Without a death nobody reads what was written.
        let deaths = [FaultKind::Kill, FaultKind::PowerLoss];
        self.faults.extend(deaths.into_iter().filter(|_| draw.chance(3, 4)));
        self.faults.sort_unstable();
        self.faults.dedup();
        if self.keeping.loses_nothing() && self.workloads.contains(&Workload::Locks) {
            self.faults.retain(|kind| !Self::SETS_CLOCKS.contains(kind));
        }
        self
    }

    /// What the swarm has clients save, where there are disks: half of those worlds have locks, and
    /// half of those where something may be lost have nothing else, and some of them a log that is
    /// never synced.
    fn add_locks(&mut self) {
        let mut draw = self.chance().key(Stream::Swarm, 1 << 18).at(0);
        let (locks, alone) = (draw.chance(1, 2), draw.chance(1, 2));
        self.workloads.retain(|workload| *workload != Workload::Locks);
        if locks {
            self.workloads.push(Workload::Locks);
        }
        if !locks || !alone || self.keeping.loses_nothing() {
            self.workloads.push(Workload::Saves);
        } else if self.keeping == Keeping::EverySecond && draw.chance(1, 2) {
            self.keeping = Keeping::Unsynced;
        }
    }
}

/// What the seed decides about a world.
#[derive(Clone, Copy, Debug)]
pub struct Knobs {
    /// The links at their best.
    pub(crate) weather: Weather,
    /// Mean of the time that a client thinks, in nanoseconds.
    pub(crate) think_ns: u64,
    /// How many of 16 commands come without thinking.
    pub(crate) hasty: u64,
    /// How long a client waits for an answer or a connection.
    pub(crate) patience_ns: u64,
    /// How long a client waits before it connects again.
    pub(crate) backoff_ns: u64,
    /// Keys of each class, on each server.
    pub(crate) keys: u16,
    /// Keys of a bulk client.
    pub(crate) bulk_keys: u16,
    /// Commands that a bulk client sends at once.
    pub(crate) pipeline: u16,
    /// The shortest TTL that is asked for.
    pub(crate) ttl_least_ms: u64,
    /// The longest.
    pub(crate) ttl_most_ms: u64,
    /// How far wall clocks are off at the start, in nanoseconds.
    pub(crate) offset_ns: u64,
    /// How fast clocks drift at most from the start.
    pub(crate) drift_ppm: u64,
    /// Databases of each engine.
    pub(crate) databases: usize,
    /// Commands that an engine takes in one step at most.
    pub(crate) step_commands_max: usize,
    /// Whether collections leave their small forms after a few elements.
    pub(crate) small_forms_end_early: bool,
    /// Most keys that an engine tracks for those who keep copies.
    pub(crate) tracked_keys_max: usize,
    /// How long a script runs before others are told so, in milliseconds.
    pub(crate) busy_ms: u64,
    /// The disks at their best.
    pub(crate) pace: Pace,
    /// Keys that are saved and looked at afterwards.
    pub(crate) saved_keys: u16,
    /// How many of 100 commands on them ask for a snapshot.
    pub(crate) saves: u64,
    /// How long a log gets before it is rewritten, in bytes.
    pub(crate) rewrite_bytes: u64,
    /// How long a snapshot, and loading it, rests after each key, in microseconds.
    pub(crate) key_delays_us: [u64; 2],
}

impl Knobs {
    /// The engines' settings for how values are stored.
    pub(crate) fn encodings(&self) -> Encodings {
        if !self.small_forms_end_early {
            return Encodings::default();
        }
        Encodings {
            hash_entries: 2,
            list_node_size: 3,
            intset_entries: 2,
            set_entries: 2,
            zset_entries: 2,
            stream_node_entries: 3,
            ..Encodings::default()
        }
    }

    /// What the seed decides.
    #[must_use]
    pub fn draw(chance: Chance) -> Self {
        let key = chance.key(Stream::Setup, 0);
        let base_ns = key.at(0).spread(20_000, 10_000_000);
        let most_ms = key.at(1).spread(200, 20_000);
        Self {
            weather: Weather {
                base_ns,
                jitter_ns: key.at(2).between(base_ns / 10, base_ns * 2),
                spike_one_in: key.at(3).pick(&[64, 256, 1024, 1 << 30]),
                loss: key.at(4).pick(&[0, 0, 0, 50, 300]),
                cut: key.at(5).pick(&[0, 1, 8, 64]),
            },
            think_ns: key.at(6).between(25_000_000, 100_000_000),
            hasty: key.at(7).pick(&[0, 2, 4]),
            patience_ns: key.at(8).between(300_000_000, 2_000_000_000),
            backoff_ns: key.at(9).spread(1_000_000, 500_000_000),
            keys: key.at(10).between(1, 8) as u16,
            bulk_keys: key.at(11).between(600, 1_500) as u16,
            pipeline: key.at(12).spread(16, 64) as u16,
            ttl_least_ms: key.at(13).spread(1, most_ms / 4),
            ttl_most_ms: most_ms,
            offset_ns: key.at(14).spread(1_000, 10_000_000_000),
            drift_ppm: key.at(15).pick(&[0, 10, 50, 200]),
            databases: key.at(16).pick(&[1, 16]),
            step_commands_max: key.at(17).pick(&[1, 3, 512]),
            small_forms_end_early: key.at(18).chance(1, 2),
            tracked_keys_max: key.at(19).pick(&[1, 2, 4, 1_000_000]),
            busy_ms: key.at(20).spread(20, 200),
            pace: Pace::drawn(&mut key.at(21)),
            rewrite_bytes: key.at(26).pick(&[2_000, 20_000, 1 << 30]),
            saves: key.at(25).pick(&[4, 12, 40]),
            saved_keys: key.at(22).spread(8, 400) as u16,
            key_delays_us: [key.at(23).pick(&[0, 50, 500, 2_000]), key.at(24).pick(&[0, 0, 500])],
        }
    }
}
