//! `orrery-sim`: what it can do is in `orrery_sim::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    orrery_sim::cli::main()
}
