//! An engine's files after everything ended between any two operations of its disk, or in the
//! middle of one: what it loads then is what it should be.

use orrery_engine::Config;
use orrery_sim::chance::{Chance, Stream};
use orrery_sim::disk::enumerate::{End, Event, Limits, Point, Report, enumerate};
use orrery_sim::disk::machine::Machine;
use orrery_sim::disk::{Disk, Pace};

const LOOK: &[&str] = &["MGET", "a", "b", "c", "long"];

fn empty_disk() -> Disk {
    Disk::new(Chance::new(1).key(Stream::Disk, 0), Pace::default())
}

fn config() -> Config {
    Config::default()
}

/// What there was at the moment of a snapshot, and where in the story it was acknowledged.
struct Moment {
    /// What MGET said.
    state: Vec<u8>,
    /// How many events there had been when it was asked for, and when it was acknowledged.
    asked: usize,
    acknowledged: usize,
}

/// Two snapshots of different data, one by SAVE, one by BGSAVE with changes under it.
fn story() -> (Vec<Event>, Vec<Moment>) {
    let mut machine = Machine::start(config(), empty_disk()).expect("there is nothing to load");
    let mut moments = Vec::new();
    // Values that compress badly, so that the file has several sectors.
    let key = Chance::new(1).key(Stream::Value, 0);
    let long: String = (0..3_000).map(|at| char::from(key.at(at).between(33, 120) as u8)).collect();
    for (round, save) in ["SAVE", "BGSAVE"].into_iter().enumerate() {
        let value = format!("value {round}");
        assert_eq!(machine.ask(&["MSET", "a", &value, "b", &value, "long", &long]), b"+OK\r\n");
        let (state, asked) = (machine.ask(LOOK), machine.events().len());
        let early = machine.send(&[save]);
        // The snapshot is not of what comes now.
        machine.send(&["SET", "a", "later"]);
        machine.settle();
        let late = machine.ask(&["PING"]);
        assert!([early, late].concat().starts_with(b"+"), "{save}");
        moments.push(Moment { state, asked, acknowledged: machine.events().len() });
    }
    (machine.events().to_vec(), moments)
}

/// Recovers and looks whether the data is that of the last snapshot that was acknowledged, or of a
/// later one that was asked for.
fn judge(point: &Point, config: Config, disk: Disk, moments: &[Moment]) -> Result<(), String> {
    let mut machine = Machine::start(config, disk)?;
    let state = machine.ask(LOOK);
    let safe = moments.iter().rposition(|moment| moment.acknowledged <= point.events);
    let allowed = moments[safe.unwrap_or(0)..].iter();
    let mut allowed = allowed.filter(|moment| moment.asked <= point.events);
    let nothing = b"*4\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n";
    if allowed.any(|moment| moment.state == state) || (safe.is_none() && state == nothing) {
        return Ok(());
    }
    Err(format!("there is {:?}", String::from_utf8_lossy(&state)))
}

fn look(events: &[Event], moments: &[Moment]) -> Report {
    let limits = Limits { images: 8_192, ..Limits::default() };
    let judge = &mut |point: &Point, disk: Disk| judge(point, config(), disk, moments);
    enumerate(&empty_disk(), events, limits, judge)
}

#[test]
fn whenever_everything_ends_a_snapshot_is_whole_and_one_that_was_promised() {
    let (events, moments) = story();
    let report = look(&events, &moments);
    assert!(report.found.is_empty(), "{report}");
    assert!(report.is_exhaustive(), "{report}");
    assert!(report.images > 1_000 && report.points > 40, "{report}");
}

#[test]
fn a_snapshot_without_its_syncs_is_found() {
    use orrery_engine::disk::DiskOp;
    let (events, moments) = story();
    let without = |unwanted: fn(&DiskOp) -> bool| {
        let is_wanted = |event: &&Event| !matches!(event, Event::Op(op) if unwanted(op));
        // What was left out changes what was acknowledged when.
        let place = |at: usize| events[..at].iter().filter(is_wanted).count();
        let moved = |it: &Moment| Moment {
            state: it.state.clone(),
            asked: place(it.asked),
            acknowledged: place(it.acknowledged),
        };
        let moments: Vec<Moment> = moments.iter().map(moved).collect();
        look(&events.iter().filter(is_wanted).cloned().collect::<Vec<_>>(), &moments)
    };
    let no_sync = without(|op| matches!(op, DiskOp::Sync { .. }));
    assert!(no_sync.found.iter().any(|it| it.point.end == End::PowerLost), "{no_sync}");
    let no_folder = without(|op| matches!(op, DiskOp::SyncFolder { .. }));
    assert!(no_folder.found.iter().any(|it| it.why.starts_with("there is")), "{no_folder}");
    let no_rename = without(|op| matches!(op, DiskOp::Rename { .. }));
    assert!(!no_rename.found.is_empty(), "{no_rename}");
}

/// A server that keeps a log and syncs it always.
fn config_of_log() -> Config {
    let mut config = Config::default();
    for (name, word) in [("appendonly", "yes"), ("appendfsync", "always")] {
        config.set(name, &[word]).expect("there is this parameter");
    }
    config
}

/// Writes, a rewrite of the log with writes under it, and more writes.
fn story_of_log() -> (Vec<Event>, Vec<Moment>) {
    let disk = empty_disk().in_order();
    let mut machine = Machine::start(config_of_log(), disk).expect("there is nothing to load");
    let mut moments = Vec::new();
    for (round, key) in ["a", "b", "a", "c", "long", "b", "a"].into_iter().enumerate() {
        if round == 3 {
            let started = b"+Background append only file rewriting started\r\n";
            assert_eq!(machine.send(&["BGREWRITEAOF"]), started);
        }
        let asked = machine.events().len();
        let value = if key == "long" { "l".repeat(1_500) } else { format!("value {round}") };
        let mut said = machine.send(&["SET", key, &value]);
        while said.is_empty() && machine.turn() {
            said = machine.said();
        }
        assert_eq!(said, b"+OK\r\n");
        let acknowledged = machine.events().len();
        let mut state = machine.send(LOOK);
        while state.is_empty() && machine.turn() {
            state = machine.said();
        }
        moments.push(Moment { state, asked, acknowledged });
    }
    machine.settle();
    (machine.events().to_vec(), moments)
}

#[test]
fn whenever_everything_ends_a_log_has_all_that_was_acknowledged() {
    let (events, moments) = story_of_log();
    let limits = Limits { images: 2_048, ..Limits::default() };
    let judge = &mut |point: &Point, disk: Disk| judge(point, config_of_log(), disk, &moments);
    let report = enumerate(&empty_disk().in_order(), &events, limits, judge);
    assert!(report.found.is_empty(), "{report}");
    assert!(report.images > 200 && report.points > 100, "{report}");
}
