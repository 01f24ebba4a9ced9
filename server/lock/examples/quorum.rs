//! A lock on a majority of several servers, and work that ends when the lock is lost.
//!
//! `cargo run -p orrery-lock --example quorum -- redis://a redis://b redis://c`

use std::error::Error;
use std::time::Duration;

use orrery_lock::Locks;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut builder = Locks::builder().ttl(Duration::from_secs(1));
    for address in std::env::args().skip(1) {
        builder = builder.node(address);
    }
    // Nothing is extended, to show what happens at the deadline.
    let locks = builder.without_extension().build().await?;
    let both = locks.lock_many(["example:from", "example:to"]).await?;
    println!("held, tokens {:?} and {:?}", both.token("example:from"), both.token("example:to"));
    let work = async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        "done"
    };
    match both.run(work).await {
        Ok(done) => println!("{done}"),
        Err(lost) => println!("the work was ended: {lost}"),
    }
    for found in locks.look("example:from").await? {
        println!("{found}");
    }
    Ok(())
}
