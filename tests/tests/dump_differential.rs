//! DUMP, RESTORE and DEBUG DIGEST against a real redis-server: what one writes the other reads, as
//! the same value; what is damaged is refused by both or by this engine alone.
//!
//! A failure prints its seed.

#[path = "dump_differential/codec.rs"]
mod codec;
#[path = "dump_differential/damage.rs"]
mod damage;
#[path = "dump_differential/draw.rs"]
mod draw;
#[path = "dump_differential/newer.rs"]
mod newer;
#[path = "dump_differential/pair.rs"]
mod pair;
#[path = "dump_differential/values.rs"]
mod values;
