//! Finds the files of a recording and reads whole blocks from them.
//!
//! Invariants: a block that is given out has a good checksum; memory is taken for what a file has,
//! never for what it claims; a last block that is not whole is a torn tail only if no whole block
//! follows.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use orrery_engine::record::{BLOCK_HEADER_LEN, BlockHeader, FILE_HEADER_LEN, FileHeader};

/// A place in a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The byte in it, from 0.
    pub byte: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} byte {}", self.file.display(), self.byte)
    }
}

/// Why there is no next block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Where.
    pub place: Place,
    /// Why.
    pub why: String,
    /// It is the end of what a server wrote that died while it did.
    pub torn: bool,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

/// The files of one recording, read one after the other.
#[derive(Debug)]
pub struct Parts {
    paths: Vec<PathBuf>,
    current: usize,
    file: File,
    len: u64,
    place: u64,
    recording: u64,
    before: u64,
    total: u64,
}

impl Parts {
    /// Finds the parts of the recording that `path` means: one of its files, `NAME.RECORDING`, or
    /// `NAME` for the last one of that name.
    pub fn find(path: &Path) -> Result<Self, String> {
        let paths = paths(path).map_err(|error| error.to_string())?;
        let Some(first) = paths.first() else {
            return Err("there is no such recording".to_owned());
        };
        let mut total = 0;
        for path in &paths {
            let metadata = std::fs::metadata(path);
            total += metadata.map_err(|error| format!("{}: {error}", path.display()))?.len();
        }
        let (file, header) = open(first)?;
        if header.part != 1 {
            let part = header.part;
            return Err(format!("{} is part {part}; a replay needs part 1", first.display()));
        }
        let len = size(&file).map_err(|error| error.to_string())?;
        let (recording, place) = (header.recording, FILE_HEADER_LEN as u64);
        Ok(Self { paths, current: 0, file, len, place, recording, before: 0, total })
    }

    /// The length of all files together.
    pub fn bytes_total(&self) -> u64 {
        self.total
    }

    /// How far reading has come in all files together.
    pub fn bytes_read(&self) -> u64 {
        self.before + self.place
    }

    /// Where the next block begins.
    pub fn place(&self) -> Place {
        Place { file: self.paths[self.current].clone(), byte: self.place }
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.paths.len()
    }

    /// Reads the next whole block, header and payload; `None` at the end.
    pub fn next(&mut self, block: &mut Vec<u8>) -> Result<Option<BlockHeader>, Unreadable> {
        if self.place == self.len && self.current + 1 < self.paths.len() {
            self.next_part()?;
        }
        if self.place == self.len {
            return Ok(None);
        }
        match self.block_at(self.place, block) {
            Ok(header) => {
                self.place += block.len() as u64;
                Ok(Some(header))
            }
            Err(why) => {
                let is_last = self.current + 1 == self.paths.len();
                let torn = is_last && !self.has_block_after(self.place);
                Err(Unreadable { place: self.place(), why, torn })
            }
        }
    }

    fn next_part(&mut self) -> Result<(), Unreadable> {
        let next = &self.paths[self.current + 1];
        let wrong = |why: String| {
            let place = Place { file: next.clone(), byte: 0 };
            Unreadable { place, why, torn: false }
        };
        let (file, header) = open(next).map_err(wrong)?;
        if (header.recording, header.part) != (self.recording, self.current as u32 + 2) {
            return Err(wrong("it is no continuation of the file before".to_owned()));
        }
        let len = size(&file).map_err(|error| wrong(error.to_string()))?;
        self.before += self.len;
        (self.file, self.len, self.place) = (file, len, FILE_HEADER_LEN as u64);
        self.current += 1;
        Ok(())
    }

    /// Reads the block that begins at a byte of the present file.
    fn block_at(&mut self, place: u64, block: &mut Vec<u8>) -> Result<BlockHeader, String> {
        let left = self.len - place;
        if left < BLOCK_HEADER_LEN as u64 {
            return Err(format!("{left} bytes are left, fewer than a block has"));
        }
        let said = |error: io::Error| error.to_string();
        self.file.seek(SeekFrom::Start(place)).map_err(said)?;
        block.clear();
        block.resize(BLOCK_HEADER_LEN, 0);
        self.file.read_exact(block).map_err(said)?;
        let header = BlockHeader::decode(block).map_err(|why| why.to_string())?;
        let payload_len = u64::from(header.payload_len);
        if left - (BLOCK_HEADER_LEN as u64) < payload_len {
            return Err("a block goes beyond the end of the file".to_owned());
        }
        block.resize(BLOCK_HEADER_LEN + header.payload_len as usize, 0);
        self.file.read_exact(&mut block[BLOCK_HEADER_LEN..]).map_err(said)?;
        header.verify(block).map_err(|why| why.to_string())?;
        Ok(header)
    }

    /// Whether a whole block begins anywhere behind a byte of the present file.
    fn has_block_after(&mut self, place: u64) -> bool {
        let mut rest = Vec::new();
        let read = self
            .file
            .seek(SeekFrom::Start(place))
            .and_then(|_| (&self.file).take(LOOK_BYTES_MAX).read_to_end(&mut rest));
        if read.is_err() {
            return false;
        }
        let mut block = Vec::new();
        (1..rest.len().saturating_sub(BLOCK_HEADER_LEN)).any(|at| {
            rest[at..].starts_with(b"ORBK") && self.block_at(place + at as u64, &mut block).is_ok()
        })
    }
}

/// How far to look for a whole block behind a broken one.
const LOOK_BYTES_MAX: u64 = 64 << 20;

fn size(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len())
}

fn open(path: &Path) -> Result<(File, FileHeader), String> {
    let said = |why: &dyn fmt::Display| format!("{}: {why}", path.display());
    let mut file = File::open(path).map_err(|error| said(&error))?;
    let mut bytes = Vec::new();
    let head = (&mut file).take(FILE_HEADER_LEN as u64).read_to_end(&mut bytes);
    head.map_err(|error| said(&error))?;
    let header = FileHeader::decode(&bytes).map_err(|why| said(&why))?;
    Ok((file, header))
}

/// The paths of a recording's parts in their order.
fn paths(path: &Path) -> io::Result<Vec<PathBuf>> {
    let with = |path: &Path, number: u64| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    let number = |path: &Path| path.extension()?.to_str()?.parse::<u64>().ok();
    let parts_of = |recording: &Path| {
        (1..).map(|part| with(recording, part)).take_while(|path| path.is_file()).collect()
    };
    if path.is_file() {
        let recording = path.with_extension("");
        // A file that was given another name stands for itself.
        return Ok(match (number(path), number(&recording)) {
            (Some(_), Some(_)) => parts_of(&recording),
            _ => vec![path.to_owned()],
        });
    }
    if with(path, 1).is_file() && number(path).is_some() {
        return Ok(parts_of(path));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut last = None;
    for entry in std::fs::read_dir(folder)? {
        let recording = entry?.path().with_extension("");
        if recording.with_extension("").file_name() == path.file_name() {
            last = last.max(number(&recording));
        }
    }
    Ok(last.map_or_else(Vec::new, |last| parts_of(&with(path, last))))
}
