//! What refuses a command of a transaction, or all of it: full memory, missing replicas, rules of
//! users, programs that promise something; and keys whose time is over. As Redis 7.0.15 does.

use orrery_engine::config::Access;
use orrery_engine::rng::Rng;
use orrery_engine::{Config, Seed};
use orrery_tests::scene::{self, Ours, Stage, Theirs, bytes_of};

/// Scenes that must go as with Redis 7.0.15, apart by empty lines; each takes back what it sets.
const SCENES: &str = r##"
A: MULTI
B: CONFIG SET maxmemory 1
A: MULTI; WATCH k; PING; UNWATCH
A: EXEC; EXEC
B: CONFIG SET maxmemory 0

A: MULTI
B: CONFIG SET maxmemory 1
A: WATCH k; DISCARD
A: MULTI; GET k; RESET
A: MULTI; QUIT
B: CONFIG SET maxmemory 0

A: WATCH k
A: MULTI; GET k
B: CONFIG SET maxmemory 1
A: EXEC
A: MULTI; EXEC
B: CONFIG SET maxmemory 0
A: MULTI; SET k 1
B: CONFIG SET maxmemory 1
A: EXEC; EXEC
B: CONFIG SET maxmemory 0

A: MULTI; EVAL "#!lua\nreturn redis.call('set',KEYS[1],1)" 1 k
B: CONFIG SET maxmemory 1
A: EXEC
A: EVAL "#!lua\nreturn redis.call('set',KEYS[1],1)" 1 k
A: EVAL "#!lua\nreturn 1" 0
A: EVAL "#!lua flags=no-writes\nreturn redis.call('get',KEYS[1])" 1 k
A: EVAL "#!lua flags=allow-oom\nreturn redis.call('set',KEYS[1],1)" 1 k
A: EVAL "return redis.call('set',KEYS[1],1)" 1 k
A: EVAL "#!lua flags=nonsense\nreturn 1" 0
B: CONFIG SET maxmemory 0

A: MULTI; EVAL "#!lua flags=allow-oom\nreturn redis.call('set',KEYS[1],1)" 1 k
A: EVAL "#!lua flags=no-writes\nreturn redis.call('get',KEYS[1])" 1 k
A: EVAL "return redis.pcall('set',KEYS[1],2)" 1 k
B: CONFIG SET maxmemory 1
A: EXEC
B: CONFIG SET maxmemory 0

B: SCRIPT LOAD "#!lua\nreturn redis.call('incr',KEYS[1])"
A: MULTI; EVALSHA ecb8799bc409e8a2b613ff91fed3f65c0f682059 1 k
B: CONFIG SET maxmemory 1
A: EXEC
A: EVALSHA ecb8799bc409e8a2b613ff91fed3f65c0f682059 1 k
B: CONFIG SET maxmemory 0
B: SCRIPT FLUSH

A: MULTI; EVALSHA cb70127618f0b0be70c53cf6bfcfa54a29d9b0c0 0
B: SCRIPT LOAD "#!lua\nreturn 1"
B: EVAL "#!lua\nreturn 1" 0
A: EVALSHA cb70127618f0b0be70c53cf6bfcfa54a29d9b0c0 0
B: CONFIG SET maxmemory 1
A: EXEC
B: CONFIG SET maxmemory 0
B: SCRIPT FLUSH

A: MULTI
A: SET k 1
B: CONFIG SET min-replicas-to-write 1
A: EXEC; GET k
A: MULTI; SET k 1; GET k; EXEC
A: MULTI; GET k; EXEC
A: SET k 1; GET k; PUBLISH c m
A: EVAL "return redis.call('set',KEYS[1],1)" 1 k
A: EVAL "return redis.call('get',KEYS[1])" 1 k
A: EVAL "#!lua\nreturn redis.call('get',KEYS[1])" 1 k
A: EVAL "#!lua flags=no-writes\nreturn redis.call('get',KEYS[1])" 1 k
A: EVAL "return redis.pcall('incr',KEYS[1])" 1 k
B: CONFIG SET min-replicas-max-lag 0
A: SET k 1
B: CONFIG SET min-replicas-max-lag 10 min-slaves-to-write 0
A: SET k 1

A: MULTI; SET k 1; NOSUCH
B: CONFIG SET maxmemory 1
A: EXEC
B: CONFIG SET maxmemory 0

A: CLIENT PAUSE 10000 WRITE
C: EVAL "#!lua flags=no-writes\nreturn redis.call('get',KEYS[1])" 1 k
C: EVAL "return redis.call('get',KEYS[1])" 1 k; GET j
B: SET j 1; GET k
D: MULTI; EVAL "#!lua flags=no-writes\nreturn 1" 0; EXEC
D: MULTI; EVAL "#!lua\nreturn 1" 0; EXEC
A: CLIENT UNPAUSE

A: MULTI; EVAL "#!lua\nreturn redis.call('get',KEYS[1])" 1 k
B: CONFIG SET min-replicas-to-write 1
A: EXEC
A: MULTI; EVAL "#!lua\nreturn 1" 1 k; EVAL_RO "#!lua flags=no-writes\nreturn 1" 0
A: EXEC
B: CONFIG SET min-replicas-to-write 0

B: ACL SETUSER u on nopass +@all -@dangerous +client ~*
A: AUTH u x
A: MULTI; SET k 1; FLUSHALL; GET k
B: ACL SETUSER u -get
A: EXEC
A: MULTI; SET k 2; SET j 2
B: ACL SETUSER u resetkeys ~k
A: EXEC
A: MULTI; WATCH j; WATCH k; GET k
B: ACL SETUSER u -exec
A: EXEC
A: DISCARD; EXEC
B: ACL SETUSER u -watch -multi -discard
A: WATCH k; MULTI; DISCARD
B: ACL DELUSER u

A: MULTI; REPLICAOF NO ONE; ROLE; SLAVEOF no one; EXEC
A: REPLICAOF NO; REPLICAOF host port; REPLICAOF host 99999; ROLE x

A: MULTI; SUBSCRIBE c; PSUBSCRIBE p*; PUBLISH d m; UNSUBSCRIBE; EXEC
B: PUBLISH c n; PUBLISH p n
A: PUNSUBSCRIBE; MULTI; GET k; EXEC

A: HELLO 3
A: MULTI; SUBSCRIBE c d; PUBLISH p m; GET k; UNSUBSCRIBE c; EXEC
B: PUBLISH d n

A: SUBSCRIBE c
A: MULTI; EXEC; GET k
A: UNSUBSCRIBE
A: MULTI; EXEC

B: DEBUG SET-ACTIVE-EXPIRE 0
B: SET x foo PX 1
~ 5
A: SELECT 1; WATCH x
B: SWAPDB 0 1
A: MULTI; PING; EXEC

B: DEBUG SET-ACTIVE-EXPIRE 0
B: SET x foo PX 1; SELECT 1; SET x bar PX 1
~ 5
A: SELECT 1; WATCH x
B: SWAPDB 0 1
A: MULTI; PING; EXEC

B: DEBUG SET-ACTIVE-EXPIRE 0
B: SELECT 1; SET x foo PX 1
~ 5
A: SELECT 1; WATCH x
B: SWAPDB 0 1
A: MULTI; PING; EXEC
A: WATCH x
B: SWAPDB 0 1; SET x 1
A: MULTI; PING; EXEC

B: DEBUG SET-ACTIVE-EXPIRE 0
B: SET x foo PX 1
~ 5
A: WATCH x
B: FLUSHDB
A: MULTI; PING; EXEC
A: WATCH x
B: SET x 1 PX 1
A: MULTI; PING; EXEC

B: DEBUG SET-ACTIVE-EXPIRE 0
A: SET x foo PX 1; WATCH x
~ 5
B: FLUSHALL
A: MULTI; PING; EXEC

B: DEBUG SET-ACTIVE-EXPIRE 0
A: SET x foo PX 1; WATCH x
~ 5
B: SWAPDB 0 1
A: MULTI; PING; EXEC

A: DEBUG PROTOCOL string
A: DEBUG OBJECT none
"##;

fn config() -> Config {
    Config { debug_command: Access::Yes, ..Config::default() }
}

fn theirs(test: &str) -> Option<Theirs> {
    Theirs::start_with(test, &["--enable-debug-command", "yes"])
}

#[test]
fn refusals_go_as_with_redis() {
    let Some(mut theirs) = theirs("refusals of transactions") else { return };
    scene::check(&mut theirs, &config(), SCENES);
}

/// What a client may do in a random scene, beside beginning and ending transactions.
const LINES: &[&str] = &[
    "SET k0 1",
    "SET k1 1 PX 1",
    "DEL k0 k1",
    "RENAME k0 k1",
    "COPY k0 k1 DB 1 REPLACE",
    "MOVE k0 1",
    "EXPIRE k1 0",
    "EXPIREAT k0 1",
    "PERSIST k1",
    "GETEX k0 EX 100",
    "SORT k0 STORE k1",
    "SUNIONSTORE k0 k1",
    "SREM k0 nothing",
    "LTRIM k0 0 -1",
    "APPEND k0 x",
    "GET k0",
    "GET k1",
    "EXISTS k0 k1",
    "MGET k0 k1",
    "PING",
    "SELECT 1",
    "SELECT 0",
    "SELECT 99",
    "SWAPDB 0 1",
    "FLUSHDB",
    "FLUSHALL",
    "NOSUCH",
    "CONFIG NOSUCH",
    "SET k0",
    "PUBLISH c m",
    "RESET",
    "AUTH u x",
    "AUTH default x",
    r#"EVAL "return redis.call('set',KEYS[1],1)" 1 k0"#,
    r#"EVAL "return redis.call('get',KEYS[1])" 1 k1"#,
    r#"EVAL "return {redis.pcall('incr',KEYS[1])}" 1 k0"#,
    r#"EVAL "redis.call('del',KEYS[1]) return redis.call('nosuch')" 1 k0"#,
    r##"EVAL "#!lua\nreturn redis.call('set',KEYS[1],1)" 1 k0"##,
    r##"EVAL "#!lua flags=no-writes\nreturn redis.call('get',KEYS[1])" 1 k1"##,
    r##"EVAL "#!lua flags=allow-oom\nreturn redis.call('set',KEYS[1],1)" 1 k1"##,
    r#"EVAL_RO "return redis.call('set',KEYS[1],1)" 1 k0"#,
];

/// What another client may do meanwhile. Inside of a transaction it would depend on what Redis
/// remembers of earlier commands.
const SETTINGS: &[&str] = &[
    "CONFIG SET maxmemory 1",
    "CONFIG SET maxmemory 1",
    "CONFIG SET maxmemory 0",
    "CONFIG SET min-replicas-to-write 1",
    "CONFIG SET min-replicas-to-write 0",
    "ACL SETUSER u on nopass +@all ~* &*",
    "ACL SETUSER u -get -exec",
];

/// One or more lines: now and then something is set between the words of a transaction.
fn random_lines(random: &mut Rng) -> Vec<String> {
    let client = char::from(b'A' + random.below(2) as u8);
    let mut pick =
        |choices: &[&str]| choices[random.below(choices.len() as u64) as usize].to_owned();
    let kinds = ["multi", "exec", "watch", "other", "other", "other", "setting", "all"];
    let command = match pick(&kinds).as_str() {
        "multi" => pick(&["MULTI", "MULTI", "MULTI", "MULTI", "DISCARD", "UNWATCH"]),
        "exec" => "EXEC".to_owned(),
        "setting" => return vec![format!("Z: {}", pick(SETTINGS))],
        "watch" => pick(&["WATCH k0", "WATCH k1", "WATCH k0 k1"]),
        "all" => {
            let words = ["MULTI".to_owned(), pick(LINES), "EXEC".to_owned()];
            let mut lines: Vec<String> =
                words.iter().map(|word| format!("{client}: {word}")).collect();
            lines.insert(2, format!("Z: {}", pick(SETTINGS)));
            return lines;
        }
        _ => pick(LINES),
    };
    vec![format!("{client}: {command}")]
}

/// Lines of a random scene, or a few more.
const LINES_PER_SCENE: usize = 100;

/// Clients of the next scene find nothing of this one.
const END: &[&str] = &[
    "Z: CONFIG SET maxmemory 0 min-replicas-to-write 0",
    "Z: ACL DELUSER u",
    "Z: SCRIPT FLUSH",
    "Z: DEBUG SET-ACTIVE-EXPIRE 0",
];

#[test]
fn random_refusals_go_as_with_redis() {
    let Some(mut theirs) = theirs("random refusals of transactions") else { return };
    let (mut ran, mut full, mut alone) = (0, 0, 0);
    for seed in 0..100 {
        let mut random = Rng::new(Seed(seed), "refusals");
        theirs.clear();
        let mut ours = Ours::new(config());
        // What it leaves behind goes first and last.
        let end = || END.iter().map(|&line| line.to_owned());
        let mut script: Vec<String> = end().collect();
        while script.len() < LINES_PER_SCENE {
            script.extend(random_lines(&mut random));
        }
        script.extend(end());
        let mut lines = Vec::new();
        for line in script {
            // Keys whose time is over must be so for both.
            let may_expire = line.contains("PX") || line.ends_with("EXEC");
            let (client, bytes) = bytes_of(&line);
            lines.push(line);
            let (expected, got) = (theirs.say(client, &bytes), ours.say(client, &bytes));
            assert_eq!(got, expected, "seed {seed} after\n{}", lines.join("\n"));
            if may_expire {
                std::thread::sleep(std::time::Duration::from_millis(3));
                ours.server.advance_ms(3);
            }
            if let Some((_, reply)) = got.iter().find(|(name, _)| *name == client) {
                ran += usize::from(reply.starts_with('*'));
                full += usize::from(reply.contains("EXECABORT") && reply.contains("OOM"));
                alone += usize::from(reply.contains("EXECABORT") && reply.contains("NOREPLICAS"));
            }
        }
    }
    assert!(ran > 200 && full > 5 && alone > 5, "{ran} ran, {full} and {alone} refused");
}
