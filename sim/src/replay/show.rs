//! What a key holds, for people and for programs.

use orrery_engine::Engine;
use orrery_engine::keyspace::Value;
use orrery_engine::value::list::Side;
use orrery_engine::value::packed::Element;
use orrery_engine::value::stream::StreamId;
use serde_json::json;

/// Elements that are shown of one key.
const ELEMENTS_MAX: usize = 1_000;

/// A key as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The key.
    pub key: Vec<u8>,
    /// Its type; `none` if there is no such key.
    pub kind: &'static str,
    /// When it expires, in milliseconds since 1970.
    pub deadline_ms: Option<u64>,
    /// Whether that is in the past: it is still there, but nobody can see it.
    pub expired: bool,
    /// How many elements it has; of a string, bytes.
    pub len: usize,
    /// The elements, each of as many parts as its type has; not more than a thousand.
    pub elements: Vec<Vec<String>>,
}

/// Looks at a key.
pub fn show(engine: &Engine, db: usize, key: &[u8]) -> Shown {
    let keyspace = &engine.state().keyspace;
    let mut shown = Shown {
        key: key.to_vec(),
        kind: "none",
        deadline_ms: None,
        expired: false,
        len: 0,
        elements: Vec::new(),
    };
    if db >= keyspace.count() {
        return shown;
    }
    if let Some(found) = keyspace.db(db).find(key) {
        let value = keyspace.db(db).value(found);
        shown.kind = value.type_name();
        shown.deadline_ms = keyspace.db(db).deadline(found).map(|deadline| deadline.0);
        shown.expired = keyspace.is_expired(db, found);
        (shown.len, shown.elements) = elements(value, keyspace.now().0);
    }
    shown
}

fn elements(value: Value<'_>, now_ms: u64) -> (usize, Vec<Vec<String>>) {
    match value {
        Value::Bytes(bytes) => (bytes.len(), vec![vec![quoted(bytes)]]),
        Value::Integer(number) => {
            let text = number.to_string();
            (text.len(), vec![vec![quoted(text.as_bytes())]])
        }
        Value::List(list) => {
            let mut rows = Vec::new();
            let walk = list.walk(Side::Front, 0, ELEMENTS_MAX);
            walk.for_each(|element| rows.push(vec![spelled(element)]));
            (list.len(), rows)
        }
        Value::Set(set) => {
            let rows = set.iter().take(ELEMENTS_MAX).map(|member| vec![spelled(member)]);
            (set.len(), rows.collect())
        }
        Value::Zset(zset) => {
            let rows = zset.iter().take(ELEMENTS_MAX);
            let rows = rows.map(|(member, score)| vec![spelled(member), score.to_string()]);
            (zset.len(), rows.collect())
        }
        Value::Hash(hash) => {
            let rows = hash.living(now_ms).take(ELEMENTS_MAX).map(|field| {
                let deadline = field.deadline_ms.map(|deadline| format!("expires {deadline}"));
                let parts = [Some(spelled(field.name)), Some(spelled(field.value)), deadline];
                parts.into_iter().flatten().collect()
            });
            (hash.living_len(now_ms), rows.collect())
        }
        Value::Stream(stream) => {
            let entries = stream.log().range(StreamId::MIN, StreamId::MAX).take(ELEMENTS_MAX);
            let rows = entries.map(|entry| {
                let mut row = vec![format!("{}-{}", entry.id.ms, entry.id.seq)];
                for (name, value) in entry.fields() {
                    row.push(quoted(name.as_bytes()));
                    row.push(quoted(value.as_bytes()));
                }
                row
            });
            (usize::try_from(stream.log().len()).unwrap_or(usize::MAX), rows.collect())
        }
    }
}

fn spelled(element: Element<'_>) -> String {
    quoted(&element.to_vec())
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

impl Shown {
    /// A few lines for people.
    #[must_use]
    pub fn as_text(&self) -> String {
        let key = quoted(&self.key);
        if self.kind == "none" {
            return format!("{key} is not there\n");
        }
        let mut text = format!("{key} is a {} of {}", self.kind, self.len);
        if let Some(deadline) = self.deadline_ms {
            let word = if self.expired { "expired" } else { "expires" };
            text.push_str(&format!(", {word} at {deadline} ms"));
        }
        text.push('\n');
        for row in &self.elements {
            text.push_str(&format!("  {}\n", row.join(" ")));
        }
        if self.kind != "string" && self.elements.len() < self.len {
            text.push_str(&format!("  and {} more\n", self.len - self.elements.len()));
        }
        text
    }

    /// One object for programs; strings are quoted and escaped as in the text.
    #[must_use]
    pub fn as_json(&self) -> serde_json::Value {
        json!({
            "key": quoted(&self.key),
            "type": self.kind,
            "deadline_ms": self.deadline_ms,
            "expired": self.expired,
            "len": self.len,
            "elements": self.elements,
        })
    }
}
