//! The commands of the group server against a real redis-server: the same lines, the same replies.

use orrery_engine::{Config, Seed};
use orrery_tests::real_redis::RealRedis;
use orrery_tests::resp_value::words;
use orrery_tests::server_in_process::Server;

/// One command a line; replies must be the same byte for byte.
const LINES: &str = r#"
CONFIG
CONFIG nosuch
CONFIG GET
CONFIG GET nosuch
CONFIG GET timeout
CONFIG GET TimeOut
CONFIG GET SLAVEOF slaveof
CONFIG GET watchdog-period
CONFIG GET *watchdog*
CONFIG GET list-compress-d?pth
CONFIG SET a
CONFIG SET a b c
CONFIG SET foo 1
CONFIG SET databases 3
CONFIG SET DATABASES 3
CONFIG SET dir /tmp
CONFIG SET dbfilename x
CONFIG SET timeout x
CONFIG SET timeout -1
CONFIG SET timeout 99999999999999999999
CONFIG SET timeout 1 timeout 2
CONFIG SET replica-priority 1 slave-priority 2
CONFIG SET timeout 30 appendonly maybe
CONFIG GET timeout
CONFIG SET timeout 30 maxmemory 10mb foo 1
CONFIG GET maxmemory
CONFIG SET maxmemory 10mb appendfsync ALWAYS
CONFIG GET maxmemory
CONFIG GET appendfsync
CONFIG SET maxmemory 0 appendfsync everysec
CONFIG SET maxmemory 1x
CONFIG SET maxmemory-clients 101%
CONFIG SET maxmemory-clients 5%
CONFIG GET maxmemory-clients
CONFIG SET maxmemory-clients 0
CONFIG SET appendfsync sometimes
CONFIG SET proto-max-bulk-len 1
CONFIG SET notify-keyspace-events q
CONFIG SET notify-keyspace-events KEA
CONFIG GET notify-keyspace-events
CONFIG SET notify-keyspace-events ""
CONFIG SET save "1"
CONFIG SET save "1 2 3 4"
CONFIG GET save
CONFIG SET save ""
CONFIG GET save
CONFIG SET client-output-buffer-limit x
CONFIG SET client-output-buffer-limit "foo 1 2 3"
CONFIG SET client-output-buffer-limit "normal 1 2 x"
CONFIG SET client-output-buffer-limit "normal 1gb 500mb 3 replica 1 2 3"
CONFIG GET client-output-buffer-limit
CONFIG SET client-output-buffer-limit "normal 0 0 0"
CONFIG SET shutdown-on-sigterm "nosave save"
CONFIG SET shutdown-on-sigterm "now nosave"
CONFIG GET shutdown-on-sigterm
CONFIG SET shutdown-on-sigterm default
CONFIG SET latency-tracking-info-percentiles "1 x"
CONFIG SET latency-tracking-info-percentiles "99.99 0.10 1e1"
CONFIG GET latency-tracking-info-percentiles
CONFIG SET oom-score-adj-values "1 2"
CONFIG SET oom-score-adj-values "1 2 3000"
CONFIG SET proc-title-template {x}
CONFIG SET cluster-announce-hostname a_b
CONFIG SET enable-debug-command yes
CONFIG SET list-max-ziplist-size 5
CONFIG GET list-max-zip*-size
CONFIG REWRITE
CONFIG REWRITE x
CONFIG RESETSTAT
CONFIG RESETSTAT x
INFO nosuch
INFO modules
INFO errorstats
INFO cluster keyspace
INFO CLUSTER
DBSIZE
DBSIZE x
SET k v
SET n 1
SET m 123456
SET big 99999999999
SET long 012345678901234567890123456789012345678901234
SET embedded 01234567890123456789012345678901234567890123
DBSIZE
OBJECT
OBJECT nosuch k
OBJECT ENCODING
OBJECT ENCODING nokey
OBJECT ENCODING k
OBJECT ENCODING n
OBJECT ENCODING long
OBJECT ENCODING embedded
OBJECT REFCOUNT nokey
OBJECT REFCOUNT k
OBJECT REFCOUNT n
OBJECT REFCOUNT m
OBJECT IDLETIME nokey
OBJECT IDLETIME k
OBJECT FREQ nokey
OBJECT FREQ k
MEMORY
MEMORY nosuch
MEMORY USAGE
MEMORY USAGE nokey
MEMORY USAGE k foo 1
MEMORY USAGE k SAMPLES
MEMORY USAGE k SAMPLES x
MEMORY USAGE k SAMPLES -1
MEMORY PURGE
MEMORY PURGE x
DEBUG
DEBUG nosuch
DEBUG help x
DEBUG DIGEST
DEBUG DIGEST x
DEBUG DIGEST-VALUE
DEBUG DIGEST-VALUE k n nokey
DEBUG OBJECT nokey
DEBUG OBJECT
DEBUG ERROR "FOO bar"
DEBUG ERROR foo
DEBUG ERROR
DEBUG LOG hello
DEBUG CHANGE-REPL-ID
DEBUG SET-ACTIVE-EXPIRE 0
DEBUG SET-ACTIVE-EXPIRE 1
DEBUG SLEEP 0
DEBUG SLEEP x
DEBUG SLEEP
DEBUG HTSTATS
DEBUG HTSTATS x
DEBUG HTSTATS 99
DEBUG POPULATE
DEBUG POPULATE x
DEBUG POPULATE -1
DEBUG POPULATE 2 p x
DEBUG POPULATE 3
DEBUG POPULATE 3 sized 10
DEBUG POPULATE 3 sized 1
GET key:2
GET sized:0
DBSIZE
DEBUG DIGEST
DEBUG PROTOCOL nosuch
DEBUG PROTOCOL string
DEBUG PROTOCOL integer
DEBUG PROTOCOL double
DEBUG PROTOCOL bignum
DEBUG PROTOCOL null
DEBUG PROTOCOL array
DEBUG PROTOCOL set
DEBUG PROTOCOL map
DEBUG PROTOCOL push
DEBUG PROTOCOL verbatim
DEBUG PROTOCOL true
DEBUG PROTOCOL false
SWAPDB 0
SWAPDB a 0
SWAPDB 0 b
SWAPDB 0 16
SWAPDB 0 -1
SWAPDB 0 99999999999
SWAPDB 0 1
DBSIZE
DEBUG DIGEST
SELECT 1
DBSIZE
FLUSHDB x
FLUSHDB ASYNC SYNC
FLUSHDB ASYNC
DBSIZE
SET k v
FLUSHALL x
FLUSHALL SYNC
DBSIZE
DEBUG DIGEST
TIME x
LASTSAVE x
LOLWUT VERSION x
SHUTDOWN x
SHUTDOWN SAVE NOSAVE
SHUTDOWN ABORT NOW
SHUTDOWN ABORT
"#;

/// After `rename-command`: FLUSHDB is called `badger`, CONFIG `conf`, GET nothing, SET `get` and
/// TTL `left`.
const RENAMED: &str = r#"
FLUSHDB
Badger
badger a b
config get port
conf
conf nosuch
CONF get
conf GET maxmemory
set a 1
get a 1
get a
GET a 1 nosuch
ttl x
command info badger
command info flushdb
command info conf|get
command info config|get config
command info left
left x
command list filterby pattern badg*
command list filterby pattern flushd*
command list filterby pattern set
command getkeys set a b
command getkeys get a b
command getkeys get a
acl setuser a +flushdb
acl setuser a +badger
acl setuser a +conf|get
acl setuser a +config|get +get
acl dryrun default badger
acl dryrun default flushdb
acl dryrun default get x
acl dryrun default get x y
acl dryrun default conf get x
acl dryrun default config get x
multi
badger
exec
multi
flushdb
exec
latency histogram flushdb nosuch
conf help x
"#;

/// The whole of CLUSTER and what belongs to it.
const CLUSTER: &str = r#"
CLUSTER
CLUSTER nosuch
CLUSTER info
CLUSTER INFO x
CLUSTER help
CLUSTER help x
CLUSTER keyslot
CLUSTER keyslot foo
CLUSTER reset
CLUSTER reset a b c
CLUSTER addslots
CLUSTER addslots x
CLUSTER slots
CLUSTER shards
CLUSTER nodes
CLUSTER myid
CLUSTER countkeysinslot x
CLUSTER setslot 1 node
CLUSTER failover nosuch
CLUSTER meet 127.0.0.1 1
CLUSTER slaves x
READONLY
READONLY x
READWRITE
ASKING
ASKING x
COMMAND GETKEYS CLUSTER countkeysinslot x
ACL SETUSER carol on nopass +cluster|info +readonly
ACL DRYRUN carol cluster nodes
ACL DRYRUN carol cluster info
ACL DRYRUN carol asking
ACL DRYRUN carol readonly
MULTI
CLUSTER info
CLUSTER help
READONLY
EXEC
MULTI
CLUSTER nosuch
CLUSTER info
EXEC
EVAL "return redis.call('cluster', 'reset')" 0
EVAL "return redis.call('cluster', 'info')" 0
EVAL "return redis.call('cluster', 'nosuch')" 0
EVAL "return redis.call('cluster')" 0
EVAL "return redis.call('readonly')" 0
EVAL "return redis.pcall('asking').err" 0
CONFIG GET cluster-enabled
CONFIG SET cluster-enabled yes
CONFIG SET cluster-enabled no
"#;

#[test]
fn replies_are_those_of_a_real_redis() {
    compare("config_differential", &[("enable-debug-command", &["local"])], LINES);
}

#[test]
fn renamed_commands_are_called_as_on_a_real_redis() {
    let renamed: &[(&str, &[&str])] = &[
        ("rename-command", &["flushdb", "badger"]),
        ("rename-command", &["config", "Conf"]),
        ("rename-command", &["GET", ""]),
        ("rename-command", &["set", "get"]),
        ("rename-command", &["ttl", "left"]),
    ];
    compare("renamed_commands", renamed, RENAMED);
}

#[test]
fn a_server_without_a_cluster_says_so_as_a_real_redis_does() {
    compare("without_a_cluster", &[], CLUSTER);
}

/// Runs all lines on both servers under these directives.
fn compare(test: &str, directives: &[(&str, &[&str])], lines: &str) {
    let names: Vec<String> = directives.iter().map(|(name, _)| format!("--{name}")).collect();
    let mut arguments: Vec<&str> = Vec::new();
    for (name, (_, values)) in names.iter().zip(directives) {
        arguments.push(name);
        arguments.extend(*values);
    }
    let Some(redis) = RealRedis::start_with(test, &arguments) else { return };
    let mut different = Vec::new();
    for hello in ["HELLO 2", "HELLO 3"] {
        let mut config = Config::default();
        for (name, values) in directives {
            config.set(name, values).unwrap();
        }
        let mut server = Server::new(config, Seed(1));
        let conn = server.connect();
        let mut client = redis.connect();
        client.call(&words(hello));
        server.line(conn, hello);
        for line in lines.lines().filter(|line| !line.is_empty()) {
            let words = words(line);
            client.send(&orrery_tests::resp_value::encode(&words));
            let theirs = client.read_raw();
            // A push comes before its command's reply.
            let theirs =
                if theirs[0] == b'>' { [theirs, client.read_raw()].concat() } else { theirs };
            let ours = server.send(conn, &orrery_tests::resp_value::encode(&words));
            if ours != theirs {
                let (ours, theirs) = (ours.escape_ascii(), theirs.escape_ascii());
                different.push(format!("{line} ({hello})\n  ours   {ours}\n  theirs {theirs}"));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
