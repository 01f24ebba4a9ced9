//! One world of the atlas: clients that use a lock again and again while things go wrong.
//!
//! Invariant: it ends, whatever the values are: after so many grants, or so much time.

use orrery_engine::Seed;
use orrery_engine::lock::Client;

use super::super::algorithm::Algorithm;
use super::super::judge::Figures;
use super::super::lab::{Event, Lab, Network, Servers};
use super::super::story::{What, Who};
use super::super::work::Again;
use super::parameters::Values;
use crate::chance::{Chance, Key, Stream};

/// A world in which nothing is granted any more ends after so much time a grant that was wanted.
const US_PER_GRANT_MAX: u64 = 10_000_000;
/// A client that is gone comes back, as another, after so long.
const RESTART_US: u64 = 100_000;

/// Something that comes again and again.
struct Trouble {
    every_us: u64,
    next_us: u64,
    count: u64,
    key: Key,
}

impl Trouble {
    fn new(every_ms: u64, chance: Chance, who: u64) -> Self {
        let mut trouble = Self {
            every_us: every_ms * 1000,
            next_us: 0,
            count: 0,
            key: chance.key(Stream::Fault, who),
        };
        trouble.pass();
        trouble
    }

    /// The next comes after half to one and a half of the time.
    fn pass(&mut self) {
        self.count += 1;
        let wait_us = self.every_us / 2 + self.key.at(self.count).below(self.every_us + 1);
        let never = self.every_us == 0;
        self.next_us = if never { u64::MAX } else { self.next_us.saturating_add(wait_us) };
    }
}

/// Lets one world happen, for so many grants, and says what was seen.
pub(super) fn world(
    algorithm: &Algorithm,
    servers: Servers,
    values: &Values,
    seed: u64,
    grants: u64,
) -> Figures {
    let chance = Chance::new(seed);
    let mut lab = lab(algorithm, servers, values, seed);
    let clients = lab.clients.len();
    let mut pauses: Vec<Trouble> = (0..clients as u64)
        .map(|client| Trouble::new(values.of("pause-every"), chance, client))
        .collect();
    let mut others = [
        Trouble::new(values.of("step-every"), chance, 1000),
        Trouble::new(values.of("forget-every"), chance, 1001),
        Trouble::new(values.of("crash-every"), chance, 1002),
    ];
    let (pause_us, step_ms) = (values.of("pause") * 1000, values.of("clock-step") as i64);
    let end_us = grants * US_PER_GRANT_MAX;
    let mut crashed = 0;
    while lab.figures().grants < grants && lab.now_us < end_us {
        let next = pauses.iter().chain(&others).map(|trouble| trouble.next_us).min();
        let next_us = next.unwrap_or(u64::MAX).min(end_us);
        lab.run_until_grants(next_us, grants);
        if lab.figures().grants >= grants {
            break;
        }
        lab.now_us = next_us;
        for (client, trouble) in pauses.iter_mut().enumerate() {
            if trouble.next_us <= next_us {
                if pause_us > 0 {
                    lab.strike(Who::Client(client), What::Pause { for_us: pause_us });
                }
                trouble.pass();
            }
        }
        let [steps, forgets, crashes] = &mut others;
        let nodes = lab.servers.len() as u64;
        if let Some(first) = due(steps, next_us, nodes).filter(|_| step_ms > 0) {
            for further in 0..values.of("step-servers").min(nodes) {
                let node = (first + further as usize) % nodes as usize;
                lab.strike(Who::Node(node), What::Clock { by_ms: step_ms });
            }
        }
        if let Some(node) = due(forgets, next_us, nodes) {
            lab.strike(Who::Node(node), What::Forget);
        }
        if let Some(client) = due(crashes, next_us, clients as u64) {
            crashed += 1;
            lab.restart(client, seed.wrapping_add(crashed << 32), RESTART_US);
        }
    }
    lab.finish(values.of("ttl") * 1000);
    lab.figures().clone()
}

/// Who is concerned, if the trouble is due.
fn due(trouble: &mut Trouble, now_us: u64, of: u64) -> Option<usize> {
    if trouble.next_us > now_us {
        return None;
    }
    let whom = trouble.key.at(trouble.count ^ 1 << 40).below(of);
    trouble.pass();
    Some(whom as usize)
}

fn lab(algorithm: &Algorithm, servers: Servers, values: &Values, seed: u64) -> Lab {
    let nodes = if algorithm.is_single { 1 } else { values.of("nodes") as u16 };
    let settings = (algorithm.settings)(nodes, values.of("ttl"));
    let mut lab = Lab::new(seed, settings, values.of("clients") as usize, servers)
        .with_fences(algorithm.fences)
        .without_records();
    if algorithm.names_owners {
        lab = lab.with_owners();
    }
    let delay_us = values.of("delay");
    lab.network = Network {
        least_us: delay_us.div_ceil(4),
        most_us: delay_us,
        slow_one_in: values.of("slow"),
        lost_one_in: values.of("loss"),
    };
    lab.habits.looks = algorithm.looks;
    lab.habits.is_pooled = algorithm.is_pooled;
    lab.habits.gap_us = values.of("gap");
    let (work_us, think_us) = (values.of("work") * 1000, values.of("think") * 1000);
    lab.habits.again = Some(Again { work_us, think_us });
    let rates = Chance::new(seed).key(Stream::Clock, 0);
    for node in 0..lab.servers.len() {
        let by_ppm = rates.at(node as u64).below(values.of("drift") + 1) as i64;
        if by_ppm > 0 {
            lab.strike(Who::Node(node), What::Rate { by_ppm });
        }
    }
    for client in 0..lab.clients.len() {
        let at_us = rates.at(1000 + client as u64).below(think_us + 1);
        lab.post(at_us, Event::Begins(client));
    }
    lab
}

impl Lab {
    /// A client is gone, and comes back as another one after a while.
    fn restart(&mut self, client: usize, identity: u64, after_us: u64) {
        self.judge.crashed(self.now_us, client);
        self.judge.is_back(client);
        let settings = *self.clients[client].settings();
        let identity = u128::from(identity) << 8 | client as u128;
        self.clients[client] = Client::new(settings, identity, Seed(identity as u64));
        self.hosts[client].starts_again();
        self.post(self.now_us + after_us, Event::Begins(client));
    }
}
