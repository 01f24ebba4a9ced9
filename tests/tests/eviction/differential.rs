//! What is refused, against a real redis-server: the same words, the same order of checks.

use orrery_engine::Config;
use orrery_tests::scene::{Theirs, check};

/// Scenes begin without data; each sets the limits back at its end.
const SCENES: &str = r##"
A: SET k v; RPUSH l a b; CONFIG SET maxmemory 1
A: SET a b; GET k; APPEND k x; DEL nosuch; INCR n; LPUSH l c; RPOP l; EXPIRE k 100; RENAME k k2
A: SETRANGE k2 0 x; COPY k2 k3; MSET a b c d; SADD s x; HSET h f v; ZADD z 1 a; XADD x * f v
A: PFADD p a; GETEX k2; GETDEL k2; OBJECT ENCODING l; EXISTS l; DBSIZE; SET; SET a b c; GET
A: PUBLISH c m; SORT l STORE m; SORT l; RESTORE q 0 xxx
A: CONFIG SET maxmemory 0; SET a b; DBSIZE

A: SET k v; CONFIG SET maxmemory 1; MULTI; SET a b; GET k; EXEC; GET k
A: MULTI; GET k; EXEC; MULTI; DISCARD; MULTI; FLUSHDB; EXEC; CONFIG SET maxmemory 0
A: MULTI; SET a b; GET k; EXEC

A: MULTI; SET a b; GET k
B: CONFIG SET maxmemory 1
A: EXEC; GET a
A: WATCH a; UNWATCH
B: CONFIG SET maxmemory 0
A: EXEC

A: MULTI; GET k; DEL k
B: CONFIG SET maxmemory 1
A: EXEC
B: CONFIG SET maxmemory 0

A: MULTI; GET k; EVAL "return redis.call('set','a','b')" 0
B: CONFIG SET maxmemory 1
A: EXEC
B: CONFIG SET maxmemory 0

A: MULTI; INCR x; CONFIG SET maxmemory 1; INCR x; EXEC; INCR x; CONFIG SET maxmemory 0

A: SET k2 v; CONFIG SET maxmemory 1; EVAL "return 1" 0; EVAL "return redis.call('get','k2')" 0
A: EVAL "return redis.call('set','a','b')" 0; EVAL "return redis.pcall('set','a','b')" 0
A: EVAL "redis.call('del','x') return redis.call('set','a','b')" 0
A: EVAL "redis.call('expire','k2',100) return redis.call('set','c','d')" 0
A: EVAL "redis.pcall('set','a','b') return redis.call('set','a','b')" 0
A: EVAL "#!lua\nreturn 1" 0; EVAL "#!lua flags=no-writes\nreturn 1" 0
A: EVAL "#!lua flags=no-writes\nreturn redis.call('set','a','b')" 0
A: EVAL "#!lua flags=allow-oom\nreturn redis.call('set','a','b')" 0
A: EVAL_RO "return redis.call('get','k2')" 0
A: CONFIG SET maxmemory 0; EVAL "#!lua\nreturn redis.call('set','a','b')" 0

A: MULTI; GET k; EVAL "return 1" 0; EVAL "#!lua flags=allow-oom\nreturn 1" 0
B: CONFIG SET maxmemory 1
A: EXEC
B: CONFIG SET maxmemory 0

A: SET k v; SET l w; CONFIG SET maxmemory-policy allkeys-lru maxmemory 1
~ 20
A: SET x y; DBSIZE; MULTI; SET x y; EXEC
A: CONFIG SET maxmemory 0 maxmemory-policy noeviction

A: SET k v; SET l w EX 1000; CONFIG SET maxmemory-policy volatile-ttl maxmemory 1
~ 20
A: SET x y; DBSIZE; GET k; GET l; CONFIG SET maxmemory 0 maxmemory-policy noeviction

A: SET k 1; OBJECT FREQ k; OBJECT IDLETIME k; OBJECT REFCOUNT k; OBJECT FREQ none
A: CONFIG SET maxmemory-policy allkeys-lfu; SET n abc; OBJECT FREQ n; OBJECT IDLETIME n
A: OBJECT IDLETIME none; OBJECT FREQ none; OBJECT REFCOUNT k; CONFIG SET maxmemory 1gb; SET k 1
A: OBJECT REFCOUNT k; CONFIG SET maxmemory-policy volatile-random; SET k 1; OBJECT REFCOUNT k
A: CONFIG SET maxmemory 0 maxmemory-policy noeviction

A: MEMORY USAGE none; MEMORY USAGE none SAMPLES; MEMORY USAGE none SAMPLES x
A: MEMORY USAGE none SAMPLES -1; MEMORY USAGE none FOO 1; MEMORY USAGE; MEMORY FOO; MEMORY PURGE
A: MEMORY STATS x; MEMORY; FLUSHALL FOO; FLUSHDB SYNC ASYNC; CLIENT NO-EVICT MAYBE
A: CLIENT NO-EVICT ON; CLIENT NO-EVICT OFF; CONFIG SET maxmemory-eviction-tenacity 101
A: CONFIG SET maxmemory-samples 0; CONFIG SET lfu-decay-time -1; CONFIG GET maxmemory-policy
"##;

#[test]
fn refusals_are_those_of_redis() {
    let Some(mut theirs) = Theirs::start("eviction") else { return };
    let mut config = Config::default();
    config.set("encoding-names", &["7.0"]).unwrap();
    check(&mut theirs, &config, SCENES.trim());
}
