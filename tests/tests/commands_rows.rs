//! What must hold for every row of the command table, whatever it does: found by running each row
//! with random arguments.

use orrery_engine::commands::generate::Generator;
use orrery_engine::commands::spec::{Flags, Group};
use orrery_engine::commands::table::{Row, table};
use orrery_engine::config::Access;
use orrery_engine::rng::Rng;
use orrery_engine::session::Session;
use orrery_engine::{Config, ConnId, Effect, Input, Outcome, Seed};
use orrery_tests::resp_value::{Value, encode};
use orrery_tests::server_in_process::{START_UNIX_MS, Server};

/// Commands drawn for each row.
const COMMANDS_PER_ROW: usize = 300;

/// Rows that may write no reply at all, and why.
const MAY_BE_SILENT: &[(&str, &str)] =
    &[("client|reply", "OFF and SKIP are silent"), ("shutdown", "the server is gone")];

/// Rows that fail on any server that is like the one here, and why.
const CANNOT_SUCCEED: &[(&str, &str)] = &[
    ("acl|load", "there is no file"),
    ("acl|save", "there is no file"),
    ("bgrewriteaof", "there is no log"),
    ("client|caching", "nothing is tracked"),
    ("config|rewrite", "there is no file"),
    ("hotkeys|start", "no metric is drawn"),
    ("latency|graph", "nothing has taken long"),
    ("restore", "no payload is drawn"),
    ("restore-asking", "no payload is drawn"),
    ("exec", "no transaction has begun"),
    ("discard", "no transaction has begun"),
    ("evalsha", "no script is known"),
    ("evalsha_ro", "no script is known"),
    ("script|kill", "no script runs"),
    ("fcall", "there is no library"),
    ("fcall_ro", "there is no library"),
    ("function|delete", "there is no library"),
    ("function|kill", "no function runs"),
    ("function|load", "no library is drawn"),
    ("function|restore", "no payload is drawn"),
    ("script|show", "no script is known"),
];

/// Containers and rows that have nothing to work on: there is no cluster.
fn needs_cluster(row: &Row) -> bool {
    row.command.group == Group::Cluster
}

fn is_listed(list: &[(&str, &str)], row: &Row) -> bool {
    list.iter().any(|&(name, _)| name == row.full_name)
}

/// A server with keys of some kinds, and a client; `k7` is none.
fn server() -> (Server, ConnId) {
    let mut server =
        Server::new(Config { debug_command: Access::Yes, ..Config::default() }, Seed(1));
    let conn = server.connect();
    let setup: &[&[&str]] = &[
        &["SET", "k0", "hello"],
        &["SET", "k1", "10"],
        &["SET", "k2", "1.5"],
        &["SET", "k4", "0123456789012345678901234567890123456789012345678901234567890123456789"],
    ];
    for words in setup {
        assert_eq!(server.call(conn, words), Value::simple("OK"));
    }
    assert_eq!(server.call(conn, &["RPUSH", "k3", "a", "b", ""]), Value::Integer(3));
    assert_eq!(server.call(conn, &["PFADD", "k5", "a", "b"]), Value::Integer(1));
    for id in ["1-1", "2-0"] {
        assert_eq!(server.call(conn, &["XADD", "k6", id, "field", "value"]), Value::bulk(id));
    }
    let words = ["XGROUP", "CREATE", "k6", "g", "0"];
    assert_eq!(server.call(conn, &words), Value::simple("OK"));
    let words = ["XREADGROUP", "GROUP", "g", "h", "COUNT", "1", "STREAMS", "k6", ">"];
    assert!(!server.call(conn, &words).is_error());
    let words = ["ACL", "SETUSER", "alice", "on", "nopass", "+@all", "~*", "&*"];
    assert_eq!(server.call(conn, &words), Value::simple("OK"));
    (server, conn)
}

/// Does what a driver would do about the effects, so that every command ends. Whether the server
/// goes on.
fn carry_out(server: &mut Server) -> bool {
    let mut goes_on = true;
    loop {
        let effects = server.take_effects();
        if effects.is_empty() {
            return goes_on;
        }
        for effect in effects {
            let (conn, outcome) = match effect {
                Effect::RewriteConfig { conn, .. } => (conn, Outcome::ConfigRewritten(Ok(()))),
                Effect::ReadUsers { conn } => (conn, Outcome::UsersRead(Ok(Vec::new()))),
                Effect::WriteUsers { conn, .. } => (conn, Outcome::UsersWritten(Ok(()))),
                Effect::ApplyConfig { conn, .. } => (conn, Outcome::ConfigApplied(Ok(()))),
                Effect::Shutdown { .. } => {
                    goes_on = false;
                    continue;
                }
                _ => continue,
            };
            server.input(Input::Done { conn, outcome });
        }
    }
}

#[test]
fn wrong_numbers_of_words_are_refused_in_the_words_of_redis() {
    let (mut server, conn) = server();
    let mut refused = 0;
    for row in table().rows() {
        let command = row.command;
        let mut words: Vec<&str> = command.name.split(' ').collect();
        let name_words = words.len();
        let what = format!("wrong number of arguments for '{}' command", row.full_name);
        let expected = match row.full_name {
            // A transaction that it could have ended is over.
            "exec" => format!("EXECABORT Transaction discarded because of: {what}"),
            _ => format!("ERR {what}"),
        };
        if !command.takes(name_words) {
            assert_eq!(server.call(conn, &words), Value::error(&expected), "{words:?}");
            refused += 1;
        }
        if command.arity > 0 && row.subcommands.is_empty() {
            words.resize(command.arity as usize + 1, "x");
            assert_eq!(server.call(conn, &words), Value::error(&expected), "{words:?}");
            refused += 1;
        }
    }
    assert!(refused > 50, "only {refused} were refused");
}

/// Its reply is a file and then a stream without end; see `sync_stream.rs`.
const SYNC: &str = "sync";

#[test]
fn every_row_keeps_its_word() {
    let mut rng = Rng::new(Seed(2027), "every row");
    let mut never = Vec::new();
    let rows = table().rows().iter().filter(|row| row.subcommands.is_empty());
    for row in rows.filter(|row| row.full_name != SYNC) {
        let mut failed = 0;
        for _ in 0..COMMANDS_PER_ROW {
            let words = Generator::new(&mut rng, START_UNIX_MS).any(row);
            failed += usize::from(run_one(row, &words));
        }
        if failed == COMMANDS_PER_ROW && !is_listed(CANNOT_SUCCEED, row) && !needs_cluster(row) {
            never.push(row.full_name);
        }
    }
    assert!(never.is_empty(), "these never succeed: {never:?}");
}

/// Runs one command on a new server and checks what holds for all; whether it failed.
fn run_one(row: &Row, words: &[Vec<u8>]) -> bool {
    let case = || {
        let words: Vec<String> = words.iter().map(|word| word.escape_ascii().to_string()).collect();
        words.join(" ")
    };
    let (mut server, conn) = server();
    let before = server.engine().digest();
    let mut output = server.send(conn, &encode(words));
    let goes_on = carry_out(&mut server);
    output.extend(server.output(conn));
    let replies = Value::read_all(&output);
    let may_wait = row.command.flags.has(Flags::BLOCKING);
    let silent = (is_listed(MAY_BE_SILENT, row) || may_wait) && replies.is_empty();
    // Subscribing has a confirmation for each channel.
    let confirmed = row.command.reply.starts_with("messages<") && !replies.is_empty();
    assert!(replies.len() == 1 || confirmed || silent || !goes_on, "{}: {replies:?}", case());
    let failed = replies.first().is_some_and(Value::is_error);
    let unchanged = server.engine().digest() == before;
    // What it carries may fail when the token is registered.
    let may_fail_late = row.command.carries.is_some();
    assert!(unchanged || !failed || may_fail_late, "{} failed and changed data", case());
    // PFCOUNT keeps its result inside the string, and is no write in Redis either.
    let flags = row.command.flags;
    let may_change = flags.has(Flags::WRITE) || flags.has(Flags::MAY_REPLICATE);
    assert!(unchanged || may_change, "{} is no write and changed data", case());
    if let Some(Value::Error(text)) = replies.first() {
        let code = text.split(|&byte| byte == b' ').next().expect("a first word");
        assert!(code.iter().all(u8::is_ascii_uppercase), "{}: {}", case(), text.escape_ascii());
    }
    server.engine().check_invariants();
    failed
}

/// Everything after everything, on one server with three clients, with time passing.
#[test]
fn long_mixed_runs_never_confuse_a_server() {
    let mut rng = Rng::new(Seed(7), "mixed");
    let (mut server, first) = server();
    let mut clients = vec![first, server.connect(), server.connect()];
    for step in 0..20_000 {
        let mut generator = Generator::new(&mut rng, server.unix_ms());
        let row = generator.row();
        if row.full_name == SYNC {
            continue;
        }
        let words = generator.any(row);
        let which = step % clients.len();
        let output = server.send(clients[which], &encode(&words));
        Value::read_all(&output);
        if !carry_out(&mut server) || server.engine().state().pause.is_some() {
            // A shutdown is only asked for; a pause must end for the run to go on.
            server.advance_ms(100);
            let admin = server.connect();
            server.send(admin, b"CLIENT UNPAUSE\r\n");
            if server.engine().state().pause.is_some() {
                (server, clients[0]) = self::server();
                clients[1] = server.connect();
                clients[2] = server.connect();
            } else {
                server.disconnect(admin);
            }
        }
        for client in &mut clients {
            let session = server.engine().state().sessions.find(*client);
            let waits = session.is_some_and(|session| session.blocked.is_some());
            let only_listens = session.is_some_and(Session::gets_only_messages);
            // One that waits, perhaps for ever, goes away half of the time and is replaced.
            if step % 2 == 0 && waits {
                server.disconnect(*client);
            } else if step % 8 == 0 && only_listens {
                server.send(*client, b"RESET\r\n");
            }
            if server.is_closed(*client) {
                *client = server.connect();
            }
        }
        server.advance_ms(step as u64 % 7);
        if step % 1000 == 0 {
            server.engine().check_invariants();
        }
    }
    server.engine().check_invariants();
}
