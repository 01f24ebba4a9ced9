//! Damaged payloads with checksums that are right: this engine refuses whatever a real server
//! refuses that checks thoroughly, and reads what both take as the same value.

use orrery_engine::Seed;
use orrery_engine::rng::Rng;
use orrery_engine::value::rdb;

use crate::codec::{read, write};
use crate::draw::{Draw, KINDS, words};
use crate::pair::Pair;

const VALUES_PER_KIND: u64 = 12;
const DAMAGES_PER_VALUE: usize = 60;
/// Longer ones are hit too rarely where it matters.
const VALUE_BYTES_MAX: usize = 2000;

/// Changes, removes or adds a few bytes.
fn damage(value: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        // Headers are hit more often than elements.
        let len = value.len() as u64;
        let bound = if rng.chance(1, 3) { len.min(24) } else { len };
        if bound == 0 {
            return;
        }
        let at = rng.below(bound) as usize;
        match rng.below(7) {
            0 => value.truncate(at),
            1 => drop(value.remove(at)),
            2 => value.insert(at, rng.next_u64() as u8),
            3 => value[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][rng.below(6) as usize],
            4 => value[at] = value[at].wrapping_add(1),
            _ => value[at] ^= 1 << rng.below(8),
        }
    }
}

#[test]
fn what_a_real_server_refuses_is_refused() {
    let Some(mut pair) = Pair::start("dump_differential") else { return };
    let (mut taken, mut refused, mut stricter) = (0, 0, 0);
    for (kind_number, kind) in KINDS.iter().enumerate() {
        for number in 0..VALUES_PER_KIND {
            let seed = kind_number as u64 * 1000 + number;
            let mut rng = Rng::new(Seed(seed), "dump damage");
            pair.theirs(&["DEL", "k"]);
            for command in Draw::new(&mut rng).commands(kind, "k") {
                pair.theirs(&command);
            }
            let payload = pair.theirs(&["DUMP", "k"]);
            let (_, value) = rdb::open(payload.bytes()).expect("its payload is sound");
            // Written anew, so that every run does the same damage.
            let payloads = write(&read(value).steady(), number % 3 == 0);
            let payload = &payloads[rng.below(payloads.len() as u64) as usize];
            let (_, value) = rdb::open(payload).expect("a payload is sound");
            for _ in 0..if value.len() <= VALUE_BYTES_MAX { DAMAGES_PER_VALUE } else { 5 } {
                let mut damaged = value.to_vec();
                damage(&mut damaged, &mut rng);
                let shown = damaged.escape_ascii().to_string();
                rdb::seal(&mut damaged, 10);
                let mut restore = words("RESTORE damaged 0");
                restore.extend([damaged, b"REPLACE".to_vec()]);
                pair.both(&words("DEL damaged"));
                let (theirs, ours) = pair.both(&restore);
                match (theirs.is_error(), ours.is_error()) {
                    (false, false) => {
                        let (theirs, ours) = pair.both(&words("DEBUG DIGEST-VALUE damaged"));
                        assert_eq!(theirs, ours, "seed {seed}: {kind} {shown}");
                        taken += 1;
                    }
                    (true, true) => {
                        assert_eq!(theirs, ours, "seed {seed}: {kind} {shown}");
                        refused += 1;
                    }
                    (false, true) => stricter += 1,
                    (true, false) => panic!("seed {seed}: {kind} is taken: {shown}"),
                }
            }
            pair.check_invariants();
        }
    }
    assert!(pair.is_real_alive());
    assert!(taken > 0 && refused > taken / 10, "{taken} taken, {refused} refused");
    println!("{taken} taken, {refused} refused by both, {stricter} by this engine alone");
}
