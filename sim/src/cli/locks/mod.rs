//! `orrery-sim locks`: what is done with lock algorithms.

use std::process::ExitCode;

use clap::Subcommand;

mod atlas;

/// Lock algorithms: how they fail, and how often.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Atlas(atlas::Arguments),
}

/// Runs the subcommand.
pub(super) fn run(command: &Command) -> ExitCode {
    match command {
        Command::Atlas(arguments) => atlas::run(arguments),
    }
}
