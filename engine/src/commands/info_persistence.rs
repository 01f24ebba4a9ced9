//! INFO persistence: snapshots, loading.
//!
//! Where Redis speaks of memory that is copied on write for a child, here it is what is kept of
//! values that change while they are saved.

use super::Cx;
use super::info::Lines;
use crate::persistence::Reason;
use crate::time::{Instant, Micros};

fn seconds(span: Micros) -> u64 {
    span.0 / 1_000_000
}

/// The section.
pub(super) fn persistence(cx: &mut Cx<'_>, lines: &mut Lines) {
    let persistence = &cx.state.persistence;
    lines.field("loading", u8::from(persistence.is_loading()));
    if let Some(loading) = &persistence.loading {
        let (loaded, all) = persistence.loading_share().unwrap_or_default();
        let elapsed = seconds(cx.now.mono.since(loading.began.mono)) + 1;
        let rate = (loaded / elapsed).max(1);
        lines.field("loading_start_time", loading.began.wall.0 / 1_000_000);
        lines.field("loading_total_bytes", all);
        lines.field("loading_loaded_bytes", loaded);
        let share = loaded as f64 * 100.0 / all.max(1) as f64;
        lines.field("loading_loaded_perc", format_args!("{share:.2}"));
        lines.field("loading_eta_seconds", all.saturating_sub(loaded) / rate);
    }
    lines.field("async_loading", 0);
    let saving = persistence.saving.as_ref();
    let extra_bytes = cx.state.keyspace.capture_bytes();
    lines.field("current_cow_peak", saving.map_or(0, |saving| saving.extra_bytes_max));
    lines.field("current_cow_size", extra_bytes);
    lines.field("current_cow_size_age", 0);
    let (all, done) = saving.map_or((0, 0), |saving| saving.keys);
    let share = if all == 0 { 0.0 } else { done as f64 * 100.0 / all as f64 };
    lines.field("current_fork_perc", format_args!("{share:.2}"));
    lines.field("current_save_keys_processed", done);
    lines.field("current_save_keys_total", all);
    let saves = &persistence.saves;
    lines.field("rdb_changes_since_last_save", cx.state.dirty);
    let is_rewriting = saving.is_some_and(|saving| saving.reason == Reason::Rewrite);
    lines.field("rdb_bgsave_in_progress", u8::from(saving.is_some() && !is_rewriting));
    lines.field("rdb_last_save_time", saves.last_unix_secs);
    lines.field("rdb_last_bgsave_status", if saves.is_ok() { "ok" } else { "err" });
    let took = saves.last_took.map_or(-1, |took| seconds(took) as i64);
    lines.field("rdb_last_bgsave_time_sec", took);
    let since = |began: Instant| seconds(cx.now.mono.since(began)) as i64;
    let current = saving.map_or(-1, |saving| since(saving.began.mono));
    lines.field("rdb_current_bgsave_time_sec", current);
    lines.field("rdb_saves", saves.count);
    lines.field("rdb_last_cow_size", saves.last_extra_bytes);
    lines.field("orrery_rdb_writers_held", u8::from(cx.state.keeps_too_much()));
    let (loaded, expired) = persistence.loaded;
    lines.field("rdb_last_load_keys_expired", expired);
    lines.field("rdb_last_load_keys_loaded", loaded);
    append_only_file(cx, lines);
    lines.zeros(&["module_fork_in_progress", "module_fork_last_cow_size"]);
}

fn append_only_file(cx: &Cx<'_>, lines: &mut Lines) {
    let persistence = &cx.state.persistence;
    let aof = persistence.aof.as_deref();
    lines.field("aof_enabled", u8::from(aof.is_some()));
    let (is_rewriting, is_scheduled) = persistence.rewriting();
    lines.field("aof_rewrite_in_progress", u8::from(is_rewriting));
    lines.field("aof_rewrite_scheduled", u8::from(is_scheduled));
    let rewrites = &persistence.rewrites;
    let took = rewrites.last_took;
    lines.field("aof_last_rewrite_time_sec", took.map_or(-1, |took| seconds(took) as i64));
    let saving = persistence.saving.as_ref().filter(|it| it.reason == Reason::Rewrite);
    let since = saving.map(|saving| cx.now.mono.since(saving.began.mono));
    lines.field("aof_current_rewrite_time_sec", since.map_or(-1, |since| seconds(since) as i64));
    let has_failed = rewrites.failures > 0;
    lines.field("aof_last_bgrewrite_status", if has_failed { "err" } else { "ok" });
    lines.field("aof_rewrites", rewrites.count);
    lines.field("aof_rewrites_consecutive_failures", rewrites.failures);
    let is_refused = persistence.log_refusal().is_some();
    lines.field("aof_last_write_status", if is_refused { "err" } else { "ok" });
    lines.field("aof_last_cow_size", 0);
    if let Some(grace) = &persistence.grace {
        let left_ms = grace.left(cx.now.mono).map_or(0, |left| left.0.div_ceil(1000));
        lines.field("orrery_lock_grace_left_ms", left_ms);
        lines.field("orrery_lock_ttl_max_ms", cx.state.lock_bound_ms());
    }
    let Some(aof) = aof else { return };
    lines.field("aof_current_size", aof.base_bytes + aof.bytes);
    lines.field("aof_base_size", aof.base_bytes);
    lines.field("aof_pending_rewrite", u8::from(is_scheduled));
    lines.field("aof_buffer_length", aof.pending_bytes());
    lines.field("aof_pending_bio_fsync", u8::from(aof.is_syncing()));
    lines.field("aof_delayed_fsync", aof.delayed_syncs);
    lines.field("orrery_aof_writers_held", u8::from(aof.holds_writers(cx.now.mono)));
}
