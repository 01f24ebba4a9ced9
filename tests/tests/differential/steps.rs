//! What a run consists of: steps that can be drawn, performed on both servers, printed and left
//! out, so that a failing run can be made short.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use orrery_engine::commands::table::table;
use orrery_tests::resp_value::Value;

use super::contents;
use super::draw::Draw;
use super::pair::{Difference, Pair, Words, judge, line, shown};

/// Commands that are not drawn where a client waits: they would make the actor wait too, or look
/// elsewhere.
const NOT_WHILE_WAITING: [&str; 2] = ["SELECT", "SWAPDB"];
/// SPOP chooses at random; SORT of a sorted set makes Redis store it in its big form.
const UNLIKE_AFTERWARDS: [&[u8]; 3] = [b"SPOP", b"SORT", b"SORT_RO"];
/// The clients that wait.
const WAITING_CLIENTS: usize = 2;
/// How long keys live that are to expire.
const SHORT_LIFE_MS: u64 = 30;

/// One step.
#[derive(Clone)]
pub(crate) enum Step {
    /// A command of one client.
    Command { client: usize, words: Words },
    /// A setting that Redis 7.0 does not have.
    OursOnly(Words),
    /// A whole iteration; the cursor belongs at this place.
    Scan { client: usize, words: Words, cursor_at: usize },
    /// Clients wait while another runs commands.
    Waiting { waiting: Vec<Words>, then: Vec<Words> },
    /// Keys get a short life and are met when it has ended.
    Expiry { then: Vec<Words> },
    /// Everything that is stored is compared.
    Contents,
    /// The engine does what it has put off.
    Tick,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |commands: &[Words]| {
            commands.iter().map(|words| shown(words)).collect::<Vec<_>>().join("; ")
        };
        match self {
            Self::Command { client, words } => write!(f, "{client}> {}", shown(words)),
            Self::OursOnly(words) => write!(f, "ours> {}", shown(words)),
            Self::Scan { client, words, .. } => write!(f, "{client}> all of {}", shown(words)),
            Self::Waiting { waiting, then } => {
                write!(f, "waiting: {}; meanwhile: {}", list(waiting), list(then))
            }
            Self::Expiry { then } => write!(f, "keys expire, then: {}", list(then)),
            Self::Contents => write!(f, "what is stored"),
            Self::Tick => write!(f, "tick"),
        }
    }
}

/// Draws a run: rounds on an empty server, each with some of the families and its own limits.
pub(crate) fn draw(
    draw: &mut Draw<'_>,
    families: &[&'static str],
    rounds: usize,
    len: usize,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..rounds {
        steps.push(Step::Command { client: 0, words: line("FLUSHALL") });
        for client in [0, 1] {
            steps.push(Step::Command { client, words: line("SELECT 0") });
        }
        settings(draw, &mut steps);
        let chosen = chosen(draw, families);
        for count in 1..=len {
            let client = draw.below(2) as usize;
            let step = match count % 100 {
                99 => Step::Contents,
                50 => Step::Expiry { then: several(draw, &chosen, 6) },
                10 | 30 | 60 | 80 => scan(draw, client),
                20 | 40 | 70 | 90 if families.contains(&"list") => waiting(draw, families),
                _ => Step::Command { client, words: draw.command(&chosen) },
            };
            steps.push(step);
            if draw.below(10) == 0 {
                steps.push(Step::Tick);
            }
        }
        steps.push(Step::Contents);
    }
    steps
}

/// All families, or three of them: then keys meet more often.
fn chosen<'f>(draw: &mut Draw<'_>, families: &[&'f str]) -> Vec<&'f str> {
    if draw.below(4) == 0 || families.len() < 4 {
        return families.to_vec();
    }
    let mut chosen = vec!["generic"];
    while chosen.len() < 4 {
        let family = families[draw.below(families.len() as u64) as usize];
        if !chosen.contains(&family) {
            chosen.push(family);
        }
    }
    chosen
}

fn settings(draw: &mut Draw<'_>, steps: &mut Vec<Step>) {
    let mut pick = |choices: &[&'static str]| choices[draw.below(choices.len() as u64) as usize];
    let settings = [
        ("hash-max-listpack-entries", pick(&["512", "3", "0"])),
        ("hash-max-listpack-value", pick(&["64", "4"])),
        ("list-max-listpack-size", pick(&["-2", "3", "1", "-1"])),
        ("list-compress-depth", pick(&["0", "1", "2"])),
        // Since 7.2 a set that is made of more words than this is none of integers.
        ("set-max-intset-entries", pick(&["512", "0"])),
        ("zset-max-listpack-entries", pick(&["128", "3", "0"])),
        ("zset-max-listpack-value", pick(&["64", "4"])),
    ];
    let mut words = line("CONFIG SET");
    for (name, value) in settings {
        words.push(name.into());
        words.push(value.into());
    }
    steps.push(Step::Command { client: 0, words });
    let entries = pick(&["128", "3", "0"]);
    steps.push(Step::OursOnly(line(&format!("CONFIG SET set-max-listpack-entries {entries}"))));
}

fn several(draw: &mut Draw<'_>, families: &[&str], most: u64) -> Vec<Words> {
    let count = 1 + draw.below(most);
    let mut commands = Vec::new();
    while (commands.len() as u64) < count {
        let words = draw.command(families);
        let name = String::from_utf8_lossy(&words[0]).to_ascii_uppercase();
        let waits = name.starts_with("BL") || name.starts_with("BR") || name.starts_with("BZ");
        let has = |text: &[u8]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
        // In 7.0 a client that waits for an entry that is trimmed at once gets an empty list.
        let trims = name == "XADD" && (has(b"MAXLEN") || has(b"MINID"));
        if !waits && !has(b"BLOCK") && !trims && !NOT_WHILE_WAITING.contains(&name.as_str()) {
            commands.push(words);
        }
    }
    commands
}

fn waiting(draw: &mut Draw<'_>, families: &[&'static str]) -> Step {
    // A client that waits for several keys takes from the key that became ready in 7.0, and from
    // its first key that holds something since 7.2; clients that move elements make a difference.
    const LISTS: [&str; 5] = [
        "BLPOP l0 l1 0",
        "BRPOP l1 l0 0",
        "BLMPOP 0 2 l0 l2 LEFT COUNT 2",
        "BLPOP l0 0",
        "BLMPOP 0 1 l0 RIGHT COUNT 2",
    ];
    const MOVES: [&str; 7] = [
        "BLPOP l0 0",
        "BRPOP l1 0",
        "BLMPOP 0 1 l2 RIGHT COUNT 2",
        "BLMOVE l0 l1 LEFT RIGHT 0",
        "BRPOPLPUSH l1 l2 0",
        "BLMOVE l2 l0 RIGHT LEFT 0",
        "BLMOVE l0 l0 LEFT RIGHT 0",
    ];
    const ZSETS: [&str; 4] =
        ["BZPOPMIN z0 z1 0", "BZPOPMAX z1 z0 0", "BZMPOP 0 2 z0 z1 MIN COUNT 2", "BZPOPMIN z0 0"];
    const STREAMS: [&str; 4] = [
        "XREAD BLOCK 0 STREAMS x0 x1 $ $",
        "XREAD COUNT 2 BLOCK 0 STREAMS x0 0-0",
        "XREADGROUP GROUP g1 alice BLOCK 0 STREAMS x0 >",
        "XREADGROUP GROUP g1 bob COUNT 1 BLOCK 0 STREAMS x0 >",
    ];
    let mut kinds: Vec<(&str, &[&str])> = vec![("list", &LISTS), ("list", &MOVES)];
    for (family, commands) in [("zset", &ZSETS), ("stream", &STREAMS)] {
        if families.contains(&family) {
            kinds.push((family, commands));
        }
    }
    let (family, commands) = kinds[draw.below(kinds.len() as u64) as usize];
    let count = 1 + draw.below(4);
    let waiting =
        (0..count).map(|_| line(commands[draw.below(commands.len() as u64) as usize])).collect();
    let mut then = several(draw, &[family], 5);
    if draw.below(2) == 0 {
        then.extend(several(draw, &["generic"], 2));
        then.extend(several(draw, &[family], 3));
    }
    Step::Waiting { waiting, then }
}

fn scan(draw: &mut Draw<'_>, client: usize) -> Step {
    let mut pick = |choices: &[&'static str]| choices[draw.below(choices.len() as u64) as usize];
    let (command, cursor_at) = match pick(&["keys", "set", "hash", "zset"]) {
        kind if table().find_full(format!("{}scan", &kind[..1]).as_bytes()).is_none() => {
            ("SCAN 0".to_owned(), 1)
        }
        "set" => (format!("SSCAN {} 0", pick(&["s0", "s1", "s2", "s3"])), 2),
        "hash" => (format!("HSCAN {} 0", pick(&["h0", "h1", "h2", "h3"])), 2),
        _ => (format!("ZSCAN {} 0", pick(&["z0", "z1", "z2", "y0"])), 2),
    };
    let options = pick(&[
        "",
        "COUNT 1",
        "COUNT 1000000",
        "MATCH * COUNT 3",
        "MATCH [ak]*",
        "MATCH ?1 COUNT 2",
        "MATCH x",
    ]);
    let kind =
        if cursor_at == 1 { pick(&["", "TYPE STRING", "TYPE hash", "TYPE list"]) } else { "" };
    Step::Scan { client, words: line(&format!("{command} {options} {kind}")), cursor_at }
}

/// Performs a step on both servers.
pub(crate) fn perform(pair: &mut Pair, step: &Step) -> Result<(), Difference> {
    match step {
        Step::Command { client, words } => run(pair, *client, words),
        Step::OursOnly(words) => pair.ours_only(words),
        Step::Scan { client, words, cursor_at } => perform_scan(pair, *client, words, *cursor_at),
        Step::Waiting { waiting, then } => perform_waiting(pair, waiting, then),
        Step::Expiry { then } => perform_expiry(pair, then),
        Step::Contents => contents::compare(pair),
        Step::Tick => {
            pair.turn_clocks();
            pair.ours.tick();
            Ok(())
        }
    }
}

/// Runs a command on both. Of some what is left differs, so that it must go.
fn run(pair: &mut Pair, client: usize, words: &Words) -> Result<(), Difference> {
    let name = words[0].to_ascii_uppercase();
    let find = |wanted: &[u8]| words.iter().position(|word| word.eq_ignore_ascii_case(wanted));
    if name.starts_with(b"SORT") && words.len() > 1 && find(b"BY").is_some() {
        // A set that is not sorted has no order.
        let (kind, _) = pair.replies(client, &[b"TYPE".to_vec(), words[1].clone()]);
        if kind == b"+set\r\n" {
            return Ok(());
        }
    }
    pair.compare(client, words)?;
    // The last bits of a distance depend on the library of mathematics.
    let is_unlike = UNLIKE_AFTERWARDS.contains(&name.as_slice()) || find(b"STOREDIST").is_some();
    if !is_unlike || words.len() < 2 {
        return Ok(());
    }
    let stored = find(b"STORE").or_else(|| find(b"STOREDIST")).and_then(|at| words.get(at + 1));
    let mut delete = line("DEL");
    delete.push(words[1].clone());
    delete.extend(stored.cloned());
    pair.replies(client, &delete);
    Ok(())
}

/// Iterates on both; the elements of both must be the same.
fn perform_scan(
    pair: &mut Pair,
    client: usize,
    words: &Words,
    cursor_at: usize,
) -> Result<(), Difference> {
    let pairs = words[0].eq_ignore_ascii_case(b"HSCAN") || words[0].eq_ignore_ascii_case(b"ZSCAN");
    let mut found: [BTreeMap<Vec<u8>, BTreeSet<String>>; 2] = Default::default();
    let mut cursors = [b"0".to_vec(), b"0".to_vec()];
    let mut done = [false; 2];
    for calls in 0.. {
        if done == [true, true] {
            break;
        }
        if calls > 2000 {
            return Err(format!("{} never ends", shown(words)));
        }
        for side in [0, 1] {
            if done[side] {
                continue;
            }
            let mut words = words.clone();
            words[cursor_at] = cursors[side].clone();
            let (real, ours) = pair.replies(client, &words);
            if real[0] == b'-' || ours[0] == b'-' {
                return judge(&words, &real, &ours);
            }
            let value = Value::read_all(if side == 0 { &real } else { &ours }).remove(0);
            cursors[side] = value.elements()[0].bytes().to_vec();
            done[side] = cursors[side] == b"0";
            let elements = value.elements()[1].elements();
            for element in elements.chunks(if pairs { 2 } else { 1 }) {
                let value = element.get(1).map_or_else(String::new, |value| {
                    let text = String::from_utf8_lossy(value.bytes()).into_owned();
                    text.parse::<f64>().map_or(text, |number| format!("{number:?}"))
                });
                found[side].entry(element[0].bytes().to_vec()).or_default().insert(value);
            }
        }
    }
    if found[0] != found[1] {
        return Err(format!("{}\nredis: {:?}\nours:  {:?}", shown(words), found[0], found[1]));
    }
    Ok(())
}

/// Clients wait, another acts, then all are woken: every one must have had the same reply.
fn perform_waiting(pair: &mut Pair, waiting: &[Words], then: &[Words]) -> Result<(), Difference> {
    pair.compare(0, &line("SELECT 0"))?;
    let mut ours = Vec::new();
    for (index, words) in waiting.iter().enumerate() {
        ours.push(pair.send(WAITING_CLIENTS + index, words));
        pair.let_real_catch_up();
    }
    for words in then {
        run(pair, 0, words)?;
        pair.let_real_catch_up();
    }
    for (index, words) in waiting.iter().enumerate() {
        let client = WAITING_CLIENTS + index;
        let mut served = std::mem::take(&mut ours[index]);
        served.extend(pair.our_output(client));
        let (real, woken) = pair.unblock(client);
        let (real_woken, real) = real.split_at(4);
        let (our_woken, ours) = woken.split_at(4);
        served.extend(ours);
        judge(words, real, &served)?;
        judge(&line("CLIENT UNBLOCK"), real_woken, our_woken)?;
    }
    Ok(())
}

/// Keys that really expire, each in another way.
fn perform_expiry(pair: &mut Pair, then: &[Words]) -> Result<(), Difference> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let soon = now.as_millis() as u64 + SHORT_LIFE_MS;
    for text in [
        "SELECT 0".to_owned(),
        format!("SET k0 v PX {SHORT_LIFE_MS}"),
        format!("SET k1 v PXAT {soon}"),
        format!("PSETEX k2 {SHORT_LIFE_MS} 12"),
        "SET k3 v".to_owned(),
        format!("GETEX k3 PX {SHORT_LIFE_MS}"),
        format!("PEXPIRE l0 {SHORT_LIFE_MS}"),
        format!("PEXPIRE s0 {SHORT_LIFE_MS}"),
        format!("PEXPIREAT h0 {soon}"),
        format!("PEXPIRE z0 {SHORT_LIFE_MS}"),
        format!("PEXPIREAT x0 {soon}"),
    ] {
        pair.compare(0, &line(&text))?;
    }
    std::thread::sleep(Duration::from_millis(SHORT_LIFE_MS + 20));
    for words in then {
        run(pair, 0, words)?;
    }
    pair.compare(0, &line("EXISTS k0 k1 k2 k3 l0 s0 h0 z0 x0"))
}
