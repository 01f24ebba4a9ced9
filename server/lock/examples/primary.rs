//! A lock on whichever server is primary now, and what that does not promise.
//!
//! `cargo run -p orrery-lock --example primary -- redis://a redis://b`, or, with sentinels and the
//! name that they know the primary by,
//! `cargo run -p orrery-lock --example primary -- shop redis://s1:26379 redis://s2:26379`

use std::error::Error;
use std::time::Duration;

use orrery_lock::Locks;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let builder = Locks::builder().ttl(Duration::from_secs(1));
    let builder = if words.first().is_some_and(|word| !word.contains("://")) {
        let name = words.remove(0);
        builder.sentinels(name, words)
    } else {
        builder.primary_among(words)
    };
    let locks = builder.build().await?;
    // There is always one: a lock that a replica never heard of may be granted twice.
    for warning in locks.warnings() {
        println!("warning: {warning}");
    }
    for _ in 0..3 {
        let guard = locks.lock("example:stock").await?;
        for found in locks.look("example:stock").await? {
            println!("token {}, {found}", guard.token());
        }
        // Kill the primary here and let the replica take over: the next turn is there.
        if let Err(lost) = guard.run(tokio::time::sleep(Duration::from_millis(200))).await {
            println!("{lost}");
        }
        guard.release().await.unwrap_or_else(|lost| println!("{lost}"));
    }
    Ok(())
}
