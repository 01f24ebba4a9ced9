//! The parameters whose text has a grammar of its own, and the checks of plain texts.

use super::memory;
use super::parameter::{Grammar, Source};
use super::value::Value;
use super::{EventClasses, OutputLimit, OutputLimits, rewrite};
use crate::value::number::{format_double, parse_integer};

/// One directive with all the words.
fn one_line(value: &Value) -> Vec<Vec<String>> {
    match value {
        Value::Words(words) if words.is_empty() => vec![vec![String::new()]],
        Value::Words(words) => vec![words.clone()],
        other => vec![vec![other.text().to_owned()]],
    }
}

fn owned(words: &[&str]) -> Value {
    Value::Words(words.iter().map(|&word| word.to_owned()).collect())
}

/// `save seconds changes ...`: pairs, one directive each; directives add up.
pub(super) static SAVE: Grammar = Grammar {
    parse: |set, words, source| {
        let number = |word: &str| word.parse::<i64>().ok();
        let is_pair = |pair: &[&str]| {
            pair.len() == 2
                && number(pair[0]).is_some_and(|seconds| seconds >= 1)
                && number(pair[1]).is_some_and(|changes| changes >= 0)
        };
        if !words.chunks(2).all(is_pair) {
            return Err("Invalid save parameters".to_owned());
        }
        let mut points = match (set, source) {
            (Some(set), Source::Start) if !words.is_empty() => set.words().to_vec(),
            _ => Vec::new(),
        };
        points.extend(words.iter().map(|&word| word.to_owned()));
        Ok(Value::Words(points))
    },
    lines: |value| match value.words() {
        [] => vec![vec![String::new()]],
        points => points.chunks(2).map(<[String]>::to_vec).collect(),
    },
};

/// `bind address ...`.
pub(super) static BIND: Grammar = Grammar {
    parse: |_, words, _| {
        if words.len() > 16 {
            return Err("Too many bind addresses specified.".to_owned());
        }
        Ok(owned(words))
    },
    lines: one_line,
};

/// Any number of patterns.
pub(super) static PATTERNS: Grammar =
    Grammar { parse: |_, words, _| Ok(owned(words)), lines: one_line };

/// `client-output-buffer-limit class hard soft seconds ...`: classes that are not named keep
/// theirs.
pub(super) static OUTPUT_LIMITS: Grammar = Grammar {
    parse: |set, words, _| {
        if words.len() % 4 != 0 {
            return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
        }
        let mut limits = set.map_or_else(OutputLimits::default, output_limits);
        for group in words.chunks(4) {
            let Some(limit) = limits.of_class(group[0]) else {
                return Err("Invalid client class specified in buffer limit configuration.".into());
            };
            let parsed = (memory::parse(group[1]), memory::parse(group[2]), group[3].parse());
            let (Some(hard_bytes), Some(soft_bytes), Ok(soft_secs)) = parsed else {
                let text = "Error in hard, soft or soft_seconds setting in buffer limit \
                            configuration.";
                return Err(text.to_owned());
            };
            *limit = OutputLimit { hard_bytes, soft_bytes, soft_secs };
        }
        Ok(output_limits_value(&limits))
    },
    lines: |value| {
        let file_words = |group: &[String]| {
            let class = if group[0] == "slave" { "replica" } else { &group[0] };
            let size = |text: &String| memory::spell(memory::parse(text).unwrap_or(0));
            vec![class.to_owned(), size(&group[1]), size(&group[2]), group[3].clone()]
        };
        value.words().chunks(4).map(file_words).collect()
    },
};

/// The limits that the words of such a value mean.
pub(super) fn output_limits(value: &Value) -> OutputLimits {
    let mut limits = OutputLimits::default();
    for group in value.words().chunks(4) {
        let number = |index: usize| memory::parse(&group[index]).unwrap_or(0);
        if let Some(limit) = limits.of_class(&group[0]) {
            let (hard_bytes, soft_bytes, soft_secs) = (number(1), number(2), number(3));
            *limit = OutputLimit { hard_bytes, soft_bytes, soft_secs };
        }
    }
    limits
}

/// All classes in Redis's order, with the name that CONFIG GET gives replicas.
pub(super) fn output_limits_value(limits: &OutputLimits) -> Value {
    let mut words = Vec::new();
    let classes = [("normal", limits.normal), ("slave", limits.replica), ("pubsub", limits.pubsub)];
    for (class, limit) in classes {
        words.push(class.to_owned());
        words.extend(
            [limit.hard_bytes, limit.soft_bytes, limit.soft_secs].map(|part| part.to_string()),
        );
    }
    Value::Words(words)
}

/// `notify-keyspace-events`: letters; spelled in one order.
pub(super) static EVENTS: Grammar = Grammar {
    parse: |_, words, _| {
        let given = words.first().copied().unwrap_or_default();
        let classes = EventClasses::parse(given)
            .ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
        Ok(Value::Text(classes.spell()))
    },
    lines: one_line,
};

/// The classes that such a value names.
pub(super) fn event_classes(value: &Value) -> EventClasses {
    EventClasses::parse(value.text()).unwrap_or_default()
}

/// `oom-score-adj-values` of primary, replica and background children.
pub(super) static OOM_SCORES: Grammar = Grammar {
    parse: |_, words, _| {
        if words.len() != 3 {
            return Err("wrong number of arguments".to_owned());
        }
        let fits = |word: &&str| {
            parse_integer(word.as_bytes()).is_some_and(|score| (-2000..=2000).contains(&score))
        };
        if !words.iter().all(fits) {
            let text = "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
            return Err(text.to_owned());
        }
        Ok(owned(words))
    },
    lines: one_line,
};

/// `replicaof host port`, or `no one`.
pub(super) static PRIMARY: Grammar = Grammar {
    parse: |_, words, _| match words {
        [] => Ok(owned(words)),
        [no, one] if no.eq_ignore_ascii_case("no") && one.eq_ignore_ascii_case("one") => {
            Ok(owned(&[]))
        }
        [_, port] if port.parse::<u16>().is_ok() => Ok(owned(words)),
        [_, _] => Err("Invalid master port".to_owned()),
        _ => Err("wrong number of arguments".to_owned()),
    },
    lines: one_line,
};

/// `latency-tracking-info-percentiles`: numbers from 0 to 100.
pub(super) static PERCENTILES: Grammar = Grammar {
    parse: |_, words, _| {
        let mut values = Vec::new();
        for word in words {
            let Ok(value) = word.parse::<f64>() else {
                return Err("Invalid latency-tracking-info-percentiles parameters".to_owned());
            };
            if !(0.0..=100.0).contains(&value) {
                let text = "latency-tracking-info-percentiles parameters should sit between \
                            [0.0,100.0]";
                return Err(text.to_owned());
            }
            values.push(format_double(value));
        }
        Ok(Value::Words(values))
    },
    lines: one_line,
};

/// What SIGINT and SIGTERM do, in the words of SHUTDOWN; `default` means none of them.
pub(super) static SHUTDOWN_OPTIONS: Grammar = Grammar {
    parse: |_, words, _| {
        const KNOWN: [&str; 5] = ["default", "save", "nosave", "now", "force"];
        let is = |word: &str, choice: &str| word.eq_ignore_ascii_case(choice);
        if words.is_empty() || words.iter().any(|word| !KNOWN.iter().any(|choice| is(word, choice)))
        {
            let known = KNOWN.join(", ");
            return Err(format!("argument(s) must be one of the following: {known}"));
        }
        let chosen = |choice: &&str| words.iter().any(|word| is(word, choice));
        if chosen(&"save") && chosen(&"nosave") {
            let text = "shutdown options SAVE and NOSAVE can't be used simultaneously";
            return Err(text.to_owned());
        }
        let options: Vec<&str> = KNOWN[1..].iter().copied().filter(|word| chosen(word)).collect();
        Ok(if options.is_empty() { owned(&KNOWN[..1]) } else { owned(&options) })
    },
    lines: one_line,
};

/// Directives that may stand many times and whose words are kept as they are, one text each.
pub(super) static REPEATED: Grammar = Grammar {
    parse: |set, words, _| {
        let mut all = set.map(|set| set.words().to_vec()).unwrap_or_default();
        if !words.is_empty() {
            all.push(words.join(" "));
        }
        Ok(Value::Words(all))
    },
    lines: |value| value.words().iter().map(|line| vec![line.clone()]).collect(),
};

/// `user name rules...`, each name once.
pub(super) static USERS: Grammar = Grammar {
    parse: |set, words, _| {
        let mut all = set.map(|set| set.words().to_vec()).unwrap_or_default();
        let Some(name) = words.first() else { return Ok(Value::Words(all)) };
        let start = rewrite::spelled(&[(*name).to_owned()]);
        let is_same = |line: &String| line.split(' ').next() == Some(&*start);
        if all.iter().any(is_same) {
            return Err(format!(
                "Error in user declaration '{name}': Duplicate user found. A user can only be \
                 defined once in config files"
            ));
        }
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        all.push(rewrite::spelled(&words));
        Ok(Value::Words(all))
    },
    lines: |value| value.words().iter().map(|line| rewrite::words(line)).collect(),
};

/// `rename-command old new`: directives add up.
pub(super) static RENAMES: Grammar = Grammar {
    parse: |set, words, _| {
        let mut all = set.map(|set| set.words().to_vec()).unwrap_or_default();
        match words {
            [] => {}
            [_, _] => {
                let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
                all.push(rewrite::spelled(&words));
            }
            _ => return Err("Bad directive or wrong number of arguments".to_owned()),
        }
        Ok(Value::Words(all))
    },
    lines: |value| value.words().iter().map(|line| rewrite::words(line)).collect(),
};

/// The pairs of names that such a value holds.
pub(super) fn renames(value: &Value) -> Vec<(String, String)> {
    let pair = |line: &String| match rewrite::words(line).as_slice() {
        [old, new] => Some((old.clone(), new.clone())),
        _ => None,
    };
    value.words().iter().filter_map(pair).collect()
}

/// Such a value of pairs of names.
pub(super) fn renames_value(renamed: &[(String, String)]) -> Value {
    let line = |(old, new): &(String, String)| rewrite::spelled(&[old.clone(), new.clone()]);
    Value::Words(renamed.iter().map(line).collect())
}

/// A server that would not do what a node of a cluster must do must not seem to be one.
pub(super) fn standalone(text: &str) -> Result<(), &'static str> {
    if text.eq_ignore_ascii_case("no") {
        return Ok(());
    }
    Err("this server cannot be a node of a cluster: cluster-enabled must be 'no'")
}

pub(super) fn appendfilename(text: &str) -> Result<(), &'static str> {
    match text {
        "" => Err("appendfilename can't be empty"),
        path if path.contains('/') => Err("appendfilename can't be a path, just a filename"),
        _ => Ok(()),
    }
}

pub(super) fn appenddirname(text: &str) -> Result<(), &'static str> {
    match text {
        "" => Err("appenddirname can't be empty"),
        path if path.contains('/') => Err("appenddirname can't be a path, just a dirname"),
        _ => Ok(()),
    }
}

pub(super) fn dbfilename(text: &str) -> Result<(), &'static str> {
    if text.contains('/') { Err("dbfilename can't be a path, just a filename") } else { Ok(()) }
}

pub(super) fn hostname(text: &str) -> Result<(), &'static str> {
    if text.len() >= 256 {
        return Err("Hostnames must be less than 256 characters");
    }
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.') {
        return Ok(());
    }
    Err("Hostnames may only contain alphanumeric characters, hyphens or dots")
}

/// A title whose `{...}` are all known.
pub(super) fn title(text: &str) -> Result<(), &'static str> {
    const KNOWN: [&str; 7] =
        ["title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"];
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let inside = &rest[open + 1..];
        match inside.find('}') {
            Some(close) if KNOWN.contains(&&inside[..close]) => rest = &inside[close + 1..],
            _ => return Err("template format is invalid or contains unknown variables"),
        }
    }
    Ok(())
}
