//! Every parameter, one row each, in the order of their names.
//!
//! Names, kinds, ranges and defaults are those of Redis 7.0 but for four: `bind` (ours is loopback
//! only) and `save` (nothing is saved yet) unless `defaults` says otherwise, `dir` (empty: wherever
//! the process was started), and those that Redis does not have.

use super::encodings::{RDB_VERSIONS, rdb_target, rdb_version};
use super::eviction::{ClientsLimit, POLICY_NAMES, Policy};
use super::grammar::*;
use super::parameter::{Flags, Parameter};
use super::value::Value;
use super::{Access, Defaults, EncodingNames, TtlClock};

const INT_MAX: i64 = i32::MAX as i64;
const UINT_MAX: i64 = u32::MAX as i64;
const LONG_MAX: i64 = i64::MAX;
const SIZE_MAX: u64 = i64::MAX as u64;
/// Who may use something that is off by default.
const ACCESS: &[&str] = &["no", "yes", "local"];

/// All rows.
pub static PARAMETERS: &[Parameter] = &[
    Parameter::choice("acl-pubsub-default", &["allchannels", "resetchannels"], "resetchannels")
        .field(
            |c| Value::Choice(if c.all_channels { "allchannels" } else { "resetchannels" }),
            |c, v| c.all_channels = v.text() == "allchannels",
        ),
    Parameter::text("aclfile", "")
        .immutable()
        .field(|c| Value::Text(c.acl_file.clone()), |c, v| c.acl_file = v.text().to_owned()),
    Parameter::integer("acllog-max-len", 0, LONG_MAX, "128")
        .field(|c| Value::Integer(c.acl_log_len_max as i128), |c, v| c.acl_log_len_max = v.size()),
    Parameter::integer("active-defrag-cycle-max", 1, 99, "25"),
    Parameter::integer("active-defrag-cycle-min", 1, 99, "1"),
    Parameter::memory("active-defrag-ignore-bytes", 1, SIZE_MAX, "104857600"),
    Parameter::integer("active-defrag-max-scan-fields", 1, LONG_MAX, "1000"),
    Parameter::integer("active-defrag-threshold-lower", 0, 1000, "10"),
    Parameter::integer("active-defrag-threshold-upper", 0, 1000, "100"),
    Parameter::integer("active-expire-effort", 1, 10, "1"),
    Parameter::flag("activedefrag", "no"),
    Parameter::flag("activerehashing", "yes"),
    Parameter::flag("always-show-logo", "no").immutable(),
    Parameter::flag("aof-disable-auto-gc", "no").engine(),
    Parameter::memory("aof-load-corrupt-tail-max-size", 0, SIZE_MAX, "0").engine(),
    Parameter::flag("aof-load-truncated", "yes").engine(),
    Parameter::flag("aof-rewrite-incremental-fsync", "yes").engine(),
    Parameter::flag("aof-timestamp-enabled", "no").engine(),
    Parameter::flag("aof-use-rdb-preamble", "yes").engine(),
    Parameter::text("aof_rewrite_cpulist", "").immutable(),
    Parameter::text("appenddirname", "appendonlydir").immutable().checked(appenddirname).engine(),
    Parameter::text("appendfilename", "appendonly.aof")
        .immutable()
        .checked(appendfilename)
        .engine(),
    Parameter::choice("appendfsync", &["everysec", "always", "no"], "everysec").engine(),
    Parameter::flag("appendonly", "no").engine(),
    Parameter::memory("auto-aof-rewrite-min-size", 0, SIZE_MAX, "67108864").engine(),
    Parameter::integer("auto-aof-rewrite-percentage", 0, INT_MAX, "100").engine(),
    Parameter::text("bgsave_cpulist", "").immutable(),
    Parameter::words("bind", &BIND, "127.0.0.1 -::1").driver(),
    Parameter::text("bind-source-addr", ""),
    Parameter::text("bio_cpulist", "").immutable(),
    Parameter::integer("busy-reply-threshold", 0, LONG_MAX, "5000").alias("lua-time-limit").field(
        |c| Value::Integer(c.busy_reply_threshold_ms.into()),
        |c, v| c.busy_reply_threshold_ms = v.unsigned(),
    ),
    Parameter::words(
        "client-output-buffer-limit",
        &OUTPUT_LIMITS,
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
    )
    .field(|c| output_limits_value(&c.output_limits), |c, v| c.output_limits = output_limits(v)),
    Parameter::memory("client-query-buffer-limit", 1048576, SIZE_MAX, "1073741824").field(
        |c| Value::Integer(c.client_query_buffer_limit.into()),
        |c, v| c.client_query_buffer_limit = v.unsigned(),
    ),
    Parameter::integer("client-subscriptions-max", 1, INT_MAX, "1000000").field(
        |c| Value::Integer(c.client_subscriptions_max as i128),
        |c, v| c.client_subscriptions_max = v.size(),
    ),
    Parameter::flag("cluster-allow-pubsubshard-when-down", "yes"),
    Parameter::flag("cluster-allow-reads-when-down", "no"),
    Parameter::flag("cluster-allow-replica-migration", "yes"),
    Parameter::integer("cluster-announce-bus-port", 0, 65535, "0"),
    Parameter::text("cluster-announce-hostname", "").checked(hostname),
    Parameter::text("cluster-announce-ip", ""),
    Parameter::integer("cluster-announce-port", 0, 65535, "0"),
    Parameter::integer("cluster-announce-tls-port", 0, 65535, "0"),
    Parameter::text("cluster-config-file", "nodes.conf").immutable(),
    Parameter::flag("cluster-enabled", "no").immutable().checked(standalone),
    Parameter::memory("cluster-link-sendbuf-limit", 0, u64::MAX, "0"),
    Parameter::integer("cluster-migration-barrier", 0, INT_MAX, "1"),
    Parameter::integer("cluster-node-timeout", 0, LONG_MAX, "15000"),
    Parameter::integer("cluster-port", 0, 65535, "0").immutable(),
    Parameter::choice(
        "cluster-preferred-endpoint-type",
        &["ip", "hostname", "unknown-endpoint"],
        "ip",
    ),
    Parameter::flag("cluster-replica-no-failover", "no").alias("cluster-slave-no-failover"),
    Parameter::integer("cluster-replica-validity-factor", 0, INT_MAX, "10")
        .alias("cluster-slave-validity-factor"),
    Parameter::flag("cluster-require-full-coverage", "yes"),
    Parameter::integer("commandlog-large-reply-max-len", 0, LONG_MAX, "128").field(
        |c| Value::Integer(c.observation.large_reply.len_max as i128),
        |c, v| c.observation.large_reply.len_max = v.size(),
    ),
    Parameter::integer("commandlog-large-request-max-len", 0, LONG_MAX, "128").field(
        |c| Value::Integer(c.observation.large_request.len_max as i128),
        |c, v| c.observation.large_request.len_max = v.size(),
    ),
    Parameter::integer("commandlog-reply-larger-than", -1, LONG_MAX, "1048576").field(
        |c| Value::Integer(c.observation.large_reply.threshold.into()),
        |c, v| c.observation.large_reply.threshold = v.signed(),
    ),
    Parameter::integer("commandlog-request-larger-than", -1, LONG_MAX, "1048576").field(
        |c| Value::Integer(c.observation.large_request.threshold.into()),
        |c, v| c.observation.large_request.threshold = v.signed(),
    ),
    Parameter::flag("crash-log-enabled", "yes"),
    Parameter::flag("crash-memcheck-enabled", "yes"),
    Parameter::flag("daemonize", "no").immutable().driver(),
    Parameter::integer("databases", 1, INT_MAX, "16")
        .immutable()
        .field(|c| Value::Integer(c.databases as i128), |c, v| c.databases = v.size()),
    Parameter::text("dbfilename", "dump.rdb").with(Flags::PROTECTED).checked(dbfilename).engine(),
    Parameter::choice("defaults", &Defaults::WORDS, "orrery")
        .fixed()
        .field(|c| Value::Choice(c.defaults.word()), |c, v| c.defaults = Defaults::of(v.text())),
    Parameter::text("dir", "").with(Flags::PROTECTED).driver(),
    Parameter::flag("disable-thp", "yes").immutable(),
    Parameter::flag("dynamic-hz", "yes"),
    Parameter::choice("enable-debug-command", ACCESS, "no")
        .immutable()
        .field(|c| Value::Choice(c.debug_command.word()), |c, v| c.debug_command = Access::of(v)),
    Parameter::choice("enable-module-command", ACCESS, "no").immutable(),
    Parameter::choice("enable-protected-configs", ACCESS, "no").immutable().field(
        |c| Value::Choice(c.protected_configs.word()),
        |c, v| c.protected_configs = Access::of(v),
    ),
    Parameter::choice("encoding-names", &EncodingNames::WORDS, "7.2").field(
        |c| Value::Choice(c.encodings.names.word()),
        |c, v| c.encodings.names = EncodingNames::of(v.text()),
    ),
    Parameter::integer("hash-max-listpack-entries", 0, LONG_MAX, "512")
        .alias("hash-max-ziplist-entries")
        .field(
            |c| Value::Integer(c.encodings.hash_entries as i128),
            |c, v| c.encodings.hash_entries = v.size(),
        ),
    Parameter::memory("hash-max-listpack-value", 0, SIZE_MAX, "64")
        .alias("hash-max-ziplist-value")
        .field(
            |c| Value::Integer(c.encodings.hash_value_bytes as i128),
            |c, v| c.encodings.hash_value_bytes = v.size(),
        ),
    Parameter::memory("hll-sparse-max-bytes", 0, SIZE_MAX, "3000").field(
        |c| Value::Integer(c.encodings.hyperloglog_sparse_bytes as i128),
        |c, v| c.encodings.hyperloglog_sparse_bytes = v.size(),
    ),
    Parameter::integer("hotkeys-report-sample", 0, INT_MAX, "100").field(
        |c| Value::Integer(c.observation.hot_keys_sample.into()),
        |c, v| c.observation.hot_keys_sample = v.unsigned(),
    ),
    Parameter::integer("hz", 0, INT_MAX, "10"),
    Parameter::text("ignore-warnings", ""),
    Parameter::words("include", &REPEATED, "").with(Flags::DIRECTIVE).driver(),
    Parameter::integer("io-threads", 1, 128, "1").immutable(),
    Parameter::flag("io-threads-do-reads", "no").immutable(),
    Parameter::flag("jemalloc-bg-thread", "yes"),
    Parameter::integer("key-load-delay", -INT_MAX - 1, INT_MAX, "0").with(Flags::HIDDEN).engine(),
    Parameter::integer("latency-monitor-threshold", 0, LONG_MAX, "0").field(
        |c| Value::Integer(c.observation.latency_threshold_ms.into()),
        |c, v| c.observation.latency_threshold_ms = v.unsigned(),
    ),
    Parameter::flag("latency-tracking", "yes").field(
        |c| Value::Flag(c.observation.latency_tracking),
        |c, v| c.observation.latency_tracking = v.flag(),
    ),
    Parameter::words("latency-tracking-info-percentiles", &PERCENTILES, "50 99 99.9").field(
        |c| Value::Words(c.observation.percentiles.clone()),
        |c, v| c.observation.percentiles = v.words().to_vec(),
    ),
    Parameter::flag("lazyfree-lazy-eviction", "no"),
    Parameter::flag("lazyfree-lazy-expire", "no"),
    Parameter::flag("lazyfree-lazy-server-del", "no"),
    Parameter::flag("lazyfree-lazy-user-del", "no"),
    Parameter::flag("lazyfree-lazy-user-flush", "no"),
    Parameter::integer("lfu-decay-time", 0, INT_MAX, "1").field(
        |c| Value::Integer(c.eviction.lfu_decay_mins.into()),
        |c, v| c.eviction.lfu_decay_mins = v.unsigned(),
    ),
    Parameter::integer("lfu-log-factor", 0, INT_MAX, "10").field(
        |c| Value::Integer(c.eviction.lfu_log_factor.into()),
        |c, v| c.eviction.lfu_log_factor = v.unsigned(),
    ),
    Parameter::integer("list-compress-depth", 0, INT_MAX, "0").field(
        |c| Value::Integer(c.encodings.list_compress_depth as i128),
        |c, v| c.encodings.list_compress_depth = v.size(),
    ),
    Parameter::integer("list-max-listpack-size", -INT_MAX - 1, INT_MAX, "-2")
        .alias("list-max-ziplist-size")
        .field(
            |c| Value::Integer(c.encodings.list_node_size.into()),
            |c, v| c.encodings.list_node_size = v.signed(),
        ),
    Parameter::integer("loading-process-events-interval-bytes", 1024, INT_MAX, "2097152")
        .with(Flags::HIDDEN),
    Parameter::words("loadmodule", &REPEATED, "").with(Flags::DIRECTIVE),
    Parameter::words("lock-grace", &PATTERNS, "").fixed().field(
        |c| Value::Words(c.lock_grace.patterns.clone()),
        |c, v| c.lock_grace.patterns = v.words().to_vec(),
    ),
    Parameter::integer("lock-grace-max-ttl", 1000, 31_536_000_000, "3600000").fixed().field(
        |c| Value::Integer(c.lock_grace.ttl_ms_max.into()),
        |c, v| c.lock_grace.ttl_ms_max = v.unsigned(),
    ),
    Parameter::choice("log-format", &["text", "json"], "text").driver(),
    Parameter::text("logfile", "").immutable().driver(),
    Parameter::choice("loglevel", &["debug", "verbose", "notice", "warning"], "notice").driver(),
    Parameter::flag("lua-enable-deprecated-api", "no").immutable().with(Flags::HIDDEN),
    Parameter::memory("lua-memory-max", 1 << 20, SIZE_MAX, "134217728").fixed().field(
        |c| Value::Integer(c.script_memory_bytes_max as i128),
        |c, v| c.script_memory_bytes_max = v.size(),
    ),
    Parameter::text("masterauth", "").with(Flags::SENSITIVE),
    Parameter::text("masteruser", "").with(Flags::SENSITIVE),
    Parameter::integer("maxclients", 1, UINT_MAX, "10000")
        .field(|c| Value::Integer(c.maxclients as i128), |c, v| c.maxclients = v.size()),
    Parameter::memory("maxmemory", 0, u64::MAX, "0").field(
        |c| Value::Integer(c.eviction.bytes_max.into()),
        |c, v| c.eviction.bytes_max = v.unsigned(),
    ),
    Parameter::memory_or_percent("maxmemory-clients", "0")
        .field(|c| c.eviction.clients.value(), |c, v| c.eviction.clients = ClientsLimit::of(v)),
    Parameter::integer("maxmemory-eviction-tenacity", 0, 100, "10").field(
        |c| Value::Integer(c.eviction.tenacity.into()),
        |c, v| c.eviction.tenacity = v.unsigned() as u32,
    ),
    Parameter::choice("maxmemory-policy", POLICY_NAMES, "noeviction").field(
        |c| Value::Choice(c.eviction.policy.name()),
        |c, v| c.eviction.policy = Policy::of(v),
    ),
    Parameter::integer("maxmemory-samples", 1, INT_MAX, "5").field(
        |c| Value::Integer(c.eviction.samples as i128),
        |c, v| c.eviction.samples = v.size(),
    ),
    Parameter::words("metrics-bind", &BIND, "127.0.0.1 -::1").driver(),
    Parameter::flag("metrics-key-names", "no").driver(),
    Parameter::integer("metrics-port", 0, 65535, "0").driver(),
    Parameter::integer("min-replicas-max-lag", 0, INT_MAX, "10").alias("min-slaves-max-lag").field(
        |c| Value::Integer(c.replicas.lag_secs_max.into()),
        |c, v| c.replicas.lag_secs_max = v.unsigned(),
    ),
    Parameter::integer("min-replicas-to-write", 0, INT_MAX, "0")
        .alias("min-slaves-to-write")
        .field(
            |c| Value::Integer(c.replicas.count_min.into()),
            |c, v| c.replicas.count_min = v.unsigned(),
        ),
    Parameter::flag("no-appendfsync-on-rewrite", "no").engine(),
    Parameter::special("notify-keyspace-events", &EVENTS, "")
        .field(|c| Value::Text(c.notify_events.spell()), |c, v| c.notify_events = event_classes(v)),
    Parameter::choice("oom-score-adj", &["no", "yes", "relative", "absolute"], "no").driver(),
    Parameter::words("oom-score-adj-values", &OOM_SCORES, "0 200 800").driver(),
    Parameter::text("pidfile", "").immutable().driver(),
    Parameter::integer("port", 0, 65535, "6379").driver(),
    Parameter::text("proc-title-template", "{title} {listen-addr} {server-mode}").checked(title),
    Parameter::choice(
        "propagation-error-behavior",
        &["ignore", "panic", "panic-on-replicas"],
        "ignore",
    ),
    Parameter::words("protected-keys", &PATTERNS, "").fixed().field(
        |c| Value::Words(c.eviction.protected_keys.clone()),
        |c, v| c.eviction.protected_keys = v.words().to_vec(),
    ),
    Parameter::flag("protected-mode", "yes")
        .field(|c| Value::Flag(c.protected_mode), |c, v| c.protected_mode = v.flag()),
    Parameter::memory("proto-max-bulk-len", 1048576, SIZE_MAX, "536870912").field(
        |c| Value::Integer(c.proto_max_bulk_len.into()),
        |c, v| c.proto_max_bulk_len = v.unsigned(),
    ),
    Parameter::flag("rdb-del-sync-files", "no"),
    Parameter::integer("rdb-key-save-delay", -INT_MAX - 1, INT_MAX, "0")
        .with(Flags::HIDDEN)
        .engine(),
    Parameter::flag("rdb-save-incremental-fsync", "yes").engine(),
    Parameter::choice("rdb-version", &RDB_VERSIONS, "11").field(
        |c| Value::Choice(rdb_version(c.encodings.rdb_target)),
        |c, v| c.encodings.rdb_target = rdb_target(v.text()),
    ),
    Parameter::flag("rdbchecksum", "yes").immutable().engine(),
    Parameter::flag("rdbcompression", "yes").field(
        |c| Value::Flag(c.encodings.rdb_compression),
        |c, v| c.encodings.rdb_compression = v.flag(),
    ),
    Parameter::text("record-file", "").fixed().driver(),
    Parameter::memory("record-file-size-max", 1 << 20, SIZE_MAX, "268435456").fixed().driver(),
    Parameter::integer("record-files-max", 1, 10_000, "8").fixed().driver(),
    Parameter::words("rename-command", &RENAMES, "")
        .with(Flags::DIRECTIVE)
        .field(|c| renames_value(&c.renamed_commands), |c, v| c.renamed_commands = renames(v)),
    Parameter::memory("repl-backlog-size", 1, SIZE_MAX, "1048576"),
    Parameter::integer("repl-backlog-ttl", 0, LONG_MAX, "3600"),
    Parameter::flag("repl-disable-tcp-nodelay", "no"),
    Parameter::choice("repl-diskless-load", &["disabled", "on-empty-db", "swapdb"], "disabled"),
    Parameter::flag("repl-diskless-sync", "yes"),
    Parameter::integer("repl-diskless-sync-delay", 0, INT_MAX, "5"),
    Parameter::integer("repl-diskless-sync-max-replicas", 0, INT_MAX, "0"),
    Parameter::integer("repl-ping-replica-period", 1, INT_MAX, "10")
        .alias("repl-ping-slave-period"),
    Parameter::integer("repl-timeout", 1, INT_MAX, "60"),
    Parameter::text("replica-announce-ip", "").alias("slave-announce-ip"),
    Parameter::integer("replica-announce-port", 0, 65535, "0").alias("slave-announce-port"),
    Parameter::flag("replica-announced", "yes"),
    Parameter::flag("replica-ignore-disk-write-errors", "no"),
    Parameter::flag("replica-ignore-maxmemory", "yes").alias("slave-ignore-maxmemory"),
    Parameter::flag("replica-lazy-flush", "no").alias("slave-lazy-flush"),
    Parameter::integer("replica-priority", 0, INT_MAX, "100").alias("slave-priority"),
    Parameter::flag("replica-read-only", "yes").alias("slave-read-only"),
    Parameter::flag("replica-serve-stale-data", "yes").alias("slave-serve-stale-data"),
    Parameter::words("replicaof", &PRIMARY, "").alias("slaveof").immutable(),
    Parameter::text("requirepass", "")
        .with(Flags::SENSITIVE)
        .field(|c| Value::Text(c.requirepass.clone()), |c, v| c.requirepass = v.text().to_owned()),
    Parameter::choice("sanitize-dump-payload", &["no", "yes", "clients"], "no"),
    Parameter::words("save", &SAVE, "").engine(),
    Parameter::memory("script-undo-memory-max", 0, SIZE_MAX, "268435456").field(
        |c| Value::Integer(c.script_undo_bytes_max as i128),
        |c, v| c.script_undo_bytes_max = v.size(),
    ),
    Parameter::text("server_cpulist", "").immutable(),
    Parameter::integer("set-max-intset-entries", 0, LONG_MAX, "512").field(
        |c| Value::Integer(c.encodings.intset_entries as i128),
        |c, v| c.encodings.intset_entries = v.size(),
    ),
    Parameter::integer("set-max-listpack-entries", 0, LONG_MAX, "128").field(
        |c| Value::Integer(c.encodings.set_entries as i128),
        |c, v| c.encodings.set_entries = v.size(),
    ),
    Parameter::memory("set-max-listpack-value", 0, SIZE_MAX, "64").field(
        |c| Value::Integer(c.encodings.set_value_bytes as i128),
        |c, v| c.encodings.set_value_bytes = v.size(),
    ),
    Parameter::flag("set-proc-title", "yes").immutable(),
    Parameter::words("shutdown-on-sigint", &SHUTDOWN_OPTIONS, "default").engine(),
    Parameter::words("shutdown-on-sigterm", &SHUTDOWN_OPTIONS, "default").engine(),
    Parameter::integer("shutdown-timeout", 0, INT_MAX, "10"),
    Parameter::integer("slowlog-log-slower-than", -1, LONG_MAX, "10000")
        .alias("commandlog-execution-slower-than")
        .field(
            |c| Value::Integer(c.observation.slow.threshold.into()),
            |c, v| c.observation.slow.threshold = v.signed(),
        ),
    Parameter::integer("slowlog-max-len", 0, LONG_MAX, "128")
        .alias("commandlog-slow-execution-max-len")
        .field(
            |c| Value::Integer(c.observation.slow.len_max as i128),
            |c, v| c.observation.slow.len_max = v.size(),
        ),
    Parameter::integer("socket-mark-id", 0, UINT_MAX, "0").immutable(),
    Parameter::integer("step-commands-max", 1, INT_MAX, "512").field(
        |c| Value::Integer(c.step_commands_max as i128),
        |c, v| c.step_commands_max = v.size(),
    ),
    Parameter::integer("step-expirations-max", 1, INT_MAX, "512").field(
        |c| Value::Integer(c.step_expirations_max as i128),
        |c, v| c.step_expirations_max = v.size(),
    ),
    Parameter::flag("stop-writes-on-bgsave-error", "yes").engine(),
    Parameter::integer("stream-idmp-duration", 1, 86_400, "100").field(
        |c| Value::Integer(c.encodings.stream_producer_secs.into()),
        |c, v| c.encodings.stream_producer_secs = v.unsigned(),
    ),
    Parameter::integer("stream-idmp-maxsize", 1, 10_000, "100").field(
        |c| Value::Integer(c.encodings.stream_producer_names as i128),
        |c, v| c.encodings.stream_producer_names = v.size(),
    ),
    Parameter::memory("stream-node-max-bytes", 0, SIZE_MAX, "4096").field(
        |c| Value::Integer(c.encodings.stream_node_bytes as i128),
        |c, v| c.encodings.stream_node_bytes = v.size(),
    ),
    Parameter::integer("stream-node-max-entries", 0, LONG_MAX, "100").field(
        |c| Value::Integer(c.encodings.stream_node_entries as i128),
        |c, v| c.encodings.stream_node_entries = v.size(),
    ),
    Parameter::choice("supervised", &["upstart", "systemd", "auto", "no"], "no").immutable(),
    Parameter::flag("syslog-enabled", "no").immutable(),
    Parameter::choice(
        "syslog-facility",
        &["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"],
        "local0",
    )
    .immutable(),
    Parameter::text("syslog-ident", "redis").immutable(),
    Parameter::integer("tcp-backlog", 0, INT_MAX, "511").immutable().driver(),
    Parameter::integer("tcp-keepalive", 0, INT_MAX, "300").driver(),
    Parameter::integer("timeout", 0, INT_MAX, "0")
        .field(|c| Value::Integer(c.timeout_secs.into()), |c, v| c.timeout_secs = v.unsigned()),
    Parameter::choice("tls-auth-clients", &["no", "yes", "optional"], "yes").driver(),
    Parameter::choice("tls-auth-clients-user", &["off", "CN"], "off").driver(),
    Parameter::file("tls-ca-cert-dir"),
    Parameter::file("tls-ca-cert-file"),
    Parameter::file("tls-cert-file"),
    Parameter::text("tls-ciphers", "").driver(),
    Parameter::text("tls-ciphersuites", "").driver(),
    Parameter::text("tls-client-cert-file", ""),
    Parameter::text("tls-client-key-file", ""),
    Parameter::text("tls-client-key-file-pass", "").with(Flags::SENSITIVE),
    Parameter::flag("tls-cluster", "no"),
    Parameter::text("tls-dh-params-file", ""),
    Parameter::integer("tls-handshake-timeout-ms", 1, INT_MAX, "10000").driver(),
    Parameter::integer("tls-handshakes-max", 1, 100_000, "512").driver(),
    Parameter::file("tls-key-file"),
    Parameter::file("tls-key-file-pass").with(Flags::SENSITIVE),
    Parameter::integer("tls-port", 0, 65535, "0").driver(),
    Parameter::flag("tls-prefer-server-ciphers", "no").driver(),
    Parameter::text("tls-protocols", "").driver(),
    Parameter::flag("tls-replication", "no"),
    Parameter::integer("tls-session-cache-size", 0, INT_MAX, "20480").driver(),
    Parameter::integer("tls-session-cache-timeout", 0, INT_MAX, "300").driver(),
    Parameter::flag("tls-session-caching", "yes").driver(),
    Parameter::integer("tracking-table-max-keys", 0, LONG_MAX, "1000000").field(
        |c| Value::Integer(c.tracking_table_max_keys as i128),
        |c, v| c.tracking_table_max_keys = v.size(),
    ),
    Parameter::choice("ttl-clock", &["monotonic", "wall"], "monotonic")
        .field(|c| Value::Choice(c.ttl_clock.word()), |c, v| c.ttl_clock = TtlClock::of(v.text())),
    Parameter::integer("ttl-clock-slew-ppm", 0, 1_000_000, "500").field(
        |c| Value::Integer(c.ttl_clock_slew_ppm.into()),
        |c, v| c.ttl_clock_slew_ppm = v.unsigned(),
    ),
    Parameter::text("unixsocket", "").immutable().driver(),
    Parameter::octal("unixsocketperm", "0").immutable().driver(),
    Parameter::flag("use-exit-on-panic", "no").with(Flags::HIDDEN),
    Parameter::words("user", &USERS, "")
        .with(Flags::DIRECTIVE)
        .with(Flags::REWRITTEN)
        .field(|c| Value::Words(c.users.clone()), |c, v| c.users = v.words().to_vec()),
    Parameter::integer("watchdog-period", 0, INT_MAX, "0").with(Flags::HIDDEN),
    Parameter::integer("zset-max-listpack-entries", 0, LONG_MAX, "128")
        .alias("zset-max-ziplist-entries")
        .field(
            |c| Value::Integer(c.encodings.zset_entries as i128),
            |c, v| c.encodings.zset_entries = v.size(),
        ),
    Parameter::memory("zset-max-listpack-value", 0, SIZE_MAX, "64")
        .alias("zset-max-ziplist-value")
        .field(
            |c| Value::Integer(c.encodings.zset_value_bytes as i128),
            |c, v| c.encodings.zset_value_bytes = v.size(),
        ),
];
