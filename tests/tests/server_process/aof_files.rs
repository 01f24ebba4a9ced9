//! `orrery-server --check-aof`: what it says and does is what `redis-check-aof` says and does.

use std::fs;

use orrery_tests::real_check_aof::check_aof;
use orrery_tests::real_redis::RealRedis;
use serde_json::Value;

use crate::process::{Folder, run};

const SET: &str = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
const MULTI: &str = "*1\r\n$5\r\nMULTI\r\n";

/// A log in a folder: its base and two parts.
struct Log {
    folder: Folder,
    parts: [String; 3],
}

const NAMES: [&str; 3] = ["a.1.base.aof", "a.1.incr.aof", "a.2.incr.aof"];

impl Log {
    fn new(parts: [&str; 3]) -> Self {
        let log = Self { folder: Folder::new(), parts: parts.map(str::to_owned) };
        let manifest = "file a.1.base.aof seq 1 type b\nfile a.1.incr.aof seq 1 type i\n\
                        file a.2.incr.aof seq 2 type i\n";
        fs::write(log.manifest(), manifest).unwrap();
        log.write();
        log
    }

    fn write(&self) {
        for (name, text) in NAMES.iter().zip(&self.parts) {
            fs::write(self.folder.file(name), text).unwrap();
        }
    }

    fn manifest(&self) -> String {
        self.folder.file("a.manifest")
    }

    fn read(&self) -> Vec<String> {
        NAMES.iter().map(|name| fs::read_to_string(self.folder.file(name)).unwrap()).collect()
    }

    /// Has both check the log with these options and this answer: what they say, how they end and
    /// what is left of the files is the same.
    #[track_caller]
    fn compare(&self, options: &[&str], answer: &str) -> String {
        let manifest = self.manifest();
        let words = [options, &[&manifest]].concat();
        let theirs = check_aof(&words, answer);
        let left = self.read();
        self.write();
        let ours = run(&[&["--check-aof"], &words[..]].concat(), answer);
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            // How the program is called is its own affair. Redis says nothing of a file that ends
            // between two words, and names another place where an EXEC should be.
            let lines = text.lines().filter(|line| !line.ends_with("in the middle of a command"));
            let ends = "Reached EOF before reading EXEC for MULTI";
            let lines = lines.map(|line| if line.ends_with(ends) { ends } else { line });
            let text: String = lines.flat_map(|line| [line, "\n"]).collect();
            // It sometimes tells a file's name and sometimes its path.
            let text = text.replace(manifest.trim_end_matches("a.manifest"), "");
            text.replace("Then re-run redis-check-aof.", "Then check again.")
        };
        let shown = text(&ours.stdout);
        assert_eq!(shown, text(&theirs.stdout));
        assert_eq!(ours.status.code(), theirs.status.code(), "{shown}");
        assert_eq!(self.read(), left, "{shown}");
        shown
    }
}

#[test]
fn logs_are_checked_and_mended_as_by_redis() {
    let Some(_redis) = RealRedis::start("check-aof") else { return };
    let cut = &format!("{SET}{}", &SET[..20]);
    let open = &format!("{SET}{MULTI}{SET}");
    let late = &format!("#TS:100\r\n{SET}#TS:200\r\n{SET}#TS:300\r\n{SET}");
    let odd = &format!("{SET}#TS:1x\r\n{SET}");
    let whole = Log::new([SET, SET, SET]);
    assert!(whole.compare(&[], "").ends_with("All AOF files and manifest are valid\n"));
    whole.compare(&["--fix"], "");
    Log::new([SET, "", ""]).compare(&[], "");
    Log::new(["", "", ""]).compare(&[], "");
    for broken in [cut, open, &format!("{SET}x")] {
        let log = Log::new([SET, SET, broken]);
        log.compare(&[], "");
        assert!(log.compare(&["--fix"], "n\n").ends_with("Aborting...\n"));
        log.compare(&["--fix"], "");
        let log = Log::new([SET, SET, broken]);
        log.compare(&["--fix"], "yes\n");
        assert_eq!(log.read()[2], SET);
        // Only the last may be cut.
        let log = Log::new([SET, broken, SET]);
        log.compare(&["--fix"], "y\n");
        assert_eq!(log.read()[1], **broken);
        Log::new([broken, SET, SET]).compare(&[], "");
    }
    for time in ["50", "100", "250", "300", "-1"] {
        Log::new([SET, SET, late]).compare(&["--truncate-to-timestamp", time], "");
        Log::new([SET, late, SET]).compare(&["--truncate-to-timestamp", time], "");
    }
    let log = Log::new([SET, SET, late]);
    log.compare(&["--truncate-to-timestamp", "200"], "");
    assert_eq!(log.read()[2], late[..late.len() - 9 - SET.len()]);
    Log::new([SET, SET, odd]).compare(&[], "");
}

#[test]
fn what_redis_wrote_is_whole() {
    let folder = Folder::new();
    let manifest = folder.file("appendonlydir/appendonly.aof.manifest");
    let directory = manifest.trim_end_matches("/appendonlydir/appendonly.aof.manifest");
    let arguments = ["--dir", directory, "--appendonly", "yes"];
    let Some(redis) = RealRedis::start_with("check-aof", &arguments) else { return };
    assert!(!redis.connect().call(&["SET", "a", "1"]).is_error());
    let output = run(&["--check-aof", &manifest], "");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{shown}");
    for part in [
        "Start to check BASE AOF (RDB format).\n",
        "RDB preamble is OK, proceeding with AOF tail...\n",
        "BASE AOF appendonly.aof.1.base.rdb is valid\n",
        "INCR AOF appendonly.aof.1.incr.aof is valid\n",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    let output = run(&["--check-aof", "--json", &manifest], "");
    let json: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    assert_eq!(
        (&json["verdict"], json["files"].as_array().map(Vec::len)),
        (&"valid".into(), Some(2))
    );
    assert_eq!(json["files"][1]["commands"], 2, "SELECT and SET: {json}");
    // The snapshot damaged, and a file that is not there.
    let base = folder.file("appendonlydir/appendonly.aof.1.base.rdb");
    let mut bytes = fs::read(&base).unwrap();
    bytes[20] ^= 1;
    fs::write(&base, bytes).unwrap();
    let output = run(&["--check-aof", "--json", &manifest], "");
    let json: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    assert_eq!((output.status.code(), &json["files"][0]["damage"]), (Some(1), &"snapshot".into()));
    fs::remove_file(&base).unwrap();
    let output = run(&["--check-aof", &manifest], "");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("Cannot open file") && output.status.code() == Some(1), "{shown}");
}

#[test]
fn the_words_of_check_aof() {
    let folder = Folder::new();
    let path = folder.file("old.aof");
    fs::write(&path, format!("#TS:5\r\n{SET}{}", &SET[..9])).unwrap();
    let output = run(&["--check-aof", "--json", &path], "");
    let json: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let file = &json["files"][0];
    assert_eq!((&json["verdict"], &file["damage"]), (&"broken".into(), &"cut".into()), "{json}");
    assert_eq!((&file["ok_up_to"], &file["first_timestamp"]), (&34.into(), &5.into()), "{json}");
    let output = run(&["--check-aof", "--json", "--fix", &path], "y\n");
    let json: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    assert_eq!(
        (output.status.code(), &json["files"][0]["verdict"]),
        (Some(0), &"truncated".into())
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("Continue? [y/N]"));
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("#TS:5\r\n{SET}"));
    for (words, code) in [
        (&["--check-aof"][..], 1),
        (&["--check-aof", "/nonexistent"], 1),
        (&["--check-aof", "--fix", "--truncate-to-timestamp", "5", &path], 1),
        (&["--check-aof", "--truncate-to-timestamp", "x", &path], 1),
        (&["--check-aof", "-h"], 0),
    ] {
        assert_eq!(run(words, "").status.code(), Some(code), "{words:?}");
    }
}
