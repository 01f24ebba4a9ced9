//! How good the choice of keys is, on requests whose popularity follows Zipf's law.

use orrery_engine::rng::Rng;
use orrery_engine::{ConnId, Seed};
use orrery_tests::server_in_process::Server;

use super::{limit_above, server};

const KEYS: usize = 20_000;
const REQUESTS: usize = 120_000;
/// Requests in one second.
const RATE: usize = 400;

/// Draws keys: the i-th most popular with a probability like 1 / i.
struct Zipf {
    sums: Vec<f64>,
    rng: Rng,
}

impl Zipf {
    fn new() -> Self {
        let mut sum = 0.0;
        let add = |index| {
            sum += 1.0 / index as f64;
            sum
        };
        Self { sums: (1..=KEYS).map(add).collect(), rng: Rng::new(Seed(3), "zipf") }
    }

    fn draw(&mut self) -> usize {
        let total = self.sums[KEYS - 1];
        let at = (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 * total;
        self.sums.partition_point(|&sum| sum < at).min(KEYS - 1)
    }
}

/// A cache in front of something slow: what is not there is set. Returns the share of hits in the
/// second half.
fn hit_rate(server: &mut Server, conn: ConnId) -> f64 {
    let mut zipf = Zipf::new();
    let value = "v".repeat(100);
    let (mut hits, mut count) = (0, 0);
    for request in 0..REQUESTS {
        let key = zipf.draw();
        let is_there = server.send(conn, format!("GET k:{key}\r\n").as_bytes()) != b"$-1\r\n";
        if !is_there {
            server.send(conn, format!("SET k:{key} {value}\r\n").as_bytes());
        }
        if request >= REQUESTS / 2 {
            count += 1;
            hits += usize::from(is_there);
        }
        if request % RATE == 0 {
            server.advance_ms(1000);
        }
    }
    hits as f64 / count as f64
}

/// The hit rate of a policy with room for a tenth of the keys.
fn measured(policy: &str) -> f64 {
    let (mut server, conn) = server(&[("maxmemory-policy", policy)]);
    limit_above(&mut server, conn, KEYS / 10 * 150);
    let rate = hit_rate(&mut server, conn);
    server.engine().check_invariants();
    rate
}

#[test]
fn policies_that_watch_keys_are_better_than_chance() {
    let (random, lru, lfu) =
        (measured("allkeys-random"), measured("allkeys-lru"), measured("allkeys-lfu"));
    // A cache of the most popular tenth would have 78 % of hits, one in the order of use 68 %.
    assert!(random > 0.55 && lru > random + 0.03 && lfu > lru + 0.02, "{random} {lru} {lfu}");
}
