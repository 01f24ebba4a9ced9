//! Streams under their own commands, and under RESTORE of what was dumped and then damaged.

use arbitrary::{Arbitrary, Unstructured};
use orrery_engine::commands::spec::Group;
use orrery_engine::value::rdb;
use orrery_engine::{Micros, UnixMicros};

use crate::driver::{Driver, split};
use crate::restore::is_the_same_after_a_dump;

/// The type bytes of streams.
const TYPES: [u8; 5] = [15, 19, 21, 26, 27];

/// One thing that is done to streams. Keys are two.
#[derive(Arbitrary, Debug)]
enum Change<'a> {
    /// Some commands that this number chooses.
    Drawn(u64),
    /// An entry with this identifier.
    Add(u8, u8, &'a [u8]),
    /// A value of one of the types.
    Restore(u8, &'a [u8]),
    /// What is there, with some bytes changed.
    Damage(Vec<(u16, u8)>),
    /// What is there, without its end.
    Cut(u16),
    /// Both clocks advance.
    Wait(u16),
}

/// Streams stay whole, and the same after a dump. The data is a value to begin with, its length in
/// two bytes before it, and then changes.
pub fn streams_are_survived(data: &[u8]) {
    let (first, rest) = split(data);
    let mut driver = Driver::with_client();
    restore(&mut driver, first.to_vec());
    let changes = Vec::<Change<'_>>::arbitrary_take_rest(Unstructured::new(rest));
    for change in changes.unwrap_or_default() {
        match &change {
            Change::Drawn(number) => driver.run_drawn(*number, &[Group::Stream], 2, 6),
            Change::Add(ms, seq, value) => {
                let id = format!("{ms}-{seq}");
                driver.run(&[b"XADD", &b"k0"[..], id.as_bytes(), b"field", value]);
            }
            Change::Restore(choice, body) => {
                let type_byte = TYPES[usize::from(*choice) % TYPES.len()];
                restore(&mut driver, [&[type_byte], *body].concat());
            }
            Change::Damage(bytes) => {
                if let Some(mut value) = value(&mut driver) {
                    for (at, byte) in bytes {
                        let at = usize::from(*at) % value.len();
                        value[at] = *byte;
                    }
                    restore(&mut driver, value);
                }
            }
            Change::Cut(len) => {
                if let Some(mut value) = value(&mut driver) {
                    value.truncate(usize::from(*len));
                    restore(&mut driver, value);
                }
            }
            Change::Wait(ms) => {
                let us = u64::from(*ms) * 1000;
                driver.now.mono = driver.now.mono + Micros(us);
                driver.now.wall = UnixMicros(driver.now.wall.0 + us);
            }
        }
        driver.engine.check_invariants();
        is_the_same_after_a_dump(&mut driver);
    }
}

/// The dumped value, type byte first, without its footer.
fn value(driver: &mut Driver) -> Option<Vec<u8>> {
    let payload = driver.dump("k0")?;
    rdb::open(&payload).map(|(_, value)| value.to_vec())
}

fn restore(driver: &mut Driver, mut value: Vec<u8>) {
    rdb::seal(&mut value, 14);
    driver.run(&[b"RESTORE", &b"k0"[..], b"0", &value, b"REPLACE"]);
}
