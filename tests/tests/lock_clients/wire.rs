//! Requests as commands: real servers do with them what the ideal ones do.

use orrery_engine::lock::{
    CounterUse, Dialect, Manner, Names, Replicas, Reply, Request, Said, Sent, Token, read, write,
    write_after,
};
use orrery_engine::rng::Rng;
use orrery_engine::{Config, Seed};
use orrery_sim::locks::IdealServer;
use orrery_tests::free_port::free_port;
use orrery_tests::real_redis::RealRedis;
use orrery_tests::server_in_process::Server as OrreryServer;

const NAMES: Names<'_> = Names { lock: b"{stock}", counter: b"{stock}:count" };
const REQUESTS: usize = 3000;

fn drawn(draw: &mut Rng, ttl_ms: u64) -> Request {
    let token = Token { client: 7 + u128::from(draw.below(2)), attempt: draw.below(2) };
    let number = draw.below(2000);
    let uses =
        [CounterUse::Ignore, CounterUse::Read, CounterUse::Increment, CounterUse::Propose(number)];
    match draw.below(12) {
        0..3 => Request::Acquire { token, ttl_ms, counter: uses[draw.below(4) as usize] },
        8 => {
            let counter = uses[draw.below(4) as usize];
            Request::AcquireUntil { token, until_ms: None, counter }
        }
        9 => Request::Limit { ttl_ms },
        10 | 11 => Request::Look { token },
        3 | 4 => Request::Extend { token, ttl_ms, recreates: draw.chance(1, 2) },
        5 => Request::Commit { token, number: draw.below(2000) },
        6 => Request::Release { token: Some(token) },
        _ if draw.chance(1, 4) => Request::Release { token: None },
        _ => Request::Release { token: Some(token) },
    }
}

const REFUSED: Reply = Reply::Refused { counter: 0 };

/// What an ideal server says, as far as a real one tells it.
fn expected(ideal: &mut IdealServer, now_us: u64, request: Request) -> Reply {
    match (ideal.carry_out(now_us, request), request) {
        (
            Reply::Done { counter },
            Request::Acquire { counter: uses, .. } | Request::AcquireUntil { counter: uses, .. },
        ) if uses != CounterUse::Ignore => Reply::Done { counter },
        (Reply::Done { .. }, _) => Reply::Done { counter: 0 },
        (reply, _) => reply,
    }
}

/// Asks a server that takes bytes, and an ideal one, the same. Scripts are sent once, and called by
/// their names from then on.
fn check(
    ideal: &mut IdealServer,
    now_us: u64,
    (request, dialect, sent): (Request, Dialect, &mut Sent),
    ask: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Reply {
    let mut bytes = Vec::new();
    let manner = Manner::plain(dialect);
    write_after(&request, NAMES, manner, sent, &mut bytes);
    let said = ask(&bytes);
    let reply = expected(ideal, now_us, request);
    let text = said.escape_ascii();
    assert_eq!(
        read(&request, manner, &said),
        Said::Reply(reply, said.len()),
        "{request:?}: {text}"
    );
    reply
}

#[test]
fn an_engine_does_with_requests_what_an_ideal_server_does() {
    for dialect in [Dialect::Conditions, Dialect::Scripts] {
        let mut draw = Rng::new(Seed(1), "requests");
        let mut server = OrreryServer::new(Config::default(), Seed(1));
        let conn = server.connect();
        let (mut ideal, mut now_ms, mut done) = (IdealServer::default(), 0, 0);
        let mut sent = Sent::default();
        for _ in 0..REQUESTS {
            // A key is there up to the end of its last millisecond: never asked for just then.
            let wait_ms = 10 * draw.below(5);
            server.advance_ms(wait_ms);
            now_ms += wait_ms;
            let request = drawn(&mut draw, 5 + 10 * now_ms % 70);
            let asked = (request, dialect, &mut sent);
            let reply = check(&mut ideal, now_ms * 1000, asked, |bytes| server.send(conn, bytes));
            done += usize::from(!matches!(reply, Reply::Refused { .. }));
        }
        assert!((REQUESTS / 4..REQUESTS * 3 / 4).contains(&done), "some of each: {done}");
    }
}

#[test]
fn a_real_redis_does_with_scripts_what_an_ideal_server_does() {
    let Some(redis) = RealRedis::start("lock_clients") else { return };
    let mut client = redis.connect();
    let mut draw = Rng::new(Seed(2), "requests");
    let (mut ideal, mut sent) = (IdealServer::default(), Sent::default());
    for _ in 0..REQUESTS {
        let request = drawn(&mut draw, 100_000);
        check(&mut ideal, 0, (request, Dialect::Scripts, &mut sent), |bytes| {
            client.send(bytes);
            client.read_raw()
        });
    }
}

#[test]
fn an_end_that_is_a_time_of_day_may_be_over_already() {
    let mut server = OrreryServer::new(Config::default(), Seed(1));
    let conn = server.connect();
    let token = Token { client: 1, attempt: 1 };
    let done = Reply::Done { counter: 0 };
    let far_ms = 100_000_000_000_000;
    for (until_ms, is_there) in [(1, REFUSED), (far_ms, done)] {
        let counter = CounterUse::Ignore;
        for (request, reply) in [
            (Request::AcquireUntil { token, until_ms: Some(until_ms), counter }, done),
            (Request::Look { token }, is_there),
        ] {
            let mut bytes = Vec::new();
            write(&request, NAMES, Manner::plain(Dialect::Conditions), &mut bytes);
            let said = server.send(conn, &bytes);
            let text = said.escape_ascii();
            assert_eq!(
                read(&request, Manner::plain(Dialect::Conditions), &said),
                Said::Reply(reply, said.len()),
                "{text}"
            );
        }
    }
}

#[test]
fn a_server_that_cannot_is_no_grant() {
    let mut server = OrreryServer::new(Config::default(), Seed(1));
    let conn = server.connect();
    server.check(conn, "RPUSH {stock} a", "(integer) 1");
    let token = Token { client: 1, attempt: 1 };
    let asked = |request| {
        let mut bytes = Vec::new();
        write(&request, NAMES, Manner::plain(Dialect::Conditions), &mut bytes);
        (request, bytes)
    };
    for (request, reply) in [
        // Something else is there: the lock is taken.
        (Request::Acquire { token, ttl_ms: 5, counter: CounterUse::Increment }, REFUSED),
        (Request::Extend { token, ttl_ms: 5, recreates: false }, Reply::Failed),
        (Request::Commit { token, number: 1 }, Reply::Failed),
        (Request::Release { token: Some(token) }, Reply::Failed),
    ] {
        let (request, bytes) = asked(request);
        let said = server.send(conn, &bytes);
        let text = said.escape_ascii();
        assert_eq!(
            read(&request, Manner::plain(Dialect::Conditions), &said),
            Said::Reply(reply, said.len()),
            "{text}"
        );
    }
}

/// Asks for the lock with so many replicas, and says what a server's bytes mean.
fn ask_with_replicas(replicas: Replicas, ask: impl FnOnce(&[u8]) -> Vec<u8>) -> Reply {
    let token = Token { client: 1, attempt: 1 };
    let request = Request::Acquire { token, ttl_ms: 5000, counter: CounterUse::Increment };
    let mut bytes = Vec::new();
    let manner = Manner { replicas: Some(replicas), ..Manner::plain(Dialect::Scripts) };
    write(&request, NAMES, manner, &mut bytes);
    let said = ask(&bytes);
    match read(&request, manner, &said) {
        Said::Reply(reply, len) if len == said.len() => reply,
        other => panic!("{other:?}: {}", said.escape_ascii()),
    }
}

/// Those that wait for one, and those that do without where none is.
const WAITS: [(Replicas, Reply); 3] = [
    (waits(0, false), Reply::Done { counter: 1 }),
    (waits(1, false), Reply::Failed),
    (waits(1, true), Reply::Done { counter: 1 }),
];

const fn waits(needed: u16, none_will_do: bool) -> Replicas {
    Replicas { needed, timeout_ms: 20, none_will_do }
}

#[test]
fn an_engine_without_replicas_grants_to_those_who_wait_for_none() {
    for (replicas, expected) in WAITS {
        let mut server = OrreryServer::new(Config::default(), Seed(1));
        let conn = server.connect();
        let reply = ask_with_replicas(replicas, |bytes| {
            let mut said = server.send(conn, bytes);
            server.advance_ms(30);
            said.extend(server.send(conn, b""));
            said
        });
        assert_eq!(reply, expected, "{replicas:?}");
    }
}

#[test]
fn a_real_redis_grants_when_its_replica_has_the_grant() {
    let port = free_port().to_string();
    let arguments = ["--port", &port];
    let Some(redis) = RealRedis::start_with("lock_clients_wait", &arguments) else { return };
    let mut client = redis.connect();
    let mut ask = |replicas| {
        client.call(&["FLUSHALL"]);
        ask_with_replicas(replicas, |bytes| {
            client.send(bytes);
            // A reply comes late, when the replicas were waited for.
            let mut said = client.read_raw();
            let whole = 1 + usize::from(replicas.needed > 0) + usize::from(replicas.none_will_do);
            while said.iter().filter(|&&byte| byte == b'\n').count() < whole {
                said.extend(client.read_raw());
            }
            said
        })
    };
    for (replicas, expected) in WAITS {
        assert_eq!(ask(replicas), expected, "{replicas:?}");
    }
    let arguments = ["--replicaof", "127.0.0.1", &port];
    let _replica = RealRedis::start_with("lock_clients_replica", &arguments).expect("as before");
    let has_come = |_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        ask(waits(1, false)) == Reply::Done { counter: 1 }
    };
    assert!((0..500).any(has_come), "the replica is there and has it");
    assert_eq!(ask(waits(2, false)), Reply::Failed, "there is one");
    assert_eq!(ask(waits(2, true)), Reply::Failed, "one is not none");
}
