//! Values made on one server and moved to the other, both ways.

use orrery_engine::Seed;
use orrery_engine::rng::Rng;
use orrery_tests::resp_value::Value;

use crate::draw::{Draw, KINDS, words};
use crate::pair::{Pair, stream_in_full};

const VALUES_PER_KIND: u64 = 40;

/// Moves the value at `k` to the other server and looks whether it is the same there.
fn check_moves(pair: &mut Pair, seed: u64, kind: &str) {
    let (theirs, ours) = pair.both(&words("DEBUG DIGEST-VALUE k"));
    assert_eq!(theirs, ours, "seed {seed}: {kind} as made");
    let (their_dump, our_dump) = pair.both(&words("DUMP k"));
    let restore = |dump: Value| {
        let mut restore = words("RESTORE moved 0");
        restore.extend([dump.bytes().to_vec(), b"REPLACE".to_vec()]);
        restore
    };
    let replies = (pair.theirs(&restore(our_dump)), pair.ours(&restore(their_dump)));
    assert_eq!(replies, (Value::simple("OK"), Value::simple("OK")), "seed {seed}: {kind}");
    pair.check_invariants();
    let (theirs, ours) = pair.both(&words("DEBUG DIGEST-VALUE k moved"));
    assert_eq!(theirs, ours, "seed {seed}: {kind}");
    assert_eq!(ours.elements()[0], ours.elements()[1], "seed {seed}: {kind}");
    if kind == "stream" {
        // Times of delivery differ between the servers, so each is compared with its own copy.
        let full = |key: &str| words(&format!("XINFO STREAM {key} FULL COUNT 0"));
        let (their_copy, our_copy) = pair.both(&full("moved"));
        let (theirs, ours) = pair.both(&full("k"));
        assert_eq!(stream_in_full(theirs), stream_in_full(our_copy), "seed {seed}");
        assert_eq!(stream_in_full(ours), stream_in_full(their_copy), "seed {seed}");
    }
}

#[test]
fn values_move_both_ways_and_have_the_same_digests() {
    let Some(mut pair) = Pair::start("dump_differential") else { return };
    for (kind_number, kind) in KINDS.iter().enumerate() {
        for number in 0..VALUES_PER_KIND {
            let seed = kind_number as u64 * 1000 + number;
            let mut rng = Rng::new(Seed(seed), "dump values");
            pair.both(&words("DEL k moved"));
            for command in Draw::new(&mut rng).commands(kind, "k") {
                let (theirs, ours) = pair.both(&command);
                assert!(!theirs.is_error() && !ours.is_error(), "seed {seed}: {theirs}, {ours}");
            }
            check_moves(&mut pair, seed, kind);
        }
    }
    let (theirs, ours) = pair.both(&words("DEBUG DIGEST"));
    assert_eq!(theirs, ours);
}

#[test]
fn options_and_errors_are_those_of_a_real_server() {
    let Some(mut pair) = Pair::start("dump_differential") else { return };
    let payload = {
        pair.both(&words("SET k value"));
        pair.ours(&words("DUMP k")).bytes().to_vec()
    };
    let far = "99999999999999";
    let mut different = Vec::new();
    for line in [
        "DUMP nokey",
        "RESTORE k 0 @",
        "RESTORE k 0",
        "RESTORE a 0 @",
        "GET a",
        "RESTORE a 0 @ replace",
        "RESTORE a -1 @",
        "RESTORE b -1 @",
        "RESTORE b x @",
        "RESTORE b 1.5 @ REPLACE",
        "RESTORE b 0 x",
        "RESTORE b 0 0123456789",
        "RESTORE a 0 x",
        "RESTORE a x x",
        "RESTORE a x x REPLACE",
        "RESTORE a 0 x NOSUCH",
        "RESTORE b 0 @ REPLACE ABSTTL nosuch",
        "RESTORE b 0 @ IDLETIME",
        "RESTORE b 0 @ IDLETIME x",
        "RESTORE b 0 @ IDLETIME -1",
        "RESTORE b 0 @ IDLETIME 5 FREQ 5",
        "RESTORE b 0 @ FREQ 5 IDLETIME 5",
        "RESTORE b 0 @ FREQ x",
        "RESTORE b 0 @ FREQ -1",
        "RESTORE b 0 @ FREQ 256",
        "RESTORE b 0 @ FREQ 255 FREQ 1",
        "RESTORE c 0 @ IDLETIME 1000",
        "OBJECT IDLETIME c",
        "RESTORE c 0 @ REPLACE IDLETIME 100 IDLETIME 5000",
        "OBJECT IDLETIME c",
        &format!("RESTORE d {far} @ ABSTTL"),
        "PEXPIRETIME d",
        "RESTORE e 1 @ ABSTTL",
        "EXISTS e",
        "SET f v",
        "RESTORE f 1 @ ABSTTL REPLACE",
        "EXISTS f",
        "RESTORE g 9223372036854775807 @",
        "EXISTS g",
        "RESTORE h 9223372036854775807 @ ABSTTL",
        "PEXPIRETIME h",
        "RESTORE i 100000000 @",
        "TTL i",
        "RESTORE i 0 @ REPLACE",
        "TTL i",
        "DEBUG DIGEST-VALUE a b c d h i",
    ] {
        let mut words = words(line);
        words.iter_mut().filter(|word| *word == b"@").for_each(|word| *word = payload.clone());
        let (theirs, ours) = pair.both(&words);
        if theirs != ours {
            different.push(format!("{line}\n  ours   {ours}\n  theirs {theirs}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
