//! The text that Prometheus reads, version 0.0.4 of its format.
//!
//! Invariant: the samples of a name stand together, behind its help and its type, and each name
//! comes once.

use core::fmt::{Display, Write};

/// What a name measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows, until a restart or CONFIG RESETSTAT.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Quantiles, a sum and a count.
    Summary,
}

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// A name with one sample and no labels.
    pub(super) fn value(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) {
        self.family(kind, name, help).sample(&[], value);
    }

    /// Begins a name; its samples follow.
    pub(super) fn family<'a>(&'a mut self, kind: Kind, name: &'a str, help: &str) -> Family<'a> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Summary => "summary",
        };
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: self, name }
    }

    /// The whole text.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    fn push(&mut self, text: core::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a String takes everything");
    }
}

/// A name whose samples are being written.
pub(super) struct Family<'a> {
    text: &'a mut Exposition,
    name: &'a str,
}

impl Family<'_> {
    /// One sample.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.part("", labels, value);
    }

    /// A sample whose name has something behind it: the sum or the count of a summary.
    pub(super) fn part(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push(format_args!("{}{suffix}", self.name));
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            self.text.push(format_args!("{before}{label}=\"{}\"", Escaped(text)));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        self.text.push(format_args!("{after} {value}\n"));
    }
}

/// A label's value as it stands between quotes.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for symbol in self.0.chars() {
            match symbol {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_behind_their_name() {
        let mut text = Exposition::default();
        text.value(Kind::Gauge, "redis_up", "It runs.", 1);
        let mut family = text.family(Kind::Counter, "commands_total", "Calls.");
        family.sample(&[("cmd", "get"), ("odd", "a\\b\"c\nd")], 7);
        family.sample(&[("cmd", "set")], 0.25);
        assert_eq!(
            text.into_text(),
            "# HELP redis_up It runs.\n# TYPE redis_up gauge\nredis_up 1\n\
             # HELP commands_total Calls.\n# TYPE commands_total counter\n\
             commands_total{cmd=\"get\",odd=\"a\\\\b\\\"c\\nd\"} 7\n\
             commands_total{cmd=\"set\"} 0.25\n"
        );
    }
}
