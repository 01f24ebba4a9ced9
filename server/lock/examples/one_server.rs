//! A lock on one server, work under it, and a store that refuses who comes late.
//!
//! `cargo run -p orrery-lock --example one_server -- redis://127.0.0.1:6379`

use std::error::Error;
use std::time::Duration;

use orrery_lock::Locks;

/// What the lock is for: it remembers the highest token and takes nothing from who has a lower.
#[derive(Default)]
struct Store {
    newest: u64,
    stock: u32,
}

impl Store {
    fn put(&mut self, token: u64, stock: u32) -> Result<(), String> {
        if token < self.newest {
            return Err(format!("token {token} is older than {}", self.newest));
        }
        (self.newest, self.stock) = (token, stock);
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("which server?")?;
    let locks = Locks::builder().node(address).ttl(Duration::from_millis(500)).build().await?;
    for warning in locks.warnings() {
        println!("warning: {warning}");
    }
    let mut store = Store::default();

    let first = locks.lock("example:stock").await?;
    println!("held, token {}, for {:?} or longer", first.token(), first.deadline().left());
    // Twice as long as the lock lives: it is extended meanwhile.
    first.run(tokio::time::sleep(Duration::from_secs(1))).await?;
    store.put(first.token(), 9)?;
    let late = first.token();
    first.release().await?;

    let second = locks.lock("example:stock").await?;
    store.put(second.token(), 8)?;
    println!("a late holder is refused: {}", store.put(late, 7).unwrap_err());
    println!("{} left; {:?}", store.stock, locks.metrics());
    Ok(())
}
