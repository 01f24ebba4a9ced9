//! What LATENCY DOCTOR says: the events with their figures, and advice that fits them.

use super::Cx;
use crate::observe::Series;

/// Something that can be done, and the events that it helps against.
struct Advice {
    events: &'static [&'static str],
    text: &'static str,
}

const ADVICE: &[Advice] = &[
    Advice {
        events: &["command"],
        text: "SLOWLOG GET shows which commands were slow. Commands that walk whole collections \
               (KEYS, SMEMBERS, HGETALL, LRANGE over everything) can be replaced by their SCAN \
               forms or by ranges.",
    },
    Advice {
        events: &["command", "expire-cycle", "eviction-cycle"],
        text: "Deleting or expiring very large values takes its time in pieces; many large values \
               at once add up. HOTKEYS REPORT names large keys that are in use.",
    },
    Advice {
        events: &["fast-command"],
        text: "A command that does little took long: the machine gave this process no time. Look \
               for other busy processes, for a noisy neighbour on a shared host, and for swapping \
               ('redis-cli --intrinsic-latency 100' measures the machine alone).",
    },
    Advice {
        events: &["expire-cycle"],
        text: "Many keys expire at the same moment. Spread their deadlines, or lower \
               step-expirations-max so that other clients have their turn earlier.",
    },
    Advice {
        events: &["eviction-cycle"],
        text: "Memory had to be freed in a hurry: maxmemory was lowered, or large values were \
               added at once.",
    },
];

/// The report.
pub(super) fn report(cx: &Cx<'_>) -> String {
    let events: Vec<(&str, &Series)> = cx.state.observer.latency.iter().collect();
    let settings = &cx.state.config.observation;
    let threshold_ms = settings.latency_threshold_ms;
    if events.is_empty() {
        return if threshold_ms == 0 {
            "Nothing is watched: latency-monitor-threshold is 0. 'CONFIG SET \
             latency-monitor-threshold <milliseconds>' begins to collect what takes longer.\n"
                .to_owned()
        } else {
            format!("Nothing has taken {threshold_ms} ms or longer since this is watched.\n")
        };
    }
    let mut text = "These events took long:\n\n".to_owned();
    let now_secs = cx.now.wall.0 / 1_000_000;
    for (number, (event, series)) in events.iter().enumerate() {
        let summary = series.summary(now_secs);
        text.push_str(&format!(
            "{}. {event}: {} latency spikes (average {}ms, mean deviation {}ms, period {:.2} \
             sec). Worst all time event {}ms.\n",
            number + 1,
            summary.count,
            summary.mean_ms,
            summary.deviation_ms,
            summary.period_secs,
            series.longest_ms
        ));
    }
    let has = |names: &[&str]| events.iter().any(|(event, _)| names.contains(event));
    let mut advice: Vec<String> = Vec::new();
    if has(&["command"]) && settings.slow.threshold < 0 {
        let micros = threshold_ms.saturating_mul(1000);
        advice.push(format!(
            "The log of slow commands is off: 'CONFIG SET slowlog-log-slower-than {micros}'."
        ));
    } else if has(&["command"]) && settings.slow.threshold as u64 / 1000 > threshold_ms {
        let micros = threshold_ms.saturating_mul(1000);
        advice.push(format!(
            "The log of slow commands misses some of these: 'CONFIG SET slowlog-log-slower-than \
             {micros}'."
        ));
    }
    advice.extend(ADVICE.iter().filter(|one| has(one.events)).map(|one| one.text.to_owned()));
    if !advice.is_empty() {
        text.push_str("\nWhat can be done:\n\n");
        advice.iter().for_each(|line| text.push_str(&format!("- {line}\n")));
    }
    text
}
