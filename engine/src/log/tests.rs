//! Tests of the log by itself.

use super::*;

fn words(text: &str) -> Vec<&[u8]> {
    text.split(' ').map(str::as_bytes).collect()
}

/// The records as lines.
fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let mut lines = Vec::new();
    let mut parts = text.split("\r\n");
    while let Some(header) = parts.next().filter(|part| !part.is_empty()) {
        match header.strip_prefix('*') {
            None => lines.push(header.to_owned()),
            Some(count) => {
                let mut words = Vec::new();
                for _ in 0..count.parse::<usize>().unwrap() {
                    parts.next().unwrap();
                    words.push(parts.next().unwrap());
                }
                lines.push(words.join(" "));
            }
        }
    }
    lines
}

fn push(log: &mut Log, db: usize, text: &str) {
    log.push(db, words(text), Readers::ALL);
}

fn started() -> Log {
    let mut log = Log::default();
    log.start();
    log
}

#[test]
fn nothing_is_kept_while_nobody_reads() {
    let mut log = Log::default();
    push(&mut log, 0, "set a 1");
    log.commit(true);
    assert_eq!((log.position(), log.take(), log.is_in_unit()), (0, Vec::new(), false));
}

#[test]
fn select_stands_where_the_database_changes() {
    let mut log = started();
    for (db, text) in [(0, "set a 1"), (0, "set b 1"), (3, "set c 1"), (0, "del a")] {
        push(&mut log, db, text);
        log.commit(true);
    }
    let bytes = log.take();
    assert_eq!(log.position(), bytes.len() as u64);
    let expected = ["SELECT 0", "set a 1", "set b 1", "SELECT 3", "set c 1", "SELECT 0", "del a"];
    assert_eq!(lines(&bytes), expected);
    push(&mut log, 0, "set d 1");
    log.commit(true);
    assert_eq!(lines(&log.take()), ["set d 1"]);
    log.begin_part(Reader::File);
    push(&mut log, 0, "set e 1");
    log.commit(true);
    assert_eq!(lines(&log.take()), ["SELECT 0", "set e 1"]);
}

#[test]
fn several_records_are_a_transaction_if_they_belong_together() {
    let mut log = started();
    for together in [true, false] {
        push(&mut log, 1, "set a 1");
        push(&mut log, 1, "set b 1");
        assert!(log.is_in_unit() && log.take().is_empty(), "what is not complete is not given");
        log.commit(together);
        let expected: &[&str] = match together {
            true => &["SELECT 1", "MULTI", "set a 1", "set b 1", "EXEC"],
            false => &["set a 1", "set b 1"],
        };
        assert_eq!(lines(&log.take()), expected);
    }
}

#[test]
fn every_reader_gets_what_is_for_it() {
    let mut log = started();
    log.push(0, words("publish c m"), Readers::REPLICAS);
    push(&mut log, 0, "set a 1");
    log.commit(true);
    assert_eq!(lines(&log.take()), ["SELECT 0", "set a 1"], "nobody gets the other one");
    log.start_for(Reader::Replicas);
    log.push(0, words("publish c m"), Readers::REPLICAS);
    push(&mut log, 0, "set a 2");
    log.restrict(Readers::NONE);
    push(&mut log, 0, "set a 3");
    log.push_expiry(0, words("del b"));
    log.restrict(Readers::ALL);
    log.commit(true);
    assert_eq!(lines(&log.take()), ["MULTI", "set a 2", "del b", "EXEC"]);
    let of_replicas = log.take_for(Reader::Replicas);
    let expected = ["SELECT 0", "MULTI", "publish c m", "set a 2", "del b", "EXEC"];
    assert_eq!(lines(&of_replicas), expected);
    log.stop_for(Reader::Replicas);
    log.stop();
    assert!(!log.is_on());
}

#[test]
fn what_was_undone_leaves_only_what_time_has_taken() {
    let mut log = started();
    push(&mut log, 0, "set a 1");
    let mark = log.mark();
    push(&mut log, 0, "set b 1");
    log.push_expiry(2, words("del c"));
    push(&mut log, 0, "set d 1");
    log.push_expiry(0, words("del ee"));
    log.roll_back(mark);
    push(&mut log, 0, "set f 1");
    log.commit(false);
    let expected = ["SELECT 0", "set a 1", "SELECT 2", "del c", "SELECT 0", "del ee", "set f 1"];
    assert_eq!(lines(&log.take()), expected);
    log.push_expiry(0, words("del g"));
    push(&mut log, 0, "set h 1");
    log.roll_back(0);
    log.commit(false);
    assert_eq!(lines(&log.take()), ["del g"]);
}

#[test]
fn a_command_is_logged_as_it_wants_if_it_has_changed_something() {
    let mut log = started();
    for (change, own) in [(0, "words"), (1, "words"), (1, "instead"), (1, "nothing")] {
        let frame = log.begin_command(5);
        match own {
            "instead" => log.log_instead(words("pexpireat a 9")),
            "nothing" => log.log_nothing(),
            _ => {}
        }
        log.end_command(frame, 5 + change, 0, words("expire a 1"));
        log.commit(true);
    }
    assert_eq!(lines(&log.take()), ["SELECT 0", "expire a 1", "pexpireat a 9"]);
    let outer = log.begin_command(0);
    log.log_nothing();
    let inner = log.begin_command(0);
    log.end_command(inner, 1, 0, words("set a 1"));
    log.end_command(outer, 1, 0, words("eval ..."));
    log.commit(true);
    assert_eq!(lines(&log.take()), ["set a 1"]);
}

#[test]
fn the_time_stands_before_the_first_record_of_each_second() {
    let mut log = started();
    for (secs, text) in [(7, "set a 1"), (7, "set b 1"), (8, "set c 1")] {
        log.set_time(Some(secs));
        push(&mut log, 0, text);
        log.commit(true);
    }
    let expected = ["#TS:7", "SELECT 0", "set a 1", "set b 1", "#TS:8", "set c 1"];
    assert_eq!(lines(&log.take()), expected);
}
