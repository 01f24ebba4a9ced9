//! Users and rules through the front door: what Redis does is compared with a real server in
//! `acl_differential.rs`; here is what that cannot show.

use orrery_engine::{Config, ConnId, Effect, Input, Origin, Outcome, Seed};
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::Server;

const WRONG: &str = "(error) WRONGPASS invalid username-password pair or user is disabled.";
const NO_DATABASE: &str = "(error) NOPERM No permissions to access database";

fn two_clients() -> (Server, ConnId, ConnId) {
    let mut server = Server::default();
    let (admin, other) = (server.connect(), server.connect());
    (server, admin, other)
}

/// Runs lines of one client, each with its reply behind `=>`.
#[track_caller]
fn play(server: &mut Server, conn: ConnId, script: &str) {
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (command, reply) = line.split_once(" => ").expect("a command and its reply");
        server.check(conn, command, reply);
    }
}

#[test]
fn a_user_is_kept_to_its_databases() {
    let (mut server, admin, user) = two_clients();
    play(&mut server, admin, "ACL SETUSER u on nopass +@all ~* &* db=1,3 => OK");
    let script = format!(
        "AUTH u x => OK
         PING => PONG
         ACL WHOAMI => \"u\"
         GET k => {NO_DATABASE}
         DBSIZE => {NO_DATABASE}
         FLUSHDB => {NO_DATABASE}
         SELECT 2 => {NO_DATABASE}
         SELECT 99 => (error) ERR DB index is out of range
         SELECT x => (error) ERR value is not an integer or out of range
         SELECT 1 => OK
         SET k v => OK
         GET k => \"v\"
         MOVE k 2 => {NO_DATABASE}
         COPY k c DB 2 => {NO_DATABASE}
         COPY k c DB 2 DB 3 => {NO_DATABASE}
         COPY k c DB 3 => (integer) 1
         MOVE k 3 => (integer) 1
         SWAPDB 1 2 => {NO_DATABASE}
         SWAPDB 1 3 => OK
         FLUSHDB => OK
         FLUSHALL => {NO_DATABASE}"
    );
    play(&mut server, user, &script);
    let log = server.line(admin, "ACL LOG 1");
    let entry: Vec<String> =
        log.elements()[0].elements()[2..8].iter().map(Value::to_string).collect();
    assert_eq!(
        entry,
        ["\"reason\"", "\"database\"", "\"context\"", "\"toplevel\"", "\"object\"", "\"flushall\""]
    );
    play(&mut server, admin, "ACL SETUSER u alldbs => OK");
    play(&mut server, user, "FLUSHALL => OK");
}

#[test]
fn a_key_is_not_carried_out_of_a_database_that_is_closed() {
    let (mut server, admin, user) = two_clients();
    play(&mut server, admin, "SET secret 1 => OK\nACL SETUSER u on nopass +@all ~* db=1 => OK");
    let script = format!(
        "AUTH u x => OK
         MOVE secret 1 => {NO_DATABASE}
         COPY secret mine DB 1 => {NO_DATABASE}
         SORT secret STORE mine => {NO_DATABASE}"
    );
    play(&mut server, user, &script);
}

#[test]
fn databases_go_with_the_other_rules_of_their_selector() {
    let (mut server, admin, user) = two_clients();
    let rules = "on nopass (db=0 +@all -@read ~*) (db=1 +@read +select ~*)";
    play(&mut server, admin, &format!("ACL SETUSER u {rules} => OK"));
    let no_get = "(error) NOPERM this user has no permissions to run the 'get' command";
    let script = format!(
        "AUTH u x => OK
         GET k => {no_get}
         SET k v => OK
         SELECT 2 => (error) NOPERM this user has no permissions to run the 'select' command
         SELECT 1 => OK
         GET k => (nil)
         SET k v => (error) NOPERM this user has no permissions to run the 'set' command"
    );
    play(&mut server, user, &script);
    play(
        &mut server,
        admin,
        "ACL DRYRUN u SELECT 0 => OK
         ACL SETUSER u reset db=0 +@all ~* => OK
         ACL DRYRUN u SELECT 1 => \"This user has no permissions to access database\"",
    );
}

#[test]
fn a_transaction_may_change_the_database_that_rules_speak_of() {
    let (mut server, admin, user) = two_clients();
    let rules = "on nopass (db=0 +@all -@read ~*) (db=1 +@all -@write ~*)";
    play(&mut server, admin, &format!("ACL SETUSER u {rules} => OK"));
    let no_set = "(error) NOPERM this user has no permissions to run the 'set' command";
    let no_select = "(error) NOPERM this user has no permissions to run the 'select' command";
    let script = format!(
        "AUTH u x => OK
         MULTI => OK
         SET k v => QUEUED
         SELECT 1 => QUEUED
         GET k => QUEUED
         SET k v => QUEUED
         SELECT 2 => {no_select}
         EXEC => (error) EXECABORT Transaction discarded because of previous errors.
         SELECT 1 => OK
         SET k v => {no_set}
         SELECT 0 => OK"
    );
    play(&mut server, user, &script);
    server.send(user, b"MULTI\r\nSET k v\r\nSELECT 1\r\nGET k\r\nSET k v\r\n");
    let reply = server.line(user, "EXEC");
    let shown: Vec<String> = reply.elements().iter().map(Value::to_string).collect();
    let refused = "(error) NOPERM ACLs rules changed between the moment the transaction was \
                   accumulated and the EXEC call. This command is no longer allowed for the \
                   following reason: no permission to execute the command or subcommand";
    assert_eq!(shown, ["OK", "OK", "(nil)", refused]);
}

#[test]
fn the_file_of_users_is_read_after_the_transaction_that_asks_for_it() {
    let mut config = Config::default();
    config.set("aclfile", &["users.acl"]).expect("a path");
    let mut server = Server::new(config, Seed(1));
    server.load_users(Some(b"user u on nopass +@all\n"));
    let (admin, user) = (server.connect(), server.connect());
    play(&mut server, user, "AUTH u x => OK");
    let reply = server.send(user, b"MULTI\r\nACL LOAD\r\nPING\r\nEXEC\r\n");
    assert_eq!(reply, b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+PONG\r\n");
    let outcome = Outcome::UsersRead(Ok(b"user u on nopass +get\n".to_vec()));
    server.input(Input::Done { conn: user, outcome });
    assert!(server.is_closed(user) && !server.is_closed(admin));
    let reply = server.line(admin, "ACL DRYRUN u PING").to_string();
    assert!(reply.contains("no permissions to run"), "{reply}");
}

#[test]
fn what_is_refused_is_logged_and_counted_together() {
    let (mut server, admin, user) = two_clients();
    play(&mut server, admin, "ACL SETUSER u on >pw ~a* +get +set => OK");
    let script = format!(
        "CLIENT SETNAME who => OK
         aUtH u wrong => {WRONG}
         HELLO 2 AUTH none pw => {WRONG}
         AUTH u pw => OK"
    );
    play(&mut server, user, &script);
    for line in ["DEL a", "GET b", "GET b", "SET c 1", "DEL x", "CLIENT LIST"] {
        assert!(server.line(user, line).is_error());
    }
    server.advance_ms(1500);
    let log = server.line(admin, "ACL LOG");
    let shown: Vec<String> = log
        .elements()
        .iter()
        .map(|entry| {
            let fields = entry.elements();
            let field = |index: usize| fields[2 * index + 1].to_string();
            let client = field(6);
            assert!(client.contains(" name=who ") && client.contains(" user="), "{client}");
            format!("{} {} {} {} {}", field(0), field(1), field(3), field(4), field(5))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "(integer) 1 \"command\" \"client|list\" \"u\" \"1.5\"",
            "(integer) 2 \"command\" \"del\" \"u\" \"1.5\"",
            "(integer) 1 \"key\" \"c\" \"u\" \"1.5\"",
            "(integer) 2 \"key\" \"b\" \"u\" \"1.5\"",
            "(integer) 1 \"auth\" \"HELLO\" \"none\" \"1.5\"",
            "(integer) 1 \"auth\" \"aUtH\" \"u\" \"1.5\"",
        ]
    );
    server.advance_ms(61_000);
    assert!(server.line(user, "GET b").is_error());
    play(&mut server, admin, "CONFIG SET acllog-max-len 2 => OK");
    assert_eq!(server.line(admin, "ACL LOG").elements().len(), 7, "cut when the next one comes");
    assert!(server.line(user, "GET d").is_error());
    assert_eq!(server.line(admin, "ACL LOG").elements().len(), 2);
    play(&mut server, admin, "ACL LOG RESET => OK\nACL LOG => (empty array)");
}

#[test]
fn who_is_deleted_is_disconnected_after_its_last_reply() {
    let (mut server, admin, user) = two_clients();
    let second = server.connect();
    play(&mut server, admin, "ACL SETUSER u on nopass +@all ~* => OK");
    play(&mut server, user, "AUTH u x => OK");
    play(&mut server, second, "AUTH u x => OK");
    // One that waits is woken by nothing but its end.
    assert_eq!(server.send(second, b"BLPOP list 0\r\n"), b"");
    assert_eq!(server.send(user, b"ACL DELUSER u\r\nPING\r\n"), b":1\r\n");
    assert!(server.is_closed(user) && server.is_closed(second) && !server.is_closed(admin));
    play(&mut server, admin, "RPUSH list a => (integer) 1\nLLEN list => (integer) 1");
}

#[test]
fn subscribers_are_closed_when_they_lose_a_channel() {
    let (mut server, admin, _) = two_clients();
    play(&mut server, admin, "ACL SETUSER u on nopass +@all &a &b* => OK");
    let subscriber = |line: &str| {
        let conn = server.connect();
        server.send(conn, b"HELLO 3 AUTH u x\r\n");
        let reply = server.send(conn, format!("{line}\r\n").as_bytes());
        assert!(!reply.starts_with(b"-"), "{}", reply.escape_ascii());
        conn
    };
    let clients = ["SUBSCRIBE a", "SUBSCRIBE bcd", "SSUBSCRIBE bcd a", "PSUBSCRIBE b*", "PING"]
        .map(subscriber);
    let mut closed_after = |rules: &str| {
        play(&mut server, admin, &format!("ACL SETUSER u {rules} => OK"));
        clients.map(|conn| server.is_closed(conn))
    };
    assert_eq!(closed_after("&c"), [false; 5], "nothing was lost");
    assert_eq!(closed_after("allchannels"), [false; 5]);
    assert_eq!(closed_after("resetchannels &a &b*"), [false; 5], "what they use was not lost");
    assert_eq!(closed_after("resetchannels &b*"), [true, false, true, false, false]);
    assert_eq!(closed_after("resetchannels &bcd"), [true, false, true, true, false]);
    assert_eq!(closed_after("resetchannels"), [true, true, true, true, false]);
    play(&mut server, admin, "PUBLISH bcd m => (integer) 0\nPUBSUB NUMPAT => (integer) 0");
}

#[test]
fn a_subscriber_may_take_its_own_channels() {
    let (mut server, admin, user) = two_clients();
    play(&mut server, admin, "ACL SETUSER u on nopass +@all &a => OK");
    server.send(user, b"HELLO 3 AUTH u x\r\nSUBSCRIBE a\r\n");
    assert_eq!(server.send(user, b"ACL SETUSER u resetchannels\r\nPING\r\n"), b"+OK\r\n");
    assert!(server.is_closed(user));
}

#[test]
fn who_removes_itself_may_do_nothing_more_in_its_transaction() {
    let (mut server, admin, user) = two_clients();
    play(
        &mut server,
        admin,
        "SET k v => OK
         ACL SETUSER u on nopass +@all ~* db=1 => OK
         ACL SETUSER default >pw => OK",
    );
    play(&mut server, user, "AUTH u x => OK");
    let reply = server.send(user, b"MULTI\r\nACL DELUSER u\r\nGET k\r\nEXEC\r\n");
    let end = b"*2\r\n:1\r\n-NOAUTH Authentication required.\r\n";
    assert!(reply.ends_with(end), "{}", reply.escape_ascii());
    assert!(server.is_closed(user));
}

#[test]
fn a_user_that_is_changed_is_what_it_is_from_the_next_command_on() {
    let (mut server, admin, user) = two_clients();
    play(&mut server, admin, "ACL SETUSER u on nopass +get ~* => OK");
    play(&mut server, user, "AUTH u x => OK\nGET k => (nil)");
    play(&mut server, admin, "ACL SETUSER u off -get +ping => OK");
    let no_get = "(error) NOPERM this user has no permissions to run the 'get' command";
    play(&mut server, user, &format!("GET k => {no_get}\nPING => PONG"));
    let line = server.line(admin, "CLIENT LIST").to_string();
    assert!(line.contains("user=u ") && line.contains("user=default "), "{line}");
    play(&mut server, admin, "CLIENT KILL USER u => (integer) 1");
    assert!(server.is_closed(user) && !server.is_closed(admin));
}

#[test]
fn a_client_that_waits_is_looked_at_again_when_it_is_served() {
    let (mut server, admin, user) = two_clients();
    play(&mut server, admin, "ACL SETUSER u on nopass +blpop ~list => OK");
    play(&mut server, user, "AUTH u x => OK");
    assert_eq!(server.send(user, b"BLPOP list 0\r\n"), b"");
    play(&mut server, admin, "ACL SETUSER u resetkeys => OK\nRPUSH list a => (integer) 1");
    let reply = server.output(user);
    assert!(reply.starts_with(b"-NOPERM"), "{}", reply.escape_ascii());
    play(&mut server, admin, "LLEN list => (integer) 1");
}

#[test]
fn the_default_user_decides_about_new_clients() {
    let (mut server, admin, _) = two_clients();
    play(&mut server, admin, "ACL SETUSER admin on >pw +@all ~* => OK\nAUTH admin pw => OK");
    play(&mut server, admin, "ACL SETUSER default off => OK");
    let conn = server.connect();
    play(&mut server, conn, "PING => (error) NOAUTH Authentication required.");
    play(&mut server, admin, "ACL SETUSER default on resetpass => OK");
    let conn = server.connect();
    let script = format!("PING => (error) NOAUTH Authentication required.\nAUTH x => {WRONG}");
    play(&mut server, conn, &script);
    play(&mut server, admin, "ACL SETUSER default nopass => OK");
    let conn = server.connect();
    play(&mut server, conn, "AUTH admin pw => OK\nRESET => RESET\nACL WHOAMI => \"default\"");
}

#[test]
fn protected_mode_asks_whether_the_default_user_needs_a_password() {
    let from_outside = || Origin::Tcp {
        peer: "192.0.2.1:5000".parse().expect("an address"),
        local: "192.0.2.2:6379".parse().expect("an address"),
    };
    let mut server = Server::default();
    let admin = server.connect();
    let conn = server.connect_from(from_outside());
    assert!(server.output(conn).starts_with(b"-DENIED"));
    play(&mut server, admin, "ACL SETUSER default >pw => OK");
    let conn = server.connect_from(from_outside());
    play(&mut server, conn, "AUTH pw => OK\nPING => PONG");
}

#[test]
fn a_server_lets_nobody_in_before_it_has_its_users() {
    let mut config = Config::default();
    config.set("aclfile", &["users.acl"]).expect("a path");
    let mut server = Server::new(config, Seed(1));
    let conn = server.connect();
    play(&mut server, conn, "PING => (error) NOAUTH Authentication required.");
    play(&mut server, conn, &format!("AUTH default x => {WRONG}"));
    server.load_users(Some(b"user u on nopass +ping\n"));
    play(&mut server, conn, "AUTH u x => OK\nPING => PONG");
    let conn = server.connect();
    play(&mut server, conn, "PING => PONG");
}

#[test]
fn users_of_directives_are_made_in_order_and_the_idle_are_told() {
    let mut config = Config::default();
    for words in [&["u", "on", ">a b", "(+get", "~x)"][..], &["default", "on", "nopass", "+acl"]] {
        config.set("user", words).expect("a declaration");
    }
    assert!(config.set("user", &["u", "off"]).unwrap_err().contains("Duplicate user"));
    config.set("user", &["idle"]).expect("a declaration");
    let mut server = Server::new(config, Seed(1));
    let notes = server.load_users(None);
    assert!(notes.len() == 1 && notes[0].contains("'idle' is disabled"), "{notes:?}");
    let conn = server.connect();
    play(&mut server, conn, "AUTH u \"a b\" => OK\nGET x => (nil)");
    let conn = server.connect();
    play(
        &mut server,
        conn,
        "ACL DRYRUN u GET x => OK
         PING => (error) NOPERM this user has no permissions to run the 'ping' command",
    );
}

#[test]
fn the_file_of_users_is_read_and_written_by_the_driver() {
    let mut config = Config::default();
    config.set("aclfile", &["users.acl"]).expect("a path");
    let mut server = Server::new(config, Seed(1));
    server.load_users(Some(b"user u on nopass +acl\n"));
    let (admin, user) = (server.connect(), server.connect());
    play(&mut server, user, "AUTH u x => OK");
    assert_eq!(server.send(admin, b"ACL SAVE\r\nPING\r\n"), b"", "it waits for the driver");
    let text = b"user default on nopass ~* &* +@all\n\
                 user u on nopass resetchannels -@all +acl\n";
    let expected = Effect::WriteUsers { conn: admin, text: text.to_vec() };
    assert_eq!(server.take_effects(), [expected]);
    server.input(Input::Done { conn: admin, outcome: Outcome::UsersWritten(Ok(())) });
    assert_eq!(server.output(admin), b"+OK\r\n+PONG\r\n");
    assert_eq!(server.send(admin, b"ACL SAVE\r\n"), b"");
    let outcome = Outcome::UsersWritten(Err("disk full".to_owned()));
    server.input(Input::Done { conn: admin, outcome });
    assert_eq!(
        server.output(admin),
        b"-ERR There was an error trying to save the ACLs. Please check the server logs for more \
          information\r\n"
    );
    assert_eq!(server.send(user, b"ACL LOAD\r\nPING\r\n"), b"");
    server.take_effects();
    let outcome = Outcome::UsersRead(Ok(b"user v on nopass +ping\nuser default off\n".to_vec()));
    server.input(Input::Done { conn: user, outcome });
    assert_eq!(server.output(user), b"+OK\r\n", "it is told, and that is all");
    assert!(server.is_closed(user) && !server.is_closed(admin));
    let no_acl = "(error) NOPERM this user has no permissions to run the 'acl|users' command";
    play(&mut server, admin, &format!("ACL USERS => {no_acl}"));
}

#[test]
fn a_driver_that_is_late_finds_the_client_gone() {
    let mut config = Config::default();
    config.set("aclfile", &["users.acl"]).expect("a path");
    let mut server = Server::new(config, Seed(1));
    server.load_users(Some(b""));
    let (admin, other) = (server.connect(), server.connect());
    server.send(admin, b"ACL LOAD\r\n");
    server.disconnect(admin);
    let outcome = Outcome::UsersRead(Ok(b"user v on nopass +ping\n".to_vec()));
    server.input(Input::Done { conn: admin, outcome });
    play(&mut server, other, "AUTH v x => OK\nPING => PONG");
}

#[test]
fn the_configuration_file_gets_users_only_where_there_are_any() {
    let mut server = Server::default();
    server.set_facts(orrery_engine::Facts {
        config_file: Some("redis.conf".to_owned()),
        ..Default::default()
    });
    let conn = server.connect();
    let rewritten = |server: &mut Server| {
        assert_eq!(server.send(conn, b"CONFIG REWRITE\r\n"), b"");
        let effects = server.take_effects();
        server.input(Input::Done { conn, outcome: Outcome::ConfigRewritten(Ok(())) });
        assert_eq!(server.output(conn), b"+OK\r\n");
        let [Effect::RewriteConfig { parameters, .. }] = &effects[..] else {
            panic!("{effects:?}")
        };
        let users = parameters.iter().filter(|(name, _)| name == "user");
        users.map(|(_, words)| words.clone()).collect::<Vec<_>>()
    };
    assert!(rewritten(&mut server).is_empty());
    server.check(conn, "CONFIG SET requirepass pw", "OK");
    assert!(rewritten(&mut server).is_empty(), "requirepass says it all");
    server.check(conn, "ACL SETUSER u (+get ~a)", "OK");
    let hash = "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";
    assert_eq!(
        rewritten(&mut server),
        [
            format!("default on \"#{hash}\" ~* &* +@all"),
            "u off resetchannels -@all (~a resetchannels -@all +get)".to_owned(),
        ]
    );
    server.call(conn, &[&b"ACL"[..], b"SETUSER", b"u", b"~\xff"]);
    let reply = server.line(conn, "CONFIG REWRITE").to_string();
    assert!(reply.starts_with("(error) ERR Rewriting config file: no UTF-8 text"), "{reply}");
}

#[test]
fn random_passwords_come_from_the_secret() {
    let password = |secret: Option<[u8; 32]>, seed| {
        let mut server = Server::new(Config::default(), Seed(seed));
        if let Some(secret) = secret {
            server.set_secret(secret);
        }
        let conn = server.connect();
        let first = server.line(conn, "ACL GENPASS").to_string();
        assert_eq!(first.len(), 66);
        assert_ne!(first, server.line(conn, "ACL GENPASS").to_string());
        assert_eq!(server.line(conn, "ACL GENPASS 5").bytes().len(), 2);
        first
    };
    assert_eq!(password(Some([1; 32]), 1), password(Some([1; 32]), 2));
    assert_ne!(password(Some([1; 32]), 1), password(Some([2; 32]), 1));
    assert_ne!(password(None, 1), password(None, 2));
}

#[test]
fn a_category_is_spelled_as_itself() {
    let (mut server, admin, _) = two_clients();
    let categories = server.line(admin, "ACL CAT");
    for category in categories.elements() {
        let category = String::from_utf8_lossy(category.bytes()).into_owned();
        if server.line(admin, &format!("ACL CAT {category}")).elements().is_empty() {
            continue;
        }
        for rules in [format!("+@all -@{category}"), format!("-@all +@{category}")] {
            server.check(admin, &format!("ACL SETUSER u reset {rules}"), "OK");
            let user = server.line(admin, "ACL GETUSER u");
            let shown = String::from_utf8_lossy(user.elements()[5].bytes()).into_owned();
            assert_eq!(shown, rules);
        }
    }
}

#[test]
fn limits_hold() {
    let (mut server, admin, _) = two_clients();
    let words = |rules: Vec<String>| {
        let start = ["ACL", "SETUSER", "u"].map(str::to_owned);
        start.into_iter().chain(rules).collect::<Vec<String>>()
    };
    let too_many = "Too many rules of this kind for one user";
    for (rule, max) in [("~", 10_000), ("&", 10_000), (">", 1000), ("+select|", 1000)] {
        let rules = (0..max).map(|index| format!("{rule}{index}")).collect();
        assert_eq!(server.call(admin, &words(rules)), Value::simple("OK"), "{rule}");
        let reply = server.call(admin, &words(vec![format!("{rule}more")])).to_string();
        assert!(reply.ends_with(too_many), "{reply}");
    }
    let rules = vec!["()".to_owned(); 1000];
    assert_eq!(server.call(admin, &words(rules)), Value::simple("OK"));
    let reply = server.call(admin, &words(vec!["()".to_owned()])).to_string();
    assert!(reply.ends_with(too_many), "{reply}");
    server.engine().check_invariants();
}
