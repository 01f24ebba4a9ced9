//! The atlas of locks: how often they fail, by how bad the world is.
//!
//! A sweep takes two parameters of the world over ranges of values, and a lock algorithm or several
//! through many thousand acquisitions at each point. Clients acquire, read, work, write and give
//! back without end, while pauses, clock steps, crashes and lost messages come at their rates.
//!
//! Invariant: a point is a function of the sweep's seed, its values and the algorithm; neither the
//! number of threads nor an interruption changes a figure.

mod page;
mod parameters;
mod picture;
mod point;
mod statistics;
mod sweep;
mod table;
mod world;

pub use page::page;
pub use parameters::{PARAMETERS, Parameter, Values};
pub use picture::picture;
pub use point::{MEASURES, Measure, Point};
pub use statistics::Interval;
pub use sweep::{Axis, Sweep};
pub use table::{read_table, write_head, write_point};
