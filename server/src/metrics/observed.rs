//! Figures of what was slow, hot or large, each of a bounded number of series.
//!
//! Invariant: no label holds what a client chose, unless `metrics-key-names` allows keys: their
//! names may be secrets, and every new one would begin a series.

use orrery_engine::Micros;
use orrery_engine::commands::table::table;
use orrery_engine::observe::KeyWeight;
use orrery_engine::state::State;

use super::exposition::{Exposition, Kind};
use super::figures::seconds;

/// Keys that are told of, for each way to rank them.
const KEYS: usize = 10;

/// Everything about single commands, events and keys.
pub(super) fn observed(text: &mut Exposition, state: &State) {
    slow_commands(text, state);
    long_events(text, state);
    durations(text, state);
    keys(text, state);
}

fn slow_commands(text: &mut Exposition, state: &State) {
    let slow = state.observer.slow_commands();
    let (name, help) = ("redis_slowlog_length", "Commands in the log of slow ones.");
    text.value(Kind::Gauge, name, help, slow.len);
    let Some((id, micros)) = slow.newest else { return };
    text.value(Kind::Gauge, "redis_slowlog_last_id", "The id of the newest of them.", id);
    let name = "redis_last_slow_execution_duration_seconds";
    text.value(Kind::Gauge, name, "How long it took.", seconds(Micros(micros)));
}

fn long_events(text: &mut Exposition, state: &State) {
    let events = || state.observer.long_events();
    let (name, help) = ("redis_latency_spike_last", "When an event last took long, in Unix time.");
    let mut family = text.family(Kind::Gauge, name, help);
    events().for_each(|at| family.sample(&[("event_name", at.name)], at.last_unix_secs));
    let (name, help) = ("redis_latency_spike_duration_seconds", "How long it took then.");
    let mut family = text.family(Kind::Gauge, name, help);
    events().for_each(|at| family.sample(&[("event_name", at.name)], at.last_ms as f64 / 1e3));
    let (name, help) = ("orrery_latency_spike_max_seconds", "The longest that it ever took.");
    let mut family = text.family(Kind::Gauge, name, help);
    events().for_each(|at| family.sample(&[("event_name", at.name)], at.longest_ms as f64 / 1e3));
}

/// As many series as there are commands and percentiles.
fn durations(text: &mut Exposition, state: &State) {
    let percentiles = &state.config.observation.percentiles;
    let numbers: Vec<f64> = percentiles.iter().filter_map(|text| text.parse().ok()).collect();
    let name = "redis_latency_percentiles_usec";
    let help = "How long calls of each command took, in microseconds.";
    let mut family = text.family(Kind::Summary, name, help);
    for row in table().rows() {
        let Some((count, micros)) = state.observer.command_durations(row.index, &numbers) else {
            continue;
        };
        let cmd = row.full_name;
        for (percentile, micros) in percentiles.iter().zip(micros) {
            family.sample(&[("cmd", cmd), ("quantile", percentile)], micros);
        }
        family.part("_sum", &[("cmd", cmd)], state.stats.by_command[row.index].micros);
        family.part("_count", &[("cmd", cmd)], count);
    }
}

fn keys(text: &mut Exposition, state: &State) {
    let ways = [
        (
            KeyWeight::Commands,
            "orrery_hot_key_commands",
            "Sampled commands of the most used keys; what is old counts less.",
        ),
        (KeyWeight::Bytes, "orrery_hot_key_bytes", "Bytes that sampled commands on keys moved."),
        (KeyWeight::Micros, "orrery_hot_key_usec", "Time that sampled commands on keys took."),
        (KeyWeight::Size, "orrery_big_key_bytes", "Bytes of the largest keys that were met."),
    ];
    let shows_names = state.config.value("metrics-key-names").is_some_and(|value| value == "yes");
    for (by, name, help) in ways {
        let mut family = text.family(Kind::Gauge, name, help);
        let heaviest = state.observer.heaviest_keys(by, KEYS);
        for (index, (db, key, weight)) in heaviest.into_iter().enumerate() {
            let rank = (index + 1).to_string();
            if shows_names {
                let (db, key) = (format!("db{db}"), String::from_utf8_lossy(key));
                family.sample(&[("rank", &rank), ("db", &db), ("key", &key)], weight);
            } else {
                family.sample(&[("rank", &rank)], weight);
            }
        }
    }
}
