//! Clients of locks (`orrery_engine::lock`) against lock servers that are what they should be: the
//! algorithm as it is specified, the schedules that break its variants, and chance.
//!
//! The scenarios' numbers (S12...) are those of the catalogue of lock failures; those in which
//! servers go wrong are in `lock_lab.rs`.

mod random;
mod wire;

use orrery_engine::lock::{
    AtQuorum, Cleanup, Ended, Extension, FailedExtension, Fencing, LocalClock, LossSignal, Order,
    Phase, Replicas, Request, Settings, Since, Token, TokenRule,
};
use orrery_sim::locks::{IdealServer, Lab, Servers, Told};

const MS: u64 = 1000;

const TTL_MS: u64 = 10_000;
/// What is left of it: a hundredth and 2 ms are taken off.
const LEFT_US: u64 = (10_000 - 102) * MS;

fn five() -> Settings {
    Settings::redlock(5, TTL_MS)
}

fn extending(failed: FailedExtension) -> Settings {
    let extension =
        Extension { every_ms: 3000, held_ms_max: 60_000, recreates: false, repairs: false, failed };
    Settings { extension: Some(extension), ..five() }
}

/// How many servers have somebody's key, whether its time is over or not.
fn keys(lab: &mut Lab) -> usize {
    (0..lab.servers.len()).filter(|&node| lab.ideal(node).key.is_some()).count()
}

#[test]
fn a_lock_on_one_server_has_a_number_and_ends_a_little_before_its_key() {
    let mut lab = Lab::new(1, Settings::single(TTL_MS), 2, Servers::Ideal);
    lab.acquire(0);
    lab.run_until_ms(2);
    let [Told::Granted(grant)] = lab.told_to(0)[..] else { panic!("{:?}", lab.told) };
    assert_eq!((grant.fence, grant.until.0), (Some(1), LEFT_US));
    assert_eq!(lab.ideal(0).key, Some((grant.token, 500 + TTL_MS * MS)));
    assert!(lab.release(0) && !lab.believes(0));
    lab.run_until_ms(4);
    assert_eq!(lab.told_to(0)[1..], [Told::Ended(Ended::Released)]);
    assert_eq!(lab.ideal(0).key, None);
    assert!(!lab.release(0), "there is nothing to give back");
    lab.acquire(1);
    lab.run_until_ms(8);
    assert_eq!(lab.fences(), [1, 2]);
}

/// One server whose replicas are waited for, so many of which it has.
fn replicated(needed: u16, replicas: u16) -> Lab {
    let single = Settings::single(TTL_MS);
    let extension = extending(FailedExtension::Keep).extension;
    let replicas_rule = Replicas { needed, timeout_ms: 40, none_will_do: false };
    let settings = Settings { retries: 0, extension, replicas: Some(replicas_rule), ..single };
    let mut lab = Lab::new(1, settings, 1, Servers::Ideal);
    lab.servers[0].replicas = replicas;
    lab.acquire(0);
    lab
}

#[test]
fn a_server_grants_when_enough_of_its_replicas_have_the_grant() {
    for (needed, replicas) in [(0, 0), (1, 1), (2, 2), (2, 3)] {
        let mut lab = replicated(needed, replicas);
        lab.run_until_ms(2);
        assert!(lab.is_granted(0), "{needed} of {replicas}");
    }
    for (needed, replicas) in [(1, 0), (2, 1)] {
        let mut lab = replicated(needed, replicas);
        lab.run_until_ms(40);
        assert!(lab.told.is_empty() && keys(&mut lab) == 1, "it still waits for them");
        lab.run_until_ms(50);
        assert_eq!(lab.told_to(0), [Told::Ended(Ended::NotAcquired)], "{needed} of {replicas}");
        assert_eq!(keys(&mut lab), 0, "what nobody was granted is given back");
    }
}

#[test]
fn an_extension_is_none_that_replicas_do_not_have() {
    let mut lab = replicated(1, 1);
    lab.run_until_ms(3500);
    let [_, Told::Extended(grant)] = lab.told_to(0)[..] else { panic!("{:?}", lab.told) };
    lab.servers[0].replicas = 0;
    lab.run_until_ms(20_000);
    let last = lab.told.last().expect("something was told");
    assert_eq!(*last, (grant.until.0, 0, Told::Ended(Ended::DeadlinePassed)));
}

#[test]
fn news_of_a_loss_make_an_extension_early_but_not_too_many() {
    let settings = Settings { retries: 0, ..Settings::fenced(3, TTL_MS) };
    let mut lab = Lab::new(1, settings, 1, Servers::Ideal);
    let extensions = |lab: &Lab| {
        let is_extension = |sent: &&(_, _, _, Request)| matches!(sent.3, Request::Extend { .. });
        lab.sent.iter().filter(is_extension).count() / 3
    };
    lab.acquire(0);
    lab.run_until_ms(100);
    lab.suspect(0);
    assert_eq!(extensions(&lab), 1, "at once");
    lab.run_until_ms(110);
    for at_ms in 110..500 {
        lab.run_until_ms(at_ms);
        lab.suspect(0);
    }
    // An eighth of 3333 ms after the one before.
    assert_eq!(extensions(&lab), 1, "{:?}", lab.sent);
    lab.run_until_ms(530);
    assert_eq!(extensions(&lab), 2, "what was told meanwhile is not forgotten");
    lab.run_until_ms(3800);
    assert_eq!(extensions(&lab), 2, "and nothing was told since");
    lab.run_until_ms(3900);
    assert_eq!(extensions(&lab), 3);
    for node in 0..2 {
        lab.ideal(node).key = None;
    }
    lab.run_until_ms(5000);
    lab.suspect(0);
    lab.run_until_ms(5010);
    assert_eq!(lab.told_to(0).last(), Some(&Told::Ended(Ended::ExtensionFailed)));
    lab.suspect(0);
    assert!(!lab.believes(0), "there is nothing to find out");
}

#[test]
fn a_number_is_above_those_that_only_servers_know_that_refuse() {
    for fencing in [Fencing::WriteBack, Fencing::Proposed] {
        let settings = Settings { fencing, ..Settings::fenced(5, TTL_MS) };
        let mut lab = Lab::new(1, settings, 1, Servers::Ideal);
        for node in [3, 4] {
            let other = Token { client: 9, attempt: 1 };
            *lab.ideal(node) = IdealServer { key: Some((other, TTL_MS * MS)), counter: 7 };
        }
        lab.acquire(0);
        lab.run_until_ms(100);
        assert_eq!(lab.fences(), [8], "{fencing:?}");
    }
}

#[test]
fn a_majority_is_enough_and_less_is_not() {
    for (reached, expected) in [(&[0, 2, 4][..], true), (&[1, 3][..], false)] {
        let mut lab = Lab::new(1, Settings { retries: 0, ..five() }, 1, Servers::Ideal);
        lab.reach_only(reached);
        lab.acquire(0);
        lab.run_until_ms(100);
        assert_eq!(lab.is_granted(0), expected, "{reached:?}");
        if !expected {
            assert_eq!(lab.told_to(0), [Told::Ended(Ended::NotAcquired)]);
            assert_eq!(keys(&mut lab), 0, "all is given back");
            let releases =
                lab.sent.iter().filter(|it| matches!(it.3, Request::Release { .. })).count();
            assert_eq!(releases, 5, "to servers that have said nothing, too");
        }
    }
}

#[test]
fn what_took_longer_than_the_lock_lasts_is_no_lock() {
    for checks_elapsed in [true, false] {
        let mut lab =
            Lab::new(1, Settings { checks_elapsed, retries: 0, ..five() }, 2, Servers::Ideal);
        lab.acquire(0);
        // Its requests have arrived, the answers find it paused.
        lab.run_until_us(600);
        lab.pause(0, 12_000 * MS);
        lab.run_until_ms(11_000);
        lab.acquire(1);
        lab.run_until_ms(12_010);
        assert!(lab.is_granted(1));
        // S20c: without step 3 a lock is granted that was over before.
        let told = lab.told_to(0);
        assert_eq!(matches!(told[0], Told::Granted(_)), !checks_elapsed, "{told:?}");
    }
}

#[test]
fn servers_that_are_asked_one_by_one_are_waited_for_one_by_one() {
    let mut lab = Lab::new(1, Settings { order: Order::OneByOne, ..five() }, 1, Servers::Ideal);
    lab.reach_only(&[0, 2, 3, 4]);
    lab.acquire(0);
    lab.run_until_ms(100);
    let asked: Vec<(u64, u16)> = lab.sent.iter().map(|&(at, _, node, _)| (at, node.0)).collect();
    // 50 ms for the second, and nobody asks the fifth.
    assert_eq!(asked, [(0, 0), (1000, 1), (51_000, 2), (52_000, 3)]);
    let [Told::Granted(grant)] = lab.told_to(0)[..] else { panic!("{:?}", lab.told) };
    assert_eq!(grant.until.0, LEFT_US, "from before the first request");
}

#[test]
fn attempts_have_their_own_tokens_and_are_apart_by_chance() {
    let mut lab = Lab::new(7, Settings { retries: 3, ..five() }, 2, Servers::Ideal);
    lab.acquire(0);
    lab.run_until_ms(10);
    lab.acquire(1);
    lab.run_until_ms(2000);
    assert_eq!(lab.told_to(1), [Told::Ended(Ended::NotAcquired)]);
    let attempt = |it: &(u64, usize, _, Request)| match it.3 {
        Request::Acquire { token, .. } if it.1 == 1 => Some((token.attempt, it.0)),
        _ => None,
    };
    let mut attempts: Vec<(u64, u64)> = lab.sent.iter().filter_map(attempt).collect();
    attempts.dedup();
    let numbers: Vec<u64> = attempts.iter().map(|it| it.0).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let gaps: Vec<u64> = attempts.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
    assert!(gaps.iter().all(|gap| (200 * MS..=402 * MS).contains(gap)), "{gaps:?}");
    assert!(gaps[0] != gaps[1] || gaps[1] != gaps[2], "{gaps:?}");
}

#[test]
fn one_server_that_fails_is_too_many_for_one_library() {
    let settings = Settings {
        fails_on_error: true,
        order: Order::OneByOne,
        at_quorum: AtQuorum::GoOn,
        retries: 0,
        ..five()
    };
    let mut lab = Lab::new(1, settings, 1, Servers::Ideal);
    lab.reach_only(&[0, 1, 2, 3]);
    lab.acquire(0);
    lab.run_until_ms(1000);
    assert_eq!(lab.told_to(0), [Told::Ended(Ended::NotAcquired)]);
    assert_eq!(keys(&mut lab), 4, "and what was granted is left behind");
}

#[test]
fn the_holder_is_told_at_the_deadline_whatever_is_under_way() {
    let mut lab = Lab::new(1, extending(FailedExtension::Keep), 1, Servers::Ideal);
    lab.acquire(0);
    lab.run_until_ms(2000);
    lab.reach_only(&[]);
    lab.run_until_ms(20_000);
    let lost = lab.told.last().copied();
    assert_eq!(lost, Some((LEFT_US, 0, Told::Ended(Ended::DeadlinePassed))));
    // S21: one that is told when an extension fails, and keeps trying, is never told.
    let late = Settings { loss: LossSignal::Never, ..extending(FailedExtension::Keep) };
    let mut lab = Lab::new(1, late, 1, Servers::Ideal);
    lab.acquire(0);
    lab.run_until_ms(2000);
    lab.reach_only(&[]);
    lab.run_until_ms(20_000);
    assert!(lab.believes(0), "ten seconds after its time is over");
}

#[test]
fn a_lock_is_extended_until_its_holder_has_had_it_long_enough() {
    let mut lab = Lab::new(1, extending(FailedExtension::Keep), 1, Servers::Ideal);
    lab.acquire(0);
    lab.run_until_ms(80_000);
    let told = lab.told_to(0);
    let extended = told.iter().filter(|told| matches!(told, Told::Extended(_))).count();
    assert!((18..=20).contains(&extended), "every 3 of 60 seconds: {extended}");
    assert_eq!(told.last(), Some(&Told::Ended(Ended::DeadlinePassed)));
}

/// The first client is paused for longer than its lock lives; the second one has it meanwhile and
/// gives it back.
fn a_holder_comes_back_late(settings: Settings) -> Lab {
    let mut lab = Lab::new(1, settings, 2, Servers::Ideal);
    lab.acquire(0);
    lab.run_until_ms(2999);
    lab.pause(0, 14_000 * MS);
    lab.run_until_ms(12_000);
    lab.acquire(1);
    lab.run_until_ms(12_500);
    lab.release(1);
    lab.run_until_ms(14_100);
    lab
}

#[test]
fn a_paused_holder_that_comes_back_too_late_has_lost_the_lock_for_good() {
    // S15: nobody has it now, and it does not come back.
    let settings = extending(FailedExtension::Keep);
    let lab = a_holder_comes_back_late(settings);
    assert_eq!(lab.told_to(0).last(), Some(&Told::Ended(Ended::DeadlinePassed)));
    assert_eq!(lab.clients[0].phase(), Phase::Idle);
    let extension = settings.extension.expect("it has one");
    let lab = a_holder_comes_back_late(Settings {
        loss: LossSignal::WhenExtensionFails,
        extension: Some(Extension { recreates: true, ..extension }),
        ..settings
    });
    assert!(lab.is_granted(0), "a library brings it back, and its holder knows of nothing");
}

#[test]
fn an_extension_that_fails_ends_the_lock_only_where_it_is_to() {
    for (failed, told, believes) in [
        (FailedExtension::Keep, None, true),
        (FailedExtension::Release, Some(Ended::ExtensionFailed), false),
        // S17: others may have it now, and the holder goes by the old deadline.
        (FailedExtension::ReleaseSilently, None, true),
    ] {
        let mut lab = Lab::new(1, extending(failed), 2, Servers::Ideal);
        lab.acquire(0);
        lab.run_until_ms(2990);
        lab.reach_only(&[0, 1]);
        lab.run_until_ms(3100);
        let ended = lab.told_to(0)[1..].first().copied();
        assert_eq!(ended, told.map(Told::Ended), "{failed:?}");
        assert_eq!(lab.believes(0), believes, "{failed:?}");
    }
    let mut lab = Lab::new(1, extending(FailedExtension::ReleaseSilently), 2, Servers::Ideal);
    lab.acquire(0);
    lab.run_until_ms(2990);
    for node in [2, 3, 4] {
        lab.delays_us.insert((0, node), 60 * MS);
    }
    lab.run_until_ms(3200);
    lab.acquire(1);
    lab.run_until_ms(3300);
    assert_eq!(lab.overlaps.len(), 1, "{:?}", lab.told);
}

#[test]
fn a_release_that_comes_late_takes_away_what_a_later_attempt_was_granted() {
    // S14: no clock is wrong, nobody is paused, one message is slow.
    for (tokens, breaks) in [(TokenRule::PerAcquisition, true), (TokenRule::PerAttempt, false)] {
        let settings = Settings {
            tokens,
            retries: 1,
            retry_delay_ms: 500,
            retry_jitter_ms: 0,
            ..Settings::redlock(3, TTL_MS)
        };
        let mut lab = Lab::new(1, settings, 3, Servers::Ideal);
        lab.acquire(2);
        lab.run_until_ms(10);
        lab.acquire(0);
        lab.run_until_us(10_500);
        // The release after its first attempt is slow on its way to the second server.
        lab.delays_us.insert((0, 1), 800 * MS);
        lab.run_until_ms(20);
        lab.delays_us.clear();
        lab.run_until_ms(300);
        lab.release(2);
        lab.run_until_ms(400);
        lab.servers[2].is_cut = true;
        lab.run_until_ms(700);
        assert!(lab.is_granted(0), "on two of three: {:?}", lab.told);
        lab.servers[2].is_cut = false;
        lab.run_until_ms(900);
        lab.acquire(1);
        lab.run_until_ms(950);
        assert_eq!(lab.overlaps.len(), usize::from(breaks), "{tokens:?}");
    }
}

#[test]
fn a_lock_with_more_grants_than_it_needs_survives_the_loss_of_one() {
    // S12: three granted, one of them forgets.
    for (settings, breaks) in [(five(), true), (Settings::with_margin(5, TTL_MS), false)] {
        let mut lab = Lab::new(1, settings, 2, Servers::Ideal);
        lab.acquire(1);
        lab.run_until_ms(5);
        // The others' keys come late, and are there when all is said.
        lab.servers[3].is_cut = true;
        lab.servers[4].is_cut = true;
        lab.release(1);
        lab.run_until_ms(60);
        lab.acquire(0);
        lab.run_until_ms(200);
        assert!(lab.is_granted(0));
        lab.reach_only(&[0, 1, 2, 3, 4]);
        for node in [3, 4] {
            lab.forget(node);
        }
        // One that extends its time repairs as well.
        lab.run_until_ms(4000);
        lab.ideal(2).key = None;
        lab.acquire(1);
        lab.run_until_ms(4100);
        assert_eq!(lab.is_granted(1), breaks, "{:?}", lab.told);
        assert_eq!(lab.overlaps.is_empty(), !breaks);
    }
}

#[test]
fn a_clock_that_is_set_back_makes_a_lock_last_longer_than_its_keys() {
    // S20.
    for (clock, breaks) in [(LocalClock::Wall, true), (LocalClock::Monotonic, false)] {
        let mut lab = Lab::new(1, Settings { clock, retries: 0, ..five() }, 2, Servers::Ideal);
        lab.acquire(0);
        lab.run_until_us(600);
        lab.pause(0, 11_000 * MS);
        lab.run_until_ms(10_500);
        lab.step_wall(0, -10_950);
        lab.acquire(1);
        lab.run_until_ms(11_100);
        assert_eq!(lab.is_granted(0), breaks, "{clock:?}: {:?}", lab.told);
        assert_eq!(lab.overlaps.len(), usize::from(breaks));
    }
}

#[test]
fn numbers_go_back_on_several_servers_unless_a_majority_has_them_first() {
    // S29: counters 10, 3, 3 and then a majority without the first.
    for (fencing, expected) in [(Fencing::Counter, [11, 5]), (Fencing::WriteBack, [11, 12])] {
        let settings =
            Settings { fencing, at_quorum: AtQuorum::GoOn, ..Settings::redlock(3, TTL_MS) };
        let mut lab = Lab::new(1, settings, 2, Servers::Ideal);
        for (node, counter) in [10, 3, 3].into_iter().enumerate() {
            lab.ideal(node).counter = counter;
        }
        lab.acquire(0);
        lab.run_until_ms(10);
        lab.release(0);
        lab.run_until_ms(20);
        lab.servers[0].is_cut = true;
        lab.acquire(1);
        lab.run_until_ms(200);
        assert_eq!(lab.fences(), expected, "{fencing:?}");
    }
}

#[test]
fn a_deadline_that_is_counted_from_the_answer_is_later_than_the_keys() {
    let settings = Settings { since: Since::Answer, ..five() };
    let mut lab = Lab::new(1, settings, 1, Servers::Ideal);
    lab.network.least_us = 20 * MS;
    lab.network.most_us = 20 * MS;
    lab.acquire(0);
    lab.run_until_ms(100);
    let [Told::Granted(grant)] = lab.told_to(0)[..] else { panic!("{:?}", lab.told) };
    assert_eq!(grant.until.0, 40 * MS + LEFT_US);
}

#[test]
fn whoever_gives_up_gives_everything_back() {
    let mut lab = Lab::new(1, Settings { cleanup: Cleanup::Nowhere, ..five() }, 1, Servers::Ideal);
    lab.acquire(0);
    lab.run_until_us(700);
    assert!(lab.release(0), "while it is acquired");
    lab.run_until_ms(200);
    assert_eq!(lab.told_to(0), [Told::Ended(Ended::Released)]);
    assert_eq!(keys(&mut lab), 0);
    assert_eq!(lab.clients[0].due(), None);
}
