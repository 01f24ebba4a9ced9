//! From the program's arguments and redis.conf to a configuration.
//!
//! Invariant: a directive that is wrong is reported with the number and the text of its line, in
//! Redis's words; the first one ends the reading.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use orrery_engine::resp::split_words_in_place;
use orrery_engine::{Config, check_renamed_commands, check_user_declaration};

use crate::VERSION;
use crate::platform::reason;

/// Files may include files to this depth; deeper means that they include each other.
const INCLUDE_DEPTH_MAX: usize = 16;

/// Where the configuration comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The file.
    pub file: Option<PathBuf>,
    /// Whether to read directives from standard input, after the file's.
    pub stdin: bool,
    /// The directives of the command line, one a line, after all others.
    pub lines: String,
}

/// Why there is no configuration.
#[derive(Debug, PartialEq, Eq)]
pub enum Fatal {
    /// A directive is wrong.
    Directive {
        /// The number of its line, from 1.
        line: usize,
        /// The line.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be read.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directive { line, text, reason } => write!(
                f,
                "\n*** FATAL CONFIG FILE ERROR (Orrery {VERSION}) ***\n\
                 Reading the configuration file, at line {line}\n>>> '{text}'\n{reason}"
            ),
            Self::File { path, reason } => {
                let path = path.display();
                write!(f, "Fatal error, can't open config file '{path}': {reason}")
            }
        }
    }
}

impl std::error::Error for Fatal {}

impl Sources {
    /// Sorts the program's arguments as redis-server does: a first one without `--` is the file,
    /// `-` means standard input, `--name value...` are directives.
    pub fn from_arguments(arguments: &[String]) -> Self {
        let mut sources = Self::default();
        let mut rest = arguments;
        if let Some((first, others)) = rest.split_first()
            && !first.starts_with("--")
        {
            if first != "-" {
                sources.file = Some(absolute(Path::new(first)));
            } else {
                sources.stdin = true;
            }
            rest = others;
        }
        if let Some((last, others)) = rest.split_last()
            && last == "-"
        {
            sources.stdin = true;
            rest = others;
        }
        let mut name_needs_value = false;
        for (index, argument) in rest.iter().enumerate() {
            match argument.strip_prefix("--") {
                // The word after a name is its value, whatever it looks like.
                Some(name) if !name_needs_value => {
                    sources.lines.push('\n');
                    sources.lines.push_str(name);
                    // Name and value may be one argument.
                    name_needs_value = words(name).is_none_or(|words| words.len() == 1);
                    let next = rest.get(index + 1);
                    // Programs build command lines in which nothing is to be saved like this.
                    if argument.eq_ignore_ascii_case("--save")
                        && next.is_none_or(|next| next.starts_with("--"))
                    {
                        sources.lines.push_str(" \"\"");
                        name_needs_value = false;
                    }
                }
                _ => {
                    // Words without a name are a line of their own, as in Redis.
                    sources.lines.push(if sources.lines.is_empty() { '\n' } else { ' ' });
                    sources.lines.push_str(&quoted(argument));
                    name_needs_value = false;
                }
            }
        }
        sources
    }

    /// Reads everything.
    pub fn load(&self) -> Result<Config, Fatal> {
        let mut text = match &self.file {
            Some(path) => read(path)?,
            None => String::new(),
        };
        if self.stdin {
            io::stdin().read_to_string(&mut text).map_err(|error| Fatal::File {
                path: PathBuf::from("-"),
                reason: reason(&error),
            })?;
        }
        text.push_str(&self.lines);
        let mut config = Config::default();
        apply(&mut config, &text, 0)?;
        Ok(config)
    }
}

/// Applies every line of `text`.
fn apply(config: &mut Config, text: &str, depth: usize) -> Result<(), Fatal> {
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_matches([' ', '\t', '\r', '\n']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong =
            |reason: String| Fatal::Directive { line: index + 1, text: line.to_owned(), reason };
        let words =
            words(line).ok_or_else(|| wrong("Unbalanced quotes in configuration line".into()))?;
        let Some((name, values)) = words.split_first() else { continue };
        if name.eq_ignore_ascii_case("include") {
            if depth == INCLUDE_DEPTH_MAX {
                return Err(wrong("Files include each other too deeply".into()));
            }
            let [pattern] = values else {
                return Err(wrong("wrong number of arguments".into()));
            };
            include(config, pattern, depth + 1)?;
            continue;
        }
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        config.set(name, &values).map_err(wrong)?;
        if name.eq_ignore_ascii_case("user") {
            check_user_declaration(&values).map_err(wrong)?;
        } else if name.eq_ignore_ascii_case("rename-command") {
            check_renamed_commands(config).map_err(|why| wrong(why.to_owned()))?;
        }
    }
    Ok(())
}

/// Applies every file that matches `pattern`, in the order of their names.
fn include(config: &mut Config, pattern: &str, depth: usize) -> Result<(), Fatal> {
    if !pattern.contains(['*', '?', '[']) {
        return apply(config, &read(Path::new(pattern))?, depth);
    }
    let unreadable = |reason: String| Fatal::File { path: PathBuf::from(pattern), reason };
    for path in glob::glob(pattern).map_err(|error| unreadable(error.to_string()))? {
        let path = path.map_err(|error| unreadable(error.to_string()))?;
        apply(config, &read(&path)?, depth)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Fatal> {
    let unreadable =
        |error: io::Error| Fatal::File { path: path.to_owned(), reason: reason(&error) };
    let bytes = std::fs::read(path).map_err(unreadable)?;
    // Parameters are text; a stray byte in a comment does not matter.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The words of a line; `None`: its quotes are unbalanced.
pub(crate) fn words(line: &str) -> Option<Vec<String>> {
    let mut bytes = line.as_bytes().to_vec();
    let mut spans = Vec::new();
    split_words_in_place(&mut bytes, &mut spans).ok()?;
    let word = |start: usize, len: usize| String::from_utf8_lossy(&bytes[start..start + len]);
    Some(spans.iter().map(|span| word(span.start, span.len).into_owned()).collect())
}

/// A word in quotes, as redis-server shows the values of its command line.
fn quoted(word: &str) -> String {
    let mut quoted = String::from('"');
    for symbol in word.chars() {
        match symbol {
            '"' | '\\' => quoted.extend(['\\', symbol]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_ascii_control() => {
                quoted.push_str(&format!("\\x{:02x}", control as u32));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn sources(words: &[&str]) -> Sources {
        Sources::from_arguments(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[track_caller]
    fn check_lines(words: &[&str], expected: &str) {
        assert_eq!(sources(words).lines, expected);
    }

    #[test]
    fn arguments_become_lines() {
        check_lines(&[], "");
        check_lines(&["--port", "7001", "--dir", "a b"], "\nport \"7001\"\ndir \"a b\"");
        check_lines(&["--bind", "127.0.0.1", "::1"], "\nbind \"127.0.0.1\" \"::1\"");
        check_lines(&["--save", "", "--port 7"], "\nsave \"\"\nport 7");
        check_lines(
            &["--requirepass", "--secret", "--port", "1"],
            "\nrequirepass \"--secret\"\nport \"1\"",
        );
        assert!(sources(&["-"]).stdin);
        assert!(sources(&["--port", "1", "-"]).stdin);
        let both = sources(&["a.conf", "--port", "1"]);
        assert!(both.file.is_some_and(|path| path.is_absolute() && path.ends_with("a.conf")));
    }

    #[test]
    fn later_directives_win_and_the_command_line_is_last() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("main.conf");
        let pattern = folder.path().join("part-*.conf");
        fs::write(&main, format!("timeout 1\ninclude \"{}\"\nport 2\n", pattern.display()))
            .unwrap();
        fs::write(folder.path().join("part-b.conf"), "timeout 3\nmaxclients 30").unwrap();
        fs::write(folder.path().join("part-a.conf"), "timeout 2\nmaxclients 20").unwrap();
        let main = main.to_str().unwrap();
        let config = sources(&[main, "--port", "3"]).load().unwrap();
        let value = |name| config.value(name).unwrap();
        assert_eq!(
            (value("timeout"), value("maxclients"), value("port")),
            ("3".into(), "30".into(), "3".into())
        );
    }

    #[track_caller]
    fn check_wrong(text: &str, line: usize, shown: &str, reason: &str) {
        let error = apply(&mut Config::default(), text, 0).unwrap_err();
        let (text, reason) = (shown.to_owned(), reason.to_owned());
        assert_eq!(error, Fatal::Directive { line, text, reason });
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        check_wrong(
            "# a\n\n  port x\n",
            3,
            "port x",
            "argument couldn't be parsed into an integer",
        );
        check_wrong("dir \"a", 1, "dir \"a", "Unbalanced quotes in configuration line");
        check_wrong("nonsense 1", 1, "nonsense 1", "Bad directive or wrong number of arguments");
        check_wrong("include", 1, "include", "wrong number of arguments");
        check_wrong(
            "user a on\nuser a off",
            2,
            "user a off",
            "Error in user declaration 'a': Duplicate user found. A user can only be defined once \
             in config files",
        );
        check_wrong(
            "user a on >p +get nonsense",
            1,
            "user a on >p +get nonsense",
            "Error in user declaration 'nonsense': Syntax error",
        );
    }

    #[test]
    fn files_that_include_each_other_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.conf");
        fs::write(&path, format!("include {}\n", path.display())).unwrap();
        let error = sources(&[path.to_str().unwrap()]).load().unwrap_err();
        assert!(error.to_string().ends_with("Files include each other too deeply"), "{error}");
    }

    #[test]
    fn quoted_words_read_as_they_were() {
        for word in ["plain", "", "a b", "\"'\\", "line\nend\ttab\u{1}", "é", "#not a comment"] {
            assert_eq!(words(&format!("name {}", quoted(word))).unwrap(), ["name", word]);
        }
    }
}
