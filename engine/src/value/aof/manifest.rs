//! The manifest: which files a log is kept in, and what becomes of them.
//!
//! Invariants: what is written here reads as the same manifest, in Redis 7 too; the numbers of
//! incremental files ascend and are never used twice; a file that is to be loaded is never among
//! those that may be deleted.

use super::names::{BaseFormat, base_name, increment_name};
use super::strtol::strtol;
use crate::args::Span;
use crate::resp::split_words_in_place;

/// Bytes of one line, with its end.
const LINE_BYTES_MAX: usize = 1024;
/// Bytes of a manifest: some ten thousand files.
const BYTES_MAX: usize = 1 << 20;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What the log begins with.
    Base,
    /// A part of the log.
    Increment,
    /// It was replaced, and is to be deleted.
    History,
}

impl Role {
    fn letter(self) -> char {
        match self {
            Self::Base => 'b',
            Self::Increment => 'i',
            Self::History => 'h',
        }
    }
}

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its name in the log's folder.
    pub name: String,
    /// Its number.
    pub seq: i64,
}

/// The files of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    base: Option<LogFile>,
    history: Vec<LogFile>,
    increments: Vec<LogFile>,
    /// The highest numbers that were given.
    base_seq: i64,
    increment_seq: i64,
}

/// There is no number left for another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// A text that is no manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongManifest {
    /// The number of the line and the line, where it is about one.
    pub line: Option<(usize, String)>,
    /// What is wrong, in Redis's words.
    pub reason: &'static str,
}

impl core::fmt::Display for WrongManifest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if let Some((number, text)) = &self.line {
            writeln!(f, "Reading the manifest file, at line {number}")?;
            writeln!(f, ">>> '{text}'")?;
        }
        f.write_str(self.reason)
    }
}

impl core::error::Error for WrongManifest {}

const WRONG_FORMAT: &str = "Invalid AOF manifest file format";
const TOO_LONG: &str = "The AOF manifest file contains too long line";

impl Manifest {
    /// Reads the text of a manifest.
    pub fn parse(text: &[u8]) -> Result<Self, WrongManifest> {
        let fail = |reason| Err(WrongManifest { line: None, reason });
        if text.is_empty() {
            return fail("Found an empty AOF manifest");
        }
        if text.len() > BYTES_MAX {
            return fail("The AOF manifest file is too long");
        }
        let mut manifest = Self::default();
        let (mut rest, mut number) = (text, 0);
        while !rest.is_empty() {
            number += 1;
            let window = &rest[..rest.len().min(LINE_BYTES_MAX)];
            let end = window.iter().position(|&byte| byte == b'\n');
            let line = &window[..end.map_or(window.len(), |end| end + 1)];
            rest = &rest[line.len()..];
            if line[0] == b'#' {
                continue;
            }
            if end.is_none() || line.contains(&0) {
                return fail(TOO_LONG);
            }
            let is_edge = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
            let from = line.iter().position(|byte| !is_edge(byte)).unwrap_or(line.len());
            let to = line.iter().rposition(|byte| !is_edge(byte)).map_or(from, |last| last + 1);
            let line = &line[from..to];
            manifest.take_line(line).map_err(|reason| {
                let shown = String::from_utf8_lossy(line).into_owned();
                WrongManifest { line: Some((number, shown)), reason }
            })?;
        }
        Ok(manifest)
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let (file, letter) = file_of(line)?;
        match letter {
            b'b' if self.base.is_some() => return Err("Found duplicate base file information"),
            b'b' => {
                self.base_seq = file.seq;
                self.base = Some(file);
            }
            b'h' => self.history.push(file),
            b'i' => {
                let last = self.increments.last().map_or(0, |last| last.seq);
                if file.seq <= last {
                    return Err("Found a non-monotonic sequence number");
                }
                self.increment_seq = file.seq;
                self.increments.push(file);
            }
            _ => return Err("Unknown AOF file type"),
        }
        Ok(())
    }

    /// The text.
    pub fn to_text(&self) -> String {
        let base = self.base.iter().map(|file| (file, Role::Base));
        let history = self.history.iter().map(|file| (file, Role::History));
        let increments = self.increments.iter().map(|file| (file, Role::Increment));
        base.chain(history).chain(increments).map(|(file, role)| line_of(file, role)).collect()
    }

    /// What the log begins with, if it was ever rewritten.
    pub fn base(&self) -> Option<&LogFile> {
        self.base.as_ref()
    }

    /// The parts of the log, in order; records go to the last.
    pub fn increments(&self) -> &[LogFile] {
        &self.increments
    }

    /// What was replaced.
    pub fn history(&self) -> &[LogFile] {
        &self.history
    }

    /// The files that make up the data, in the order in which they are to be loaded. Only the last
    /// may end in the middle of a record.
    pub fn files_to_load(&self) -> impl DoubleEndedIterator<Item = (&LogFile, Role)> {
        let base = self.base.iter().map(|file| (file, Role::Base));
        base.chain(self.increments.iter().map(|file| (file, Role::Increment)))
    }

    /// Whether there is nothing to load.
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.increments.is_empty()
    }

    /// The files that may be deleted as soon as this manifest is safe on disk.
    pub fn files_to_delete(&self) -> impl Iterator<Item = &str> {
        let is_needed = |name: &str| self.files_to_load().any(|(file, _)| file.name == name);
        self.history.iter().map(|file| &*file.name).filter(move |name| !is_needed(name))
    }

    /// Forgets what was replaced; to be written after the files are deleted.
    pub fn forget_history(&mut self) {
        self.history.clear();
    }

    /// Whether the log of an older version, which is one file of the name `stem` outside of the
    /// folder, is to be loaded instead: when there is no log here yet, or when that file was to
    /// become its base and was not moved. `is_here`: whether the folder has a file of that name.
    pub fn takes_old_file(&self, stem: &str, is_here: bool) -> bool {
        let is_waited_for = |base: &LogFile| base.name == stem && !is_here;
        self.increments.is_empty() && self.base.as_ref().is_none_or(is_waited_for)
    }

    /// The log of an older version is the base from now on, under its own name. The manifest has to
    /// be safe before the file is moved into the folder.
    pub fn take_old_file(&mut self, stem: &str) {
        self.base_seq = 1;
        self.base = Some(LogFile { name: stem.to_owned(), seq: self.base_seq });
    }

    /// Records go to a new file from now on: when a rewrite begins, or where there is none.
    pub fn add_increment(&mut self, stem: &str) -> Result<&LogFile, Exhausted> {
        let seq = next(self.increment_seq)?;
        self.increment_seq = seq;
        let name = increment_name(stem, seq);
        Ok(self.increments.push_mut(LogFile { name, seq }))
    }

    /// A rewrite has ended: the new file is what the log begins with, and what it replaces is
    /// history: the base before it, and the increments before number `first_kept`, the one that
    /// was opened when the rewrite began.
    pub fn replace_base(
        &mut self,
        stem: &str,
        format: BaseFormat,
        first_kept: i64,
    ) -> Result<&LogFile, Exhausted> {
        let seq = next(self.base_seq)?;
        self.base_seq = seq;
        let kept = self.increments.iter().position(|file| file.seq >= first_kept);
        let retired = self.increments.drain(..kept.unwrap_or(self.increments.len()));
        // The latest history is first, as in Redis.
        let history: Vec<LogFile> = retired.chain(self.base.take()).collect();
        self.history.splice(..0, history);
        Ok(self.base.insert(LogFile { name: base_name(stem, seq, format), seq }))
    }
}

fn next(seq: i64) -> Result<i64, Exhausted> {
    seq.checked_add(1).ok_or(Exhausted)
}

/// The line that tells of a file.
fn line_of(file: &LogFile, role: Role) -> String {
    let (name, seq, letter) = (shown(&file.name), file.seq, role.letter());
    format!("file {name} seq {seq} type {letter}\n")
}

/// The file that a line tells of, and the letter of what it is for.
fn file_of(line: &[u8]) -> Result<(LogFile, u8), &'static str> {
    let mut line = line.to_vec();
    let mut spans: Vec<Span> = Vec::new();
    let is_split = split_words_in_place(&mut line, &mut spans).is_ok();
    // Later versions have more to say of a file.
    if !is_split || spans.len() < 6 || spans.len() % 2 == 1 {
        return Err(WRONG_FORMAT);
    }
    let (mut name, mut seq, mut letter) = (None, 0, 0);
    let word = |span: &Span| {
        let word = &line[span.start..span.start + span.len];
        // It ends where a text of C does.
        word.split(|&byte| byte == 0).next().unwrap_or_default()
    };
    for pair in spans.chunks_exact(2) {
        let (key, value) = (word(&pair[0]), word(&pair[1]));
        match key.to_ascii_lowercase().as_slice() {
            b"file" => name = Some(file_name(value)?),
            b"seq" => seq = strtol(value).0,
            b"type" => letter = value.first().copied().unwrap_or(0),
            _ => {}
        }
    }
    match name {
        Some(name) if seq != 0 && letter != 0 => {
            let file = LogFile { name, seq };
            // It has to be read again once it is written.
            let is_long = line_of(&file, Role::Base).len() > LINE_BYTES_MAX;
            if is_long { Err(TOO_LONG) } else { Ok((file, letter)) }
        }
        _ => Err(WRONG_FORMAT),
    }
}

/// A name without a folder, which is that of a file.
fn file_name(value: &[u8]) -> Result<String, &'static str> {
    if value.contains(&b'/') || value.contains(&b'\\') || matches!(value, b"." | b"..") {
        return Err("File can't be a path, just a filename");
    }
    let name = str::from_utf8(value).map_err(|_| "The name of a file is no UTF-8")?;
    if name.is_empty() { Err(WRONG_FORMAT) } else { Ok(name.to_owned()) }
}

/// A name as it stands in the text: in quotes if it has anything that is not plain.
fn shown(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\' && byte != b'"';
    if name.bytes().all(is_plain) {
        return name.to_owned();
    }
    let mut quoted = String::from("\"");
    for byte in name.bytes() {
        match byte {
            b'\\' | b'"' => quoted.extend(['\\', char::from(byte)]),
            b'\n' => quoted += "\\n",
            b'\r' => quoted += "\\r",
            b'\t' => quoted += "\\t",
            7 => quoted += "\\a",
            8 => quoted += "\\b",
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => quoted += &format!("\\x{byte:02x}"),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses(text: &str, reason: &str) {
        let wrong = Manifest::parse(text.as_bytes()).expect_err(text);
        assert!(wrong.reason.contains(reason), "{wrong}");
    }

    #[test]
    fn what_redis_wrote_is_read_and_written_alike() {
        let text = "file appendonly.aof.5.base.rdb seq 5 type b\n\
                    file appendonly.aof.4.incr.aof seq 4 type h\n\
                    file appendonly.aof.4.base.rdb seq 4 type h\n\
                    file appendonly.aof.5.incr.aof seq 5 type i\n\
                    file appendonly.aof.6.incr.aof seq 6 type i\n";
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(manifest.to_text(), text);
        let names: Vec<_> =
            manifest.files_to_load().map(|(file, role)| (&*file.name, role)).collect();
        assert_eq!(
            names,
            [
                ("appendonly.aof.5.base.rdb", Role::Base),
                ("appendonly.aof.5.incr.aof", Role::Increment),
                ("appendonly.aof.6.incr.aof", Role::Increment),
            ]
        );
        let deleted: Vec<_> = manifest.files_to_delete().collect();
        assert_eq!(deleted, ["appendonly.aof.4.incr.aof", "appendonly.aof.4.base.rdb"]);
        let odd = "# a comment\n type B0 SEQ 07x file \"a b\\x01\" startoffset 5\t\r\n";
        refuses(odd, "Unknown AOF file type");
        let odd = odd.replace("B0", "b0");
        refuses(&odd.replace(" startoffset 5", " startoffset"), WRONG_FORMAT);
        let manifest = Manifest::parse(odd.as_bytes()).unwrap();
        assert_eq!(manifest.to_text(), "file \"a b\\x01\" seq 7 type b\n");
        assert_eq!(Manifest::parse(b"# nothing\n"), Ok(Manifest::default()));
    }

    #[test]
    fn what_is_no_manifest_is_refused_in_words_of_redis() {
        refuses("", "Found an empty AOF manifest");
        refuses("file a seq 1 type b", "too long line");
        refuses(&format!("file {} seq 1 type b\n", "x".repeat(1024)), "too long line");
        refuses(&format!("file {} seq 1 type b\n", "\u{e9}".repeat(300)), "too long line");
        refuses("\n", WRONG_FORMAT);
        refuses("file a seq 1\n", WRONG_FORMAT);
        refuses("file a seq 0 type b\n", WRONG_FORMAT);
        refuses("file \"a seq 1 type b\n", WRONG_FORMAT);
        refuses("file \"\" seq 1 type b\n", WRONG_FORMAT);
        refuses("file a seq 1 type \"\"\n", WRONG_FORMAT);
        refuses("file ../a seq 1 type h\n", "just a filename");
        refuses("file .. seq 1 type h\n", "just a filename");
        refuses("file a seq 1 type b\nfile b seq 2 type b\n", "duplicate base");
        refuses("file a seq 2 type i\nfile b seq 2 type i\n", "non-monotonic");
        let wrong = Manifest::parse(b"#\nfile a seq 1\n").unwrap_err();
        let shown =
            format!("Reading the manifest file, at line 2\n>>> 'file a seq 1'\n{WRONG_FORMAT}");
        assert_eq!(wrong.to_string(), shown);
        refuses(&"#\n".repeat(BYTES_MAX), "too long");
    }

    #[test]
    fn the_life_of_a_log() {
        let mut manifest = Manifest::default();
        assert!(manifest.is_empty() && manifest.takes_old_file("a", true));
        manifest.replace_base("a", BaseFormat::Rdb, 1).unwrap();
        assert_eq!(manifest.add_increment("a").unwrap().name, "a.1.incr.aof");
        assert_eq!(
            manifest.to_text(),
            "file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\n"
        );
        // A rewrite that fails, and one that does not.
        manifest.add_increment("a").unwrap();
        let first_kept = manifest.add_increment("a").unwrap().seq;
        manifest.replace_base("a", BaseFormat::Commands, first_kept).unwrap();
        let expected = "file a.2.base.aof seq 2 type b\nfile a.1.incr.aof seq 1 type h\n\
                        file a.2.incr.aof seq 2 type h\nfile a.1.base.rdb seq 1 type h\n\
                        file a.3.incr.aof seq 3 type i\n";
        assert_eq!(manifest.to_text(), expected);
        assert_eq!(Manifest::parse(expected.as_bytes()), Ok(manifest.clone()));
        manifest.forget_history();
        assert_eq!(manifest.files_to_delete().count(), 0);
        assert_eq!(manifest.files_to_load().count(), 2);
        assert!(!manifest.takes_old_file("a", false));
    }

    #[test]
    fn the_file_of_an_older_version_becomes_the_base() {
        let mut manifest = Manifest::default();
        manifest.take_old_file("appendonly.aof");
        assert_eq!(manifest.to_text(), "file appendonly.aof seq 1 type b\n");
        assert!(manifest.takes_old_file("appendonly.aof", false), "it was not moved yet");
        assert!(!manifest.takes_old_file("appendonly.aof", true));
        manifest.add_increment("appendonly.aof").unwrap();
        assert!(!manifest.takes_old_file("appendonly.aof", false));
    }

    #[test]
    fn a_file_that_is_needed_is_not_deleted() {
        let text = "file a seq 1 type b\nfile a seq 1 type h\nfile i seq 1 type h\n\
                    file i seq 1 type i\nfile old seq 1 type h\n";
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(manifest.files_to_delete().collect::<Vec<_>>(), ["old"]);
    }

    #[test]
    fn numbers_end() {
        let text = format!("file a seq {} type i\nfile b seq 1 type b\n", i64::MAX);
        let mut manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(manifest.add_increment("a"), Err(Exhausted));
        assert_eq!(manifest.increments().len(), 1);
        assert_eq!(manifest.replace_base("a", BaseFormat::Rdb, i64::MAX).unwrap().seq, 2);
    }
}
