//! Random commands on an engine with a log: an engine that is fed with the log has the same data.
//!
//! In half of the runs time stands still, so that times which are in no log are the same too.
//! `ORRERY_LOG_SEED=n` runs only that one, `ORRERY_LOG_SEED=n-m` all from n to m.

#[path = "../differential/draw.rs"]
#[expect(dead_code, reason = "the names of templates are for another test")]
mod draw;

use std::collections::BTreeSet;

use orrery_engine::commands::generate::Generator;
use orrery_engine::commands::spec::{Flags, Group};
use orrery_engine::commands::table::{Row, table};
use orrery_engine::config::Access;
use orrery_engine::rng::Rng;
use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::resp_value::encode;
use orrery_tests::server_in_process::{START_UNIX_MS, Server};

use crate::lines;
use crate::records::Record;
use crate::replay::{difference, replayed};
use draw::{Draw, Template, templates};

const SEEDS: u64 = 60;
const COMMANDS: usize = 400;
/// Runs whatever commands its arguments are, each behind the number of its words.
const CALL: &str = "local at = 1 while ARGV[at] do local words = tonumber(ARGV[at]) \
     redis.pcall(unpack(ARGV, at + 1, at + words)) at = at + words + 1 end";
/// Rows that are not drawn: what they say of time or memory is not data, or they stop everything.
const LEFT_OUT: &[&str] = &["shutdown", "replicaof", "slaveof", "monitor", "reset", "quit"];
/// Groups of rows that write nothing, or are drawn otherwise.
const GROUPS: &[Group] = &[
    Group::Generic,
    Group::String,
    Group::List,
    Group::Set,
    Group::Hash,
    Group::SortedSet,
    Group::Stream,
    Group::Bitmap,
    Group::HyperLogLog,
    Group::Geo,
];

fn rows() -> Vec<&'static Row> {
    let is_drawn = |row: &&Row| {
        let flags = row.command.flags;
        GROUPS.contains(&row.command.group)
            && (flags.has(Flags::WRITE) || flags.has(Flags::MAY_REPLICATE))
            && row.subcommands.is_empty()
            && !LEFT_OUT.contains(&row.full_name)
    };
    table().rows().iter().filter(is_drawn).collect()
}

type Words = Vec<Vec<u8>>;

/// What happens to the server.
enum Step {
    Commands(usize, Vec<Words>),
    Pause(u64),
}

struct Run<'a> {
    rng: Rng,
    templates: &'a [Template],
    rows: Vec<&'static Row>,
    families: Vec<&'static str>,
    may_pause: bool,
}

impl Run<'_> {
    fn command(&mut self) -> Words {
        if self.rng.chance(1, 2) {
            let mut draw = Draw::new(&mut self.rng, self.templates);
            return draw.command(&self.families);
        }
        let row = self.rows[self.rng.below(self.rows.len() as u64) as usize];
        let mut generator = Generator::new(&mut self.rng, START_UNIX_MS);
        generator.keys = 6;
        generator.valid(row)
    }

    fn step(&mut self) -> Step {
        let client = self.rng.below(3) as usize;
        match self.rng.below(20) {
            0 if self.may_pause => Step::Pause(self.rng.below(3000)),
            0 | 1 => {
                let mut commands = vec![vec![b"MULTI".to_vec()]];
                for _ in 0..self.rng.below(4) {
                    commands.push(self.command());
                }
                commands.push(vec![b"EXEC".to_vec()]);
                Step::Commands(client, commands)
            }
            2 | 3 => {
                let mut words: Words = vec![b"EVAL".into(), CALL.into(), b"0".into()];
                for _ in 0..=self.rng.below(3) {
                    let command = self.command();
                    words.push(command.len().to_string().into_bytes());
                    words.extend(command);
                }
                Step::Commands(client, vec![words])
            }
            4 => {
                let hash = format!("k{}", self.rng.below(6)).into_bytes();
                let field = [b"a", b"b", b"c"][self.rng.below(3) as usize].to_vec();
                let millis = self.rng.below(4000).to_string().into_bytes();
                let words: [&[u8]; 6] = [b"HPEXPIRE", &hash, &millis, b"FIELDS", b"1", &field];
                let set = vec![b"HSET".to_vec(), hash.clone(), field.clone(), b"7".to_vec()];
                let expire = words.iter().map(|word| word.to_vec()).collect();
                Step::Commands(client, vec![set, expire])
            }
            5 if self.may_pause => {
                let switch = [b"0", b"1"][self.rng.below(2) as usize].to_vec();
                let words = vec![b"DEBUG".into(), b"SET-ACTIVE-EXPIRE".into(), switch];
                Step::Commands(client, vec![words])
            }
            _ => Step::Commands(client, vec![self.command()]),
        }
    }
}

/// A client that waits goes away, and another comes in its place.
fn perform(server: &mut Server, clients: &[ConnId], step: &Step) {
    match step {
        Step::Pause(millis) => server.advance_ms(*millis),
        Step::Commands(client, commands) => {
            let bytes: Vec<u8> = commands.iter().flat_map(|words| encode(words)).collect();
            server.send(clients[*client], &bytes);
            server.advance_ms(0);
        }
    }
}

fn config() -> Config {
    Config { debug_command: Access::Yes, ..Config::default() }
}

/// The server after a random run, its log, and what has led to it.
fn run(seed: u64) -> (Server, Vec<u8>, Vec<String>) {
    let templates = templates();
    let families: BTreeSet<&str> = templates.iter().map(|template| template.family).collect();
    let mut run = Run {
        rng: Rng::new(Seed(seed), "log"),
        templates: &templates,
        rows: rows(),
        families: families.into_iter().collect(),
        may_pause: seed.is_multiple_of(2),
    };
    let mut server = Server::new(config(), Seed(seed));
    server.log().start();
    let mut clients: Vec<ConnId> = (0..3).map(|_| server.connect()).collect();
    let mut done = Vec::new();
    for _ in 0..COMMANDS {
        let step = run.step();
        done.push(match &step {
            Step::Pause(millis) => format!("~ {millis}"),
            Step::Commands(client, commands) => {
                let shown = commands.iter().map(|words| Record(words.clone()).shown(0));
                format!("{client}: {}", shown.collect::<Vec<_>>().join("; "))
            }
        });
        perform(&mut server, &clients, &step);
        // Who waits would keep all that it sends to itself.
        if run.rng.chance(1, 4) {
            let client = run.rng.below(3) as usize;
            server.disconnect(clients[client]);
            clients[client] = server.connect();
        }
    }
    let log = server.log().take();
    (server, log, done)
}

/// When a consumer was last seen, and an entry named, is in no log: with time standing still these
/// are the same, otherwise they are taken away.
fn forget_times(server: &mut Server) {
    let client = server.connect();
    for db in 0..16 {
        server.line(client, &format!("SELECT {db}"));
        for key in server.line(client, "KEYS *").elements() {
            let key = key.bytes();
            // Two settings, each of which makes it forget names.
            for names in [b"1", b"2"] {
                server.call(client, &[b"XCFGSET".as_slice(), key, b"IDMP-MAXSIZE", names]);
            }
            let groups = server.call(client, &[b"XINFO".as_slice(), b"GROUPS", key]);
            if groups.is_error() {
                continue;
            }
            for group in groups.elements() {
                let name = group.elements()[1].bytes();
                server.call(client, &[b"XGROUP".as_slice(), b"DESTROY", key, name]);
            }
        }
    }
}

#[test]
fn an_engine_that_is_fed_with_the_log_has_the_same_data() {
    let (from, to) = match std::env::var("ORRERY_LOG_SEED") {
        Ok(seeds) => {
            let (from, to) = seeds.split_once('-').unwrap_or((&seeds, &seeds));
            (from.parse().expect("a seed is a number"), to.parse().expect("a seed is a number"))
        }
        Err(_) => (1, SEEDS),
    };
    for seed in from..=to {
        let (mut server, log, done) = run(seed);
        assert!(!log.is_empty());
        let replica = replayed(&server, &config(), &log);
        let problem = replica.map(|mut replica| {
            if seed.is_multiple_of(2) {
                forget_times(&mut server);
                forget_times(&mut replica);
            }
            difference(&mut server, &mut replica)
        });
        if let Some(difference) = problem.unwrap_or_else(Some) {
            let log = lines(&log, START_UNIX_MS).join("\n");
            let done = done.join("\n");
            panic!("seed {seed}: {difference}\n\nafter\n{done}\n\nwith the log\n{log}");
        }
    }
}

/// The test above would see that a record is missing: without one of the last records that set
/// something the data is another.
#[test]
fn a_record_that_is_left_out_is_missed() {
    let mut found = 0;
    for seed in 1..11 {
        let (mut server, log, _) = run(seed);
        let records = Record::read_all(&log);
        let Some(at) =
            records.iter().rposition(|record| record.0[0].eq_ignore_ascii_case(b"rpush"))
        else {
            continue;
        };
        let rest = records.iter().enumerate().filter(|&(index, _)| index != at);
        let log: Vec<u8> = rest.flat_map(|(_, record)| encode(&record.0)).collect();
        let replica = replayed(&server, &config(), &log);
        let problem = replica.map(|mut replica| difference(&mut server, &mut replica));
        found += usize::from(problem.unwrap_or_else(Some).is_some());
    }
    assert!(found >= 3, "only {found} of 10 runs have missed a record");
}
