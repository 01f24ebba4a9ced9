//! Properties of the disk: what a sync makes safe, what a kill and a loss of power leave.

use super::choice::{Newest, Oldest};
use super::*;
use crate::chance::{Chance, Stream};
use orrery_engine::disk::{Lane, Ticket};

fn disk(seed: u64) -> Disk {
    Disk::new(Chance::new(seed).key(Stream::Disk, 0), Pace::default())
}

fn create(file: u64, path: &str) -> DiskOp {
    DiskOp::Create { file: FileId(file), path: path.to_owned() }
}

fn append(file: u64, bytes: &[u8]) -> DiskOp {
    DiskOp::Append { file: FileId(file), bytes: bytes.to_vec() }
}

fn done(disk: &mut Disk, ops: &[DiskOp]) {
    for op in ops {
        disk.carry_out(op).unwrap_or_else(|why| panic!("{op:?}: {why:?}"));
    }
}

/// What files must be: as processes see them, and as far as they are safe.
#[derive(Clone, Default)]
struct Mirror {
    cached: BTreeMap<String, u64>,
    safe: BTreeMap<String, u64>,
    cached_bytes: BTreeMap<u64, Vec<u8>>,
    safe_bytes: BTreeMap<u64, Vec<u8>>,
    /// What each file was opened as, and whether it still is.
    open: BTreeMap<u64, u64>,
    next: u64,
}

impl Mirror {
    fn image(&self, names: &BTreeMap<String, u64>, safe: bool) -> BTreeMap<String, Vec<u8>> {
        let bytes = if safe { &self.safe_bytes } else { &self.cached_bytes };
        let read = |inode| bytes.get(inode).cloned().unwrap_or_default();
        names.iter().map(|(name, inode)| (name.clone(), read(inode))).collect()
    }

    fn apply(&mut self, op: &DiskOp) {
        match op {
            DiskOp::Create { file, path } => {
                let next = self.next;
                let inode = *self.cached.entry(path.clone()).or_insert(next);
                self.next += u64::from(inode == next);
                self.cached_bytes.insert(inode, Vec::new());
                self.open.insert(file.0, inode);
            }
            DiskOp::Append { file, bytes } => {
                let inode = self.open[&file.0];
                self.cached_bytes.entry(inode).or_default().extend(bytes);
            }
            DiskOp::Truncate { file, len } => {
                let bytes = self.cached_bytes.entry(self.open[&file.0]).or_default();
                bytes.resize(*len as usize, 0);
            }
            DiskOp::Sync { file } => {
                let inode = self.open[&file.0];
                let bytes = self.cached_bytes.get(&inode).cloned().unwrap_or_default();
                self.safe_bytes.insert(inode, bytes);
            }
            DiskOp::Rename { from, to } => {
                let inode = self.cached.remove(from).expect("it is there");
                self.cached.insert(to.clone(), inode);
            }
            DiskOp::Remove { path } => {
                self.cached.remove(path);
            }
            DiskOp::SyncFolder { .. } => self.safe = self.cached.clone(),
            _ => {}
        }
    }
}

/// An operation that can be carried out.
fn draw_op(mirror: &Mirror, file: u64, draw: &mut Draw) -> DiskOp {
    let name = |draw: &mut Draw| draw.pick(&["a", "b", "c"]).to_owned();
    let opened: Vec<u64> = mirror.open.keys().copied().collect();
    let named: Vec<&String> = mirror.cached.keys().collect();
    match draw.below(12) {
        0..=1 => DiskOp::Create { file: FileId(file), path: name(draw) },
        2 if !named.is_empty() => {
            let from = draw.pick(&named).clone();
            DiskOp::Rename { from, to: name(draw) }
        }
        3 => DiskOp::Remove { path: name(draw) },
        4 => DiskOp::SyncFolder { path: String::new() },
        5..=6 if !opened.is_empty() => DiskOp::Sync { file: FileId(draw.pick(&opened)) },
        7 if !opened.is_empty() => {
            DiskOp::Truncate { file: FileId(draw.pick(&opened)), len: draw.below(2_000) }
        }
        8..=11 if !opened.is_empty() => {
            let len = draw.spread(1, 3_000) as usize;
            append(draw.pick(&opened), &vec![draw.below(255) as u8 + 1; len])
        }
        _ => DiskOp::Create { file: FileId(file), path: name(draw) },
    }
}

#[test]
fn a_sync_makes_safe_what_it_says_and_nothing_else_and_a_kill_loses_nothing() {
    for seed in 0..400 {
        let (mut disk, mut mirror) = (disk(seed), Mirror::default());
        let mut draw = Chance::new(seed).key(Stream::Disk, 1).at(0);
        for file in 0..draw.between(5, 60) {
            let op = draw_op(&mirror, file, &mut draw);
            done(&mut disk, std::slice::from_ref(&op));
            mirror.apply(&op);
        }
        let seen = mirror.image(&mirror.cached, false);
        assert_eq!(disk.image(), seen, "seed {seed}");
        let mut killed = disk.clone();
        killed.kill();
        assert_eq!(killed.image(), seen, "seed {seed}: a kill");
        let mut unlucky = disk.clone();
        unlucky.lose_power(&mut Oldest);
        if !disk.shows_stale {
            let safe = mirror.image(&mirror.safe, true);
            assert_eq!(unlucky.image(), safe, "seed {seed}: the worst loss of power");
        }
        let mut lucky = disk.clone();
        assert!(!lucky.lose_power(&mut Newest), "seed {seed}: the best loss of power");
        assert_eq!(lucky.image(), seen, "seed {seed}: the best loss of power");
        // Whatever chance says: a file that is safe under a name that is safe is there.
        let mut drawn = disk.clone();
        drawn.lose_power(&mut Drawn::new(draw));
        let image = drawn.image();
        for (name, inode) in &mirror.safe {
            let bytes = mirror.cached_bytes.get(inode);
            let settled = mirror.cached.get(name) == Some(inode) && disk_is_settled(&disk, name);
            if settled && mirror.safe_bytes.get(inode) == bytes {
                assert_eq!(image.get(name), bytes, "seed {seed}: {name}");
            }
        }
    }
}

/// Whether no change of this name or of its file is open.
fn disk_is_settled(disk: &Disk, name: &str) -> bool {
    let file = disk.tree.file(name).expect("it is there");
    disk.tree.count() == 1 && !disk.inodes[&file].is_dirty()
}

#[test]
fn the_same_seed_gives_the_same_image() {
    let run = |seed: u64| {
        let mut disk = disk(seed);
        disk.trouble.errors = 1;
        disk.trouble.failing_syncs = 1;
        let mut draw = Chance::new(seed).key(Stream::Disk, 1).at(0);
        let mut story = Vec::new();
        for round in 0..4 {
            let file = FileId(round);
            disk.carry_out(&create(round, "a")).expect("names work");
            for _ in 0..20 {
                let op = match draw.below(3) {
                    0 => DiskOp::Sync { file },
                    _ => append(round, &vec![draw.below(256) as u8; draw.below(900) as usize]),
                };
                story.push((disk.takes_ns(&op), disk.carry_out(&op).is_ok()));
            }
            disk.rot(&mut draw);
            disk.lose_power(&mut Drawn::new(draw));
        }
        (story, disk.digest())
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
    }
    let digests: std::collections::BTreeSet<u64> = (0..20).map(|seed| run(seed).1).collect();
    assert!(digests.len() > 15, "and another seed another one");
    assert!(run(1).0.iter().any(|(_, ok)| *ok) && run(1).0.iter().any(|(_, ok)| !ok));
}

#[test]
fn a_full_disk_takes_what_fits_and_has_room_again() {
    let mut disk = disk(1);
    done(&mut disk, &[create(1, "a"), append(1, &[1; 700]), create(2, "b")]);
    disk.trouble.capacity = Some(1_000);
    let order = DiskOrder {
        ticket: Ticket(1),
        lane: Lane::Log,
        ops: vec![append(2, &[2; 100]), append(2, &[3; 500]), DiskOp::Sync { file: FileId(2) }],
    };
    let (result, takes_ns) = disk.carry_out_order(&order);
    let error = result.expect_err("there is no room");
    assert_eq!((error.at, error.kind), (1, DiskErrorKind::NoSpace));
    assert_eq!(error.text, "No space left on device");
    assert!(takes_ns > 0);
    assert_eq!(disk.used_bytes(), 1_000, "what fitted was written");
    // A removed file that is open keeps its room until it is closed.
    done(&mut disk, &[DiskOp::Remove { path: "a".to_owned() }]);
    assert_eq!(disk.used_bytes(), 1_000);
    done(&mut disk, &[DiskOp::Close { file: FileId(1) }, append(2, &[4; 500])]);
    assert_eq!(disk.used_bytes(), 800);
}

#[test]
fn what_a_failed_sync_dropped_stays_lost_whatever_comes_later() {
    let mut lost = 0;
    for seed in 0..64 {
        let mut disk = disk(seed);
        done(&mut disk, &[create(1, "a"), DiskOp::SyncFolder { path: String::new() }]);
        disk.trouble.failing_syncs = 1;
        done(&mut disk, &[append(1, &[7; 512])]);
        let sync = DiskOp::Sync { file: FileId(1) };
        if let Err(failure) = disk.carry_out(&sync) {
            assert_eq!(failure.text, "Input/output error");
            disk.trouble.failing_syncs = 0;
            done(&mut disk, &[append(1, &[8; 512]), sync]);
            disk.lose_power(&mut Newest);
            let bytes = &disk.image()["a"];
            assert_eq!(bytes[512..], [8; 512], "what came later is safe");
            lost += u32::from(bytes[..512] == [0; 512]);
        }
    }
    assert!(lost > 5, "{lost}");
}

#[test]
fn a_disk_that_lies_has_nothing_after_a_loss_of_power() {
    let mut disk = disk(1);
    disk.trouble.lying = 1;
    let sync = DiskOp::Sync { file: FileId(1) };
    done(&mut disk, &[create(1, "a"), append(1, b"x"), sync]);
    done(&mut disk, &[DiskOp::SyncFolder { path: String::new() }]);
    assert_eq!(disk.image().len(), 1);
    assert!(disk.lose_power(&mut Oldest));
    assert!(disk.image().is_empty());
}

#[test]
fn rot_and_misdirected_writes_change_what_was_safe() {
    let (mut rotten, mut elsewhere) = (0, 0);
    for seed in 0..50 {
        let mut disk = disk(seed);
        let sync = |file| DiskOp::Sync { file: FileId(file) };
        let ops = [create(1, "a"), append(1, &[1; 2_000]), sync(1), create(2, "b")];
        done(&mut disk, &ops);
        done(&mut disk, &[DiskOp::SyncFolder { path: String::new() }]);
        assert!(!disk.is_harmed());
        let mut other = disk.clone();
        let path = disk.rot(&mut Chance::new(seed).key(Stream::Fault, 0).at(0));
        assert_eq!(path.as_deref(), Some("a"));
        let changed = disk.image()["a"].iter().filter(|&&byte| byte != 1).count();
        rotten += changed;
        assert!(disk.is_harmed());
        other.trouble.misdirected = 1;
        done(&mut other, &[append(2, &[2; 512]), sync(2)]);
        other.lose_power(&mut Newest);
        let image = other.image();
        assert_ne!(image["b"], [2; 512], "it never arrived");
        elsewhere += usize::from(image["a"].contains(&2));
    }
    assert_eq!((rotten, elsewhere), (50, 50));
}

#[test]
fn errors_are_those_of_the_operating_system() {
    let mut disk = disk(1);
    let path = |path: &str| path.to_owned();
    let open = DiskOp::Open { file: FileId(1), path: path("none") };
    let read = DiskOp::Read { path: path("none"), offset: 0, len: 1 };
    let rename = DiskOp::Rename { from: path("none"), to: path("other") };
    for op in [open, read, rename, create(1, "folder/file")] {
        let failure = disk.carry_out(&op).expect_err("there is no such file");
        assert_eq!(failure.kind, DiskErrorKind::NotFound, "{op:?}");
        assert_eq!(failure.text, "No such file or directory");
    }
    let folder = DiskOp::MakeFolder { path: path("folder") };
    done(&mut disk, &[folder.clone(), folder, create(1, "folder/file"), append(1, b"abc")]);
    done(&mut disk, &[DiskOp::Remove { path: path("none") }]);
    let read = |offset, len| DiskOp::Read { path: path("folder/file"), offset, len };
    let part = disk.carry_out(&read(1, 10)).expect("it is there");
    assert_eq!((part.bytes.as_slice(), part.file_len), (&b"bc"[..], 3));
    assert_eq!(disk.carry_out(&read(9, 10)).expect("it is there").bytes, b"");
    disk.kill();
    assert!(disk.carry_out(&append(1, b"d")).is_err(), "nothing is open any more");
}
