//! `orrery-sim locks page`: a story as a page that shows what happened.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::choice::{load, named};
use crate::cli::print;
use crate::locks::{Algorithm, RUNS_MAX, happen, page, shrink};

const EXAMPLES: &str = "\
Examples:
  orrery-sim locks page S12 --algorithm redlock --out S12.html
  orrery-sim locks page found.story --algorithm redlock --out found.html
  orrery-sim locks page found.story --algorithm redlock --shrink --out small.html

Exit status: 0 the page is written and nothing is broken, 1 it is written and something is, 2 usage
or a file that cannot be read or written.";

/// Write a page that shows a story as it happens: it needs nothing but a browser.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The name of a story of the catalogue, or a file.
    #[arg(value_name = "STORY")]
    story: String,
    /// With which algorithm it happens.
    #[arg(long, value_name = "NAME", value_parser = named)]
    algorithm: &'static Algorithm,
    /// Where the page goes; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Make the story as small as it can be first, keeping the first invariant that it breaks.
    #[arg(long)]
    shrink: bool,
}

/// Runs the subcommand.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let algorithm = arguments.algorithm;
    let mut story = match load(&arguments.story, algorithm) {
        Ok(story) => story,
        Err(why) => {
            eprintln!("orrery-sim: {why}");
            return ExitCode::from(2);
        }
    };
    let broken = happen(&story, algorithm, false).broken();
    if let (true, Some(&invariant)) = (arguments.shrink, broken.first())
        && let Some(small) = shrink(&story, algorithm, invariant, RUNS_MAX)
    {
        story = small.story;
    }
    let text = page(&story, algorithm);
    if arguments.out.as_os_str() == "-" {
        print(&text);
    } else if let Err(error) = std::fs::write(&arguments.out, text) {
        eprintln!("orrery-sim: {}: {error}", arguments.out.display());
        return ExitCode::from(2);
    }
    ExitCode::from(u8::from(!broken.is_empty()))
}
