//! One client's connection as the engine sees it, and the set of all of them.
//!
//! Invariant: an idle session owns no buffer: its parser and outbox borrow the engine's spare ones
//! while a command runs.

mod gate;
mod memory;
mod post;
mod subscriptions;
mod transaction;
mod wait;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::config::{OutputLimit, OutputLimits};
use crate::input::{ConnId, Origin};
use crate::resp::{Parser, Protocol};
use crate::time::Instant;
use gate::Gate;
use memory::Sum;
pub(crate) use post::OverLimit;
use post::Post;
pub(crate) use subscriptions::Name;
pub use subscriptions::{Subscriptions, Topic};
pub(crate) use transaction::Rest;
pub use transaction::Transaction;
pub(crate) use wait::KeysWait;
pub use wait::{Kind, TimedOut, Wait, WaitFor};

/// Input from which on a driver makes room for the word that it belongs to.
const LONG_INPUT_BYTES: usize = 16 << 10;
/// Room that it makes whatever has come yet.
const ANNOUNCED_ROOM_BYTES: usize = 1 << 20;

/// Which replies a client wants (CLIENT REPLY).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// All.
    #[default]
    On,
    /// None until it says so.
    Off,
    /// None for the command that comes next; set by CLIENT REPLY SKIP itself.
    SkipNext,
    /// None for the command that is running or about to run.
    Skip,
}

/// Names a user for as long as it is there; see [`crate::acl`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub u32);

impl UserId {
    /// Who everybody is to begin with.
    pub const DEFAULT: Self = Self(0);
}

/// Why a session takes no commands for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// CLIENT PAUSE is in force for the command at the front of its input.
    ClientPause,
    /// The driver is carrying out an effect and will say `Done`.
    Driver,
    /// It runs a script that takes more than a step.
    Script,
    /// Another client's script runs.
    ScriptOfAnother,
    /// Its command waits for something to happen; see [`crate::block`].
    Command(Wait),
}

/// One client.
#[derive(Debug)]
pub struct Session {
    /// The connection, which is also the client's id.
    pub id: ConnId,
    /// Where it comes from.
    pub origin: Origin,
    /// The selected database.
    pub db: usize,
    /// The protocol version it speaks.
    pub protocol: Protocol,
    /// Whether it may run ordinary commands.
    pub authenticated: bool,
    /// Who it is.
    pub user: UserId,
    /// CLIENT SETNAME; empty: none.
    pub name: Box<[u8]>,
    /// CLIENT SETINFO lib-name; empty: none.
    pub lib_name: Box<[u8]>,
    /// CLIENT SETINFO lib-ver; empty: none.
    pub lib_ver: Box<[u8]>,
    /// Whether it said that it understands being redirected (CLIENT CAPA).
    pub redirects: bool,
    /// Which replies it wants.
    pub reply_mode: ReplyMode,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH: its reads do not count as use.
    pub no_touch: bool,
    /// It gets the lines of MONITOR.
    pub is_monitor: bool,
    /// It gets all changes (SYNC).
    pub(crate) is_replica: bool,
    /// It stands for a script that calls commands.
    pub(crate) is_script: bool,
    /// Nothing more is read from it; it is closed when its output has left.
    pub closing: bool,
    /// Why it takes no commands.
    pub blocked: Option<Blocked>,
    /// When it connected.
    pub created: Instant,
    /// When it last sent something.
    pub last_active: Instant,
    /// Full name of the command that it ran last, in lower case with `|`; empty: none.
    pub last_command: &'static str,
    /// Commands run.
    pub commands: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes given out by `take_output`.
    pub bytes_out: u64,
    /// Bytes given out and not yet reported as sent.
    pub in_flight: usize,
    /// Bytes of the input that are still with the driver.
    pub input_pending: usize,
    /// Since when its output has been over the soft limit.
    pub over_soft_limit: Option<Instant>,
    /// What it took when its memory was last counted.
    pub(crate) counted_bytes: usize,
    /// What it has subscribed to; `None`: nothing.
    pub(crate) subscriptions: Option<Box<Subscriptions>>,
    /// The commands queued since MULTI, if it has begun a transaction.
    pub transaction: Option<Box<Transaction>>,
    /// The keys that its command waits for, if it does.
    pub(crate) keys_wait: Option<Box<KeysWait>>,
    pub(crate) parser: Parser,
    /// Replies that nobody has taken yet.
    pub(crate) outbox: Vec<u8>,
    /// Which of them wait for the log; `None`: none does.
    gate: Option<Box<Gate>>,
}

impl Session {
    /// A client that has just connected.
    pub fn new(id: ConnId, origin: Origin, now: Instant, authenticated: bool) -> Self {
        Self {
            id,
            origin,
            db: 0,
            protocol: Protocol::Resp2,
            authenticated,
            user: UserId::DEFAULT,
            name: Box::default(),
            lib_name: Box::default(),
            lib_ver: Box::default(),
            redirects: false,
            reply_mode: ReplyMode::On,
            no_evict: false,
            no_touch: false,
            is_monitor: false,
            is_replica: false,
            is_script: false,
            closing: false,
            blocked: None,
            created: now,
            last_active: now,
            last_command: "",
            commands: 0,
            bytes_in: 0,
            bytes_out: 0,
            in_flight: 0,
            input_pending: 0,
            over_soft_limit: None,
            counted_bytes: 0,
            subscriptions: None,
            transaction: None,
            keys_wait: None,
            parser: Parser::default(),
            outbox: Vec::new(),
            gate: None,
        }
    }

    /// Whether what is written for this client now is thrown away (CLIENT REPLY OFF and SKIP).
    #[inline]
    pub fn is_muted(&self) -> bool {
        matches!(self.reply_mode, ReplyMode::Off | ReplyMode::Skip)
    }

    /// Whether it has subscribed to anything.
    #[inline]
    pub fn is_subscriber(&self) -> bool {
        self.subscriptions.is_some()
    }

    /// Whether it is a subscriber that speaks RESP2, which has no form for messages out of band:
    /// until it has unsubscribed from everything it may ask for little else.
    #[inline]
    pub fn gets_only_messages(&self) -> bool {
        self.is_subscriber() && self.protocol == Protocol::Resp2
    }

    /// The channels that it uses, and the patterns of channels, told apart by true.
    pub(crate) fn channels_in_use(&self) -> impl Iterator<Item = (&[u8], bool)> {
        self.subscriptions.iter().flat_map(|subscriptions| {
            let names = |topic| subscriptions.names(topic).iter().map(move |name| (name, topic));
            let all = Topic::ALL.into_iter().flat_map(names);
            all.map(|(name, topic)| (&**name, topic == Topic::Pattern))
        })
    }

    /// How many names of one kind it has subscribed to.
    pub fn subscribed(&self, topic: Topic) -> usize {
        self.subscriptions.as_ref().map_or(0, |subscriptions| subscriptions.count(topic))
    }

    /// The limit on the output that may wait for it.
    #[inline]
    pub(crate) fn output_limit(&self, limits: &OutputLimits) -> OutputLimit {
        if self.is_replica {
            return limits.replica;
        }
        if self.is_subscriber() { limits.pubsub } else { limits.normal }
    }

    /// A command has ended, with or without success: its reply in `out` starts at `start`. Throws
    /// it away if the client did not want it, and lets a SKIP move on.
    #[inline]
    pub(crate) fn end_command(&mut self, out: &mut Vec<u8>, start: usize) {
        if self.reply_mode == ReplyMode::On {
            return;
        }
        if self.is_muted() {
            out.truncate(start);
        }
        self.reply_mode = match self.reply_mode {
            ReplyMode::Skip => ReplyMode::On,
            ReplyMode::SkipNext => ReplyMode::Skip,
            mode => mode,
        };
    }

    /// Its user has gone: it is nobody in particular, and may do nothing without logging in.
    pub(crate) fn lose_user(&mut self) {
        self.user = UserId::DEFAULT;
        self.authenticated = false;
    }

    /// Ends the client at once, from outside: what it was waiting for and what it has not been sent
    /// is dropped. The driver must be told to close it.
    pub(crate) fn kill(&mut self) {
        self.closing = true;
        self.outbox = Vec::new();
    }

    /// The client's address as CLIENT LIST shows it.
    pub fn address(&self) -> String {
        match &self.origin {
            Origin::Tcp { peer, .. } | Origin::Tls { peer, .. } => peer.to_string(),
            Origin::Unix { path } => format!("{path}:0"),
        }
    }

    /// The address that the client connected to, as CLIENT LIST shows it.
    pub fn local_address(&self) -> String {
        match &self.origin {
            Origin::Tcp { local, .. } | Origin::Tls { local, .. } => local.to_string(),
            Origin::Unix { path } => format!("{path}:0"),
        }
    }

    /// Bytes of replies that have not left yet.
    pub fn output_pending(&self) -> usize {
        self.outbox.len() + self.in_flight
    }

    /// Heap bytes of the commands that are queued.
    pub fn transaction_bytes(&self) -> usize {
        self.transaction.as_ref().map_or(0, |transaction| transaction.memory_bytes())
    }

    /// Room that the driver makes for the rest of a long word (see [`Parser::bytes_wanted`]): at
    /// most as much as has come, or a megabyte.
    fn announced_bytes(&self) -> usize {
        if self.input_pending < LONG_INPUT_BYTES {
            return 0;
        }
        let room_max = self.input_pending.max(ANNOUNCED_ROOM_BYTES);
        self.parser.bytes_wanted(self.input_pending).min(room_max)
    }

    /// Bytes that the session owns, itself included, and what the driver holds for it. They do not
    /// depend on how much room the driver's buffers have.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.name.len()
            + self.lib_name.len()
            + self.lib_ver.len()
            + self.subscriptions.as_ref().map_or(0, |names| names.memory_bytes())
            + self.keys_wait.as_ref().map_or(0, |wait| wait.memory_bytes())
            + self.transaction_bytes()
            + self.parser.memory_bytes()
            + self.output_pending()
            + self.input_pending
            + self.announced_bytes()
    }
}

/// All clients, by connection. The one whose command is running is taken out meanwhile.
#[derive(Debug, Default)]
pub struct Sessions {
    by_id: HashMap<ConnId, Option<Box<Session>>, BuildHasherDefault<IdHasher>>,
    /// Those that are taken out, the running one last.
    out: Vec<ConnId>,
    /// Messages on their way.
    post: Post,
    /// The memory of all of them.
    sum: Sum,
    /// Output is kept back until the log is safe.
    pub(crate) is_gated: bool,
}

impl Sessions {
    /// How many there are, the running one included.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Adds a client.
    ///
    /// # Panics
    /// If its id is in use: the driver names connections, each once.
    pub fn insert(&mut self, session: Box<Session>) {
        let previous = self.by_id.insert(session.id, Some(session));
        assert!(previous.is_none(), "a connection was opened twice");
    }

    /// Removes a client for good.
    pub fn remove(&mut self, conn: ConnId) -> Option<Box<Session>> {
        let session = self.by_id.remove(&conn).flatten()?;
        self.sum.remove(session.counted_bytes);
        Some(session)
    }

    /// Takes a client out to run its commands; `put_back` must follow.
    pub(crate) fn take(&mut self, conn: ConnId) -> Option<Box<Session>> {
        let mut session = self.by_id.get_mut(&conn)?.take()?;
        self.out.push(conn);
        self.sum.remove(core::mem::take(&mut session.counted_bytes));
        Some(session)
    }

    /// Ends what `take` began.
    pub(crate) fn put_back(&mut self, session: Box<Session>) {
        let conn = session.id;
        let place = self.by_id.get_mut(&conn).expect("its place was kept");
        assert!(place.is_none(), "a client is in two places");
        *place = Some(session);
        self.out.retain(|&out| out != conn);
        if self.has_mail() {
            self.deliver_mail(conn);
        }
    }

    /// The client that runs a command, if one does.
    pub(crate) fn running(&self) -> Option<ConnId> {
        self.out.last().copied()
    }

    /// Whether a client is taken out.
    pub(crate) fn is_out(&self, conn: ConnId) -> bool {
        self.out.contains(&conn)
    }

    /// A client, unless it is the running one.
    pub fn find(&self, conn: ConnId) -> Option<&Session> {
        self.by_id.get(&conn)?.as_deref()
    }

    /// A client, to change it, unless it is the running one.
    pub fn find_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.by_id.get_mut(&conn)?.as_deref_mut()
    }

    /// Heap bytes of all clients but the running one.
    pub fn memory_bytes(&self) -> usize {
        // A sum depends on no order.
        self.by_id.values().flatten().map(|session| session.memory_bytes()).sum()
    }

    /// The ids of all clients in ascending order, the running one included: the only way to walk
    /// them, so that no hash order reaches an output.
    pub fn ids(&self) -> Vec<ConnId> {
        let mut ids: Vec<ConnId> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}

/// Spreads connection ids, which are mostly consecutive.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}
