//! Carries orders for files out on the file system of the operating system.
//!
//! Invariant: the operations of an order are carried out in order, until one fails. A file that
//! nobody closed is closed with its [`Files`].

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use orrery_engine::{DiskAnswer, DiskError, DiskErrorKind, DiskOp, DiskResult, FileId};

use crate::platform::reason;

/// The files that a lane has open. Paths are relative to the process's folder, which is the
/// server's.
#[derive(Default)]
pub(crate) struct Files(BTreeMap<FileId, File>);

impl Files {
    /// Carries out operations that belong together.
    pub(crate) fn carry_out(&mut self, ops: Vec<DiskOp>) -> DiskResult {
        let mut answer = DiskAnswer::default();
        for (at, op) in ops.into_iter().enumerate() {
            self.carry_out_one(op, &mut answer).map_err(|error| DiskError {
                at,
                kind: kind(&error),
                text: reason(&error),
            })?;
        }
        Ok(answer)
    }

    fn carry_out_one(&mut self, op: DiskOp, answer: &mut DiskAnswer) -> io::Result<()> {
        match op {
            DiskOp::Create { file, path } => {
                let opened = OpenOptions::new().append(true).create(true).open(path)?;
                opened.set_len(0)?;
                self.0.insert(file, opened);
                Ok(())
            }
            DiskOp::Open { file, path } => {
                self.0.insert(file, OpenOptions::new().append(true).open(path)?);
                Ok(())
            }
            DiskOp::Append { file, bytes } => self.open(file)?.write_all(&bytes),
            DiskOp::Truncate { file, len } => self.open(file)?.set_len(len),
            // As Redis does: the length goes with the contents, times do not matter.
            DiskOp::Sync { file } => self.open(file)?.sync_data(),
            DiskOp::Settle { path } => settle(&path),
            DiskOp::Close { file } => {
                self.0.remove(&file);
                Ok(())
            }
            DiskOp::Rename { from, to } => fs::rename(from, to),
            DiskOp::Remove { path } => match fs::remove_file(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                result => result,
            },
            DiskOp::MakeFolder { path } => match fs::create_dir(&path) {
                Err(error)
                    if error.kind() == ErrorKind::AlreadyExists && Path::new(&path).is_dir() =>
                {
                    Ok(())
                }
                result => result,
            },
            DiskOp::SyncFolder { path } => {
                let path = if path.is_empty() { "." } else { &path };
                File::open(path)?.sync_all()
            }
            DiskOp::Read { path, offset, len } => read(&path, offset, len, answer),
        }
    }

    fn open(&mut self, file: FileId) -> io::Result<&mut File> {
        let closed = || io::Error::new(ErrorKind::NotFound, "the file is not open");
        self.0.get_mut(&file).ok_or_else(closed)
    }
}

/// Writes what is to be written of a file, and drops its pages from the cache: after a sync they
/// are clean, and those that a failed one left are clean as well, but not on the disk.
fn settle(path: &str) -> io::Result<()> {
    let file = File::open(path)?;
    file.sync_data()?;
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}

fn read(path: &str, offset: u64, len: usize, answer: &mut DiskAnswer) -> io::Result<()> {
    let mut file = File::open(path)?;
    answer.file_len = file.metadata()?.len();
    let left = answer.file_len.saturating_sub(offset);
    let len = usize::try_from(left).unwrap_or(len).min(len);
    file.seek(SeekFrom::Start(offset))?;
    answer.bytes = Vec::with_capacity(len);
    file.take(len as u64).read_to_end(&mut answer.bytes)?;
    Ok(())
}

fn kind(error: &io::Error) -> DiskErrorKind {
    match error.kind() {
        ErrorKind::NotFound => DiskErrorKind::NotFound,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskErrorKind::NoSpace,
        _ => DiskErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path in a folder of this test's own.
    fn path(name: &str) -> (std::path::PathBuf, impl Fn(&str) -> String) {
        let folder = std::env::temp_dir().join(format!("orrery-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let of = folder.clone();
        (folder, move |name: &str| of.join(name).display().to_string())
    }

    #[test]
    fn a_file_is_replaced_by_one_order() {
        let (folder, at) = path("replace");
        let mut files = Files::default();
        let file = FileId(1);
        let append = |bytes: &[u8]| DiskOp::Append { file, bytes: bytes.to_vec() };
        fs::write(at("dump"), "old").unwrap();
        let ops = vec![
            DiskOp::Create { file, path: at("temp") },
            append(b"ne"),
            DiskOp::Settle { path: at("temp") },
            append(b"w"),
            DiskOp::Sync { file },
            DiskOp::Close { file },
            DiskOp::Rename { from: at("temp"), to: at("dump") },
            DiskOp::SyncFolder { path: folder.display().to_string() },
            DiskOp::Read { path: at("dump"), offset: 1, len: 100 },
        ];
        let expected = DiskAnswer { bytes: b"ew".to_vec(), file_len: 3 };
        assert_eq!(files.carry_out(ops), Ok(expected));
        assert!(!Path::new(&at("temp")).exists());
        let ops = vec![
            DiskOp::Open { file, path: at("dump") },
            append(b"er"),
            DiskOp::Truncate { file, len: 4 },
            append(b"!"),
            DiskOp::Read { path: at("dump"), offset: 0, len: 100 },
        ];
        assert_eq!(files.carry_out(ops).unwrap().bytes, b"newe!");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_first_failure_ends_an_order_and_is_named() {
        let (folder, at) = path("failure");
        let mut files = Files::default();
        let ops = vec![
            DiskOp::MakeFolder { path: at("folder") },
            DiskOp::MakeFolder { path: at("folder") },
            DiskOp::Remove { path: at("nothing") },
            DiskOp::Rename { from: at("nothing"), to: at("something") },
            DiskOp::Create { file: FileId(1), path: at("late") },
        ];
        let error = files.carry_out(ops).unwrap_err();
        assert_eq!((error.at, error.kind), (3, DiskErrorKind::NotFound));
        assert_eq!(error.text, "No such file or directory");
        assert!(!Path::new(&at("late")).exists());
        let error = files.carry_out(vec![DiskOp::Sync { file: FileId(9) }]).unwrap_err();
        assert_eq!((error.at, error.kind), (0, DiskErrorKind::NotFound));
        fs::remove_dir_all(folder).unwrap();
    }
}
