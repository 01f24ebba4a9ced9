//! Small protocols by hand: the safe one passes, and what is wrong with the others is found.

use orrery_engine::disk::{FileId, Lane};

use super::*;
use crate::disk::Pace;

const OLD: &[u8] = b"what was there before";

fn contents() -> Vec<u8> {
    (0..1_700_u32).map(|at| (at % 251) as u8 + 1).collect()
}

fn order(ticket: u64, ops: Vec<DiskOp>) -> DiskOrder {
    DiskOrder { ticket: Ticket(ticket), lane: Lane::Bulk, ops }
}

fn create(file: u64, path: &str) -> DiskOp {
    DiskOp::Create { file: FileId(file), path: path.to_owned() }
}

fn append(file: u64, bytes: &[u8]) -> DiskOp {
    DiskOp::Append { file: FileId(file), bytes: bytes.to_vec() }
}

fn sync(file: u64) -> DiskOp {
    DiskOp::Sync { file: FileId(file) }
}

fn close(file: u64) -> DiskOp {
    DiskOp::Close { file: FileId(file) }
}

fn rename(from: &str, to: &str) -> DiskOp {
    DiskOp::Rename { from: from.to_owned(), to: to.to_owned() }
}

fn sync_folder() -> DiskOp {
    DiskOp::SyncFolder { path: String::new() }
}

/// A disk on which `dump` safely is what it was.
fn start() -> Disk {
    let mut disk = Disk::new(Chance::new(7).key(Stream::Disk, 0), Pace::default());
    let ops = vec![create(1, "dump"), append(1, OLD), sync(1), close(1), sync_folder()];
    assert!(disk.carry_out_order(&order(1, ops)).0.is_ok());
    disk
}

/// Replaces `dump` by other contents, leaving out what `without` says.
fn replace(without: &dyn Fn(&DiskOp) -> bool) -> Vec<Event> {
    let bytes = contents();
    let (first, second) = bytes.split_at(900);
    let begin = vec![create(2, "temp"), append(2, first)];
    let mut end = vec![append(2, second), sync(2), close(2)];
    end.extend([rename("temp", "dump"), sync_folder()]);
    end.retain(|op| !without(op));
    events(&[order(2, begin), order(3, end)])
}

/// Whether `dump` is what it was or what it is to be, and the latter if that was acknowledged.
fn is_one_of_both(point: &Point, disk: Disk) -> Result<(), String> {
    let image = disk.image();
    let acknowledged = point.answered.contains(&Ticket(3));
    match image.get("dump") {
        None => Err("it is gone".to_owned()),
        Some(bytes) if *bytes == contents() => Ok(()),
        Some(bytes) if bytes == OLD && !acknowledged => Ok(()),
        Some(bytes) if bytes == OLD => Err("what was acknowledged is lost".to_owned()),
        Some(bytes) => Err(format!("{} bytes of something else", bytes.len())),
    }
}

#[test]
fn a_file_that_is_replaced_with_care_is_always_one_of_both() {
    let report = enumerate(&start(), &replace(&|_| false), Limits::default(), &mut is_one_of_both);
    assert!(report.found.is_empty(), "{report}");
    assert!(report.is_exhaustive(), "{report}");
    assert!(report.images > 100, "{report}");
}

#[test]
fn a_rename_before_the_sync_is_found() {
    let without = |op: &DiskOp| matches!(op, DiskOp::Sync { .. });
    let report = enumerate(&start(), &replace(&without), Limits::default(), &mut is_one_of_both);
    assert!(report.found.iter().any(|it| it.why.contains("something else")), "{report}");
    assert!(report.found.iter().all(|it| it.point.end == End::PowerLost), "{report}");
}

#[test]
fn a_rename_whose_folder_is_not_synced_is_found() {
    let without = |op: &DiskOp| matches!(op, DiskOp::SyncFolder { .. });
    let report = enumerate(&start(), &replace(&without), Limits::default(), &mut is_one_of_both);
    // The other file may have its first name or none.
    assert_eq!(report.found.len(), 2, "{report}");
    assert!(report.found.iter().all(|it| it.why.contains("is lost")), "{report}");
}

#[test]
fn contents_written_in_place_are_found_even_if_only_the_process_dies() {
    let ops = vec![create(2, "dump"), append(2, &contents()), sync(2), close(2)];
    let events = events(&[order(3, ops)]);
    let report = enumerate(&start(), &events, Limits::default(), &mut is_one_of_both);
    assert!(report.found.iter().any(|it| it.point.end == End::Killed), "{report}");
}

/// Three lines appended to a log, each acknowledged; whether each is synced before.
fn log(synced: bool) -> Vec<Event> {
    let line = |number: u64| {
        let mut ops = vec![append(9, format!("line {number}\n").as_bytes())];
        ops.extend(synced.then(|| sync(9)));
        order(number, ops)
    };
    let open = order(100, vec![create(9, "log"), sync(9), sync_folder()]);
    events(&[open, line(1), line(2), line(3)])
}

/// Whether all lines that were acknowledged are there, and behind them nothing that is whole but
/// was never written.
fn has_lines(point: &Point, disk: Disk) -> Result<(), String> {
    let count = point.answered.iter().filter(|ticket| ticket.0 < 100).count();
    let expected: String = (1..=count).map(|number| format!("line {number}\n")).collect();
    let image = disk.image();
    match image.get("log") {
        Some(bytes) if bytes.starts_with(expected.as_bytes()) => Ok(()),
        None if point.answered.is_empty() => Ok(()),
        other => Err(format!("{count} lines were acknowledged: {other:?}")),
    }
}

#[test]
fn an_append_that_is_acknowledged_before_its_sync_is_found() {
    let report = enumerate(&start(), &log(true), Limits::default(), &mut has_lines);
    assert!(report.found.is_empty() && report.is_exhaustive(), "{report}");
    let report = enumerate(&start(), &log(false), Limits::default(), &mut has_lines);
    assert!(!report.found.is_empty(), "{report}");
    assert!(report.found.iter().all(|it| it.point.end == End::PowerLost), "{report}");
}

#[test]
fn more_ends_than_the_limit_are_drawn_and_the_report_says_so() {
    let ops = vec![create(2, "dump"), append(2, &[b'x'; 20_000]), sync(2), close(2)];
    let limits = Limits { images: 50, found: usize::MAX, ..Limits::default() };
    let events = events(&[order(3, ops)]);
    let run = || enumerate(&start(), &events, limits, &mut is_one_of_both);
    let (report, again) = (run(), run());
    assert!(!report.is_exhaustive() && report.images > 60, "{report}");
    assert_eq!(report.to_string(), again.to_string(), "the same seed draws the same");
    let lens: BTreeSet<usize> =
        report.found.iter().map(|it| it.disk.image()["dump"].len()).collect();
    assert!(lens.len() > 10, "the ends differ: {lens:?}");
}
