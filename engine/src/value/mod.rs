//! Values and the data structures that hold them. Nothing here knows a command.

pub mod glob;
pub mod number;
