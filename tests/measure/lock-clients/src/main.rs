//! Takes and gives back a lock that nobody else wants, so many times, with one of two libraries:
//! `orrery-lock-clients LIBRARY PAIRS ADDRESS...`.
//!
//! Prints one line of JSON: the time of a pair at the middle and at the 99th percentile, and the
//! CPU time of this process for each pair, in microseconds. A tenth of as many pairs before are not
//! counted.

use std::time::{Duration, Instant};

use orrery_lock::Locks;
use rslock::LockManager;
use rustix::time::{ClockId, clock_gettime};

const TTL: Duration = Duration::from_secs(30);
const NAME: &str = "measured";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [library, pairs, addresses @ ..] = &words[..] else { panic!("LIBRARY PAIRS ADDRESS...") };
    let pairs: usize = pairs.parse().expect("a number of pairs");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    runtime.block_on(async {
        match library.as_str() {
            // Waits until the release is confirmed, as the others do.
            "orrery-lock" => orrery_lock(pairs, addresses, true).await,
            // Gives back in the background, as a dropped guard does.
            "orrery-lock-drop" => orrery_lock(pairs, addresses, false).await,
            "rslock" => with_rslock(pairs, addresses).await,
            other => panic!("no library {other}"),
        }
    });
}

async fn orrery_lock(pairs: usize, addresses: &[String], waits: bool) {
    let builder = addresses.iter().fold(Locks::builder().ttl(TTL), |it, address| it.node(address));
    let locks = builder.build().await.unwrap_or_else(|refusal| panic!("{refusal}"));
    let mut meter = Meter::new(pairs);
    for _ in 0..meter.all() {
        meter.begin();
        let guard = locks.lock(NAME).await.expect("nobody else wants it");
        if waits {
            guard.release().await.expect("it was held");
        } else {
            drop(guard);
        }
        meter.end();
    }
    meter.print();
}

async fn with_rslock(pairs: usize, addresses: &[String]) {
    let manager = LockManager::new(addresses.to_vec());
    let mut meter = Meter::new(pairs);
    for _ in 0..meter.all() {
        meter.begin();
        let lock = manager.lock(NAME, TTL).await.expect("nobody else wants it");
        manager.unlock(&lock).await;
        meter.end();
    }
    meter.print();
}

struct Meter {
    pairs: usize,
    warm_up: usize,
    began: Instant,
    spans: Vec<Duration>,
    cpu: Duration,
}

impl Meter {
    fn new(pairs: usize) -> Self {
        let (warm_up, began) = (pairs.div_ceil(10), Instant::now());
        Self { pairs, warm_up, began, spans: Vec::new(), cpu: Duration::ZERO }
    }

    fn all(&self) -> usize {
        self.warm_up + self.pairs
    }

    fn begin(&mut self) {
        if self.spans.len() == self.warm_up {
            self.cpu = cpu_time();
        }
        self.began = Instant::now();
    }

    fn end(&mut self) {
        self.spans.push(self.began.elapsed());
    }

    fn print(mut self) {
        let cpu = cpu_time() - self.cpu;
        let mut spans = self.spans.split_off(self.warm_up);
        spans.sort_unstable();
        let at = |share: usize| spans[(spans.len() * share / 1000).min(spans.len() - 1)];
        let micros = |span: Duration| span.as_secs_f64() * 1e6;
        let (middle, late) = (micros(at(500)), micros(at(990)));
        let cpu = micros(cpu) / self.pairs as f64;
        println!("{{\"p50_us\": {middle:.1}, \"p99_us\": {late:.1}, \"cpu_us\": {cpu:.2}}}");
    }
}

/// Of all threads of this process, by the kernel and by itself.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
