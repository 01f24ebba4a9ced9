//! Whether published messages reached those who had subscribed: in order, once, and all of them
//! while they were connected.
//!
//! A subscriber asks now and then whether the server is there. The answer comes behind all messages
//! that were published before, so what was published between a confirmed subscription and such a
//! question must have arrived by then.
//!
//! Invariant: a message whose publisher got no answer may have been published at any time after the
//! call, or never; no rule blames a server for what that explains.

use std::collections::{BTreeMap, HashMap, HashSet};

/// A message that somebody published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where.
    pub channel: u16,
    /// What; no two are the same.
    pub value: u64,
    /// When it was called.
    pub call_ns: u64,
    /// When its answer came; [`u64::MAX`] if it did not.
    pub return_ns: u64,
}

/// Something that a subscriber received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its subscription to every channel is confirmed.
    Subscribed,
    /// A message.
    Message {
        /// Where.
        channel: u16,
        /// What.
        value: u64,
    },
    /// The answer to a question that was asked at this time.
    Answered {
        /// When it was asked.
        call_ns: u64,
    },
}

/// What one subscriber received over one connection, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Whose.
    pub client: u64,
    /// When, and what.
    pub events: Vec<(u64, Event)>,
}

/// Judges the messages of one server.
///
/// # Errors
/// What is wrong, in words.
pub fn check(publishes: &[Publish], connections: &[Connection]) -> Result<(), String> {
    let by_value: HashMap<u64, Publish> =
        publishes.iter().map(|publish| (publish.value, *publish)).collect();
    let mut by_call: Vec<Publish> = publishes.to_vec();
    by_call.sort_unstable_by_key(|publish| (publish.call_ns, publish.value));
    let mut heard: BTreeMap<u64, HashSet<u64>> = BTreeMap::new();
    for connection in connections {
        let heard_before = heard.entry(connection.client).or_default();
        let values = order(&by_value, connection, heard_before)
            .and_then(|values| nothing_is_lost(&by_call, connection, &values).map(|()| values));
        match values {
            Ok(values) => heard_before.extend(values),
            Err(why) => return Err(format!("client {}: {why}", connection.client)),
        }
    }
    Ok(())
}

/// What was heard was published before, once, in the order of those that did not overlap.
fn order(
    published: &HashMap<u64, Publish>,
    connection: &Connection,
    heard_before: &HashSet<u64>,
) -> Result<HashSet<u64>, String> {
    let mut heard = HashSet::new();
    let mut is_subscribed = false;
    // Of those that were heard so far, the one that was published last for sure.
    let mut latest: Option<Publish> = None;
    for &(at_ns, event) in &connection.events {
        let (channel, value) = match event {
            Event::Subscribed => {
                is_subscribed = true;
                continue;
            }
            Event::Answered { .. } => continue,
            Event::Message { channel, value } => (channel, value),
        };
        if !is_subscribed {
            return Err(format!("message {value} came without a subscription"));
        }
        let Some(&publish) = published.get(&value).filter(|publish| publish.channel == channel)
        else {
            return Err(format!("message {value} came from channel {channel}, where it was not"));
        };
        if publish.call_ns > at_ns {
            return Err(format!("message {value} came before it was published"));
        }
        if heard_before.contains(&value) || !heard.insert(value) {
            return Err(format!("message {value} came twice"));
        }
        if let Some(latest) = latest.filter(|latest| publish.return_ns < latest.call_ns) {
            return Err(format!(
                "message {value} came behind message {}, which was published after it",
                latest.value
            ));
        }
        if latest.is_none_or(|latest| latest.call_ns < publish.call_ns) {
            latest = Some(publish);
        }
    }
    Ok(heard)
}

/// Everything that was published while the subscriber was certainly there has come.
fn nothing_is_lost(
    by_call: &[Publish],
    connection: &Connection,
    heard: &HashSet<u64>,
) -> Result<(), String> {
    let mut events = connection.events.iter();
    let subscribed = events.find(|(_, event)| *event == Event::Subscribed);
    let last_call_ns = connection.events.iter().rev().find_map(|(_, event)| match event {
        Event::Answered { call_ns } => Some(*call_ns),
        _ => None,
    });
    let (Some(&(from_ns, _)), Some(until_ns)) = (subscribed, last_call_ns) else { return Ok(()) };
    let first = by_call.partition_point(|publish| publish.call_ns <= from_ns);
    for publish in by_call[first..].iter().take_while(|publish| publish.call_ns < until_ns) {
        if publish.return_ns < until_ns && !heard.contains(&publish.value) {
            return Err(format!(
                "message {} is lost: it was published between {from_ns} ns, when the subscription \
                 was confirmed, and {until_ns} ns, when the subscriber asked for an answer that \
                 came",
                publish.value
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(value: u64, call_ns: u64, return_ns: u64) -> Publish {
        Publish { channel: 1, value, call_ns, return_ns }
    }

    fn heard(events: &[(u64, Event)]) -> Connection {
        Connection { client: 1, events: events.to_vec() }
    }

    fn message(value: u64) -> Event {
        Event::Message { channel: 1, value }
    }

    #[track_caller]
    fn wrong(publishes: &[Publish], connections: &[Connection], part: &str) {
        let why = check(publishes, connections).expect_err("it is wrong");
        assert!(why.contains(part), "{why}");
    }

    const UP: (u64, Event) = (5, Event::Subscribed);

    #[test]
    fn what_can_have_been_is_fine() {
        // Before the subscription, behind the last question, without an answer: nobody knows.
        let all = [
            publish(1, 1, 9),
            publish(2, 10, 11),
            publish(3, 12, u64::MAX),
            publish(4, 13, 25),
            publish(5, 21, 22),
        ];
        let events = [UP, (14, message(2)), (23, Event::Answered { call_ns: 20 })];
        assert_eq!(check(&all, &[heard(&events)]), Ok(()));
        // Those that overlap come in either order.
        let all = [publish(1, 10, 20), publish(2, 11, 19)];
        let events = [UP, (21, message(2)), (22, message(1))];
        assert_eq!(check(&all, &[heard(&events)]), Ok(()));
        assert_eq!(check(&all, &[heard(&[])]), Ok(()));
        assert_eq!(check(&all, &[heard(&[(30, Event::Answered { call_ns: 29 })])]), Ok(()));
    }

    #[test]
    fn what_cannot_have_been_is_named() {
        let all = [publish(1, 10, 11), publish(2, 12, 13)];
        let pong = (21, Event::Answered { call_ns: 20 });
        wrong(&all, &[heard(&[UP, (14, message(2)), pong])], "message 1 is lost");
        wrong(&all, &[heard(&[UP, (14, message(2)), (15, message(1))])], "behind message 2");
        wrong(&all, &[heard(&[UP, (14, message(1)), (15, message(1))])], "came twice");
        let two = [heard(&[UP, (14, message(1))]), heard(&[UP, (15, message(1))])];
        wrong(&all, &two, "came twice");
        wrong(&all, &[heard(&[UP, (14, message(7))])], "where it was not");
        wrong(&all, &[heard(&[UP, (9, message(1))])], "before it was published");
        wrong(&all, &[heard(&[(14, message(1)), (15, Event::Subscribed)])], "without");
        let other = Event::Message { channel: 2, value: 1 };
        wrong(&all, &[heard(&[UP, (14, other)])], "where it was not");
    }
}
