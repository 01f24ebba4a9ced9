//! Many who want the same: served in the order in which they came.
//!
//! `cargo run -p orrery-lock --example queue -- redis://127.0.0.1:6379`

use std::error::Error;

use orrery_lock::Locks;
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("which server?")?;
    let locks = Locks::builder().node(address).build().await?;
    let lock = locks.fair("example:queue")?;
    let mut tasks = JoinSet::new();
    for number in 0..10 {
        let lock = lock.clone();
        tasks.spawn(async move {
            let guard = lock.lock().await?;
            println!("number {number} has token {}", guard.token());
            guard.release().await.expect("nobody waits so long here");
            Ok::<(), orrery_lock::LockError>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    // Three at a time.
    let pool = locks.semaphore("example:pool", 3)?;
    let permits = (pool.acquire().await?, pool.acquire().await?, pool.acquire().await?);
    println!("a fourth permit: {}", pool.try_acquire().await.unwrap_err());
    drop(permits);
    Ok(())
}
