//! A simulated disk: a page cache, a file system, and everything that goes wrong with them.
//!
//! It carries out what an engine orders ([`orrery_engine::disk`]). What was written is in the
//! cache, where a kill -9 leaves it; what was not synced is lost with the power, or not, sector by
//! sector, length by length and name by name ([`Disk::lose_power`]). No order among them is
//! assumed, as some file systems give it.
//!
//! Invariant: pure and deterministic: what it does is a function of its key, the operations and
//! the choices of whoever takes its power away. A sync that succeeded on a disk without trouble
//! made safe exactly what it says.

pub mod choice;
pub mod enumerate;
mod folder;
mod inode;
pub mod machine;
mod trouble;

use std::collections::BTreeMap;

use orrery_engine::disk::{
    DiskAnswer, DiskError, DiskErrorKind, DiskOp, DiskOrder, DiskResult, FileId,
};

use crate::chance::{Draw, Key, roll_bytes};
use choice::{Choice, Drawn};
use folder::{InodeId, Node, Tree};
use inode::Inode;

pub use inode::SECTOR_BYTES;
pub use trouble::{Pace, Trouble};

/// One machine's disk with its file system and the cache that the kernel has of it.
#[derive(Clone, Debug)]
pub struct Disk {
    inodes: BTreeMap<InodeId, Inode>,
    tree: Tree,
    /// Files that the present process has open.
    open: BTreeMap<FileId, InodeId>,
    next: InodeId,
    pace: Pace,
    /// Whether a file's length and its bytes survive in the order in which they were written.
    is_ordered: bool,
    /// Whether blocks that were never written may show what was there before.
    shows_stale: bool,
    key: Key,
    /// Operations so far.
    ops: u64,
    /// Whether bytes that were safe have been changed since it was last empty.
    harmed: bool,
    /// What is the matter with it.
    pub trouble: Trouble,
}

/// What became of one operation.
pub type OpResult = Result<DiskAnswer, Failure>;

/// Why an operation was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: DiskErrorKind,
    /// The operating system's words.
    pub text: &'static str,
}

impl Failure {
    const NO_SPACE: Self = Self { kind: DiskErrorKind::NoSpace, text: "No space left on device" };
    const IO: Self = Self { kind: DiskErrorKind::Other, text: "Input/output error" };
    const NOT_FOUND: Self =
        Self { kind: DiskErrorKind::NotFound, text: "No such file or directory" };
    const IS_FOLDER: Self = Self { kind: DiskErrorKind::Other, text: "Is a directory" };
    const NOT_FOLDER: Self = Self { kind: DiskErrorKind::Other, text: "Not a directory" };
    const BAD_FILE: Self = Self { kind: DiskErrorKind::Other, text: "Bad file descriptor" };
    const CROSSES: Self = Self { kind: DiskErrorKind::Other, text: "Invalid cross-device link" };

    /// As the engine wants it.
    #[must_use]
    pub fn at(self, at: usize) -> DiskError {
        DiskError { at, kind: self.kind, text: self.text.to_owned() }
    }
}

impl Disk {
    /// An empty disk whose chances are those of `key`.
    #[must_use]
    pub fn new(key: Key, pace: Pace) -> Self {
        Self {
            inodes: BTreeMap::new(),
            tree: Tree::default(),
            open: BTreeMap::new(),
            next: 1,
            pace,
            is_ordered: false,
            shows_stale: key.at(u64::MAX).chance(1, 4),
            key,
            ops: 0,
            harmed: false,
            trouble: Trouble::default(),
        }
    }

    /// The same disk with a file system that keeps the length and the bytes of each file in order,
    /// as those with a journal do for what is appended. Names are not kept in order.
    #[must_use]
    pub fn in_order(self) -> Self {
        Self { is_ordered: true, ..self }
    }

    /// The chances of the next operation.
    fn draw(&self, what: u64) -> Draw {
        self.key.at(self.ops << 2 | what)
    }

    /// How long the next operation will take, in nanoseconds.
    #[must_use]
    pub fn takes_ns(&self, op: &DiskOp) -> u64 {
        let mut draw = self.draw(1);
        let sectors = match op {
            DiskOp::Sync { file } => {
                let inode = self.open.get(file).and_then(|inode| self.inodes.get(inode));
                inode.map_or(0, Inode::dirty_bytes) / SECTOR_BYTES as u64
            }
            _ => 0,
        };
        self.pace.takes_ns(op, sectors, &mut draw) + self.trouble.delay_ns(&mut draw)
    }

    /// Carries out one operation, with the troubles that there are.
    ///
    /// # Errors
    /// What the operating system would say.
    pub fn carry_out(&mut self, op: &DiskOp) -> OpResult {
        let mut draw = self.draw(2);
        self.ops += 1;
        if self.trouble.fails(op, &mut draw) {
            match op {
                DiskOp::Sync { file } => {
                    self.opened(*file)?.fail_sync(&mut Drawn::new(draw));
                }
                DiskOp::Settle { path } => {
                    self.named(path)?.fail_sync(&mut Drawn::new(draw));
                }
                DiskOp::Append { file, bytes } => {
                    // Some of it may have been written.
                    let len = bytes.len() as u64;
                    let len = if draw.chance(1, 2) { draw.below(len + 1) } else { 0 };
                    self.opened(*file)?.append(&bytes[..len as usize]);
                }
                _ => {}
            }
            return Err(Failure::IO);
        }
        let done = DiskAnswer::default();
        match op {
            DiskOp::Create { file, path } => self.create(*file, path, &mut draw)?,
            DiskOp::Open { file, path } => {
                let inode = self.tree.file(path).ok_or(Failure::NOT_FOUND)?;
                self.open.insert(*file, inode);
            }
            DiskOp::Append { file, bytes } => self.append(*file, bytes)?,
            DiskOp::Truncate { file, len } => self.opened(*file)?.truncate(*len as usize),
            DiskOp::Sync { file } => self.sync(*file, &mut draw)?,
            DiskOp::Settle { path } => {
                let lies = self.trouble.lying > 0;
                let inode = self.named(path)?;
                if !lies {
                    inode.sync();
                }
                inode.evict();
            }
            DiskOp::Close { file } => {
                self.open.remove(file).ok_or(Failure::BAD_FILE)?;
                self.sweep();
            }
            DiskOp::Rename { from, to } => self.rename(from, to)?,
            DiskOp::Remove { path } => self.remove(path)?,
            DiskOp::MakeFolder { path } => self.make_folder(path)?,
            DiskOp::SyncFolder { path } => {
                if self.trouble.lying == 0 && !self.tree.sync(path) {
                    return Err(Failure::NOT_FOUND);
                }
                self.sweep();
            }
            DiskOp::Read { path, offset, len } => return self.read(path, *offset, *len),
        }
        Ok(done)
    }

    /// Carries out a whole order. The second part is how long that takes, in nanoseconds.
    pub fn carry_out_order(&mut self, order: &DiskOrder) -> (DiskResult, u64) {
        let (mut answer, mut takes_ns) = (DiskAnswer::default(), 0);
        for (at, op) in order.ops.iter().enumerate() {
            takes_ns += self.takes_ns(op);
            match self.carry_out(op) {
                Ok(read) => answer = read,
                Err(failure) => return (Err(failure.at(at)), takes_ns),
            }
        }
        (Ok(answer), takes_ns)
    }

    /// The process dies in the middle of an operation: it is carried out, or not, or partly.
    pub fn interrupt(&mut self, op: &DiskOp, choice: &mut dyn Choice) {
        match op {
            // What a sync has done by then is among what a loss of power leaves.
            DiskOp::Sync { .. }
            | DiskOp::Settle { .. }
            | DiskOp::SyncFolder { .. }
            | DiskOp::Read { .. } => {}
            DiskOp::Append { file, bytes } => {
                let Ok(inode) = self.opened(*file) else { return };
                let to_edge = SECTOR_BYTES - inode.bytes().len() % SECTOR_BYTES;
                // Nothing, all that fits in the sector, one more sector each, everything.
                let edges = bytes.len().saturating_sub(to_edge).div_ceil(SECTOR_BYTES);
                let at = choice.choose(edges as u64 + 2) as usize;
                let len = if at == 0 { 0 } else { to_edge + (at - 1) * SECTOR_BYTES };
                inode.append(&bytes[..len.min(bytes.len())]);
            }
            _ => {
                if choice.choose(2) == 1 {
                    // A failure would have reached nobody.
                    let _unheard = self.carry_out(op);
                }
            }
        }
    }

    /// The process is gone: what it had open is closed, and nothing is lost.
    pub fn kill(&mut self) {
        self.open.clear();
        self.sweep();
    }

    /// The machine loses its power: what was not made safe is lost, or not, as `choice` says.
    /// Whether something that processes could see is gone or has changed.
    pub fn lose_power(&mut self, choice: &mut dyn Choice) -> bool {
        self.open.clear();
        let before = self.image();
        self.tree.lose_power(choice);
        let kept = self.tree.present();
        self.inodes.retain(|inode, _| kept.contains(inode));
        for inode in self.inodes.values_mut() {
            if self.is_ordered {
                inode.lose_power_in_order(choice);
            } else {
                inode.lose_power(choice, self.shows_stale);
            }
        }
        before != self.image()
    }

    /// In how many ways a loss of power can leave it, if choices were independent of each other.
    #[must_use]
    pub fn count(&self) -> u128 {
        let reachable = self.tree.reachable();
        let inodes = self.inodes.iter().filter(|(inode, _)| reachable.contains(inode));
        inodes.fold(self.tree.count(), |count, (_, inode)| {
            count.saturating_mul(inode.count((self.is_ordered, self.shows_stale)))
        })
    }

    /// A bit of what is safe turns over, in a file that draws. Where; `None`: there is nothing.
    pub fn rot(&mut self, draw: &mut Draw) -> Option<String> {
        let (path, inode) = self.draw_file(draw)?;
        let inode = self.inodes.get_mut(&inode)?;
        let sector = draw.below(inode.safe_sectors() as u64) as usize;
        if !inode.rot(sector, draw) {
            return None;
        }
        // Nobody notices before the cache has to read it again.
        inode.evict();
        self.harmed = true;
        Some(path)
    }

    /// A file that has safe sectors.
    fn draw_file(&self, draw: &mut Draw) -> Option<(String, InodeId)> {
        let mut files = self.tree.files();
        files.retain(|_, inode| self.inodes.get(inode).is_some_and(|it| it.safe_sectors() > 0));
        let place = draw.below(files.len() as u64) as usize;
        files.into_iter().nth(place)
    }

    /// Whether bytes that were safe have been changed by the disk itself.
    #[must_use]
    pub fn is_harmed(&self) -> bool {
        self.harmed
    }

    /// Somebody cuts a file, and sees to it that this is safe; false: there is none.
    pub fn cut(&mut self, path: &str, len: usize) -> bool {
        let inode = self.tree.file(path).and_then(|inode| self.inodes.get_mut(&inode));
        let Some(inode) = inode.filter(|inode| len < inode.bytes().len()) else { return false };
        inode.truncate(len);
        inode.sync();
        true
    }

    /// Somebody empties it.
    pub fn wipe(&mut self) {
        self.kill();
        self.tree = Tree::default();
        self.inodes.clear();
        self.harmed = false;
    }

    /// What a process finds: all files by their path.
    #[must_use]
    pub fn image(&self) -> BTreeMap<String, Vec<u8>> {
        let files = self.tree.files().into_iter();
        let bytes = |inode: &InodeId| self.inodes.get(inode).map(|it| it.bytes().to_vec());
        files.filter_map(|(path, inode)| Some((path, bytes(&inode)?))).collect()
    }

    /// Hashes what is in the cache and what is safe.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.tree.files().iter().fold(0, |hash, (path, inode)| {
            let hash = roll_bytes(hash, path.as_bytes());
            self.inodes.get(inode).map_or(hash, |inode| inode.digest(hash))
        })
    }

    /// Bytes that files take, those without a name included that are open.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        let present = self.tree.present();
        let is_here =
            |inode: &InodeId| present.contains(inode) || self.open.values().any(|it| it == inode);
        let inodes = self.inodes.iter().filter(|(inode, _)| is_here(inode));
        inodes.map(|(_, inode)| inode.bytes().len() as u64).sum()
    }

    /// How many more bytes fit.
    fn room_bytes(&self) -> u64 {
        self.trouble.capacity.map_or(u64::MAX, |most| most.saturating_sub(self.used_bytes()))
    }

    fn named(&mut self, path: &str) -> Result<&mut Inode, Failure> {
        let inode = self.tree.file(path).and_then(|inode| self.inodes.get_mut(&inode));
        inode.ok_or(Failure::NOT_FOUND)
    }

    fn opened(&mut self, file: FileId) -> Result<&mut Inode, Failure> {
        let inode = self.open.get(&file).and_then(|inode| self.inodes.get_mut(inode));
        inode.ok_or(Failure::BAD_FILE)
    }

    fn create(&mut self, file: FileId, path: &str, draw: &mut Draw) -> Result<(), Failure> {
        let place = self.tree.place(path).ok_or(Failure::NOT_FOUND)?;
        let inode = match self.tree.at(&place) {
            Some(Node::Folder(_)) => return Err(Failure::IS_FOLDER),
            Some(Node::File(inode)) => {
                self.inodes.entry(inode).or_default().truncate(0);
                inode
            }
            // A name needs room as well, though there may be some in a block that is there.
            None if self.room_bytes() == 0 && draw.chance(1, 4) => return Err(Failure::NO_SPACE),
            None => {
                let inode = self.next;
                self.next += 1;
                self.inodes.insert(inode, Inode::default());
                self.tree.link(place, inode);
                inode
            }
        };
        self.open.insert(file, inode);
        Ok(())
    }

    fn append(&mut self, file: FileId, bytes: &[u8]) -> Result<(), Failure> {
        let room = usize::try_from(self.room_bytes()).unwrap_or(usize::MAX);
        let inode = self.opened(file)?;
        inode.append(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room { Err(Failure::NO_SPACE) } else { Ok(()) }
    }

    fn sync(&mut self, file: FileId, draw: &mut Draw) -> Result<(), Failure> {
        self.opened(file)?;
        if self.trouble.lying > 0 {
            return Ok(());
        }
        if self.trouble.misdirected > 0
            && let Some(stolen) = self.opened(file)?.steal(|count| draw.below(count))
        {
            self.trouble.misdirected -= 1;
            self.harmed = true;
            if let Some((_, victim)) = self.draw_file(draw)
                && let Some(victim) = self.inodes.get_mut(&victim)
            {
                let sector = draw.below(victim.safe_sectors() as u64) as usize;
                victim.suffer(sector, &stolen);
                victim.evict();
            }
        }
        self.opened(file)?.sync();
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Failure> {
        let from = self.tree.place(from).ok_or(Failure::NOT_FOUND)?;
        let to = self.tree.place(to).ok_or(Failure::NOT_FOUND)?;
        if !Tree::are_neighbours(&from, &to) {
            return Err(Failure::CROSSES);
        }
        match (self.tree.at(&from), self.tree.at(&to)) {
            (None, _) => Err(Failure::NOT_FOUND),
            (Some(Node::File(_)), Some(Node::Folder(_))) => Err(Failure::IS_FOLDER),
            (Some(Node::Folder(_)), Some(Node::File(_))) => Err(Failure::NOT_FOLDER),
            _ => {
                self.tree.rename(from, to);
                self.sweep();
                Ok(())
            }
        }
    }

    fn remove(&mut self, path: &str) -> Result<(), Failure> {
        let Some(place) = self.tree.place(path) else { return Ok(()) };
        match self.tree.at(&place) {
            None => {}
            Some(Node::Folder(_)) => return Err(Failure::IS_FOLDER),
            Some(Node::File(_)) => self.tree.unlink(place),
        }
        self.sweep();
        Ok(())
    }

    fn make_folder(&mut self, path: &str) -> Result<(), Failure> {
        let place = self.tree.place(path).ok_or(Failure::NOT_FOUND)?;
        match self.tree.at(&place) {
            Some(Node::Folder(_)) => Ok(()),
            Some(Node::File(_)) => Err(Failure { text: "File exists", ..Failure::NOT_FOLDER }),
            None => {
                self.tree.make_folder(place);
                Ok(())
            }
        }
    }

    fn read(&self, path: &str, offset: u64, len: usize) -> OpResult {
        let inode = self.tree.file(path).and_then(|inode| self.inodes.get(&inode));
        let bytes = inode.ok_or(Failure::NOT_FOUND)?.bytes();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let to = from.saturating_add(len).min(bytes.len());
        Ok(DiskAnswer { bytes: bytes[from..to].to_vec(), file_len: bytes.len() as u64 })
    }

    /// Forgets contents that no name can mean and no process has open.
    fn sweep(&mut self) {
        let reachable = self.tree.reachable();
        let open = &self.open;
        self.inodes
            .retain(|inode, _| reachable.contains(inode) || open.values().any(|it| it == inode));
    }
}

#[cfg(test)]
mod tests;
