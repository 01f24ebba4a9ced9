//! The flight recorder: a real server under load is recorded, and its recording runs again with the
//! same replies, byte for byte; damage and differences are found.

mod damage;
mod load;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../server_process/process.rs"]
mod process;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use bytes::BytesMut;
use orrery_engine::record::Writer;
use orrery_engine::{ConnId, Input, Instant, Micros, Now, UnixMicros};
use orrery_sim::replay::{Options, Parts, Replay, Report, Until, Verdict, show};
use rustix::process::Signal;

use process::{Folder, Server, command, free_port, talk};

/// A server that records, with more arguments.
fn recorded(folder: &Folder, more: &[&str]) -> Server {
    let name = folder.file("flight");
    let mut arguments = vec!["--record-file", &name];
    arguments.extend(more);
    Server::start(&arguments)
}

#[track_caller]
fn replay(folder: &Folder, recording: u64) -> Report {
    let path = folder.0.join(format!("flight.{recording}"));
    let parts = Parts::find(&path).expect("it was recorded");
    let mut replay = Replay::open(parts, Options::default()).expect("a good beginning");
    let mut heard = 0;
    let report = replay.run(&mut |_, _| heard += 1);
    assert!(heard > 0, "progress is told");
    report
}

#[track_caller]
fn assert_same(report: &Report) {
    assert_eq!(report.verdict, Verdict::Same, "{report:?}");
}

fn files(folder: &Folder) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(&folder.0)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be listed").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_mixed_load_of_several_clients_runs_again_byte_for_byte() {
    let folder = Folder::new();
    let mut server = recorded(&folder, &["--maxclients", "100", "--timeout", "3"]);
    let clients: Vec<_> = (0..6)
        .map(|seed| {
            let port = server.port;
            std::thread::spawn(move || load::client(port, seed, 400))
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("a client ends"));
    load::values_of_megabytes(&server);
    load::all_that_info_tells(&server);
    load::all_that_is_measured(&server);
    assert_eq!(server.end(Signal::TERM), Some(0));
    let report = replay(&folder, 1);
    assert_same(&report);
    assert!(report.digest_compared);
    assert_eq!(report.end.as_deref(), Some("the server ended in order"));
    assert!(report.steps > 2_000 && report.outputs > 500, "{report:?}");
    assert!(report.output_bytes > 20_000_000, "{report:?}");
}

#[test]
fn evictions_run_again_byte_for_byte() {
    let folder = Folder::new();
    let mut limits = vec!["--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lfu"];
    limits.extend(["--maxmemory-clients", "1mb", "--notify-keyspace-events", "KEA"]);
    let mut server = recorded(&folder, &limits);
    let clients: Vec<_> = (0..3)
        .map(|seed| {
            let port = server.port;
            std::thread::spawn(move || load::client(port, seed, 150))
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("a client ends"));
    load::more_than_fits(&server);
    assert_eq!(server.end(Signal::TERM), Some(0));
    let report = replay(&folder, 1);
    assert_same(&report);
    assert!(report.digest_compared);
}

#[test]
fn a_killed_server_leaves_what_it_did_until_a_moment_before() {
    let folder = Folder::new();
    let mut server = recorded(&folder, &[]);
    let mut stream = server.connect();
    for index in 0..500 {
        let key = format!("key:{index}");
        talk(&mut stream, &command(&[b"SET", key.as_bytes(), b"v"]), b"+OK\r\n");
    }
    // A block is handed over a second after its first event at the latest.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    server.end(Signal::KILL);
    let whole = replay(&folder, 1);
    assert_same(&whole);
    assert!(whole.steps > 1_000, "{whole:?}");
    assert!(whole.end.as_deref().is_some_and(|end| end.starts_with("without a word")));
    // Half a block at the end, as a server leaves that is killed while it writes.
    let path = folder.0.join("flight.1.1");
    let bytes = fs::read(&path).unwrap();
    for cut in [1, 40, 60, 300] {
        fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
        let torn = replay(&folder, 1);
        assert_same(&torn);
        assert!(torn.steps < whole.steps);
        assert!(torn.end.as_deref().is_some_and(|end| end.starts_with("torn at ")), "{torn:?}");
    }
}

#[test]
fn files_are_bounded_and_a_full_recording_lets_the_server_go_on() {
    let folder = Folder::new();
    let bounds = ["--record-file-size-max", "1mb", "--record-files-max", "3"];
    let mut server = recorded(&folder, &bounds);
    let mut stream = server.connect();
    let value = vec![b'x'; 30_000];
    let request = command(&[b"SET", b"k", &value]);
    for _ in 0..200 {
        talk(&mut stream, &request, b"+OK\r\n");
    }
    server.wait_for_log("The recording has ended, the server goes on: all its files are full");
    talk(&mut stream, b"PING\r\n", b"+PONG\r\n");
    assert_eq!(server.end(Signal::TERM), Some(0));
    assert_eq!(files(&folder), ["flight.1.1", "flight.1.2", "flight.1.3"]);
    for name in files(&folder) {
        let len = fs::metadata(folder.0.join(&name)).unwrap().len();
        assert!(len <= 1 << 20, "{name} has {len} bytes");
    }
    let report = replay(&folder, 1);
    assert_same(&report);
    assert!(report.bytes > 2 << 20);
    // A file in the middle is missing: the rest is no continuation.
    fs::rename(folder.0.join("flight.1.3"), folder.0.join("flight.1.2")).unwrap();
    let report = replay(&folder, 1);
    assert!(matches!(report.verdict, Verdict::Damaged(_)), "{report:?}");
    // The next recording takes the place of this one.
    let mut server = recorded(&folder, &["--record-files-max", "2"]);
    assert_eq!(server.end(Signal::TERM), Some(0));
    assert_eq!(files(&folder), ["flight.2.1"]);
    assert_same(&replay(&folder, 2));
}

#[test]
fn a_server_that_cannot_record_does_not_start() {
    let port = free_port().to_string();
    let output = process::run(&["--port", &port, "--record-file", "/nowhere/at/all"], "");
    let log = String::from_utf8_lossy(&output.stdout);
    assert!(log.contains("# Can't record to /nowhere/at/all: No such file or directory"), "{log}");
    assert_eq!(output.status.code(), Some(1));
}

/// A recording of a few known commands.
fn small(folder: &Folder) -> PathBuf {
    let mut server = recorded(folder, &[]);
    let mut one = server.connect();
    let mut other = server.connect();
    talk(&mut one, b"SET a 1\r\nINCR a\r\nRPUSH list x y\r\n", b"+OK\r\n:2\r\n:2\r\n");
    talk(&mut other, b"SELECT 3\r\nHSET hash f v g 7\r\n", b"+OK\r\n:2\r\n");
    talk(&mut one, b"INCR a\r\nDEL a\r\nGET a\r\n", b":3\r\n:1\r\n$-1\r\n");
    talk(&mut one, b"ZADD zset 1.5 m\r\nXADD s 1-1 f v\r\n", b":1\r\n$3\r\n1-1\r\n");
    assert_eq!(server.end(Signal::TERM), Some(0));
    folder.0.join("flight")
}

#[test]
fn a_replay_stops_where_it_is_told_and_shows_keys() {
    let folder = Folder::new();
    let path = small(&folder);
    let stopped = |options: Options| {
        let mut replay = Replay::open(Parts::find(&path).unwrap(), options).unwrap();
        let report = replay.run(&mut |_, _| {});
        assert_same(&report);
        (replay, report)
    };
    let options = Options { command: Some("del A".to_owned()), ..Options::default() };
    let (replay, report) = stopped(options);
    let why = report.stopped.expect("it stopped");
    assert!(why.ends_with("before DEL a from client 1"), "{why}");
    // The command before it in the same bytes has run, it and what follows have not.
    let a = show(replay.engine(), 0, b"a");
    assert_eq!((a.kind, a.elements), ("string", vec![vec!["\"3\"".to_owned()]]));
    assert_eq!(show(replay.engine(), 0, b"zset").kind, "none");
    assert_eq!(
        show(replay.engine(), 3, b"hash").as_text(),
        "\"hash\" is a hash of 2\n  \"f\" \"v\"\n  \"g\" \"7\"\n"
    );
    let whole = stopped(Options::default());
    assert_eq!(show(whole.0.engine(), 0, b"a").as_text(), "\"a\" is not there\n");
    let texts =
        ["list", "zset", "s"].map(|key| show(whole.0.engine(), 0, key.as_bytes()).as_text());
    assert_eq!(texts[0], "\"list\" is a list of 2\n  \"x\"\n  \"y\"\n");
    assert_eq!(texts[1], "\"zset\" is a zset of 1\n  \"m\" 1.5\n");
    assert_eq!(texts[2], "\"s\" is a stream of 1\n  1-1 \"f\" \"v\"\n");
    let step = |step| stopped(Options { until: Some(Until::Step(step)), ..Options::default() });
    assert_eq!(step(3).1.steps, 3);
    let (empty, report) = step(0);
    assert_eq!(report.steps, 0);
    assert_eq!(show(empty.engine(), 0, b"list").kind, "none");
    let span = Until::parse("0s").unwrap();
    assert!(stopped(Options { until: Some(span), ..Options::default() }).1.steps < 3);
    let (_, report) =
        stopped(Options { until: Some(Until::parse("1h").unwrap()), ..Options::default() });
    assert_eq!(report.stopped, None);
    let past = Until::parse("2020-01-01T00:00:00Z").unwrap();
    assert_eq!(stopped(Options { until: Some(past), ..Options::default() }).1.steps, 0);
    assert!(Until::parse("soon").is_err());
}

#[test]
fn a_reply_that_is_another_is_found_where_it_is() {
    let folder = Folder::new();
    let path = small(&folder);
    let file = folder.0.join("flight.1.1");
    let good = fs::read(&file).unwrap();
    let altered = damage::with_payload(&good, |payload| {
        let needle = b"SET a 1";
        let at = payload.windows(needle.len()).position(|window| window == needle)?;
        payload[at + 6] = b'5';
        Some(())
    });
    fs::write(&file, altered.expect("the request is in it")).unwrap();
    let mut replay = Replay::open(Parts::find(&path).unwrap(), Options::default()).unwrap();
    let report = replay.run(&mut |_, _| {});
    let Verdict::Differs(difference) = &report.verdict else { panic!("{report:?}") };
    assert_eq!(difference.request, b"SET a 5\r\nINCR a\r\nRPUSH list x y\r\n");
    assert_eq!(difference.reply, b"+OK\r\n:6\r\n:2\r\n");
    assert_eq!(difference.conn.0, 1);
    assert!(difference.what.contains("the 13 bytes for a client are others"));
    // And so is data that no reply tells of.
    let altered = damage::with_payload(&good, |payload| {
        let needle = b"XADD s 1-1 f v";
        let at = payload.windows(needle.len()).position(|window| window == needle)?;
        payload[at + 13] = b'w';
        Some(())
    });
    fs::write(&file, altered.expect("the request is in it")).unwrap();
    let report = self::replay(&folder, 1);
    let Verdict::Differs(difference) = &report.verdict else { panic!("{report:?}") };
    assert_eq!(difference.what, "the data is another at the end");
}

#[test]
fn the_program_tells_the_verdict_by_its_status() {
    let folder = Folder::new();
    let path = small(&folder);
    let program = orrery_tests::program::simulator();
    let run = |arguments: &[&str]| {
        let output = Command::new(program).arg("replay").args(arguments).output().expect("it runs");
        let text = String::from_utf8(output.stdout).expect("it is text");
        (output.status.code(), text, String::from_utf8(output.stderr).expect("it is text"))
    };
    let name = path.to_str().expect("temporary paths are text").to_owned();
    let (status, text, _) = run(&[&name, "--print", "list"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("verdict   the same in every byte, and so is the data at the end\n"));
    assert!(text.ends_with("\"list\" is a list of 2\n  \"x\"\n  \"y\"\n"), "{text}");
    let (status, text, _) = run(&[&name, "--json", "--until", "2", "--db", "3", "--print", "h"]);
    assert_eq!(status, Some(0), "{text}");
    let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!((&value["verdict"], &value["steps"]), (&"same".into(), &2.into()));
    assert_eq!(value["keys"][0]["type"], "none");
    let (status, _, error) = run(&[&format!("{name}.7")]);
    assert_eq!(status, Some(2));
    assert!(error.contains("there is no such recording"), "{error}");
    assert_eq!(run(&[&name, "--until", "soon"]).0, Some(2));
    let file = format!("{name}.1.1");
    let good = fs::read(&file).unwrap();
    let mut bytes = good.clone();
    // The first block of events is behind the header and the beginning.
    let at = damage::block_starts(&bytes)[1] + 70;
    bytes[at] ^= 1;
    fs::File::create(&file).and_then(|mut file| file.write_all(&bytes)).unwrap();
    let (status, text, _) = run(&[&name]);
    assert_eq!(status, Some(3), "{text}");
    assert!(text.contains("verdict   damaged: ") && text.contains("the checksum of a block"));
    let altered = damage::with_payload(&good, |payload| {
        let at = payload.windows(7).position(|window| window == b"SET a 1")?;
        payload[at + 6] = b'x';
        Some(())
    });
    fs::write(&file, altered.expect("the request is in it")).unwrap();
    let (status, text, _) = run(&[&name]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("verdict   another: ") && text.contains("not an integer"), "{text}");
    fs::write(&file, b"REDIS0011 and something that is no recording at all").unwrap();
    let (status, _, error) = run(&[&name]);
    assert_eq!(status, Some(2), "{error}");
    assert!(error.contains("it is no recording"), "{error}");
}

#[test]
fn what_is_recorded_is_not_allocated_for() {
    let mut writer = Writer::new(Now::default(), Vec::with_capacity(1 << 20));
    let mut bytes = BytesMut::from(&b"*2\r\n$3\r\nGET\r\n$10\r\nkey:000001\r\n"[..]);
    let reply = b"$16\r\n0123456789abcdef\r\n";
    let rounds = 10_000;
    let before = writer.len();
    let counted = allocation_counter::measure(|| {
        for round in 0..rounds {
            let now = Now { mono: Instant(round * 9), wall: UnixMicros(round * 9 + round % 2) };
            let conn = ConnId(round % 50 + 100);
            writer.step(now, &Input::Received { conn, bytes: &mut bytes }, 0);
            writer.elapsed(Micros(2), &[]);
            writer.taken(conn, Some(64), reply, 64);
            writer.step(now, &Input::Sent { conn, len: reply.len() }, 0);
        }
    });
    assert_eq!(counted.count_total, 0);
    // As docs/RECORDING.md says.
    let overhead = (writer.len() - before) as u64 / rounds - bytes.len() as u64;
    assert!((12..=14).contains(&overhead), "{overhead} bytes beside a request");
}
