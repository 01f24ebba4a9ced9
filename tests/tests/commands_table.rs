//! The table of commands against Redis: a real server's COMMAND, the list of all commands of the
//! versions of Redis and Valkey, and the documentation that is made from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use orrery_engine::commands::spec::Group;
use orrery_engine::commands::syntax::{parse, readable};
use orrery_engine::commands::table::{Row, table};
use orrery_tests::real_redis::RealRedis;
use orrery_tests::resp_value::{Value, encode, words};
use orrery_tests::server_in_process::Server;

/// Where Redis 7.0.15 and the newest versions differ in arity, Orrery does as 7.0.15.
const ARITIES_OF_7_0: &[&str] = &["COMMAND GETKEYS", "COMMAND GETKEYSANDFLAGS"];

/// What a list entry says about a command.
struct Listed {
    arity: i32,
    flags: BTreeSet<String>,
    group: String,
}

fn skip(test: &str, why: &str) {
    let message = format!("SKIPPED {test}: {why}\n");
    std::io::stderr().write_all(message.as_bytes()).expect("stderr takes a line");
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The list of all commands of Redis 7.0 to 8.10 and Valkey 7.2 to 9.1; it lies beside the
/// repository, not in it.
fn listed() -> Option<BTreeMap<String, Listed>> {
    let path = repository().join("../shared/reference/data/commands.tsv");
    let path = if path.exists() {
        path
    } else {
        repository().join("../../shared/reference/data/commands.tsv")
    };
    let text = std::fs::read_to_string(path).ok()?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next()?.split('\t').collect();
    let column = |name: &str| header.iter().position(|column| *column == name).expect("a column");
    let (command, arity) = (column("command"), column("arity"));
    let (flags, group) = (column("flags"), column("group"));
    let entry = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let listed = Listed {
            arity: fields[arity].parse().ok()?,
            flags: fields[flags]
                .split('|')
                .filter(|flag| !flag.is_empty())
                .map(str::to_owned)
                .collect(),
            group: fields[group].to_owned(),
        };
        Some((fields[command].to_owned(), listed))
    };
    Some(lines.filter_map(entry).collect())
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.elements().iter().map(text).collect()
}

fn text(value: &Value) -> String {
    String::from_utf8(value.bytes().to_vec()).expect("ASCII")
}

/// The description of every command by name, subcommands included.
fn by_name(values: &[Value], into: &mut BTreeMap<String, Value>) {
    for value in values.iter().filter(|value| matches!(value, Value::Array(_))) {
        let parts = value.elements();
        into.insert(text(&parts[0]), value.clone());
        by_name(parts[9].elements(), into);
    }
}

/// A key specification without the notes, which only Redis has.
fn without_notes(spec: &Value) -> Value {
    match spec {
        Value::Map(pairs) => {
            Value::Map(pairs.iter().filter(|(name, _)| name.bytes() != b"notes").cloned().collect())
        }
        other => panic!("not a map: {other:?}"),
    }
}

#[test]
fn command_info_is_that_of_redis_for_every_shared_command() {
    let Some(redis) = RealRedis::start("command_info_is_that_of_redis") else { return };
    let mut real = redis.connect();
    real.call(&["HELLO", "3"]);
    let mut expected = BTreeMap::new();
    by_name(real.call(&["COMMAND"]).elements(), &mut expected);
    let mut server = Server::default();
    let conn = server.connect();
    server.line(conn, "HELLO 3");
    let mut ours = BTreeMap::new();
    by_name(server.line(conn, "COMMAND").elements(), &mut ours);
    let mut differences = String::new();
    let mut compared = 0;
    for (name, our) in &ours {
        let Some(their) = expected.get(name) else { continue };
        compared += 1;
        let (our, their) = (our.elements(), their.elements());
        let parts =
            ["name", "arity", "flags", "first key", "last key", "step", "categories", "tips"];
        for (index, part) in parts.iter().enumerate() {
            let same = match index {
                2 | 6 | 7 => {
                    matches!(our[index], Value::Set(_))
                        && texts(&our[index]) == texts(&their[index])
                }
                _ => our[index] == their[index],
            };
            let changed = matches!(index, 2 | 6) && CHANGED_FLAGS.contains(&name.as_str())
                || index == 1 && CHANGED_ARITIES.contains(&name.as_str());
            if !same && !changed {
                writeln!(differences, "{name}: {part}: {} != {}", our[index], their[index])
                    .expect("a String takes everything");
            }
        }
        let specs: Vec<Value> = their[8].elements().iter().map(without_notes).collect();
        if our[8].elements() != specs && !CHANGED_SPECS.contains(&name.as_str()) {
            writeln!(differences, "{name}: key specs:\n{}\n!=\n{}", our[8], their[8])
                .expect("a String takes everything");
        }
        assert_eq!(our.len(), their.len());
        let is_set = |parts: &[Value]| matches!(parts[9], Value::Set(_));
        assert_eq!(is_set(our), is_set(their), "{name}: subcommands");
    }
    assert!(compared > 40, "only {compared} commands were compared");
    assert!(differences.is_empty(), "{differences}");
}

/// Commands whose flags a later Redis changed: WAIT, BZPOPMIN and BZPOPMAX became `blocking`
/// instead of `noscript`, PFCOUNT, PUBLISH, EVAL, EVALSHA and FCALL also `may_replicate`, SUBSCRIBE
/// also `denyoom`, what only asks about the cluster also `loading`.
const CHANGED_FLAGS: &[&str] = &[
    "blmove",
    "blpop",
    "brpop",
    "brpoplpush",
    "bzpopmax",
    "bzpopmin",
    "cluster|count-failure-reports",
    "cluster|info",
    "cluster|keyslot",
    "cluster|links",
    "cluster|myid",
    "cluster|nodes",
    "cluster|replicas",
    "cluster|shards",
    "cluster|slaves",
    "cluster|slots",
    "eval",
    "evalsha",
    "fcall",
    "pfcount",
    "psubscribe",
    "publish",
    "spublish",
    "ssubscribe",
    "subscribe",
    "wait",
];

/// Commands whose key specifications a later Redis corrected: SINTERSTORE does not read what it
/// overwrites.
const CHANGED_SPECS: &[&str] = &["sinterstore"];

/// Commands that take more words than in Redis 7.0: WITHSCORE.
const CHANGED_ARITIES: &[&str] = &["zrank", "zrevrank"];

/// Lines whose replies must be byte for byte those of Redis 7.0.15.
const SAME_AS_REDIS: &str = r#"
COMMAND INFO foo
COMMAND INFO "client|foo" "foo|bar" "client|" "|" ""
COMMAND COUNT x
COMMAND FOO
COMMAND GETKEYS
COMMAND GETKEYS foo
COMMAND GETKEYS foo bar
COMMAND GETKEYS get
COMMAND GETKEYS get k
COMMAND GETKEYS get a b
COMMAND GETKEYS set a
COMMAND GETKEYS ping
COMMAND GETKEYS ping x
COMMAND GETKEYS client list
COMMAND GETKEYS client foo
COMMAND GETKEYSANDFLAGS get
COMMAND GETKEYSANDFLAGS get k
COMMAND GETKEYSANDFLAGS set a 1
COMMAND GETKEYSANDFLAGS set a 1 GET
COMMAND GETKEYSANDFLAGS set a get
COMMAND LIST FILTERBY
COMMAND LIST FILTERBY foo x
COMMAND LIST FILTERBY MODULE foo
COMMAND LIST FILTERBY ACLCAT foo
COMMAND LIST FILTERBY ACLCAT @connection
COMMAND LIST FILTERBY PATTERN a b
COMMAND LIST FILTERBY PATTERN "client|kil?"
COMMAND LIST FILTERBY pattern CLIENT
COMMAND LIST foo
COMMAND DOCS foo
COMMAND INFO get get
COMMAND INFO "client|kill" QUIT auth
"#;

#[test]
fn command_answers_byte_for_byte_as_redis() {
    let Some(redis) = RealRedis::start("command_answers_byte_for_byte_as_redis") else { return };
    for hello in ["HELLO 2", "HELLO 3"] {
        let mut real = redis.connect();
        real.call(&words(hello));
        let mut server = Server::default();
        let conn = server.connect();
        server.line(conn, hello);
        for line in SAME_AS_REDIS.lines().filter(|line| !line.is_empty()) {
            real.send(&encode(&words(line)));
            let expected = real.read_raw().escape_ascii().to_string();
            let ours = server.send(conn, &encode(&words(line)));
            assert_eq!(ours.escape_ascii().to_string(), expected, "{hello}, {line}");
        }
    }
}

#[test]
fn filters_of_command_list_agree_with_the_descriptions() {
    let mut server = Server::default();
    let conn = server.connect();
    server.line(conn, "HELLO 3");
    let mut described = BTreeMap::new();
    by_name(server.line(conn, "COMMAND").elements(), &mut described);
    let all: BTreeSet<String> = described.keys().cloned().collect();
    assert_eq!(texts(&server.line(conn, "COMMAND LIST")), all);
    let top = all.iter().filter(|name| !name.contains('|')).count();
    assert_eq!(server.line(conn, "COMMAND COUNT").integer(), top as i64);
    for category in ["read", "WRITE", "connection", "dangerous", "fast", "slow", "keyspace"] {
        let line = format!("COMMAND LIST FILTERBY ACLCAT {category}");
        let wanted = format!("@{}", category.to_lowercase());
        let expected: BTreeSet<String> = described
            .iter()
            .filter(|(_, value)| texts(&value.elements()[6]).contains(&wanted))
            .map(|(name, _)| name.clone())
            .collect();
        assert!(!expected.is_empty() || category == "keyspace", "nothing is in {category}");
        assert_eq!(texts(&server.line(conn, &line)), expected, "{line}");
    }
}

/// The arguments of a command as COMMAND DOCS tells them, without what only Redis has (versions)
/// and without the names, which are chosen by hand there.
fn shape(arguments: &Value) -> String {
    let shapes: Vec<String> = arguments
        .elements()
        .iter()
        .map(|argument| {
            let Value::Map(fields) = argument else { panic!("not a map: {argument:?}") };
            let field = |wanted: &str| {
                fields
                    .iter()
                    .find(|(name, _)| name.bytes() == wanted.as_bytes())
                    .map(|(_, value)| value)
            };
            let mut shape = text(field("type").expect("a type"));
            for name in ["token", "key_spec_index"] {
                match field(name) {
                    Some(Value::Integer(value)) => shape += &format!(" {value}"),
                    Some(value) => shape += &format!(" {}", text(value)),
                    None => {}
                }
            }
            if let Some(flags) = field("flags") {
                shape += &format!(" {:?}", texts(flags));
            }
            if let Some(inner) = field("arguments") {
                shape += &format!(" ({})", self::shape(inner));
            }
            shape
        })
        .collect();
    shapes.join(", ")
}

/// The documentation of every command by name, subcommands included.
fn docs_by_name(value: &Value, into: &mut BTreeMap<String, BTreeMap<String, Value>>) {
    let Value::Map(commands) = value else { panic!("not a map: {value:?}") };
    for (name, fields) in commands {
        let Value::Map(fields) = fields else { panic!("not a map: {fields:?}") };
        let fields: BTreeMap<String, Value> =
            fields.iter().map(|(name, value)| (text(name), value.clone())).collect();
        if let Some(subcommands) = fields.get("subcommands") {
            docs_by_name(subcommands, into);
        }
        into.insert(text(name), fields);
    }
}

/// Commands whose arguments Orrery describes otherwise than Redis 7.0.15, because they have more
/// options, or because that description is not what the command takes.
const OTHER_ARGUMENTS: &[&str] = &[
    // With CANCEL.
    "bgsave",
    // Redis names the key specification that its patterns belong to.
    "sort",
    "sort_ro",
    // With AGGREGATE COUNT.
    "zinter",
    "zinterstore",
    "zunion",
    "zunionstore",
    // With NOSCORES.
    "zscan",
    // With WITHSCORE.
    "zrank",
    "zrevrank",
    // With NOVALUES.
    "hscan",
    // With FORCE.
    "flushall",
    "flushdb",
    // With MAXAGE; Redis shows the filters as alternatives of one that may be repeated.
    "client|kill",
    // Redis shows ID as a block of one.
    "client|list",
    // With conditions on the old value.
    "set",
    // Redis shows the patterns as blocks of one.
    "config|get",
    "psubscribe",
    // With four more operations; Redis 7.0 shows any string.
    "bitop",
    // Redis 7.0 says that one must be given, and takes none.
    "geohash",
    "geopos",
    "pfmerge",
    // With what becomes of references, CLAIM, limits over all streams, and the names that producers
    // give to entries.
    "xadd",
    "xread",
    "xreadgroup",
    "xtrim",
    // With polygons.
    "geosearch",
    "geosearchstore",
    // NO is the token, ONE its argument.
    "replicaof",
    "slaveof",
    // Redis 7.0 does not document them.
    "pfdebug",
    "debug",
    "command|getkeys",
    "command|getkeysandflags",
];

#[test]
fn command_docs_have_the_arguments_of_redis() {
    let Some(redis) = RealRedis::start("command_docs_have_the_arguments_of_redis") else { return };
    let mut real = redis.connect();
    real.call(&["HELLO", "3"]);
    let mut theirs = BTreeMap::new();
    docs_by_name(&real.call(&["COMMAND", "DOCS"]), &mut theirs);
    let mut server = Server::default();
    let conn = server.connect();
    server.line(conn, "HELLO 3");
    let mut ours = BTreeMap::new();
    docs_by_name(&server.line(conn, "COMMAND DOCS"), &mut ours);
    let mut differences = String::new();
    for (name, our) in &ours {
        let Some(their) = theirs.get(name) else { continue };
        for field in ["since", "group"] {
            if our[field] != their[field] {
                writeln!(differences, "{name}: {field} {} != {}", our[field], their[field])
                    .expect("a String takes everything");
            }
        }
        let arguments = |fields: &BTreeMap<String, Value>| {
            fields.get("arguments").map_or_else(String::new, shape)
        };
        let (our, their) = (arguments(our), arguments(their));
        let is_known = OTHER_ARGUMENTS.contains(&name.as_str());
        if (our == their) == is_known {
            writeln!(differences, "{name} (listed as different: {is_known})\n  {our}\n  {their}")
                .expect("a String takes everything");
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn every_row_is_as_the_list_of_all_commands_says() {
    let test = "every_row_is_as_the_list_of_all_commands_says";
    let Some(listed) = listed() else {
        skip(test, "shared/reference/data/commands.tsv is not beside the repository");
        return;
    };
    let mut differences = String::new();
    for row in table().rows() {
        let command = row.command;
        if command.since.starts_with("orrery") {
            continue;
        }
        let Some(listed) = listed.get(command.name) else {
            writeln!(differences, "{}: no version has it", command.name).expect("a String");
            continue;
        };
        let name = command.name;
        if listed.arity != command.arity && !ARITIES_OF_7_0.contains(&name) {
            writeln!(differences, "{name}: arity {} != {}", command.arity, listed.arity)
                .expect("a String takes everything");
        }
        let ours: BTreeSet<String> =
            command.flags.names().iter().map(|&flag| flag.to_owned()).collect();
        // Orrery is no sentinel, and COMMAND does not show the others.
        let hidden = ["sentinel", "protected", "touches_arbitrary_keys", "script_runner"];
        let theirs: BTreeSet<String> =
            listed.flags.iter().filter(|flag| !hidden.contains(&flag.as_str())).cloned().collect();
        let ours: BTreeSet<String> =
            ours.into_iter().filter(|flag| !hidden.contains(&flag.as_str())).collect();
        if ours != theirs {
            writeln!(differences, "{name}: flags {ours:?} != {theirs:?}").expect("a String");
        }
        if listed.group != command.group.name() {
            writeln!(differences, "{name}: group {} != {}", command.group.name(), listed.group)
                .expect("a String takes everything");
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn every_row_is_complete() {
    let mut problems = String::new();
    let mut problem = |row: &Row, what: &str| {
        writeln!(problems, "{}: {what}", row.full_name).expect("a String takes everything");
    };
    for row in table().rows() {
        let command = row.command;
        let name_words = command.name.split(' ').count();
        match parse(command.syntax) {
            Err(error) => problem(row, &format!("syntax: {error}")),
            Ok(args) if args.is_empty() && row.subcommands.is_empty() => {
                // QUIT takes any words and means none.
                let takes_none = command.takes(name_words);
                if !takes_none {
                    problem(row, "no syntax, but arguments");
                }
            }
            Ok(_) => {}
        }
        if command.name != command.name.to_uppercase() {
            problem(row, "the name is not in capitals");
        }
        if !command.summary.ends_with('.') || command.summary.len() < 10 {
            problem(row, "the summary is not a sentence");
        }
        if command.complexity.is_empty() || command.since.is_empty() {
            problem(row, "no complexity or version");
        }
        if command.arity.unsigned_abs() < name_words as u32 {
            problem(row, "the arity does not count the name");
        }
    }
    assert!(problems.is_empty(), "{problems}");
}

fn documentation() -> String {
    let mut text = String::from(
        "# Commands\n\nMade from the rows of the command table; a test fails when this page is not \
         current. To write it anew:\n`UPDATE_DOCS=1 cargo test -p orrery-tests --test \
         commands_table`. Names, arities and flags are those of Redis and\nValkey; `since` says \
         which version first had a command.\n\n",
    );
    let mut groups: BTreeMap<Group, Vec<&Row>> = BTreeMap::new();
    for row in table().rows() {
        groups.entry(row.command.group).or_default().push(row);
    }
    for (group, rows) in &groups {
        let name = group.name();
        writeln!(text, "- [{name}](#{name}): {} rows", rows.len()).expect("a String");
    }
    for (group, mut rows) in groups {
        rows.sort_by_key(|row| row.command.name);
        writeln!(
            text,
            "\n## {}\n\n\
             | command | what it does | since | complexity | flags |\n|---|---|---|---|---|",
            group.name()
        )
        .expect("a String takes everything");
        for row in rows {
            let command = row.command;
            let cell = |text: &str| text.replace('|', "\\|");
            let usage = format!("{} {}", command.name, readable(command.syntax));
            writeln!(
                text,
                "| <a id=\"{}\"></a>`{}` | {} | {} | {} | {} |",
                row.full_name.replace('|', "-"),
                cell(usage.trim_end()),
                cell(command.summary),
                command.since,
                cell(command.complexity),
                command.flags.names().join(", "),
            )
            .expect("a String takes everything");
        }
    }
    text
}

#[test]
fn the_documentation_is_current() {
    let path = repository().join("docs/COMMANDS.md");
    let expected = documentation();
    if std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, &expected).expect("docs/COMMANDS.md can be written");
    }
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        present == expected,
        "docs/COMMANDS.md is not current; run \
         UPDATE_DOCS=1 cargo test -p orrery-tests --test commands_table"
    );
}
