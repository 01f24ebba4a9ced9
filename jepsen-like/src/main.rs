//! `orrery-jepsen`: what it can do is in `orrery_jepsen::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    orrery_jepsen::cli::main()
}
