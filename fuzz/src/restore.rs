//! RESTORE of anything behind a footer that is right: what is taken is a value like any other.

use orrery_engine::commands::spec::Group;
use orrery_engine::value::rdb;

use crate::driver::Driver;

/// Versions that are told apart.
const VERSIONS: [u16; 3] = [11, 14, 80];
/// Commands that a restored value has to stand.
const COMMANDS: usize = 12;
const GROUPS: [Group; 7] = [
    Group::Generic,
    Group::String,
    Group::List,
    Group::Set,
    Group::Hash,
    Group::SortedSet,
    Group::Stream,
];

/// The first byte chooses the version, the others are a value with its type byte.
pub fn restored_values_behave(data: &[u8]) {
    let [version, value @ ..] = data else { return };
    let mut payload = value.to_vec();
    rdb::seal(&mut payload, VERSIONS[usize::from(*version) % VERSIONS.len()]);
    let mut driver = Driver::with_client();
    if driver.run(&[b"RESTORE", &b"k0"[..], b"0", &payload]) != b"+OK\r\n" {
        driver.engine.check_invariants();
        return;
    }
    driver.engine.check_invariants();
    is_the_same_after_a_dump(&mut driver);
    let number = value
        .iter()
        .fold(u64::from(*version), |sum, &byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let group = group_of(&driver.run(&["TYPE", "k0"]));
    driver.run_drawn(number, &[group], 2, COMMANDS);
    driver.engine.check_invariants();
    driver.run_drawn(number + 1, &GROUPS, 2, COMMANDS);
    driver.engine.check_invariants();
    is_the_same_after_a_dump(&mut driver);
}

fn group_of(type_reply: &[u8]) -> Group {
    match type_reply {
        b"+list\r\n" => Group::List,
        b"+set\r\n" => Group::Set,
        b"+hash\r\n" => Group::Hash,
        b"+zset\r\n" => Group::SortedSet,
        b"+stream\r\n" => Group::Stream,
        _ => Group::String,
    }
}

/// What is dumped and restored is the same value.
pub(crate) fn is_the_same_after_a_dump(driver: &mut Driver) {
    let Some(payload) = driver.dump("k0") else { return };
    let reply = driver.run(&[b"RESTORE", &b"copy"[..], b"0", &payload, b"REPLACE"]);
    let shown = payload.escape_ascii();
    assert_eq!(reply, b"+OK\r\n", "{}: {shown}", reply.escape_ascii());
    driver.run(&["PERSIST", "k0"]);
    let digest = |driver: &mut Driver, key| driver.run(&["DEBUG", "DIGEST-VALUE", key]);
    assert_eq!(digest(driver, "k0"), digest(driver, "copy"), "{shown}");
    driver.engine.check_invariants();
    driver.run(&["DEL", "copy"]);
}
