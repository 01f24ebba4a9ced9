//! `orrery-server --check-rdb` on files that the real redis-server wrote, whole and damaged.

use std::fs;

use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::words;
use serde_json::Value;

use crate::process::{Folder, run};

/// Keys of every type, in every packing that redis-server 7.0 writes.
const KEYS: &str = r##"
    SET string hello
    SET number 12345
    SET expires soon PX 100000000
    SETRANGE compressed 5000 x
    RPUSH list a b 3
    SADD integers 1 2 3
    SADD words a b c
    HSET hash field value
    ZADD zset 1.5 a 2 b
    XADD stream 1-1 field value
    XGROUP CREATE stream group 0
    XREADGROUP GROUP group consumer STREAMS stream >
    EVAL "for i = 1, 1000 do redis.call('RPUSH', KEYS[1], i) end" 1 "long list"
    EVAL "for i = 1, 1000 do redis.call('HSET', KEYS[1], i, i) end" 1 "long hash"
    EVAL "for i = 1, 1000 do redis.call('SADD', KEYS[1], 'm' .. i) end" 1 "long set"
    EVAL "for i = 1, 1000 do redis.call('ZADD', KEYS[1], i, i) end" 1 "long zset"
    FUNCTION LOAD "#!lua name=lib\nredis.register_function('f', function() return 1 end)"
    SELECT 9
    SET elsewhere 1
"##;

fn fill(client: &mut RealClient) {
    for line in KEYS.lines().filter(|line| !line.trim().is_empty()) {
        let reply = client.call(&words(line.trim()));
        assert!(!reply.is_error(), "{line}: {reply:?}");
    }
}

/// The exit code and the JSON that `--check-rdb` gives for a file.
fn check_rdb(path: &str) -> (Option<i32>, Value) {
    let output = run(&["--check-rdb", "--json", path], "");
    let json = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    (output.status.code(), json)
}

#[test]
fn what_redis_saved_is_whole_and_what_was_damaged_is_not() {
    let folder = Folder::new();
    let path = folder.file("dump.rdb");
    let directory = path.trim_end_matches("/dump.rdb");
    let arguments = ["--dir", directory];
    let Some(redis) = RealRedis::start_with("check-rdb", &arguments) else { return };
    let mut client = redis.connect();
    fill(&mut client);
    assert!(!client.call(&["SAVE"]).is_error());

    let (code, json) = check_rdb(&path);
    assert_eq!(code, Some(0), "{json}");
    let expected = serde_json::json!({
        "string": 5, "list": 2, "set": 3, "hash": 2, "zset": 2, "stream": 1,
    });
    assert_eq!(json["types"], expected);
    assert_eq!((&json["keys"], &json["expires"]), (&Value::from(15), &Value::from(1)));
    assert_eq!((&json["libraries"], &json["version"]), (&Value::from(1), &Value::from(10)));

    let whole = fs::read(&path).unwrap();
    let middle = whole.len() / 2;
    let mut damaged = whole.clone();
    damaged[middle] ^= 0x10;
    for (name, bytes) in [("damaged.rdb", &damaged[..]), ("cut.rdb", &whole[..middle])] {
        let path = folder.file(name);
        fs::write(&path, bytes).unwrap();
        let (code, json) = check_rdb(&path);
        assert_eq!((code, &json["verdict"]), (Some(1), &Value::from("broken")), "{json}");
        assert!(json["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{json}");
    }
}

#[test]
fn the_words_of_check_rdb() {
    let folder = Folder::new();
    let path = folder.file("dump.rdb");
    fs::write(&path, b"REDIS0003\xfe\x00\x00\x01k\x01v\xff").unwrap();
    let output = run(&["--check-rdb", &path], "");
    let expected = format!(
        "[offset 0] Checking RDB file {path}\n[offset 9] Selecting DB ID 0\n\
         [offset 17] \\o/ RDB looks OK! \\o/\n[info] 1 keys read\n[info] 1 of type string\n\
         [info] 0 expires\n[info] 0 already expired\n[info] 0 libraries of functions\n"
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    for (words, code) in [
        (&["--check-rdb"][..], 2),
        (&["--check-rdb", "/nonexistent"], 2),
        (&["--check-rdb", "-h"], 0),
    ] {
        assert_eq!(run(words, "").status.code(), Some(code), "{words:?}");
    }
}
