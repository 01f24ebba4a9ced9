//! Lines of a configuration file and values of CONFIG SET.

use orrery_engine::Config;
use orrery_engine::config::{Extent, find};
use orrery_engine::resp::split_words_in_place;

/// A line that ends the file; each line behind it is one CONFIG SET.
const END: &str = "---";

/// A file is read up to its first wrong line, then parameters are set. What is refused changes
/// nothing; what CONFIG REWRITE writes reads as what is in force; a value that CONFIG GET shows may
/// be set again; what is taken back leaves no trace.
pub fn configurations_are_survived(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.lines().collect();
    let end = lines.iter().position(|line| *line == END).unwrap_or(lines.len());
    let mut config = Config::default();
    let mut file = String::new();
    for line in &lines[..end] {
        let mut next = config.clone();
        if take(&mut next, line).is_none() {
            let (next, config) = (next.recorded(), config.recorded());
            assert_eq!(next, config, "a wrong line has changed something: {line:?}");
            break;
        }
        config = next;
        file.push_str(line);
        file.push('\n');
    }
    for line in lines.iter().skip(end + 1) {
        let Some(words) = words(line) else { continue };
        let mut words = words.iter().map(String::as_str);
        let mut pairs = Vec::new();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            pairs.push((name, value));
        }
        let Ok(after) = config.changed(&pairs, true) else { continue };
        let mut back = after.clone();
        back.take_back(&config, &after);
        assert_eq!(back.recorded(), config.recorded(), "taken back: {pairs:?}");
        pairs.iter().for_each(|(name, _)| may_be_set_again(&after, name));
        config = after;
    }
    reads_as_it_is(&config, &file);
}

/// Takes a line as the server does; `None`: it is wrong. Files that are included are not followed.
fn take(config: &mut Config, line: &str) -> Option<()> {
    let line = line.trim_matches([' ', '\t', '\r', '\n']);
    if line.is_empty() || line.starts_with('#') {
        return Some(());
    }
    let words = words(line)?;
    let (name, values) = words.split_first()?;
    if name.eq_ignore_ascii_case("include") {
        return None;
    }
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    config.set(name, &values).ok()
}

fn words(line: &str) -> Option<Vec<String>> {
    let mut bytes = line.as_bytes().to_vec();
    let mut spans = Vec::new();
    split_words_in_place(&mut bytes, &mut spans).ok()?;
    let word = |start: usize, len: usize| String::from_utf8_lossy(&bytes[start..start + len]);
    Some(spans.iter().map(|span| word(span.start, span.len).into_owned()).collect())
}

fn reads_as_it_is(config: &Config, file: &str) {
    for extent in [Extent::Changed, Extent::Everything] {
        reads_back(config, file, extent);
    }
}

fn reads_back(config: &Config, file: &str, extent: Extent) {
    let text = config.rewritten(file, extent);
    let mut again = Config::default();
    for line in text.lines() {
        assert!(take(&mut again, line).is_some(), "{line:?} was written and cannot be read");
    }
    assert_eq!(again.recorded(), config.recorded(), "of {text:?}");
    assert_eq!(config.rewritten(&text, extent), text, "written again it is another text");
}

fn may_be_set_again(config: &Config, name: &str) {
    let (Some(parameter), Some(shown)) = (find(name), config.value(name)) else { return };
    let same = config.changed(&[(name, &shown)], true);
    let same = same.unwrap_or_else(|why| panic!("{shown:?} is shown and refused: {why:?}"));
    assert_eq!(same.read(parameter), config.read(parameter), "{name} {shown:?}");
}
