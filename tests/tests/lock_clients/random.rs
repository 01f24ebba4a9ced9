//! Chance: many short worlds in which messages are slow and lost and clients are paused.
//!
//! Safe settings never let two clients take the lock for theirs, and their numbers never go back;
//! the same worlds find each of the faults that are planted.

use orrery_engine::Seed;
use orrery_engine::lock::{
    AtQuorum, Cleanup, Doubt, Drift, Expiry, Extension, FailedExtension, Fencing, LocalClock,
    LossSignal, Order, Phase, Replicas, Settings, Since, TokenRule,
};
use orrery_engine::rng::Rng;

use orrery_sim::locks::{Lab, Network, Servers, Told};

const MS: u64 = 1000;

const TTL_MS: u64 = 400;
const WORLDS: u64 = 300;

/// Clients that acquire, work and release, or are paused, for four seconds.
fn run(seed: u64, settings: Settings) -> Lab {
    let clients = 3;
    let mut lab = Lab::new(seed, settings, clients, Servers::Ideal);
    let mut draw = Rng::new(Seed(seed), "story");
    lab.network = Network { least_us: 100, most_us: 4000, slow_one_in: 12, lost_one_in: 40 };
    let mut busy_until = vec![0; clients];
    for step in 1..400 {
        lab.run_until_us(step * 10 * MS);
        for (client, busy_until) in busy_until.iter_mut().enumerate() {
            if lab.is_paused(client) || *busy_until > lab.now_us {
                continue;
            }
            *busy_until = lab.now_us + draw.below(300 * MS);
            match lab.clients[client].phase() {
                _ if draw.chance(1, 8) => {
                    let lasts_us = draw.below(3 * TTL_MS * MS);
                    lab.pause(client, lab.now_us + lasts_us);
                }
                Phase::Idle => lab.acquire(client),
                Phase::Holding => {
                    lab.release(client);
                }
                _ => {}
            }
        }
    }
    lab
}

fn settings() -> Settings {
    Settings {
        node_timeout_ms: 20,
        retries: 5,
        retry_delay_ms: 20,
        retry_jitter_ms: 40,
        ..Settings::fenced(5, TTL_MS)
    }
}

fn overlaps(settings: Settings) -> usize {
    (0..WORLDS).map(|seed| run(seed, settings).overlaps.len()).sum()
}

#[test]
fn with_good_clocks_no_two_clients_take_a_lock_for_theirs_and_numbers_only_grow() {
    for settings in [
        settings(),
        Settings { nodes: 3, quorum: 2, ..settings() },
        Settings { nodes: 1, quorum: 1, ..settings() },
        Settings { extension: None, ..settings() },
        Settings { fencing: Fencing::Proposed, ..settings() },
        Settings { fencing: Fencing::Proposed, nodes: 3, quorum: 2, ..settings() },
    ] {
        let mut grants = 0;
        for seed in 0..WORLDS {
            let lab = run(seed, settings);
            assert_eq!(lab.overlaps, [], "seed {seed}");
            let fences = lab.fences();
            assert!(fences.is_sorted_by(|one, next| one < next), "seed {seed}: {fences:?}");
            grants += fences.len();
        }
        assert!(grants > 1000, "something was granted: {grants}");
    }
}

#[test]
fn what_is_planted_is_found() {
    let extension = settings().extension.expect("it has one");
    let with = |extension: Extension| Settings { extension: Some(extension), ..settings() };
    let planted = [
        ("a quorum of two", Settings { quorum: 2, ..settings() }),
        ("releases that look at nothing", Settings { checks_release: false, ..settings() }),
        ("time from the answer", Settings { since: Since::Answer, ..settings() }),
        (
            "one token for all attempts",
            Settings { tokens: TokenRule::PerAcquisition, extension: None, ..settings() },
        ),
        (
            "a loss that is told late",
            Settings { loss: LossSignal::WhenExtensionFails, ..settings() },
        ),
        (
            "given back silently",
            with(Extension { failed: FailedExtension::ReleaseSilently, ..extension }),
        ),
    ];
    for (what, settings) in planted {
        assert!(overlaps(settings) > 0, "{what} is not found");
    }
    let is_over_when_granted = |seed| {
        let settings = Settings { checks_elapsed: false, ..settings() };
        run(seed, settings)
            .told
            .iter()
            .any(|&(at, _, told)| matches!(told, Told::Granted(grant) if grant.until.0 <= at))
    };
    assert!((0..WORLDS).any(is_over_when_granted), "no step 3");
    let goes_back = |seed| {
        let settings = Settings { fencing: Fencing::Counter, ..settings() };
        !run(seed, settings).fences().is_sorted_by(|one, next| one < next)
    };
    assert!((0..WORLDS).any(goes_back), "numbers without a second round");
}

#[test]
fn what_is_dangerous_about_how_keys_end_is_said() {
    let with = |expiry: Expiry| Settings { expiry, ..settings() }.doubts();
    assert_eq!(with(Expiry::WithKey), []);
    assert_eq!(with(Expiry::Never), [Doubt::Endless]);
    assert_eq!(with(Expiry::Afterwards), [Doubt::Endless, Doubt::BlindExpiry]);
    assert_eq!(with(Expiry::ShortenedAfterwards), [Doubt::BlindExpiry]);
    assert_eq!(with(Expiry::AtClientTime), [Doubt::ClientTime]);
    let torn = Settings { looks_before_release: true, ..settings() };
    assert_eq!(torn.doubts(), [Doubt::TornRelease]);
    let lasting = Settings { extends_released: true, ..settings() };
    assert_eq!(lasting.doubts(), [Doubt::LastingExtension]);
    assert_eq!(Settings { extension: None, ..lasting }.doubts(), [], "there is nothing to last");
    let replicated = |needed, none_will_do| {
        let replicas = Some(Replicas { needed, timeout_ms: 5, none_will_do });
        Settings { replicas, ..settings() }.doubts()
    };
    assert_eq!(replicated(0, false), [Doubt::Failover]);
    assert_eq!(replicated(1, false), [Doubt::OtherReplicas]);
    assert_eq!(replicated(1, true), [Doubt::OtherReplicas, Doubt::NoReplicas]);
}

/// Settings of any kind, but for those that are no lock at all.
fn drawn(draw: &mut Rng) -> Settings {
    let mut one_of = |most: u64| draw.below(most + 1);
    let nodes = 1 + one_of(6) as u16;
    let extension = Extension {
        every_ms: 1 + one_of(500),
        held_ms_max: one_of(2000),
        recreates: one_of(1) == 0,
        repairs: one_of(1) == 0,
        failed: [FailedExtension::Keep, FailedExtension::Release, FailedExtension::ReleaseSilently]
            [one_of(2) as usize],
    };
    let node_timeout_ms = 1 + one_of(40);
    let replicas = Replicas {
        needed: one_of(2) as u16,
        timeout_ms: 1 + one_of(node_timeout_ms - 1),
        none_will_do: one_of(1) == 0,
    };
    Settings {
        nodes,
        quorum: 1 + one_of(u64::from(nodes) - 1) as u16,
        ttl_ms: 10 + one_of(600),
        drift: Drift { per_mille: one_of(100) as u32, plus_ms: one_of(5) },
        order: [Order::OneByOne, Order::AllAtOnce][one_of(1) as usize],
        node_timeout_ms,
        retries: one_of(4) as u32,
        retry_delay_ms: one_of(50),
        retry_jitter_ms: one_of(50),
        tokens: [TokenRule::PerAttempt, TokenRule::PerAcquisition][one_of(1) as usize],
        at_quorum: [AtQuorum::Stop, AtQuorum::GoOn][one_of(1) as usize],
        since: [Since::Attempt, Since::Acquisition, Since::Answer][one_of(2) as usize],
        checks_elapsed: one_of(1) == 0,
        fails_on_error: one_of(1) == 0,
        cleanup: [Cleanup::Everywhere, Cleanup::WhereGranted, Cleanup::Nowhere][one_of(2) as usize],
        clock: [LocalClock::Monotonic, LocalClock::Wall][one_of(1) as usize],
        checks_release: one_of(1) == 0,
        extension: Some(extension).filter(|_| one_of(2) > 0),
        loss: [LossSignal::AtDeadline, LossSignal::WhenExtensionFails, LossSignal::Never]
            [one_of(2) as usize],
        fencing: [Fencing::None, Fencing::Counter, Fencing::WriteBack, Fencing::Proposed]
            [one_of(3) as usize],
        expiry: [
            Expiry::WithKey,
            Expiry::Afterwards,
            Expiry::ShortenedAfterwards,
            Expiry::AtClientTime,
            Expiry::Never,
        ][one_of(4) as usize],
        looks_before_release: one_of(1) == 0,
        extends_released: one_of(1) == 0,
        replicas: Some(replicas).filter(|_| one_of(1) == 0),
    }
}

#[test]
fn whatever_the_settings_are_they_can_be_driven_and_every_grant_ends_once() {
    let mut draw = Rng::new(Seed(1), "settings");
    let (mut grants, mut doubtful) = (0, 0);
    for seed in 0..2 * WORLDS {
        let settings = drawn(&mut draw);
        assert_eq!(settings.problem(), None, "{settings:?}");
        doubtful += usize::from(!settings.doubts().is_empty());
        let lab = run(seed, settings);
        for client in 0..lab.clients.len() {
            let mut holds = false;
            for told in lab.told_to(client) {
                match told {
                    Told::Granted(_) => assert!(!holds, "twice: seed {seed} {settings:?}"),
                    Told::Extended(_) => assert!(holds, "nothing: seed {seed} {settings:?}"),
                    Told::Ended(_) => {}
                }
                holds = !matches!(told, Told::Ended(_));
                grants += usize::from(matches!(told, Told::Granted(_)));
            }
        }
    }
    assert!(grants > 1000 && doubtful > 500, "{grants} {doubtful}");
}
