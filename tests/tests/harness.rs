//! The shared test harness itself: what other tests take for granted.

use orrery_tests::real_redis::RealRedis;
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::Server;
use orrery_tests::transcript::transcript;

#[test]
fn a_client_gets_its_replies() {
    let mut server = Server::default();
    let (a, b) = (server.connect(), server.connect());
    server.check(a, "SET k v", "OK");
    server.check(b, "GET k", "\"v\"");
    assert_eq!(server.send(b, b"GET k\r\nGET none\r\n"), b"$1\r\nv\r\n$-1\r\n");
    assert!(!server.is_closed(b));
    assert_eq!(server.send(b, b"*x\r\n"), b"-ERR Protocol error: invalid multibulk length\r\n");
    assert!(server.is_closed(b) && !server.is_closed(a));
}

#[test]
fn a_pipeline_that_is_longer_than_one_step_is_run_to_its_end() {
    let mut server = Server::default();
    let conn = server.connect();
    let replies = Value::read_all(&server.send(conn, "SET k v\r\n".repeat(10_000).as_bytes()));
    assert_eq!(replies, vec![Value::simple("OK"); 10_000]);
}

#[test]
fn a_transcript_shows_commands_and_replies() {
    let text = transcript("# c\nSET k \"a b\"\n@client other\nGET k\n@sleep 5\nGET x");
    assert_eq!(
        text,
        "# c\n> SET k \"a b\"\nOK\n@client other\n> GET k\n\"a b\"\n@sleep 5\n> GET x\n(nil)\n"
    );
}

#[test]
fn a_real_redis_server_answers_where_it_is_installed() {
    let Some(redis) = RealRedis::start("harness") else { return };
    let mut client = redis.connect();
    assert_eq!(client.call(&["SET", "k", "v"]), Value::simple("OK"));
    client.send(b"GET k\r\n");
    assert_eq!(client.read_raw(), b"$1\r\nv\r\n");
}
