//! The parameters of persistence, as the engine uses them.

use crate::config::Config;

/// When keys are saved without being asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SavePoint {
    /// So long after the last save.
    pub(crate) secs: u64,
    /// If there were at least so many changes.
    pub(crate) changes: u64,
}

/// What SIGTERM and SIGINT do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AtSignal {
    pub(crate) saves: bool,
    pub(crate) saves_not: bool,
    /// Ends the server even if it could not save.
    pub(crate) forces: bool,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) save_points: Vec<SavePoint>,
    /// The name of the snapshot file in the server's folder.
    pub(crate) file_name: String,
    pub(crate) with_checksum: bool,
    /// Whether long files are synced now and then while they are written.
    pub(crate) syncs_often: bool,
    /// Whether writes are refused after a save has failed.
    pub(crate) stops_writes: bool,
    /// How long the walk rests after each key, for tests.
    pub(crate) save_delay_us: u64,
    /// How long loading rests after each key, for tests.
    pub(crate) load_delay_us: u64,
    pub(crate) at_terminate: AtSignal,
    pub(crate) at_interrupt: AtSignal,
}

impl Settings {
    pub(crate) fn of(config: &Config) -> Self {
        let value = |name: &str| config.parsed(name).expect("it is in the table");
        let words = value("save");
        let number = |word: &String| word.parse().unwrap_or(u64::MAX);
        let save_points = words.words().chunks_exact(2);
        let save_points = save_points
            .map(|pair| SavePoint { secs: number(&pair[0]), changes: number(&pair[1]) })
            .collect();
        let at_signal = |name| {
            let words = value(name);
            let has = |choice: &str| words.words().iter().any(|word| word == choice);
            AtSignal { saves: has("save"), saves_not: has("nosave"), forces: has("force") }
        };
        Self {
            save_points,
            file_name: value("dbfilename").text().to_owned(),
            with_checksum: value("rdbchecksum").flag(),
            syncs_often: value("rdb-save-incremental-fsync").flag(),
            stops_writes: value("stop-writes-on-bgsave-error").flag(),
            save_delay_us: value("rdb-key-save-delay").unsigned(),
            load_delay_us: value("key-load-delay").unsigned(),
            at_terminate: at_signal("shutdown-on-sigterm"),
            at_interrupt: at_signal("shutdown-on-sigint"),
        }
    }
}
