//! `orrery-sim locks`: what is found out about locks, one file for each subcommand.

use std::process::ExitCode;

use clap::{Args, Subcommand};

mod atlas;
mod choice;
mod exhaustive;
mod page;
mod run;
mod shrink;
mod swarm;
mod zoo;

/// Find out what locks keep and what breaks them.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Atlas(Box<atlas::Arguments>),
    Exhaustive(exhaustive::Arguments),
    Run(run::Arguments),
    Zoo(zoo::Arguments),
    Swarm(swarm::Arguments),
    Shrink(shrink::Arguments),
    Page(page::Arguments),
}

/// Runs the subcommand.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.command {
        Command::Atlas(arguments) => atlas::run(arguments),
        Command::Exhaustive(arguments) => exhaustive::run(arguments),
        Command::Run(arguments) => run::run(arguments),
        Command::Zoo(arguments) => zoo::run(arguments),
        Command::Swarm(arguments) => swarm::run(arguments),
        Command::Shrink(arguments) => shrink::run(arguments),
        Command::Page(arguments) => page::run(arguments),
    }
}
