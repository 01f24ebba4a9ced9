//! Locks with a time to live on one server or on a majority of several, from the client's side.
//!
//! A [`Client`] is a state machine without I/O, as the engine is one: a driver hands it the time,
//! the answers of lock servers and entropy, and carries out what it asks for. The same machine is
//! driven by the client library against real servers and by the simulator against simulated ones.
//!
//! Everything in which lock libraries differ is a parameter ([`Settings`]), so that the variant of
//! each can be expressed, with its faults. [`Settings::redlock`] is the algorithm as it is
//! specified, [`Settings::doubts`] says what is dangerous about other choices.
//!
//! No lock with a time to live excludes two holders: a holder that is paused learns too late that
//! its time is over. What the holder changes must check its fencing token
//! ([`Grant::fence`], the command FENCE).
//!
//! Sources: "Distributed Locks with Redis" (redis.io, valkey.io); M. Kleppmann, "How to do
//! distributed locking" (2016).
//!
//! Invariants: all time, tokens and chance are handed in; a client asks for nothing after it has
//! ended; a loss is final: who has lost a lock acquires it anew, with another token.

mod client;
mod essence;
mod held;
mod message;
mod script;
mod settings;
mod votes;
mod wire;

pub use client::{Action, Client, Ended, Phase};
pub use essence::{Essence, NodeEssence, Scale};
pub use held::Grant;
pub use message::{CounterUse, Node, Reply, Request, RequestId, Token};
pub use script::{Script, Sent};
pub use settings::{
    AtQuorum, Cleanup, Doubt, Drift, Expiry, Extension, FailedExtension, Fencing, LocalClock,
    LossSignal, NODES_MAX, Order, Replicas, Settings, Since, TTL_MS_MAX, TokenRule,
};
pub use wire::{
    Dialect, Manner, Names, REPLY_BYTES_MAX, Said, read, write, write_after, write_wait,
};
