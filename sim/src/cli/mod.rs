//! The command line of `orrery-sim`: one file for each subcommand.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod check;
mod locks;
mod replay;
mod run;
mod swarm;
mod turmoil;

pub(crate) use run::loss_in_words;

/// Simulates Orrery under faults and judges what clients saw.
#[derive(Debug, Parser)]
#[command(name = "orrery-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Arguments>),
    Swarm(swarm::Arguments),
    Turmoil(turmoil::Arguments),
    Check(check::Arguments),
    Replay(replay::Arguments),
    Locks(locks::Arguments),
}

/// Runs the command line and gives the status to exit with.
#[must_use]
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Swarm(arguments) => swarm::run(&arguments),
        Command::Turmoil(arguments) => turmoil::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Locks(arguments) => locks::run(&arguments),
    }
}

/// A reader that went away (`| head`) is no reason to panic or to change the status.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
