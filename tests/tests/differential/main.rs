//! The same random commands to this engine and to a real redis-server 7.0: every reply must be the
//! same, and so must everything stored in the end.
//!
//! Exceptions are in `compare.rs`: what depends on the millisecond in which a command ran may
//! differ a little, what has no order is compared without, what is chosen at random by its shape.
//! Commands and options that came after Redis 7.0 are not drawn.
//!
//! A failing run is made short and printed with its seed. `ORRERY_DIFFERENTIAL_SEED=n` runs only
//! that one, `ORRERY_DIFFERENTIAL_SEED=n-m` all from n to m.

mod compare;
mod contents;
mod draw;
mod pair;
mod shrink;
mod steps;

use std::collections::BTreeSet;

use orrery_engine::Seed;
use orrery_engine::commands::spec::Group;
use orrery_engine::commands::table::table;
use orrery_engine::rng::Rng;
use orrery_tests::real_redis::RealRedis;
use orrery_tests::resp_value::{Value, words};

use draw::{Draw, Template, templates};
use pair::Pair;

const SEEDS: u64 = 8;
const ROUNDS_PER_SEED: usize = 6;
const COMMANDS_PER_ROUND: usize = 500;
/// Failing seeds after which no more are tried.
const FAILURES_MAX: usize = 8;

/// Commands on data that are not drawn, and why.
const NOT_DRAWN: &[(&str, &str)] = &[
    ("dump", "payloads differ; what they restore to is compared"),
    ("dbsize", "counts keys whose time is over"),
    ("object|help", "in words of our own"),
    ("xgroup|help", "in words of our own"),
    ("xinfo|help", "in words of our own"),
    ("object|refcount", "depends on how Redis came by an integer"),
    ("object|idletime", "depends on the second in which it is asked"),
    ("scan", "whole iterations are steps of their own"),
    ("hscan", "whole iterations are steps of their own"),
    ("sscan", "whole iterations are steps of their own"),
    ("zscan", "whole iterations are steps of their own"),
    ("wait", "there are no replicas"),
    ("pfselftest", "takes seconds and tells nothing"),
];

/// Groups of commands that have their own tests.
const NOT_ON_DATA: [Group; 6] = [
    Group::Cluster,
    Group::Connection,
    Group::Server,
    Group::Transactions,
    Group::PubSub,
    Group::Scripting,
];

fn start(test: &str) -> Option<RealRedis> {
    RealRedis::start_with(test, &["--enable-debug-command", "yes"])
}

fn families(templates: &[Template]) -> Vec<&'static str> {
    let all: BTreeSet<&str> = templates.iter().map(|template| template.family).collect();
    all.into_iter().collect()
}

/// How a seed fails, if it does.
fn run(real: &RealRedis, seed: u64) -> Option<String> {
    let templates = templates();
    let mut rng = Rng::new(Seed(seed), "differential");
    let mut draw = Draw::new(&mut rng, &templates);
    let families = families(&templates);
    let steps = steps::draw(&mut draw, &families, ROUNDS_PER_SEED, COMMANDS_PER_ROUND);
    let (at, difference) = shrink::run(real, seed, &steps).err()?;
    let (steps, shortest) = shrink::shrink(real, seed, &steps[..=at]);
    let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
    Some(format!(
        "seed {seed}, step {at}: {difference}\n\nthe shortest run that fails has {} steps:\n{}\n\n\
         {shortest}",
        steps.len(),
        steps.join("\n")
    ))
}

#[test]
fn random_commands_get_the_replies_of_redis() {
    let Some(real) = start("differential") else { return };
    let (from, to) = match std::env::var("ORRERY_DIFFERENTIAL_SEED") {
        Ok(seeds) => {
            let (from, to) = seeds.split_once('-').unwrap_or((&seeds, &seeds));
            (from.parse().expect("a seed is a number"), to.parse().expect("a seed is a number"))
        }
        Err(_) => (1, SEEDS),
    };
    let failures: Vec<String> =
        (from..=to).filter_map(|seed| run(&real, seed)).take(FAILURES_MAX).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n======\n"));
}

/// Each line alone after a FLUSHALL would hardly be drawn; what it needs stands before it.
const CASES: &str = include_str!("cases.txt");

/// The rest of the commands of Redis 7.0 that this server has are in another test.
#[test]
fn every_command_on_data_is_drawn() {
    let Some(real) = start("differential coverage") else { return };
    let mut client = real.connect();
    let drawn: BTreeSet<String> = templates().iter().map(Template::name).collect();
    let mut known = 0;
    for row in table().rows().iter().filter(|row| row.subcommands.is_empty()) {
        let info = client.call(&["COMMAND", "INFO", row.full_name]);
        let on_data = !NOT_ON_DATA.contains(&row.command.group);
        if !on_data || matches!(info.elements()[0], Value::Null | Value::NullArray) {
            continue;
        }
        known += 1;
        let excused = NOT_DRAWN.iter().any(|&(name, _)| name == row.full_name);
        assert_ne!(drawn.contains(row.full_name), excused, "{}: drawn or excused", row.full_name);
    }
    assert!(known > 50, "only {known} rows are commands of Redis 7.0");
}

#[test]
fn chosen_commands_get_the_replies_of_redis() {
    let Some(real) = start("differential cases") else { return };
    let mut pair = Pair::new(&real, 0);
    for client in [0, 1] {
        for line in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Err(difference) = pair.compare(client, &words(line)) {
                panic!("{difference}");
            }
        }
    }
}
