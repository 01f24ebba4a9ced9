//! INFO: sections of `name:value` lines, with Redis's names in Redis's order.
//!
//! No figure is made up. What this server does not have (forks, replicas, scripts) is zero, as it
//! would be in a Redis that does not use it; what it has and nobody measured is left out.

use core::fmt::{Display, Write};

use super::Cx;
use super::spec::{Command, Flags, Group};
use super::table::table;
use crate::args::Args;
pub use crate::config::REDIS_VERSION;
use crate::error::Error;
use crate::session::Topic;

/// This server's own version.
pub const ORRERY_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[Command {
    name: "INFO",
    syntax: "[section [section ...]]",
    arity: -1,
    flags: Flags::LOADING.and(Flags::STALE),
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    categories: &["dangerous"],
    group: Group::Server,
    complexity: "O(N) where N is the number of connections",
    summary: "Returns facts and figures about the server.",
    reply: "verbatim",
    run: info,
    ..Command::ROW
}];

/// One section.
struct Section {
    title: &'static str,
    /// Whether it is shown when none is named.
    in_default: bool,
    write: fn(&mut Cx<'_>, &mut Lines),
}

const fn section(title: &'static str, write: fn(&mut Cx<'_>, &mut Lines)) -> Section {
    Section { title, in_default: true, write }
}

const SECTIONS: [Section; 13] = [
    section("Server", server),
    section("Clients", clients),
    section("Memory", super::info_memory::memory),
    section("Persistence", super::info_persistence::persistence),
    section("Stats", stats),
    section("Replication", replication),
    section("CPU", cpu),
    section("Modules", |_, _| {}),
    Section { in_default: false, ..section("Commandstats", command_stats) },
    section("Errorstats", error_stats),
    Section { in_default: false, ..section("Latencystats", latency_stats) },
    section("Cluster", |_, lines| lines.field("cluster_enabled", 0)),
    section("Keyspace", keyspace),
];

/// The lines of a section.
#[derive(Default)]
pub(super) struct Lines(String);

impl Lines {
    /// `name:value`.
    pub(super) fn field(&mut self, name: &str, value: impl Display) {
        write!(self.0, "{name}:{value}\r\n").expect("a String takes everything");
    }

    /// Fields that are zero because this server has no such thing.
    pub(super) fn zeros(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.field(name, 0));
    }

    /// Text that is not known is left out.
    pub(super) fn known(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.field(name, value);
        }
    }
}

fn info(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let named = |title: &str| {
        (1..args.len()).any(|index| args.at(index).eq_ignore_ascii_case(title.as_bytes()))
    };
    let everything = named("all") || named("everything");
    let default = args.len() == 1 || named("default");
    let mut lines = Lines::default();
    cx.state.settle_durations();
    for section in &SECTIONS {
        if everything || default && section.in_default || named(section.title) {
            if !lines.0.is_empty() {
                lines.0.push_str("\r\n");
            }
            lines.0.push_str("# ");
            lines.0.push_str(section.title);
            lines.0.push_str("\r\n");
            (section.write)(cx, &mut lines);
        }
    }
    cx.reply.verbatim("txt", &lines.0);
    Ok(())
}

fn server(cx: &mut Cx<'_>, lines: &mut Lines) {
    let state = &cx.state;
    let facts = &state.facts;
    let uptime_secs = cx.now.mono.since(state.started.mono).0 / 1_000_000;
    let setting = |name: &str| state.config.value(name).unwrap_or_default();
    lines.field("redis_version", REDIS_VERSION);
    lines.field("redis_git_sha1", "00000000");
    lines.field("redis_git_dirty", 0);
    lines.known("redis_build_id", &facts.build_id);
    lines.field("redis_mode", "standalone");
    lines.known("os", &facts.os);
    lines.field("arch_bits", usize::BITS);
    lines.known("monotonic_clock", &facts.monotonic_clock);
    lines.known("multiplexing_api", &facts.multiplexing_api);
    // What a Redis says that was not built by gcc.
    lines.field("gcc_version", "0.0.0");
    if facts.process_id != 0 {
        lines.field("process_id", facts.process_id);
    }
    lines.field("process_supervised", "no");
    lines.field("run_id", &state.run_id);
    // As in Redis: the port for TLS when there is no other.
    let port = if setting("port") == "0" { setting("tls-port") } else { setting("port") };
    lines.field("tcp_port", port);
    lines.field("server_time_usec", cx.now.wall.0);
    lines.field("uptime_in_seconds", uptime_secs);
    lines.field("uptime_in_days", uptime_secs / 86_400);
    // Nothing here works by ticks; both are what the configuration says.
    lines.field("hz", setting("hz"));
    lines.field("configured_hz", setting("hz"));
    lines.field("lru_clock", state.access_second());
    lines.known("executable", &facts.executable);
    lines.field("config_file", facts.config_file.as_deref().unwrap_or_default());
    lines.field("io_threads_active", 0);
    lines.field("orrery_version", ORRERY_VERSION);
    lines.field("orrery_ttl_clock", state.config.ttl_clock.word());
}

fn clients(cx: &mut Cx<'_>, lines: &mut Lines) {
    let sessions = &cx.state.sessions;
    let (mut input_max, mut output_max, mut blocked) = (0, 0, 0);
    for session in sessions.ids().into_iter().filter_map(|conn| sessions.find(conn)) {
        input_max = input_max.max(session.input_pending);
        output_max = output_max.max(session.output_pending());
        blocked += usize::from(session.blocked.is_some());
    }
    lines.field("connected_clients", sessions.len());
    lines.field("cluster_connections", 0);
    lines.field("maxclients", cx.state.config.maxclients);
    // At this moment; Redis shows the largest of the last seconds.
    lines.field("client_recent_max_input_buffer", input_max.max(cx.session.input_pending));
    lines.field("client_recent_max_output_buffer", output_max.max(cx.session.output_pending()));
    lines.field("blocked_clients", blocked);
    lines.field("tracking_clients", cx.state.tracking.clients());
    lines.field("clients_in_timeout_table", 0);
    let (watching, watched) = cx.state.watches.totals();
    lines.field("watching_clients", watching);
    lines.field("total_watched_keys", watched);
    let (keys, keys_to_their_end) = cx.state.waits.keys();
    lines.field("total_blocking_keys", keys);
    lines.field("total_blocking_keys_on_nokey", keys_to_their_end);
}

fn stats(cx: &mut Cx<'_>, lines: &mut Lines) {
    let state = &cx.state;
    let stats = &state.stats;
    let expiry = state.keyspace.expire_stats();
    let rates = state.rates.per_second(cx.now.mono, state.counters());
    lines.field("total_connections_received", stats.connections);
    lines.field("total_commands_processed", stats.commands);
    lines.field("instantaneous_ops_per_sec", rates[0] as u64);
    lines.field("total_net_input_bytes", stats.bytes_in);
    lines.field("total_net_output_bytes", stats.bytes_out);
    lines.zeros(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"]);
    lines.field("instantaneous_input_kbps", format_args!("{:.2}", rates[1] / 1024.0));
    lines.field("instantaneous_output_kbps", format_args!("{:.2}", rates[2] / 1024.0));
    lines.field("instantaneous_input_repl_kbps", "0.00");
    lines.field("instantaneous_output_repl_kbps", "0.00");
    lines.field("rejected_connections", stats.rejected_connections);
    lines.zeros(&["sync_full", "sync_partial_ok", "sync_partial_err"]);
    lines.field("expired_keys", expiry.expired_keys);
    lines.field("expired_subkeys", expiry.expired_fields);
    // Expiry is exact: nothing is estimated by samples, and no cycle runs out of time.
    lines.field("expired_stale_perc", "0.00");
    lines.field("expired_time_cap_reached_count", 0);
    lines.field("evicted_keys", state.eviction.keys);
    lines.field("evicted_clients", state.eviction.clients);
    let (current, total) = state.eviction.exceeded(cx.now.mono);
    lines.field("total_eviction_exceeded_time", total.as_millis());
    lines.field("current_eviction_exceeded_time", current.as_millis());
    lines.field("keyspace_hits", stats.hits);
    lines.field("keyspace_misses", stats.misses);
    lines.field("pubsub_channels", state.pubsub.count(Topic::Channel));
    lines.field("pubsub_patterns", state.pubsub.count(Topic::Pattern));
    lines.field("pubsubshard_channels", state.pubsub.count(Topic::ShardChannel));
    lines.zeros(&["latest_fork_usec", "total_forks", "migrate_cached_sockets"]);
    lines.zeros(&["slave_expires_tracked_keys", "active_defrag_hits", "active_defrag_misses"]);
    lines.zeros(&["active_defrag_key_hits", "active_defrag_key_misses"]);
    lines.zeros(&["total_active_defrag_time", "current_active_defrag_time"]);
    let [keys, items, prefixes] = state.tracking.totals();
    lines.field("tracking_total_keys", keys);
    lines.field("tracking_total_items", items);
    lines.field("tracking_total_prefixes", prefixes);
    lines.field("unexpected_error_replies", 0);
    lines.field("total_error_replies", stats.error_replies);
    lines.field("dump_payload_sanitizations", 0);
    lines.field("total_reads_processed", stats.inputs);
    lines.field("total_writes_processed", stats.outputs);
    lines.zeros(&["io_threaded_reads_processed", "io_threaded_writes_processed"]);
    lines.zeros(&["reply_buffer_shrinks", "reply_buffer_expands"]);
    // Ours: Redis 7.2 has the first two under these names.
    lines.field("client_query_buffer_limit_disconnections", stats.query_buffer_closed);
    lines.field("client_output_buffer_limit_disconnections", stats.output_buffer_closed);
    lines.field("orrery_steps", stats.steps);
    lines.field("orrery_longest_step_usec", stats.longest_step.0);
    lines.field("orrery_expire_lag_ms", expiry.lag_ms);
    lines.field("orrery_expire_lag_max_ms", expiry.lag_ms_max);
    let handshakes = state.vitals.handshakes;
    lines.field("orrery_tls_handshakes", handshakes.done);
    lines.field("orrery_tls_handshakes_resumed", handshakes.resumed);
    lines.field("orrery_tls_handshakes_failed", handshakes.failed);
    lines.field("orrery_tls_handshakes_pending", handshakes.pending);
}

fn replication(cx: &mut Cx<'_>, lines: &mut Lines) {
    let backlog = cx.state.config.value("repl-backlog-size").unwrap_or_default();
    lines.field("role", "master");
    lines.field("connected_slaves", 0);
    if cx.state.config.replicas.needs_some() {
        lines.field("min_slaves_good_slaves", 0);
    }
    lines.field("master_failover_state", "no-failover");
    lines.field("master_replid", &cx.state.replication_id);
    lines.field("master_replid2", "0".repeat(40));
    lines.field("master_repl_offset", 0);
    lines.field("second_repl_offset", -1);
    lines.field("repl_backlog_active", 0);
    lines.field("repl_backlog_size", backlog);
    lines.zeros(&["repl_backlog_first_byte_offset", "repl_backlog_histlen"]);
}

/// One thread does everything, so its time is the process's, and there are no children.
fn cpu(cx: &mut Cx<'_>, lines: &mut Lines) {
    let vitals = cx.state.vitals;
    let seconds = |micros: u64| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    lines.field("used_cpu_sys", seconds(vitals.cpu_system_us));
    lines.field("used_cpu_user", seconds(vitals.cpu_user_us));
    lines.field("used_cpu_sys_children", seconds(0));
    lines.field("used_cpu_user_children", seconds(0));
}

fn command_stats(cx: &mut Cx<'_>, lines: &mut Lines) {
    for row in table().rows() {
        let figures = cx.state.stats.by_command[row.index];
        if figures.calls == 0 && figures.rejected == 0 {
            continue;
        }
        let per_call = figures.micros as f64 / figures.calls.max(1) as f64;
        let name = format!("cmdstat_{}", row.full_name);
        let (calls, micros) = (figures.calls, figures.micros);
        let (rejected, failed) = (figures.rejected, figures.failed);
        lines.field(
            &name,
            format_args!(
                "calls={calls},usec={micros},usec_per_call={per_call:.2},\
                 rejected_calls={rejected},failed_calls={failed}"
            ),
        );
    }
}

fn latency_stats(cx: &mut Cx<'_>, lines: &mut Lines) {
    let percentiles = &cx.state.config.observation.percentiles;
    for row in table().rows() {
        let Some(histogram) = cx.state.observer.durations.of(row.index) else { continue };
        let values: Vec<String> = percentiles
            .iter()
            .map(|percentile| {
                let nanos = histogram.at_percentile(percentile.parse().unwrap_or(100.0));
                format!("p{percentile}={:.3}", nanos as f64 / 1000.0)
            })
            .collect();
        let name = format!("latency_percentiles_usec_{}", row.full_name);
        lines.field(&name, values.join(","));
    }
}

fn error_stats(cx: &mut Cx<'_>, lines: &mut Lines) {
    for (code, count) in &cx.state.stats.errors {
        lines.field(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

fn keyspace(cx: &mut Cx<'_>, lines: &mut Lines) {
    for index in 0..cx.state.keyspace.count() {
        let db = cx.state.keyspace.db(index);
        if !db.is_empty() {
            let (keys, expires) = (db.len(), db.len_with_ttl());
            // Redis shows the mean TTL of the keys that it sampled; nothing is sampled here.
            let value = format_args!("keys={keys},expires={expires},avg_ttl=0").to_string();
            lines.field(&format!("db{index}"), value);
        }
    }
}
