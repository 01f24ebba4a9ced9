//! Values and the data structures that hold them. Nothing here knows a command.

pub mod aof;
pub mod bitfield;
pub mod bitmap;
pub mod collection;
pub mod extended;
pub mod geo;
pub mod glob;
pub mod hash;
pub mod hyperloglog;
pub mod list;
mod natural;
pub mod number;
pub mod packed;
pub mod rdb;
pub mod set;
pub(crate) mod shared;
pub mod stream;
pub mod strtod;
pub mod table;
pub mod zset;
