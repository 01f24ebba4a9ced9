//! The table against Redis 7.0.15 and the texts of its errors.

use super::*;
use crate::args::Span;

/// What `CONFIG GET *` of redis-server 7.0.15 shows, one `name value` a line.
const REDIS: &str = include_str!("redis-7.0.15.txt");
/// Where our default is another on purpose.
const DIFFERENT: [&str; 2] = ["bind", "save"];

#[test]
fn every_parameter_of_redis_is_known_and_has_its_default() {
    let config = Config::default();
    assert_eq!(REDIS.lines().count(), 192);
    for line in REDIS.lines() {
        let (name, default) = line.split_once(' ').unwrap_or((line, ""));
        let value = config.value(name).unwrap_or_else(|| panic!("{name} is not known"));
        assert!(value == default || DIFFERENT.contains(&name), "{name}: {value}, not {default}");
    }
}

#[test]
fn rows_are_in_order_and_their_defaults_are_those_of_the_fields() {
    let config = Config::default();
    assert!(PARAMETERS.is_sorted_by(|a, b| a.name < b.name));
    for parameter in PARAMETERS {
        assert_eq!(config.value(parameter.name).unwrap(), parameter.default, "{}", parameter.name);
        assert!(config.is_default(parameter), "{}", parameter.name);
        assert!(parameter.field.is_none() || parameter.actor == Actor::Engine);
    }
    assert!(config.unsupported().is_empty());
}

#[test]
fn what_is_spelled_in_a_file_reads_back() {
    let config = Config::default();
    for parameter in PARAMETERS {
        let mut copy = Config::default();
        for line in parameter.lines(&config.read(parameter)) {
            let words: Vec<&str> = line.iter().map(String::as_str).collect();
            copy.set(parameter.name, &words).unwrap();
        }
        assert_eq!(copy.value(parameter.name), config.value(parameter.name), "{}", parameter.name);
    }
}

#[test]
fn the_default_file_of_redis_is_accepted() {
    let mut config = Config::default();
    for line in include_str!("redis-7.0-default.conf").lines() {
        let mut text = line.as_bytes().to_vec();
        let mut spans = Vec::new();
        crate::resp::split_words_in_place(&mut text, &mut spans).unwrap();
        let word = |span: &Span| str::from_utf8(&text[span.start..span.start + span.len]).unwrap();
        let words: Vec<&str> = spans.iter().map(word).collect();
        config.set(words[0], &words[1..]).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    assert!(config.unsupported().is_empty(), "{:?}", config.unsupported());
}

#[track_caller]
fn check(name: &str, words: &[&str], expected: Result<&str, &str>) {
    let mut config = Config::default();
    let result = config.set(name, words).map(|()| config.value(name).unwrap());
    assert_eq!(result.as_ref().map(String::as_str).map_err(String::as_str), expected);
}

#[test]
fn errors_are_those_of_redis() {
    const COUNT: &str = "wrong number of arguments";
    const INTEGER: &str = "argument couldn't be parsed into an integer";
    check("nosuch", &["1"], Err("Bad directive or wrong number of arguments"));
    check("user", &[], Err("Bad directive or wrong number of arguments"));
    check("timeout", &[], Err(COUNT));
    check("port", &["1", "2"], Err(COUNT));
    check("appendonly", &["maybe"], Err("argument must be 'yes' or 'no'"));
    for text in ["x", "01", "+1", "1mb", "", "99999999999999999999"] {
        check("timeout", &[text], Err(INTEGER));
    }
    check("timeout", &["-1"], Err("argument must be between 0 and 2147483647 inclusive"));
    check("port", &["65536"], Err("argument must be between 0 and 65535 inclusive"));
    check("maxmemory", &["1x"], Err("argument must be a memory value"));
    let range = "argument must be between 1048576 and 9223372036854775807 inclusive";
    check("proto-max-bulk-len", &["1kb"], Err(range));
    let percent = "percentage argument must be less or equal to 100";
    check("maxmemory-clients", &["101%"], Err(percent));
    check("maxmemory-clients", &["-1"], Err("argument must be a memory or percent value"));
    let choices = "argument(s) must be one of the following: everysec, always, no";
    check("appendfsync", &["sometimes"], Err(choices));
    let octal = "argument couldn't be parsed as an octal number";
    check("unixsocketperm", &["8"], Err(octal));
    let octal = "argument must be between 0 and 777 inclusive";
    check("unixsocketperm", &["1000"], Err(octal));
    check("dbfilename", &["a/b"], Err("dbfilename can't be a path, just a filename"));
    check("appendfilename", &[""], Err("appendfilename can't be empty"));
    let title = "template format is invalid or contains unknown variables";
    check("proc-title-template", &["{x}"], Err(title));
    check("save", &["0", "1"], Err("Invalid save parameters"));
    check("bind", &["a"; 17], Err("Too many bind addresses specified."));
    check("replicaof", &["a", "70000"], Err("Invalid master port"));
    let events = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
    check("notify-keyspace-events", &["q"], Err(events));
    let scores = "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
    check("oom-score-adj-values", &["1", "2", "3000"], Err(scores));
    let cluster = "this server cannot be a node of a cluster: cluster-enabled must be 'no'";
    check("cluster-enabled", &["yes"], Err(cluster));
    check("rename-command", &["GET"], Err("Bad directive or wrong number of arguments"));
    let known = "argument(s) must be one of the following: default, save, nosave, now, force";
    check("shutdown-on-sigint", &[], Err(known));
    check("shutdown-on-sigint", &[""], Err(known));
    let both = "shutdown options SAVE and NOSAVE can't be used simultaneously";
    check("shutdown-on-sigterm", &["save", "nosave"], Err(both));
}

#[test]
fn values_are_spelled_as_config_get_does() {
    check("MAXMEMORY", &["1Kb"], Ok("1024"));
    check("maxmemory-clients", &["5%"], Ok("5%"));
    check("appendfsync", &["ALWAYS"], Ok("always"));
    check("unixsocketperm", &["700"], Ok("700"));
    check("slave-priority", &["7"], Ok("7"));
    check("notify-keyspace-events", &["KEA"], Ok("AKE"));
    check("notify-keyspace-events", &["gKlshzxetd"], Ok("glshzxetdK"));
    check("notify-keyspace-events", &["$lKEx"], Ok("$lxKE"));
    check("notify-keyspace-events", &["mEKn"], Ok("nKEm"));
    check("notify-keyspace-events", &["KEAn"], Ok("AnKE"));
    check("notify-keyspace-events", &["VcITSoK"], Ok("ocKSTIV"));
    check("notify-keyspace-events", &[""], Ok(""));
    check("shutdown-on-sigterm", &["now", "nosave"], Ok("nosave now"));
    check("shutdown-on-sigterm", &["default now"], Ok("now"));
    check("latency-tracking-info-percentiles", &["99.99 0.10 1e1"], Ok("99.99 0.1 10"));
    check("save", &["5", "6", "7", "8"], Ok("5 6 7 8"));
    check("save", &[""], Ok(""));
    check("replicaof", &["no", "one"], Ok(""));
    check("bind", &["::1 127.0.0.1"], Ok("::1 127.0.0.1"));
}

#[test]
fn directives_add_up_where_they_do_in_redis() {
    let mut config = Config::default();
    config.set("save", &["900", "1"]).unwrap();
    config.set("save", &["300", "10"]).unwrap();
    assert_eq!(config.value("save").unwrap(), "900 1 300 10");
    config.set("save", &[""]).unwrap();
    assert_eq!(config.value("save").unwrap(), "");
    let limit = "client-output-buffer-limit";
    config.set(limit, &["normal", "1mb", "2kb", "3"]).unwrap();
    config.set(limit, &["replica", "1", "2", "3"]).unwrap();
    let all = "normal 1048576 2048 3 slave 1 2 3 pubsub 33554432 8388608 60";
    assert_eq!(config.value(limit).unwrap(), all);
    assert_eq!(config.output_limits.normal.hard_bytes, 1 << 20);
}

#[test]
fn what_nobody_acts_on_is_reported_when_it_is_not_the_default() {
    let mut config = Config::default();
    config.set("maxmemory", &["100mb"]).unwrap();
    config.set("maxmemory", &["0"]).unwrap();
    config.set("slaveof", &["10.0.0.1", "6379"]).unwrap();
    config.set("rename-command", &["FLUSHALL", ""]).unwrap();
    config.set("timeout", &["5"]).unwrap();
    config.set("logfile", &["/x"]).unwrap();
    assert_eq!(config.unsupported(), ["replicaof"]);
    assert_eq!(config.timeout_secs, 5);
}
