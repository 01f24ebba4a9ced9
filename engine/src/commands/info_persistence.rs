//! INFO persistence: snapshots, loading.
//!
//! Where Redis speaks of memory that is copied on write for a child, here it is what is kept of
//! values that change while they are saved.

use super::Cx;
use super::info::Lines;
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
    lines.field("rdb_bgsave_in_progress", u8::from(saving.is_some()));
    lines.field("rdb_last_save_time", saves.last_unix_secs);
    lines.field("rdb_last_bgsave_status", if saves.is_ok() { "ok" } else { "err" });
    let took = saves.last_took.map_or(-1, |took| seconds(took) as i64);
    lines.field("rdb_last_bgsave_time_sec", took);
    let since = |began: Instant| seconds(cx.now.mono.since(began)) as i64;
    let current = saving.map_or(-1, |saving| since(saving.began.mono));
    lines.field("rdb_current_bgsave_time_sec", current);
    lines.field("rdb_saves", saves.count);
    lines.field("rdb_last_cow_size", saves.last_extra_bytes);
    let (loaded, expired) = persistence.loaded;
    lines.field("rdb_last_load_keys_expired", expired);
    lines.field("rdb_last_load_keys_loaded", loaded);
    lines.zeros(&["aof_enabled", "aof_rewrite_in_progress", "aof_rewrite_scheduled"]);
    lines.field("aof_last_rewrite_time_sec", -1);
    lines.field("aof_current_rewrite_time_sec", -1);
    lines.field("aof_last_bgrewrite_status", "ok");
    lines.zeros(&["aof_rewrites", "aof_rewrites_consecutive_failures"]);
    lines.field("aof_last_write_status", "ok");
    lines.field("aof_last_cow_size", 0);
    lines.zeros(&["module_fork_in_progress", "module_fork_last_cow_size"]);
}
