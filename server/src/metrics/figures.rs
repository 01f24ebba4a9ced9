//! Which figures there are, under the names that redis_exporter gave them, and ours.
//!
//! No figure is made up: what this server does not measure has no name here.

use orrery_engine::commands::info::REDIS_VERSION;
use orrery_engine::commands::table::table;
use orrery_engine::session::Topic;
use orrery_engine::state::{CommandStats, State};
use orrery_engine::{Micros, Now, Vitals};

use super::exposition::{Exposition, Kind};
use super::observed::observed;
use crate::VERSION;

/// Of more databases than this the later ones are not shown.
const DATABASES_MAX: usize = 1024;
/// Databases that are shown even when they are empty, so that their series do not break off.
const DATABASES_SHOWN: usize = 16;

/// Everything that is known, as text for Prometheus.
pub(super) fn figures(state: &State, vitals: Vitals, now: Now) -> String {
    let mut text = Exposition::default();
    server(&mut text, state, now);
    clients(&mut text, state);
    memory(&mut text, state, vitals);
    traffic(&mut text, state);
    keys(&mut text, state);
    processor(&mut text, vitals);
    commands(&mut text, state);
    observed(&mut text, state);
    databases(&mut text, state);
    ours(&mut text, state, vitals);
    text.into_text()
}

pub(super) fn seconds(span: Micros) -> f64 {
    span.0 as f64 / 1e6
}

fn server(text: &mut Exposition, state: &State, now: Now) {
    let setting = |name: &str| state.config.value(name).unwrap_or_default();
    let process = state.facts.process_id.to_string();
    let uptime = now.mono.since(state.started.mono);
    text.value(Kind::Gauge, "redis_up", "Whether the server answers.", 1);
    text.family(Kind::Gauge, "redis_instance_info", "What this server is; always 1.").sample(
        &[
            ("role", "master"),
            ("redis_version", REDIS_VERSION),
            ("redis_mode", "standalone"),
            ("redis_build_id", &state.facts.build_id),
            ("os", &state.facts.os),
            ("process_id", &process),
            ("run_id", &state.run_id),
            ("tcp_port", &setting("port")),
            ("maxmemory_policy", &setting("maxmemory-policy")),
        ],
        1,
    );
    let help = "The version of this server; always 1.";
    text.family(Kind::Gauge, "orrery_info", help).sample(&[("version", VERSION)], 1);
    let (name, help) = ("redis_uptime_in_seconds", "How long the server runs, in seconds.");
    text.value(Kind::Gauge, name, help, uptime.0 / 1_000_000);
    let (name, help) = ("redis_start_time_seconds", "When the server started, in Unix time.");
    text.value(Kind::Gauge, name, help, state.started.wall.0 / 1_000_000);
}

fn clients(text: &mut Exposition, state: &State) {
    let mut gauge = |name, help, value| text.value(Kind::Gauge, name, help, value);
    gauge("redis_connected_clients", "Clients that are connected.", state.sessions.len());
    gauge("redis_blocked_clients", "Clients that wait inside a command.", state.waits.clients());
    gauge("redis_tracking_clients", "Clients that cache.", state.tracking.clients());
    gauge("redis_max_clients", "Clients that may be connected.", state.config.maxclients);
    let channels = state.pubsub.count(Topic::Channel);
    gauge("redis_pubsub_channels", "Channels with subscribers.", channels);
    gauge(
        "redis_pubsub_patterns",
        "Patterns with subscribers.",
        state.pubsub.count(Topic::Pattern),
    );
    let shards = state.pubsub.count(Topic::ShardChannel);
    gauge("redis_pubsubshard_channels", "Shard channels with subscribers.", shards);
    gauge("redis_connected_slaves", "Replicas that are connected.", 0);
}

fn memory(text: &mut Exposition, state: &State, vitals: Vitals) {
    let used = state.memory_used();
    let keyspace = &state.keyspace;
    let databases = (0..keyspace.count().min(DATABASES_MAX)).map(|index| keyspace.db(index));
    let data: usize = databases.map(|db| db.data_bytes()).sum();
    let maximum = state.config.parsed("maxmemory").map_or(0, |value| value.unsigned());
    let scripts = state.scripts.totals();
    let mut gauge = |name, help, value| text.value(Kind::Gauge, name, help, value);
    gauge("redis_memory_used_bytes", "Memory that the engine accounts for.", used as u64);
    let peak = state.memory_peak.max(used) as u64;
    gauge("redis_memory_used_peak_bytes", "The most of it that was seen.", peak);
    gauge(
        "redis_memory_used_startup_bytes",
        "How much it was at start.",
        state.memory_startup as u64,
    );
    gauge("redis_memory_used_dataset_bytes", "Keys, values and deadlines.", data as u64);
    let overhead = used.saturating_sub(data) as u64;
    gauge("redis_memory_used_overhead_bytes", "What is not data.", overhead);
    gauge("redis_memory_used_scripts_eval_bytes", "The texts of known scripts.", scripts.1 as u64);
    gauge("redis_number_of_cached_scripts", "Scripts that are known.", scripts.0 as u64);
    gauge("redis_memory_used_rss_bytes", "The process's resident set.", vitals.resident_bytes);
    gauge("redis_total_system_memory_bytes", "Memory of the machine.", vitals.machine_bytes);
    gauge("redis_memory_max_bytes", "The parameter maxmemory; 0: no limit.", maximum);
    let pending = state.keyspace.lazy_free().0 as u64;
    gauge("redis_lazyfree_pending_objects", "Deleted things that wait to be freed.", pending);
    if used > 0 && vitals.resident_bytes > 0 {
        let ratio = vitals.resident_bytes as f64 / used as f64;
        let (name, help) = ("redis_mem_fragmentation_ratio", "Resident set to accounted memory.");
        text.value(Kind::Gauge, name, help, ratio);
    }
}

fn traffic(text: &mut Exposition, state: &State) {
    let stats = &state.stats;
    let mut counter = |name, help, value| text.value(Kind::Counter, name, help, value);
    counter("redis_connections_received_total", "Connections accepted.", stats.connections);
    let refused = stats.rejected_connections;
    counter("redis_rejected_connections_total", "Connections refused.", refused);
    counter("redis_commands_processed_total", "Commands run.", stats.commands);
    counter("redis_net_input_bytes_total", "Bytes received.", stats.bytes_in);
    counter("redis_net_output_bytes_total", "Bytes given out.", stats.bytes_out);
    counter("redis_total_reads_processed", "How often input was handed in.", stats.inputs);
    counter("redis_total_writes_processed", "How often output was taken.", stats.outputs);
    counter("redis_total_error_replies", "Replies that were errors.", stats.error_replies);
    let evicted = state.evicted().1;
    counter("redis_evicted_clients_total", "Clients closed for memory.", evicted);
    counter(
        "redis_client_query_buffer_limit_disconnections_total",
        "Clients closed because of their input.",
        stats.query_buffer_closed,
    );
    counter(
        "redis_client_output_buffer_limit_disconnections_total",
        "Clients closed because of their output.",
        stats.output_buffer_closed,
    );
    let help = "Replies that were errors, by their first word.";
    let mut errors = text.family(Kind::Counter, "redis_errors_total", help);
    for (code, count) in &stats.errors {
        errors.sample(&[("err", code)], count);
    }
}

fn keys(text: &mut Exposition, state: &State) {
    let stats = &state.stats;
    let expiry = state.keyspace.expire_stats();
    let mut counter = |name, help, value| text.value(Kind::Counter, name, help, value);
    counter("redis_keyspace_hits_total", "Reads that found their key.", stats.hits);
    counter("redis_keyspace_misses_total", "Reads that did not.", stats.misses);
    counter("redis_expired_keys_total", "Keys whose time had come.", expiry.expired_keys);
    let fields = expiry.expired_fields;
    counter("redis_expired_subkeys_total", "Fields of hashes whose time had come.", fields);
    counter("redis_evicted_keys_total", "Keys deleted for memory.", state.evicted().0);
    let (name, help) = ("redis_rdb_changes_since_last_save", "Changes since the last save.");
    text.value(Kind::Gauge, name, help, state.dirty);
}

fn processor(text: &mut Exposition, vitals: Vitals) {
    let mut counter = |name, help, micros| {
        text.value(Kind::Counter, name, help, seconds(Micros(micros)));
    };
    counter("redis_cpu_user_seconds_total", "CPU time in user mode.", vitals.cpu_user_us);
    counter("redis_cpu_sys_seconds_total", "CPU time in the kernel.", vitals.cpu_system_us);
}

/// Those that were called at all.
fn commands(text: &mut Exposition, state: &State) {
    type Figure = fn(&CommandStats) -> f64;
    let families: [(&str, &str, Figure); 4] = [
        ("redis_commands_total", "Calls of each command.", |figures| figures.calls as f64),
        ("redis_commands_duration_seconds_total", "Time that each command took.", |figures| {
            seconds(Micros(figures.micros))
        }),
        ("redis_commands_rejected_calls_total", "Calls refused before they ran.", |figures| {
            figures.rejected as f64
        }),
        ("redis_commands_failed_calls_total", "Calls that ran and failed.", |figures| {
            figures.failed as f64
        }),
    ];
    for (name, help, figure) in families {
        let mut family = text.family(Kind::Counter, name, help);
        for row in table().rows() {
            let figures = &state.stats.by_command[row.index];
            if figures.calls > 0 || figures.rejected > 0 {
                family.sample(&[("cmd", row.full_name)], figure(figures));
            }
        }
    }
}

fn databases(text: &mut Exposition, state: &State) {
    let keyspace = &state.keyspace;
    let shown: Vec<(String, usize, usize)> = (0..keyspace.count().min(DATABASES_MAX))
        .map(|index| (index, keyspace.db(index)))
        .filter(|(index, db)| *index < DATABASES_SHOWN || !db.is_empty())
        .map(|(index, db)| (format!("db{index}"), db.len(), db.len_with_ttl()))
        .collect();
    let mut family = text.family(Kind::Gauge, "redis_db_keys", "Keys of each database.");
    shown.iter().for_each(|(name, keys, _)| family.sample(&[("db", name)], keys));
    let (name, help) = ("redis_db_keys_expiring", "Keys of each database that expire.");
    let mut family = text.family(Kind::Gauge, name, help);
    shown.iter().for_each(|(name, _, expiring)| family.sample(&[("db", name)], expiring));
}

/// What no other server tells.
fn ours(text: &mut Exposition, state: &State, vitals: Vitals) {
    let stats = &state.stats;
    let expiry = state.keyspace.expire_stats();
    let handshakes = vitals.handshakes;
    text.value(Kind::Counter, "orrery_steps_total", "Steps of the engine.", stats.steps);
    let (name, help) = ("orrery_longest_step_seconds", "The longest step so far.");
    text.value(Kind::Gauge, name, help, seconds(stats.longest_step));
    let (name, help) = ("orrery_expire_lag_seconds", "How late the last expiration was.");
    text.value(Kind::Gauge, name, help, expiry.lag_ms as f64 / 1e3);
    let (name, help) = ("orrery_expire_lag_max_seconds", "How late any expiration was.");
    text.value(Kind::Gauge, name, help, expiry.lag_ms_max as f64 / 1e3);
    let (name, help) = ("orrery_tls_handshakes_total", "What became of TLS handshakes.");
    let mut family = text.family(Kind::Counter, name, help);
    family.sample(&[("result", "done")], handshakes.done);
    family.sample(&[("result", "failed")], handshakes.failed);
    let (name, help) = ("orrery_tls_handshakes_resumed_total", "Done from an earlier session.");
    text.value(Kind::Counter, name, help, handshakes.resumed);
    let (name, help) = ("orrery_tls_handshakes_pending", "TLS handshakes that go on.");
    text.value(Kind::Gauge, name, help, handshakes.pending);
}
