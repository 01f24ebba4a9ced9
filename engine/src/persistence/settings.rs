//! The parameters of persistence, as the engine uses them.

use crate::config::Config;
use crate::value::aof::BaseFormat;

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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub(crate) log: LogSettings,
}

/// When what was logged is safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Before anybody is told of it.
    Always,
    /// Within a second or so.
    #[default]
    EverySecond,
    /// When the operating system likes.
    Never,
}

/// The parameters of the append-only file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogSettings {
    pub(crate) is_on: bool,
    pub(crate) policy: Policy,
    /// What the names of its files begin with.
    pub(crate) stem: String,
    /// The folder that they are in.
    pub(crate) folder: String,
    /// Whether a last file that ends in the middle of a record is cut.
    pub(crate) cuts_tail: bool,
    /// And one that ends in at most so many bytes of anything else.
    pub(crate) corrupt_tail_bytes_max: u64,
    /// How what the log begins with is written.
    pub(crate) base_format: BaseFormat,
    /// Whether files that were replaced stay.
    pub(crate) keeps_history: bool,
    /// Whether the time stands between the records.
    pub(crate) notes_time: bool,
    /// It is rewritten when it has grown by so many percent; 0: never.
    pub(crate) growth_percent: u64,
    /// And is at least so long.
    pub(crate) rewrite_bytes_min: u64,
    /// While a snapshot is written nothing is synced but under `always`.
    pub(crate) rests_on_rewrite: bool,
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
            log: LogSettings {
                is_on: value("appendonly").flag(),
                policy: match value("appendfsync").text() {
                    "always" => Policy::Always,
                    "no" => Policy::Never,
                    _ => Policy::EverySecond,
                },
                stem: value("appendfilename").text().to_owned(),
                folder: value("appenddirname").text().to_owned(),
                cuts_tail: value("aof-load-truncated").flag(),
                corrupt_tail_bytes_max: value("aof-load-corrupt-tail-max-size").unsigned(),
                base_format: if value("aof-use-rdb-preamble").flag() {
                    BaseFormat::Rdb
                } else {
                    BaseFormat::Commands
                },
                keeps_history: value("aof-disable-auto-gc").flag(),
                notes_time: value("aof-timestamp-enabled").flag(),
                growth_percent: value("auto-aof-rewrite-percentage").unsigned(),
                rewrite_bytes_min: value("auto-aof-rewrite-min-size").unsigned(),
                rests_on_rewrite: value("no-appendfsync-on-rewrite").flag(),
            },
        }
    }
}
