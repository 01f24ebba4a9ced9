//! `orrery-sim locks atlas`: how often locks fail, over two parameters of the world.

use std::fs::{self, OpenOptions};
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use orrery_engine::time::TtlClock;

use super::choice::named;
use crate::cli::print;
use crate::locks::atlas::{
    Axis, PARAMETERS, Point, Sweep, Values, page, picture, read_table, write_head, write_point,
};
use crate::locks::{ALGORITHMS, Algorithm, Servers};

const EXAMPLES: &str = "\
Examples:
  orrery-sim locks atlas
  orrery-sim locks atlas --x pause=0,500,1000,2000 --y work=0,50,200 --algorithms redlock,fenced
  orrery-sim locks atlas --x drift=0,1000,10000,50000 --y ttl=1000,10000 --set work=500
  orrery-sim locks atlas --acquisitions 10000 --out quick
  orrery-sim locks atlas --parameters

The folder gets atlas.csv, atlas.html and pictures. A sweep that was interrupted goes on where it
was when it is begun again with the same settings.

Exit status: 0 fine, 1 files cannot be read or written, 2 usage.";

/// Sweep two parameters of the world and measure how often locks fail.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    /// What changes across.
    #[arg(long, value_name = "NAME=A,B,C", value_parser = Axis::read,
          default_value = "clock-step=0,5,10,15,20,50,100,300,600,1000")]
    x: Axis,
    /// What changes upwards.
    #[arg(long, value_name = "NAME=A,B,C", value_parser = Axis::read,
          default_value = "pause=0,50,200,500,800,900,1000,1200,2000,5000")]
    y: Axis,
    /// The lock algorithms, by name.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = named,
          default_value = "redlock,redlock-margin,fenced")]
    algorithms: Vec<&'static Algorithm>,
    /// Acquisitions a point.
    #[arg(long, value_name = "N", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    acquisitions: u64,
    /// Another value of a parameter, for all points.
    #[arg(long, value_name = "NAME=N", value_parser = Axis::read)]
    set: Vec<Axis>,
    /// The lock servers: ideal-wall, ideal, engines-wall, engines. Those of `wall` follow the time
    /// of day, as in Redis.
    #[arg(long, value_name = "KIND", value_parser = servers, default_value = "ideal-wall")]
    servers: Servers,
    /// What chance begins with.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Threads; as many as there are processors if not given.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// The folder.
    #[arg(long, value_name = "DIR", default_value = "atlas")]
    out: PathBuf,
    /// Name the parameters and algorithms, and do nothing else.
    #[arg(long)]
    parameters: bool,
}

fn servers(name: &str) -> Result<Servers, String> {
    Ok(match name {
        "ideal-wall" => Servers::IdealWall,
        "ideal" => Servers::Ideal,
        "engines-wall" => Servers::Engines(TtlClock::Wall),
        "engines" => Servers::Engines(TtlClock::Monotonic),
        _ => return Err("servers are ideal-wall, ideal, engines-wall or engines".to_owned()),
    })
}

/// Runs the subcommand.
pub(in crate::cli) fn run(arguments: &Arguments) -> ExitCode {
    if arguments.parameters {
        print(&names());
        return ExitCode::SUCCESS;
    }
    let sweep = match sweep(arguments) {
        Ok(sweep) => sweep,
        Err(why) => {
            eprintln!("orrery-sim: {why}");
            return ExitCode::from(2);
        }
    };
    if let Some(jobs) = arguments.jobs {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs.max(1)).build_global();
        drop(pool);
    }
    match measure(&sweep, &arguments.out) {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("orrery-sim: {why}");
            ExitCode::FAILURE
        }
    }
}

fn names() -> String {
    let mut text = String::from("Parameters:\n");
    for parameter in PARAMETERS {
        text += &format!(
            "  {:<13} {} (if not given: {})\n",
            parameter.name, parameter.words, parameter.default
        );
    }
    text.push_str("\nAlgorithms:\n");
    for algorithm in ALGORITHMS {
        text += &format!("  {:<18} {}\n", algorithm.name, algorithm.words);
    }
    text
}

fn sweep(arguments: &Arguments) -> Result<Sweep, String> {
    let axes = [arguments.x.clone(), arguments.y.clone()];
    if axes[0].place == axes[1].place {
        return Err(format!("{} cannot change in both directions", axes[0].name()));
    }
    let mut values = Values::default();
    for set in &arguments.set {
        let &[value] = &set.values[..] else {
            return Err(format!("--set gives {} one value", set.name()));
        };
        if axes.iter().any(|axis| axis.place == set.place) {
            return Err(format!("{} is one of the axes and cannot be set", set.name()));
        }
        values = values.with(set.place, value)?;
    }
    let sweep = Sweep {
        axes,
        algorithms: arguments.algorithms.clone(),
        values,
        servers: arguments.servers,
        seed: arguments.seed,
        acquisitions: arguments.acquisitions,
    };
    sweep.problem().map_or(Ok(sweep), Err)
}

/// Measures what is missing, and writes everything.
fn measure(sweep: &Sweep, folder: &Path) -> Result<String, String> {
    let failed = |what: &str, path: &Path| {
        let (what, path) = (what.to_owned(), path.display().to_string());
        move |error: std::io::Error| format!("{path} cannot be {what}: {error}")
    };
    fs::create_dir_all(folder).map_err(failed("made", folder))?;
    let path = folder.join("atlas.csv");
    let mut done = match fs::read_to_string(&path) {
        Ok(text) => read_table(sweep, &text).map_err(|why| {
            format!("{}: {why}; name another folder with --out, or delete it", path.display())
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed("read", &path)(error)),
    };
    let text: String = done.iter().map(|point| write_point(sweep, point)).collect();
    fs::write(&path, write_head(sweep) + &text).map_err(failed("written", &path))?;
    let file = OpenOptions::new().append(true).open(&path).map_err(failed("written", &path))?;
    let missing = sweep.missing(&done);
    let bar = progress_bar(sweep, missing.len());
    let state = Mutex::new((file, Vec::new(), Ok(())));
    sweep.run(&missing, &|point| {
        let mut state = state.lock().expect("nobody panics with it");
        let written = state.0.write_all(write_point(sweep, &point).as_bytes());
        state.1.push(point);
        state.2 = core::mem::replace(&mut state.2, Ok(())).and(written);
        bar.inc(sweep.acquisitions);
    });
    bar.finish_and_clear();
    let (_, measured, result) = state.into_inner().expect("nobody panics with it");
    result.map_err(failed("written", &path))?;
    done.extend(measured);
    done.sort_unstable_by_key(|point| (point.algorithm, point.at[1], point.at[0]));
    let text: String = done.iter().map(|point| write_point(sweep, point)).collect();
    fs::write(&path, write_head(sweep) + &text).map_err(failed("written", &path))?;
    draw(sweep, &done, folder)?;
    Ok(summary(sweep, &done, folder))
}

fn draw(sweep: &Sweep, points: &[Point], folder: &Path) -> Result<(), String> {
    let write = |name: String, text: String| {
        let path = folder.join(name);
        fs::write(&path, text)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))
    };
    for (at, algorithm) in sweep.algorithms.iter().enumerate() {
        for measure in ["belief", "grants", "stale_writes", "lost_updates", "late_losses"] {
            let svg = picture(sweep, points, at, measure);
            write(format!("{}-{measure}.svg", algorithm.name), svg)?;
        }
    }
    write("atlas.html".to_owned(), page(sweep, points))
}

fn summary(sweep: &Sweep, points: &[Point], folder: &Path) -> String {
    let mut text = format!(
        "{:<20} {:>13} {:>9} {:>9} {:>9} {:>9} {:>9}\n",
        "", "acquisitions", "I1", "I2", "I3", "I4", "I10"
    );
    for (at, algorithm) in sweep.algorithms.iter().enumerate() {
        let sum = |name: &str| -> u64 {
            let own = points.iter().filter(|point| point.algorithm == at);
            own.map(|point| point.figure(name)).sum()
        };
        let names = ["belief", "grants", "stale_writes", "lost_updates", "late_losses"];
        text += &format!("{:<20} {:>13}", algorithm.name, sum("acquisitions"));
        names.iter().for_each(|name| text += &format!(" {:>9}", sum(name)));
        text.push('\n');
    }
    text + &format!("\n{}\n", folder.join("atlas.html").display())
}

fn progress_bar(sweep: &Sweep, points: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(points as u64 * sweep.acquisitions);
    let template = "{bar:30} {human_pos}/{human_len} acquisitions  {per_sec}  {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
