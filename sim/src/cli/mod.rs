//! The command line of `orrery-sim`: one file for each subcommand.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod check;

/// Simulates Orrery under faults and judges what clients saw.
#[derive(Debug, Parser)]
#[command(name = "orrery-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Arguments),
}

/// Runs the command line and gives the status to exit with.
#[must_use]
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check(arguments) => check::run(&arguments),
    }
}
