//! A server that begins with any files.

use std::collections::BTreeMap;

use orrery_engine::{Config, Digest, Effect, Input};

use crate::contains_in_any_case;
use crate::driver::{Driver, split};
use crate::memory_disk::MemoryDisk;

const MANIFEST: &str = "appendonlydir/appendonly.aof.manifest";
const BASE: &str = "appendonlydir/appendonly.aof.1.base.rdb";
const INCREMENT: &str = "appendonlydir/appendonly.aof.1.incr.aof";
const BOTH: &str = "file appendonly.aof.1.base.rdb seq 1 type b\n\
                    file appendonly.aof.1.incr.aof seq 1 type i\n";
/// What is loaded takes at most so many times the memory of the file, beside what a server has at
/// least: a byte that LZF repeats can be an element of its own.
const MEMORY_TIMES_MAX: usize = 4_096;
const MEMORY_BYTES_LEAST: usize = 1 << 20;
/// Commands that run for as long as they like, or bring bytes of their own.
const LONG: [&[u8]; 7] =
    [b"eval", b"fcall", b"function", b"setrange", b"setbit", b"bitfield", b"pfdebug"];

/// The first byte says what the others are: a snapshot, a snapshot without its front and its end,
/// records of a log, both, or a manifest and records. A server begins with them or says why not,
/// within as many steps as there are bytes; and what it has then it can save and load again.
pub fn starts_are_survived(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else { return };
    if LONG.iter().any(|word| contains_in_any_case(data, word)) {
        return;
    }
    let (front, back) = split(data);
    let files: Vec<(&str, Vec<u8>)> = match kind % 5 {
        0 => vec![("dump.rdb", data.to_vec())],
        1 => vec![("dump.rdb", snapshot(data))],
        2 => vec![(MANIFEST, BOTH.into()), (BASE, snapshot(&[])), (INCREMENT, data.to_vec())],
        3 => vec![(MANIFEST, BOTH.into()), (BASE, snapshot(front)), (INCREMENT, back.to_vec())],
        _ => vec![(MANIFEST, front.to_vec()), (BASE, snapshot(&[])), (INCREMENT, back.to_vec())],
    };
    let files = files.into_iter().map(|(path, bytes)| (path.to_owned(), bytes)).collect();
    let steps_max = 4 * data.len() + 1_000;
    let Some(mut server) = Server::start(kind % 5 > 1, files, steps_max) else { return };
    let used = server.driver.engine.state().memory_used();
    let allowed = MEMORY_BYTES_LEAST + MEMORY_TIMES_MAX * data.len();
    assert!(used <= allowed, "{used} bytes of memory for {} of file", data.len());
    server.driver.engine.check_invariants();
    let digest = server.save();
    let saved = server.disk.files.remove("dump.rdb").expect("it was saved");
    let again = BTreeMap::from([("dump.rdb".to_owned(), saved)]);
    let again = Server::start(false, again, usize::MAX).expect("what it saves it loads");
    assert_eq!(digest, again.driver.engine.digest(), "a snapshot is of all keys");
}

/// A snapshot of these records, with a front and an end, whose checksum is left out.
fn snapshot(records: &[u8]) -> Vec<u8> {
    [b"REDIS0011".as_slice(), records, &[0xff], &[0; 8]].concat()
}

/// An engine and the files that it sees.
struct Server {
    driver: Driver,
    disk: MemoryDisk,
}

impl Server {
    /// `None`: it does not begin, and has said why.
    fn start(with_log: bool, files: BTreeMap<String, Vec<u8>>, steps_max: usize) -> Option<Self> {
        let mut config = Config::default();
        let mut set = |name, word| config.set(name, &[word]).expect("there is this parameter");
        set("appendonly", if with_log { "yes" } else { "no" });
        set("proto-max-bulk-len", "1048576");
        let mut disk = MemoryDisk::default();
        disk.files = files;
        let mut server = Self { driver: Driver::of(config), disk };
        server.driver.step(Input::Start);
        for _ in 0..steps_max {
            let effects = server.driver.take_effects();
            let ends = effects.iter().any(|it| matches!(it, Effect::Shutdown { .. }));
            if ends {
                let says = |it: &Effect| matches!(it, Effect::Log(_, text) if !text.is_empty());
                assert!(effects.iter().any(says), "it says why it does not begin");
                return None;
            }
            let is_ready = effects.contains(&Effect::Ready);
            server.carry_out(effects);
            if is_ready {
                return Some(server);
            }
        }
        panic!("it neither begins nor ends");
    }

    /// Carries orders out; without any, time passes.
    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut is_idle = true;
        for effect in effects {
            if let Effect::Disk(order) = effect {
                let result = self.disk.carry_out(&order);
                self.driver.step(Input::Disk { ticket: order.ticket, result });
                is_idle = false;
            }
        }
        if is_idle {
            self.driver.step(Input::Tick);
        }
    }

    /// Saves everything. The digest of what was saved.
    fn save(&mut self) -> Digest {
        let digest = self.driver.engine.digest();
        let mut said = self.driver.ask(&["SAVE"]);
        while said.is_empty() {
            let effects = self.driver.take_effects();
            self.carry_out(effects);
            self.driver.take_output(&mut said);
        }
        assert_eq!(said, b"+OK\r\n", "{}", said.escape_ascii());
        digest
    }
}
