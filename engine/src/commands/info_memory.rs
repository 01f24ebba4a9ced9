//! The memory section of INFO.
//!
//! Used memory is what the engine accounts for: data, index, clients. What the allocator adds is in
//! the resident set, which the driver measures.

use super::Cx;
use super::info::Lines;
use crate::state::State;

/// What memory is used for, in bytes.
pub(super) struct Usage {
    /// All that is accounted for.
    pub(super) used: usize,
    /// What is not data: index, unused room in pages, clients.
    pub(super) overhead: usize,
    /// What clients own.
    pub(super) clients: usize,
    /// Keys, values and deadlines.
    pub(super) data: usize,
}

impl Usage {
    /// The usage now; also notes it for the peak.
    pub(super) fn now(cx: &mut Cx<'_>) -> Self {
        let running = cx.state.client_bytes(cx.session) + cx.reply.out.len();
        let clients = cx.state.clients_bytes() + running;
        let used = cx.state.note_memory() + running;
        cx.state.memory_peak = cx.state.memory_peak.max(used);
        let keyspace = &cx.state.keyspace;
        let data = (0..keyspace.count()).map(|index| keyspace.db(index).data_bytes()).sum();
        Self { used, overhead: used.saturating_sub(data), clients, data }
    }

    /// The data's share of what was added since start, in percent.
    pub(super) fn data_percent(&self, startup: usize) -> f64 {
        percent(self.data, self.used.saturating_sub(startup)).min(100.0)
    }
}

/// `part` of `whole` in percent; 0 of nothing.
pub(super) fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

pub(super) fn memory(cx: &mut Cx<'_>, lines: &mut Lines) {
    let usage = Usage::now(cx);
    let state = &cx.state;
    let (peak, startup) = (state.memory_peak, state.memory_startup);
    let resident = state.vitals.resident_bytes as usize;
    let machine = state.vitals.machine_bytes as usize;
    let maxmemory = state.config.eviction.bytes_max as usize;
    lines.field("used_memory", usage.used);
    lines.field("used_memory_human", human(usage.used));
    lines.field("used_memory_rss", resident);
    lines.field("used_memory_rss_human", human(resident));
    lines.field("used_memory_peak", peak);
    lines.field("used_memory_peak_human", human(peak));
    lines.field("used_memory_peak_perc", format_args!("{:.2}%", percent(usage.used, peak)));
    lines.field("used_memory_overhead", usage.overhead);
    lines.field("used_memory_startup", startup);
    lines.field("used_memory_dataset", usage.data);
    let share = usage.data_percent(startup);
    lines.field("used_memory_dataset_perc", format_args!("{share:.2}%"));
    lines.field("total_system_memory", machine);
    lines.field("total_system_memory_human", human(machine));
    scripts(state, lines);
    lines.field("maxmemory", maxmemory);
    lines.field("maxmemory_human", human(maxmemory));
    lines.field("maxmemory_policy", state.config.eviction.policy.name());
    let ratio = if usage.used == 0 { 0.0 } else { resident as f64 / usage.used as f64 };
    lines.field("mem_fragmentation_ratio", format_args!("{ratio:.2}"));
    let beyond = if resident == 0 { 0 } else { resident as i64 - usage.used as i64 };
    lines.field("mem_fragmentation_bytes", beyond);
    lines.zeros(&["mem_not_counted_for_evict", "mem_replication_backlog"]);
    lines.field("orrery_durations_bytes", state.durations_bytes());
    lines.zeros(&["mem_total_replication_buffers", "mem_clients_slaves"]);
    lines.field("mem_clients_normal", usage.clients);
    lines.zeros(&["mem_cluster_links", "mem_aof_buffer"]);
    lines.known("mem_allocator", &state.facts.allocator);
    lines.field("orrery_unused_page_bytes", state.keyspace.unused_bytes());
    lines.field("active_defrag_running", 0);
    let (pending, freed) = state.keyspace.lazy_free();
    lines.field("lazyfree_pending_objects", pending);
    lines.field("lazyfreed_objects", freed);
}

/// The interpreters' own memory is not counted.
fn scripts(state: &State, lines: &mut Lines) {
    lines.zeros(&["used_memory_lua", "used_memory_vm_eval"]);
    lines.field("used_memory_lua_human", human(0));
    // Their texts; what the interpreter itself takes is not counted.
    let (scripts, script_bytes) = state.scripts.totals();
    lines.field("used_memory_scripts_eval", script_bytes);
    lines.field("number_of_cached_scripts", scripts);
    let (libraries, functions, function_bytes) = state.libraries.totals();
    lines.field("number_of_functions", functions);
    lines.field("number_of_libraries", libraries);
    lines.zeros(&["used_memory_vm_functions", "used_memory_vm_total"]);
    lines.field("used_memory_vm_total_human", human(0));
    lines.field("used_memory_functions", function_bytes);
    lines.field("used_memory_scripts", script_bytes + function_bytes);
    lines.field("used_memory_scripts_human", human(script_bytes + function_bytes));
}

/// A size as INFO shows it to people: `967.21K`.
fn human(bytes: usize) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "K", "M", "G", "T"] {
        if size < 1024.0 || unit == "T" {
            return if unit == "B" { format!("{bytes}B") } else { format!("{size:.2}{unit}") };
        }
        size /= 1024.0;
    }
    unreachable!("the last unit takes everything")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (990_424, "967.21K"),
            (25_276_510_208, "23.54G"),
            (usize::MAX, "16777216.00T"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
