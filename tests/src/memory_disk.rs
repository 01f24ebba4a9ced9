//! A disk that never fails and takes no time, unless a test says otherwise.

use std::collections::BTreeMap;

use orrery_engine::{DiskAnswer, DiskError, DiskErrorKind, DiskOp, DiskOrder, DiskResult, FileId};

/// Files by their paths.
#[derive(Debug, Default)]
pub struct MemoryDisk {
    /// What is on it.
    pub files: BTreeMap<String, Vec<u8>>,
    open: BTreeMap<FileId, String>,
    /// Every order so far, for tests that look at how files are written.
    pub orders: Vec<DiskOrder>,
    /// What writing and syncing fail with, if they fail.
    pub failure: Option<DiskErrorKind>,
    /// So many appends fail, in the middle, and those after them do not.
    pub failing_appends: u32,
    /// Whether syncs fail, and nothing else.
    pub sync_failure: bool,
}

impl MemoryDisk {
    /// Carries an order out.
    pub fn carry_out(&mut self, order: &DiskOrder) -> DiskResult {
        self.orders.push(order.clone());
        let mut answer = DiskAnswer::default();
        for (at, op) in order.ops.iter().enumerate() {
            self.carry_out_one(op, &mut answer).map_err(|kind| {
                let text = match kind {
                    DiskErrorKind::NotFound => "No such file or directory",
                    DiskErrorKind::NoSpace => "No space left on device",
                    DiskErrorKind::Other => "Input/output error",
                };
                DiskError { at, kind, text: text.to_owned() }
            })?;
        }
        Ok(answer)
    }

    /// How many files are open.
    pub fn open_files(&self) -> usize {
        self.open.len()
    }

    fn carry_out_one(&mut self, op: &DiskOp, answer: &mut DiskAnswer) -> Result<(), DiskErrorKind> {
        let not_found = DiskErrorKind::NotFound;
        let writes = matches!(op, DiskOp::Append { .. } | DiskOp::Sync { .. });
        if let Some(failure) = self.failure.filter(|_| writes) {
            return Err(failure);
        }
        if self.sync_failure && matches!(op, DiskOp::Sync { .. } | DiskOp::Settle { .. }) {
            return Err(DiskErrorKind::Other);
        }
        if let DiskOp::Append { file, bytes } = op
            && self.failing_appends > 0
        {
            self.failing_appends -= 1;
            self.file(*file)?.extend_from_slice(&bytes[..bytes.len() / 2]);
            return Err(DiskErrorKind::Other);
        }
        match op {
            DiskOp::Create { file, path } => {
                self.files.insert(path.clone(), Vec::new());
                self.open.insert(*file, path.clone());
            }
            DiskOp::Open { file, path } => {
                self.files.get(path).ok_or(not_found)?;
                self.open.insert(*file, path.clone());
            }
            DiskOp::Append { file, bytes } => self.file(*file)?.extend_from_slice(bytes),
            DiskOp::Truncate { file, len } => self.file(*file)?.truncate(*len as usize),
            DiskOp::Sync { file } => drop(self.file(*file)?),
            DiskOp::Settle { path } => drop(self.files.get(path).ok_or(not_found)?),
            DiskOp::Close { file } => drop(self.open.remove(file)),
            DiskOp::Rename { from, to } => {
                let bytes = self.files.remove(from).ok_or(not_found)?;
                self.files.insert(to.clone(), bytes);
            }
            DiskOp::Remove { path } => drop(self.files.remove(path)),
            DiskOp::MakeFolder { .. } | DiskOp::SyncFolder { .. } => {}
            DiskOp::Read { path, offset, len } => {
                let bytes = self.files.get(path).ok_or(not_found)?;
                answer.file_len = bytes.len() as u64;
                let rest = bytes.get(*offset as usize..).unwrap_or_default();
                answer.bytes = rest[..rest.len().min(*len)].to_vec();
            }
        }
        Ok(())
    }

    /// A file that is open keeps its name here: none is renamed before it is closed.
    fn file(&mut self, file: FileId) -> Result<&mut Vec<u8>, DiskErrorKind> {
        let path = self.open.get(&file).ok_or(DiskErrorKind::NotFound)?;
        self.files.get_mut(path).ok_or(DiskErrorKind::NotFound)
    }
}
