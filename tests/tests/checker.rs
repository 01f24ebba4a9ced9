//! The linearizability checker against a brute-force oracle and against public histories.
//!
//! The oracle tries every order and every choice of who had expired, and solves the time
//! constraints of each by relaxation; it shares nothing with the checker but the history types.

#[path = "checker/commands.rs"]
mod commands;
#[path = "checker/generate.rs"]
mod generate;
#[path = "checker/oracle.rs"]
mod oracle;
#[path = "checker/public_histories.rs"]
mod public_histories;
#[path = "checker/random_histories.rs"]
mod random_histories;
#[path = "checker/readers.rs"]
mod readers;
