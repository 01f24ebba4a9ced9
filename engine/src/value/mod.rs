//! Values and the data structures that hold them. Nothing here knows a command.

pub mod collection;
pub mod extended;
pub mod glob;
mod natural;
pub mod number;
pub mod packed;
pub mod strtod;
pub mod zset;
