//! Published messages of the journal as their checker knows them.

use std::collections::BTreeMap;

use super::odd;
use crate::check::messages::{Connection, Publish, check};
use crate::journal::{Journal, Seen};
use crate::workload::{Ask, Workload};

/// Judges the messages of one server; `places` are the operations on it.
pub(super) fn judge(journal: &Journal, server: u16, places: &[usize]) -> Result<(), String> {
    let mut publishes = Vec::new();
    for op in places.iter().map(|&at| &journal.ops[at]) {
        if op.key.workload != Workload::Messages {
            continue;
        }
        match (op.ask, op.seen) {
            (Ask::Publish { value }, Seen::Integer(_) | Seen::Open | Seen::Unknown) => {
                let (call_ns, return_ns) = (op.call_ns, op.return_ns);
                publishes.push(Publish { channel: op.key.index, value, call_ns, return_ns });
            }
            (_, Seen::Refused(_)) => {}
            (Ask::Subscribe { .. } | Ask::Ping, Seen::Done | Seen::Open | Seen::Unknown) => {}
            _ => return Err(odd(journal, op)),
        }
    }
    let mut connections: BTreeMap<(u16, u64), Connection> = BTreeMap::new();
    for heard in journal.heard.iter().filter(|heard| heard.server == server) {
        let place = (heard.client, heard.connection);
        let connection = connections.entry(place).or_default();
        connection.client = u64::from(heard.client);
        connection.events.push((heard.at_ns, heard.event));
    }
    let connections: Vec<Connection> = connections.into_values().collect();
    check(&publishes, &connections)
}
