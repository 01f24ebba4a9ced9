//! The names of the files that an append-only log is kept in, all made of `appendfilename`.
//!
//! Invariant: they are Redis's, so that either server goes on with the other's folder.

/// How a base file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseFormat {
    /// As a snapshot (`aof-use-rdb-preamble yes`).
    Rdb,
    /// As commands.
    Commands,
}

/// What is not yet, or no longer, a file of the log has a name that begins like this.
const TEMPORARY: &str = "temp-";

/// The manifest.
pub fn manifest_name(stem: &str) -> String {
    format!("{stem}.manifest")
}

/// The base file of this number.
pub fn base_name(stem: &str, seq: i64, format: BaseFormat) -> String {
    let ending = match format {
        BaseFormat::Rdb => "rdb",
        BaseFormat::Commands => "aof",
    };
    format!("{stem}.{seq}.base.{ending}")
}

/// The incremental file of this number.
pub fn increment_name(stem: &str, seq: i64) -> String {
    format!("{stem}.{seq}.incr.aof")
}

/// Where records go while the first base file is being written, because the log was switched on.
pub fn temporary_increment_name(stem: &str) -> String {
    format!("{TEMPORARY}{stem}.incr")
}

/// The name that a file has while it is written, before it takes the place of `name`.
pub fn temporary_name(name: &str) -> String {
    format!("{TEMPORARY}{name}")
}
