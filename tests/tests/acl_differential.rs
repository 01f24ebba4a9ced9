//! Users and rules against a real redis-server: the same lines get the same replies, and the same
//! rules make the same users.

use std::collections::BTreeSet;
use std::sync::Arc;

use orrery_engine::acl::{Acl, Catalogue, Terms};
use orrery_engine::commands::categories::CATEGORIES;
use orrery_engine::commands::generate::Generator;
use orrery_engine::commands::table::{Row, table};
use orrery_engine::rng::Rng;
use orrery_engine::{ConnId, Seed};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::{Value, encode, words};
use orrery_tests::server_in_process::{START_UNIX_MS, Server};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// One command a line, of a second client where the line begins with `2>`.
const LINES: &str = r#"
ACL
ACL nosuch
ACL WHOAMI
ACL WHOAMI x
ACL USERS
ACL LIST
ACL GETUSER default
ACL GETUSER none
ACL GETUSER
ACL CAT nosuch
ACL CAT a b
ACL CAT
ACL GENPASS 0
ACL GENPASS -5
ACL GENPASS 4097
ACL GENPASS x
ACL GENPASS 1 2
ACL LOAD
ACL SAVE
ACL LOAD x
ACL LOG
ACL LOG x
ACL LOG 1 2
ACL LOG -1
ACL LOG RESET
ACL SETUSER
ACL SETUSER "a b"
ACL SETUSER "a\x00b"
ACL SETUSER alice
ACL LIST
ACL GETUSER alice
2>AUTH alice x
2>AUTH default x
2>AUTH x
2>AUTH a b c
2>AUTH
2>ACL WHOAMI
ACL SETUSER alice on >secret >other
ACL GETUSER alice
2>AUTH alice wrong
2>AUTH alice secret
2>ACL WHOAMI
2>GET k
2>PING
2>nosuch
2>GET
2>CONFIG GET x
2>CONFIG nosuch
2>AUTH alice other
2>ECHO x
ACL SETUSER alice +get +acl|whoami ~a*
2>ACL WHOAMI
2>GET k
2>GET abc
2>SET abc 1
ACL SETUSER alice +set %R~r*
2>SET r 1
2>GET r
2>SET r 1 GET
ACL SETUSER alice +mget +mset +copy +bitfield
2>MGET a r k
2>MSET a 1 r 2
2>COPY r a
2>COPY a r
2>BITFIELD r GET u8 0
2>BITFIELD r SET u8 0 1
2>BITFIELD a SET u8 0 1
ACL SETUSER alice +@all ~*
2>SORT l BY w*
2>ACL WHOAMI
ACL SETUSER alice resetkeys ~l* +sort
2>SORT l BY w* GET #
2>SORT l BY nosort GET #
2>SORT l BY nosort
2>SORT l ASC GET x BY y*
2>SORT l STORE k
2>SORT l LIMIT a b BY w*
ACL SETUSER alice %R~*
2>SORT l BY w* GET #
ACL SETUSER alice reset
ACL LIST
ACL SETUSER alice on nopass +select|0 +client|id +client|no-such
ACL SETUSER alice on nopass +select|0 +client|id
2>ACL WHOAMI
2>AUTH alice anything
2>SELECT 0
2>SELECT 1
2>CLIENT ID x
2>CLIENT LIST
2>CLIENT
ACL DRYRUN none GET k
ACL DRYRUN alice nosuch
ACL DRYRUN alice CONFIG nosuch
ACL DRYRUN alice GET
ACL DRYRUN alice GET k
ACL DRYRUN alice SELECT 0
ACL DRYRUN alice SELECT 5
ACL DRYRUN alice AUTH x
ACL DRYRUN alice CLIENT LIST
ACL SETUSER alice +@all %R~r %W~w ~b
ACL DRYRUN alice GET w
ACL DRYRUN alice SET r 1
ACL DRYRUN alice MGET r b w
ACL DRYRUN alice COPY r w
ACL DRYRUN alice COPY r w DB 3
ACL DRYRUN alice COPY w r
ACL DRYRUN alice SORT r STORE w
ACL DRYRUN alice SORT w STORE r
ACL DRYRUN alice GEORADIUS r 1 2 3 m STOREDIST w
ACL DRYRUN alice GEORADIUS r 1 2 3 m STORE r
ACL DRYRUN alice ZUNIONSTORE w 2 r r
ACL DRYRUN alice ZUNIONSTORE w 9 r r
ACL DRYRUN alice EXISTS r w b x
ACL DRYRUN alice XREAD STREAMS r w 0 0
ACL DRYRUN alice XREAD STREAMS r 0
ACL DRYRUN alice OBJECT ENCODING x
ACL SETUSER alice (+get ~s1) (+@read ~s2 %R~s3)
ACL GETUSER alice
ACL DRYRUN alice GET s1
ACL DRYRUN alice GET s2
ACL DRYRUN alice MGET s1 s2
ACL DRYRUN alice MGET s2 s3 r
ACL SETUSER alice clearselectors
ACL LIST
ACL SETUSER alice on on nonsense off
ACL SETUSER alice (+get
ACL SETUSER alice (nonsense)
ACL SETUSER alice +get|
ACL SETUSER alice +config|get|x
ACL SETUSER alice -config|nosuch
ACL SETUSER alice ~* ~b
ACL SETUSER alice &* &b
ACL SETUSER alice <nosuch
ACL SETUSER alice #abc
ACL SETUSER alice %X~a
ACL SETUSER alice %~a
ACL SETUSER alice "~a b"
ACL LIST
ACL LOG RESET
ACL SETUSER alice reset on nopass +@pubsub resetchannels &news.* &exact
2>AUTH alice x
2>PUBLISH news.a m
2>PUBLISH other m
2>SPUBLISH exact m
2>SPUBLISH other m
2>SUBSCRIBE exact other
2>SUBSCRIBE other exact
2>PSUBSCRIBE news.a
2>PSUBSCRIBE news.x*
2>PSUBSCRIBE news.* other
2>SSUBSCRIBE other
2>PUBSUB CHANNELS
ACL DRYRUN alice SUBSCRIBE exact news.b
ACL DRYRUN alice PSUBSCRIBE news.*
ACL DRYRUN alice PSUBSCRIBE exact news.* x
ACL DRYRUN alice SPUBLISH exact m
ACL DRYRUN alice UNSUBSCRIBE other
ACL SETUSER alice (&other +publish)
2>PUBLISH other m
2>SPUBLISH other m
ACL LOG
ACL LOG RESET
ACL SETUSER alice reset on nopass +multi +exec +get +incr +discard ~a
2>AUTH alice x
2>MULTI
2>GET b
2>DEL a
2>EXEC
2>MULTI
2>GET a
2>INCR a
2>AUTH alice wrong
2>AUTH none wrong
ACL SETUSER alice -incr resetkeys
2>EXEC
2>MULTI
2>GET a
2>DISCARD
2>DISCARD
2>HELLO 9 AUTH alice x
2>HELLO 2 AUTH none x
ACL LOG
CLIENT KILL USER nosuch
ACL DELUSER default
ACL DELUSER default alice
ACL DELUSER nosuch
ACL DELUSER
CLIENT KILL USER alice
ACL DELUSER alice nosuch alice
ACL USERS
CONFIG SET requirepass secret
ACL LIST
ACL GETUSER default
AUTH default wrong
AUTH wrong
AUTH secret
CONFIG SET requirepass ""
ACL LIST
ACL SETUSER default >secret
CONFIG GET requirepass
AUTH secret
RESET
GET k
ACL WHOAMI
HELLO 2 AUTH default wrong
HELLO 2 AUTH default secret
ACL WHOAMI
ACL SETUSER default off
RESET
PING
AUTH default secret
"#;

/// The entries of ACL LOG without what differs from server to server.
fn entries(log: &Value) -> Vec<Value> {
    let Value::Array(entries) = log else { return vec![log.clone()] };
    let comparable = |entry: &Value| match entry {
        Value::Map(pairs) => Value::Map(pairs[..5].to_vec()),
        other => Value::Array(other.elements()[..10].to_vec()),
    };
    entries.iter().map(comparable).collect()
}

#[test]
fn the_same_lines_get_the_same_replies() {
    let mut different = Vec::new();
    for hello in ["HELLO 2", "HELLO 3"] {
        let Some(redis) = RealRedis::start("the_same_lines_get_the_same_replies") else { return };
        let mut server = Server::default();
        let ours: Vec<ConnId> = (0..2).map(|_| server.connect()).collect();
        let mut theirs: Vec<RealClient> = (0..2).map(|_| redis.connect()).collect();
        for line in [hello].into_iter().chain(LINES.lines()).filter(|line| !line.is_empty()) {
            let (client, line) = line.strip_prefix("2>").map_or((0, line), |line| (1, line));
            theirs[client].send(&encode(&words(line)));
            let their = theirs[client].read();
            let bytes = server.send(ours[client], &encode(&words(line)));
            let our = Value::read_all(&bytes);
            let is_same = match (line, &our[..]) {
                ("ACL LOG", [our]) => entries(our) == entries(&their),
                (_, [our]) => *our == their,
                _ => false,
            };
            if !line.starts_with("HELLO") && !is_same {
                let our: Vec<String> = our.iter().map(Value::to_string).collect();
                let our = our.join(" ");
                different.push(format!("{line} ({hello})\n  ours   {our}\n  theirs {their}"));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// A catalogue of a real server's commands.
fn catalogue_of(redis: &mut RealClient) -> Catalogue {
    let mut commands = Vec::new();
    for command in redis.call(&["COMMAND"]).elements() {
        commands.push(command.clone());
        commands.extend(command.elements()[9].elements().iter().cloned());
    }
    let text = |value: &Value| String::from_utf8(value.bytes().to_vec()).expect("ASCII");
    let named: Vec<(String, Vec<String>)> = commands
        .iter()
        .map(|command| {
            let categories = command.elements()[6].elements().iter();
            let categories = categories.map(|name| text(name).trim_start_matches('@').to_owned());
            (text(&command.elements()[0]), categories.collect())
        })
        .collect();
    assert!(named.len() > 300, "only {} commands", named.len());
    let entry = |(name, categories): &'_ (String, Vec<String>)| {
        (name.as_str().to_owned(), categories.clone())
    };
    let owned: Vec<(String, Vec<String>)> = named.iter().map(entry).collect();
    Catalogue::new(
        &CATEGORIES,
        owned.iter().map(|(name, of)| (name.as_str(), of.iter().map(String::as_str).collect())),
    )
}

/// Random rules that name these commands.
fn rules(names: Vec<String>) -> impl Strategy<Value = Vec<String>> {
    let name = prop::sample::select(names);
    let category: Vec<String> =
        CATEGORIES.iter().map(|&name| name.to_owned()).chain(["all".to_owned()]).collect();
    let in_selectors = prop_oneof![
        3 => ("[+-]", name).prop_map(|(sign, name)| sign + &name),
        3 => ("[+-]@", prop::sample::select(category)).prop_map(|(sign, name)| sign + &name),
        1 => "\\+(select|get|debug|object|config\\|get|client|nosuch)\\|[a-c01]{0,2}",
        3 => "[~&][ab*?]{0,3}",
        2 => "%[RWrw]{0,2}~[ab]{0,2}",
        1 => prop::sample::select(vec![
            "allkeys", "resetkeys", "AllChannels", "resetchannels", "allcommands", "nocommands",
            "%", "&", "~", "+", "-", "+@", "x", "+get|a|b", "%R", "%X~", "-@none",
        ]).prop_map(str::to_owned),
    ]
    .boxed();
    let selector = prop::collection::vec(in_selectors.clone(), 0..4)
        .prop_map(|rules| format!("({})", rules.join(" ")));
    let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let of_users = prop::sample::select(vec![
        "on",
        "OFF",
        "nopass",
        "resetpass",
        ">secret",
        ">b",
        "<secret",
        "<b",
        "reset",
        "clearselectors",
        "sanitize-payload",
        "skip-sanitize-payload",
        "",
        "(",
        ")",
        "()",
        "( )",
        "nonsense",
        "#abc",
    ])
    .prop_map(str::to_owned);
    let rule = prop_oneof![
        6 => in_selectors,
        1 => selector,
        1 => of_users,
        1 => prop::sample::select(vec![format!("#{hash}"), format!("!{hash}")]),
    ];
    prop::collection::vec(rule, 0..10)
}

/// The rules of a line that are not about commands, in order, and those about commands, without.
fn sorted(line: &str) -> (Vec<String>, BTreeSet<String>) {
    let bare = |word: &str| word.trim_matches(['(', ')']).to_owned();
    let (commands, others): (Vec<String>, Vec<String>) =
        line.split(' ').map(bare).partition(|word| word.starts_with(['+', '-']));
    (others, commands.into_iter().collect())
}

/// What `ACL SETUSER` and `ACL LIST` say on both sides.
fn compare(
    acl: &mut Acl,
    redis: &mut RealClient,
    catalogue: &Catalogue,
    rules: &[String],
) -> Result<(), TestCaseError> {
    let terms = Terms { catalogue, databases: 16, all_channels: false };
    let bytes: Vec<&[u8]> = rules.iter().map(|rule| rule.as_bytes()).collect();
    let ours = acl.change(b"u", &bytes, terms);
    acl.check_invariants();
    let command = ["ACL", "SETUSER", "u"].into_iter().chain(rules.iter().map(String::as_str));
    let theirs = redis.call(&command.collect::<Vec<_>>());
    match ours {
        Ok(_) => prop_assert_eq!(&theirs, &Value::simple("OK")),
        Err(why) => prop_assert_eq!(&theirs, &Value::error(&format!("ERR {why}"))),
    }
    let listed = redis.call(&["ACL", "LIST"]);
    let theirs: Vec<String> = listed
        .elements()
        .iter()
        .map(|line| String::from_utf8_lossy(line.bytes()).into_owned())
        .collect();
    let ours: Vec<String> =
        acl.lines().map(|line| String::from_utf8_lossy(&line).into_owned()).collect();
    prop_assert_eq!(ours.len(), theirs.len());
    for (our, their) in ours.iter().zip(&theirs) {
        prop_assert_eq!(sorted(our), sorted(their), "{} {}", our, their);
    }
    Ok(())
}

#[test]
fn the_same_rules_make_the_same_user() {
    let Some(redis) = RealRedis::start("the_same_rules_make_the_same_user") else { return };
    let mut real = redis.connect();
    let catalogue = Arc::new(catalogue_of(&mut real));
    let names: Vec<String> = [&b"fast"[..], b"slow"]
        .iter()
        .flat_map(|category| catalogue.names_in(category).expect("it is there"))
        .map(str::to_owned)
        .collect();
    let real = std::cell::RefCell::new(real);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1500));
    let result = runner.run(&prop::collection::vec(rules(names), 1..4), |steps| {
        let mut acl = Acl::new(Arc::clone(&catalogue), "", Seed(1));
        let mut real = real.borrow_mut();
        real.call(&["ACL", "DELUSER", "u"]);
        for rules in &steps {
            compare(&mut acl, &mut real, &catalogue, rules)?;
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// Rows that a real server has with the same keys and categories.
fn shared_rows(redis: &mut RealClient) -> Vec<&'static Row> {
    // Corrected by a later Redis, or with an option that Redis 7.0 does not know.
    const DIFFERENT: &[&str] = &["sinterstore", "getex", "set", "bitfield"];
    let rows = table().rows().iter().filter(|row| row.subcommands.is_empty());
    let mut shared = Vec::new();
    for row in rows.filter(|row| !DIFFERENT.contains(&row.full_name)) {
        let reply = redis.call(&["COMMAND", "INFO", row.full_name]);
        let Value::Array(info) = &reply.elements()[0] else { continue };
        let theirs: BTreeSet<&[u8]> =
            info[6].elements().iter().map(|name| &name.bytes()[1..]).collect();
        let ours = row.categories();
        let ours: BTreeSet<&[u8]> = ours.iter().map(|name| name.as_bytes()).collect();
        if ours == theirs && info[1].integer() == i64::from(row.command.arity) {
            shared.push(row);
        }
    }
    assert!(shared.len() > 150, "only {} rows are shared", shared.len());
    shared
}

#[test]
fn the_same_commands_are_allowed() {
    let Some(redis) = RealRedis::start("the_same_commands_are_allowed") else { return };
    let mut real = redis.connect();
    let shared = shared_rows(&mut real);
    let names = shared.iter().map(|row| row.full_name.to_owned()).collect();
    let count = shared.len();
    let real = std::cell::RefCell::new((real, 0));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(400));
    let case = (rules(names), prop::collection::vec((0..count, any::<u64>()), 1..20));
    let result = runner.run(&case, |(rules, draws)| {
        let (real, compared) = &mut *real.borrow_mut();
        let mut server = Server::default();
        let conn = server.connect();
        real.call(&["ACL", "DELUSER", "u"]);
        for rule in ["+@all", "~*", "%R~k[0-3]", "resetkeys", "~k1", "%W~k5"].map(str::to_owned) {
            let rules: Vec<String> = rules.iter().cloned().chain([rule]).collect();
            let command: Vec<&str> = ["ACL", "SETUSER", "u"]
                .into_iter()
                .chain(rules.iter().map(String::as_str).filter(|rule| !rule.contains("debug")))
                .collect();
            prop_assert_eq!(server.call(conn, &command), real.call(&command), "{:?}", command);
            for &(row, number) in &draws {
                let mut rng = Rng::new(Seed(number), "dry run");
                let drawn = Generator::new(&mut rng, START_UNIX_MS).valid(shared[row]);
                // Redis shows a word only up to a zero byte.
                if drawn.iter().any(|word| word.contains(&0)) {
                    continue;
                }
                let words = ["ACL", "DRYRUN", "u"].map(|word| word.as_bytes().to_vec());
                let words: Vec<Vec<u8>> = words.into_iter().chain(drawn).collect();
                let (ours, theirs) = (server.call(conn, &words), real.call(&words));
                *compared += 1;
                let (ours, theirs) = (ours.to_string(), theirs.to_string());
                prop_assert_eq!(ours, theirs, "{:?} {:?}", command, shown(&words));
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(real.borrow().1 > 10_000, "only {} commands were compared", real.borrow().1);
}

fn shown(words: &[Vec<u8>]) -> String {
    words.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}
