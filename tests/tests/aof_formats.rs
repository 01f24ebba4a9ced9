//! Files of append-only logs that the real redis-server wrote, whole, cut and damaged: ours judges
//! them as `redis-check-aof` does, and so it does manifests.

use std::fs;
use std::path::{Path, PathBuf};

use orrery_engine::snapshot::LogInspector;
use orrery_engine::value::aof::{Damage, Manifest};
use orrery_tests::real_check_aof::check_aof;
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::words;

/// A folder of its own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("orrery-aof-{}-{test}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the folder for temporary files is writable");
        Self(path)
    }

    fn text(&self) -> &str {
        self.0.to_str().expect("temporary paths are text")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

const COMMANDS: &str = r#"
    SET string "bytes \r\n \x00\xff*3$4#"
    SET empty ""
    EVAL "redis.call('SET', 'a', 1) redis.call('INCR', 'a')" 0
    RPUSH list a b c 1234567890
    SELECT 3
    SET soon 1 PX 100000000
    XADD stream 1-1 field value
    MULTI
    SET in 1
    DEL in
    EXEC
    SETRANGE long 130 x
    GETSET long short
"#;

fn tell(client: &mut RealClient) {
    for line in COMMANDS.lines().filter(|line| !line.trim().is_empty()) {
        let reply = client.call(&words(line.trim()));
        assert!(!reply.is_error(), "{line}: {reply:?}");
    }
}

/// A server whose log is in this folder.
fn start(folder: &Folder, preamble: &str) -> Option<RealRedis> {
    let arguments = [
        ["--dir", folder.text()],
        ["--appendonly", "yes"],
        ["--aof-timestamp-enabled", "yes"],
        ["--aof-use-rdb-preamble", preamble],
    ];
    RealRedis::start_with("append-only files", arguments.as_flattened())
}

fn read(folder: &Folder, name: &str) -> Vec<u8> {
    fs::read(folder.0.join("appendonlydir").join(name)).expect("redis-server wrote it")
}

/// Whether a file is whole, and up to where: bytes, and lines and words; that is not told of one
/// whose snapshot is broken.
#[derive(Debug, PartialEq, Eq)]
struct Judgement {
    is_whole: bool,
    good: Option<(u64, u64)>,
}

fn judgement_of_redis(path: &Path, bytes: &[u8]) -> Judgement {
    fs::write(path, bytes).expect("the folder is writable");
    let output = check_aof(&[path.to_str().expect("it is text")], "");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = |name: &str| {
        let (_, rest) = shown.split_once(name)?;
        rest.split(',').next()?.trim().parse::<u64>().ok()
    };
    let good = number("ok_up_to=").zip(number("ok_up_to_line="));
    Judgement { is_whole: output.status.success(), good }
}

/// Ours; `None` where ours is another on purpose.
fn judgement(bytes: &[u8]) -> Option<Judgement> {
    let mut inspector = LogInspector::new(0, None);
    let broken = inspector.read(bytes, true).err();
    // A line that ends in the middle of an annotation, and a command of nothing: Redis takes both
    // for good, but the next command would be lost in the one, and the other it does not load.
    if let Some(broken) = &broken
        && (broken.reason.contains("annotation") || broken.reason.contains("0 words"))
    {
        return None;
    }
    let whole = inspector.reader().lines();
    let lines = broken.as_ref().map_or(whole, |broken| broken.lines);
    let is_snapshot = broken.as_ref().is_some_and(|broken| broken.damage == Damage::Snapshot);
    let is_silent = bytes.is_empty() || is_snapshot;
    let good = (!is_silent).then(|| (inspector.reader().good_up_to(), 1 + lines));
    Some(Judgement { is_whole: broken.is_none(), good })
}

/// Compares judgements about `bytes` cut and damaged at these places.
fn compare(folder: &Folder, bytes: &[u8], places: impl Iterator<Item = usize>) {
    let path = folder.0.join("compared");
    let (mut compared, mut differences) = (0, Vec::new());
    for at in places {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1 << (at % 8);
        for (what, bytes) in [("cut", &bytes[..at]), ("damaged", &damaged[..])] {
            let Some(ours) = judgement(bytes) else { continue };
            let theirs = judgement_of_redis(&path, bytes);
            compared += 1;
            if ours != theirs {
                differences.push(format!("{what} at {at}: {ours:?}, redis {theirs:?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(compared > 200, "only {compared} were compared");
}

#[test]
fn logs_are_judged_as_by_redis() {
    let folder = Folder::new("log");
    let Some(redis) = start(&folder, "yes") else { return };
    tell(&mut redis.connect());
    let bytes = read(&folder, "appendonly.aof.1.incr.aof");
    let theirs = judgement_of_redis(&folder.0.join("compared"), &bytes);
    assert_eq!((theirs.is_whole, judgement(&bytes)), (true, Some(theirs)));
    compare(&folder, &bytes, 0..bytes.len());
}

#[test]
fn snapshots_with_commands_behind_are_judged_as_by_redis() {
    let folder = Folder::new("snapshot");
    let Some(redis) = start(&folder, "yes") else { return };
    let mut client = redis.connect();
    tell(&mut client);
    let log = read(&folder, "appendonly.aof.1.incr.aof");
    client.call(&["CONFIG", "SET", "appendonly", "no"]);
    client.call(&["CONFIG", "SET", "appendonly", "yes"]);
    let base = (0..1000).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::read(folder.0.join("appendonlydir/appendonly.aof.2.base.rdb")).ok()
    });
    let base = base.expect("the log is rewritten");
    let bytes = [&base[..], &log[..]].concat();
    assert_eq!(judgement(&bytes).map(|found| found.is_whole), Some(true));
    // Redis looks for eight bytes before it takes a file for a snapshot.
    let places = (8..base.len()).step_by(3).chain((base.len()..bytes.len()).step_by(5));
    compare(&folder, &bytes, places);
}

#[test]
fn manifests_are_taken_and_refused_as_by_redis() {
    let folder = Folder::new("manifest");
    let Some(_redis) = RealRedis::start("manifests") else { return };
    let path = folder.0.join("manifest");
    let long = "x".repeat(1000);
    for text in [
        "file a seq 1 type b\n".to_owned(),
        "# comment\nfile a seq 1 type b\n".to_owned(),
        "file a seq 1 type b".to_owned(),
        "file a seq 1 type b\n\n".to_owned(),
        "file a seq 1 type b\n# end".to_owned(),
        "file a seq 1 type b more\n".to_owned(),
        "file a seq 1 type b more 1\n".to_owned(),
        "file a seq x type b\n".to_owned(),
        "file a seq 1x type b\n".to_owned(),
        "file a seq -1 type b\n".to_owned(),
        "file a seq -1 type i\n".to_owned(),
        "file a seq 1 type x\n".to_owned(),
        "file a SEQ 1 TYPE i\r\n".to_owned(),
        "file a seq 1 type incr\n".to_owned(),
        "file \"a seq 1 type b\n".to_owned(),
        "file \"a\\x62\" seq 1 type b\n".to_owned(),
        "file a/b seq 1 type b\n".to_owned(),
        "file 'a\\b' seq 1 type b\n".to_owned(),
        "file a seq 1 type b\nfile b seq 2 type b\n".to_owned(),
        "file a seq 2 type i\nfile b seq 1 type i\n".to_owned(),
        "file a seq 1 type i\nfile b seq 2 type h\nfile c seq 1 type h\n".to_owned(),
        format!("file a seq 1 type b\n#{long}{long}\n"),
        format!("file {long} seq 1 type b\n"),
        format!("file {long}xxxxxxxxxx seq 1 type b\n"),
        "file a seq 1 type b\nfile".to_owned(),
        "file a\0b seq 1 type b\n".to_owned(),
    ] {
        fs::write(&path, &text).expect("the folder is writable");
        let output = check_aof(&[path.to_str().expect("it is text")], "");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_taken = !shown.contains("FATAL AOF MANIFEST FILE ERROR");
        match Manifest::parse(text.as_bytes()) {
            Ok(manifest) => {
                assert!(is_taken, "{text:?}: {shown}");
                let first = manifest.files_to_load().next().map(|(file, _)| &file.name);
                let first = first.expect("there is one");
                assert!(shown.contains(&format!("/{first}: ")), "{text:?}: {shown}");
            }
            Err(wrong) => {
                assert!(!is_taken, "{text:?}: {shown}");
                let lines: Vec<String> = wrong.to_string().lines().map(str::to_owned).collect();
                assert!(lines.iter().all(|line| shown.contains(line)), "{wrong}: {shown}");
            }
        }
    }
}

#[test]
fn redis_goes_on_with_a_manifest_of_ours() {
    let folder = Folder::new("ours");
    let log = folder.0.join("appendonlydir");
    fs::create_dir_all(&log).expect("the folder is writable");
    let mut manifest = Manifest::default();
    let name = manifest.add_increment("appendonly.aof").expect("there are numbers").name.clone();
    fs::write(log.join(&name), "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n")
        .expect("it is writable");
    let name = manifest.add_increment("appendonly.aof").expect("there are numbers").name.clone();
    fs::write(log.join(&name), "#TS:1\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n").expect("it is writable");
    fs::write(log.join("appendonly.aof.manifest"), manifest.to_text()).expect("it is writable");
    let Some(redis) = start(&folder, "yes") else { return };
    let mut client = redis.connect();
    assert_eq!(client.call(&["GET", "a"]).bytes(), b"2");
    assert!(!client.call(&["BGREWRITEAOF"]).is_error());
    let text = read(&folder, "appendonly.aof.manifest");
    let theirs = Manifest::parse(&text).expect("redis-server wrote it");
    assert_eq!(theirs.increments().last().map(|file| file.seq), Some(3), "it goes on with ours");
    assert_eq!(theirs.to_text().as_bytes(), text);
}
