//! The lab of locks: what servers that go wrong and holders that are late do to a lock, with real
//! engines. The scenarios' numbers are those of the catalogue of lock failures.

use orrery_engine::lock::{Ended, Fencing, Settings};
use orrery_engine::time::TtlClock;
use orrery_sim::locks::{Access, Fences, Lab, Servers, Told, Work};

const TTL_MS: u64 = 10_000;
const MS: u64 = 1000;
const MONOTONIC: Servers = Servers::Engines(TtlClock::Monotonic);

fn five() -> Settings {
    Settings { retries: 0, ..Settings::redlock(5, TTL_MS) }
}

/// The first client gets the lock from the first three of five servers.
fn held_by_three(settings: Settings, servers: Servers) -> Lab {
    let mut lab = Lab::new(1, settings, 2, servers);
    lab.reach_only(&[0, 1, 2]);
    lab.acquire(0);
    lab.run_until_ms(200);
    assert!(lab.is_granted(0), "{:?}", lab.told);
    lab.reach_only(&[0, 1, 2, 3, 4]);
    lab
}

/// The second client tries; whether both take the lock for theirs.
fn both_have_it(mut lab: Lab, at_ms: u64) -> bool {
    lab.run_until_ms(at_ms);
    lab.acquire(1);
    lab.run_until_ms(at_ms + 200);
    assert_eq!(lab.is_granted(1), !lab.overlaps.is_empty(), "{:?}", lab.told);
    !lab.overlaps.is_empty()
}

#[test]
fn engines_grant_extend_and_give_back() {
    for nodes in [1, 3, 5] {
        let mut lab = Lab::new(1, Settings::fenced(nodes, TTL_MS), 2, MONOTONIC);
        lab.acquire(0);
        lab.run_until_ms(25_000);
        let extended = lab.told_to(0).iter().filter(|it| matches!(it, Told::Extended(_))).count();
        assert!((7..=8).contains(&extended), "{extended}");
        lab.acquire(1);
        lab.run_until_ms(25_100);
        lab.release(0);
        lab.run_until_ms(26_000);
        assert_eq!(lab.told_to(0).last(), Some(&Told::Ended(Ended::Released)));
        assert!(lab.is_granted(1) && lab.overlaps.is_empty(), "{:?}", lab.told);
        assert_eq!(lab.fences(), [1, 2]);
    }
}

#[test]
fn a_server_that_forgets_gives_the_lock_to_the_next() {
    // S22, and S12: one of exactly three.
    let mut lab = held_by_three(five(), MONOTONIC);
    lab.forget(2);
    assert!(both_have_it(lab, 1000));
    // With one more grant than is needed one server may forget, and two may not.
    for (forget, breaks) in [(&[2][..], false), (&[2, 3], true)] {
        let mut lab = Lab::new(1, five(), 2, MONOTONIC);
        lab.reach_only(&[0, 1, 2, 3]);
        lab.acquire(0);
        lab.run_until_ms(200);
        lab.reach_only(&[0, 1, 2, 3, 4]);
        forget.iter().for_each(|&node| lab.forget(node));
        assert_eq!(both_have_it(lab, 1000), breaks, "{forget:?}");
    }
}

#[test]
fn what_too_many_servers_forgot_is_lost_even_if_they_would_grant_it_again() {
    // I6: another one has had the lock meanwhile.
    for nodes in [1, 3, 5] {
        let settings = Settings { retries: 0, ..Settings::with_margin(nodes, TTL_MS) };
        let mut lab = Lab::new(1, settings, 2, MONOTONIC);
        lab.acquire(0);
        lab.run_until_ms(1000);
        (0..usize::from(nodes)).for_each(|node| lab.forget(node));
        lab.acquire(1);
        lab.run_until_ms(1100);
        lab.release(1);
        lab.run_until_ms(9000);
        let told = lab.told_to(0);
        assert!(matches!(told[..], [Told::Granted(_), Told::Ended(Ended::ExtensionFailed)]));
    }
    // As many as a majority can do without are repaired.
    let mut lab = Lab::new(1, Settings::with_margin(5, TTL_MS), 2, MONOTONIC);
    lab.acquire(0);
    for (at_ms, forget) in [(1000, [0, 1]), (5000, [1, 2]), (9000, [3, 4])] {
        lab.run_until_ms(at_ms);
        forget.into_iter().for_each(|node| lab.forget(node));
    }
    assert!(!both_have_it(lab, 12_000), "those that forgot last are repaired, too");
}

#[test]
fn a_servers_clock_that_is_set_ends_its_keys_only_if_they_follow_it() {
    // S18: the clock of one of three granting servers goes forward a minute.
    for (clock, breaks) in [(TtlClock::Wall, true), (TtlClock::Monotonic, false)] {
        let mut lab = held_by_three(five(), Servers::Engines(clock));
        lab.run_until_ms(1000);
        lab.step_server(2, 60_000);
        assert_eq!(both_have_it(lab, 1100), breaks, "{clock:?}");
    }
}

/// The first client reads, is paused beyond its lock's end, and writes; the second one gets the
/// lock meanwhile, reads and writes.
fn a_late_holder(fences: Fences, writes_after_ms: u64) -> Lab {
    let settings = Settings { fencing: Fencing::WriteBack, ..five() };
    let mut lab = Lab::new(1, settings, 2, MONOTONIC).with_fences(fences);
    lab.acquire(0);
    lab.run_until_ms(100);
    lab.access(0, Access::Read);
    let fence = lab.clients[0].grant().and_then(|grant| grant.fence);
    lab.run_until_ms(200);
    lab.pause(0, 15_000 * MS);
    lab.run_until_ms(10_100);
    lab.acquire(1);
    lab.run_until_ms(10_200);
    assert!(lab.is_granted(1));
    lab.access(1, Access::Read);
    lab.run_until_ms(10_300);
    let late = Access::Write { base: 0, value: 1 };
    if writes_after_ms < 10_400 {
        lab.access_with(0, fence, late);
    }
    lab.run_until_ms(10_400);
    lab.access(1, Access::Write { base: 0, value: 2 });
    lab.run_until_ms(15_000);
    if writes_after_ms >= 10_400 {
        lab.access_with(0, fence, late);
    }
    lab.run_until_ms(15_100);
    lab
}

#[test]
fn a_write_of_a_holder_that_is_late_is_refused_by_its_number() {
    // S03 and S04: it comes behind the next holder's.
    for (fences, harm) in [(Fences::Nothing, true), (Fences::Writes, false), (Fences::All, false)] {
        let lab = a_late_holder(fences, 15_000);
        let lost = lab.changes.iter().any(|change| change.loses_an_update());
        assert_eq!(lost, harm, "{fences:?}: {:?}", lab.changes);
        let refused =
            lab.work.iter().any(|&(_, client, work)| (client, work) == (0, Work::Refused));
        assert_eq!(refused, !harm, "{fences:?}");
    }
}

#[test]
fn a_number_that_only_writes_carry_does_not_save_what_was_read_before() {
    // S27: it comes between the next holder's read and write.
    for (fences, harm) in [(Fences::Writes, true), (Fences::All, false)] {
        let lab = a_late_holder(fences, 10_300);
        let lost = lab.changes.iter().any(|change| change.loses_an_update());
        assert_eq!(lost, harm, "{fences:?}: {:?}", lab.changes);
    }
}
