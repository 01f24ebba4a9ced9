//! The `orrery-server` program.

use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;

use orrery_engine::{Config, LogLevel};
use orrery_server::directives::Sources;
use orrery_server::platform::Platform;
use orrery_server::{
    Launch, Log, OsPlatform, Server, Settings, VERSION, check_aof, check_rdb, open_files, recorder,
};
use tokio::runtime::{Builder, LocalOptions};

const HELP: &str = "\
Usage: orrery-server [/path/to/redis.conf] [--name value ...] [-]
       orrery-server -v or --version
       orrery-server -h or --help
       orrery-server --check-rdb [--json] FILE
       orrery-server --check-aof [--json] [--fix | --truncate-to-timestamp SECONDS] FILE|MANIFEST

Examples:
       orrery-server (listen on 127.0.0.1:6379, in memory)
       orrery-server /etc/orrery.conf
       orrery-server --port 7777
       orrery-server --port 7777 --bind 127.0.0.1 -::1
       orrery-server --port 0 --tls-port 6379 --tls-cert-file server.crt \
           --tls-key-file server.key --tls-ca-cert-file ca.crt
       orrery-server --port 0 --unixsocket /run/orrery.sock --unixsocketperm 770
       orrery-server /etc/orrery.conf --loglevel verbose
       echo 'maxmemory 128mb' | orrery-server -
       orrery-server --check-rdb dump.rdb (says what is in it, or where it is broken)
       orrery-server --check-aof --fix appendonlydir/appendonly.aof.manifest (cuts a broken end)
";

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match arguments.first().map(String::as_str) {
        Some("-h" | "--help") => print!("{HELP}"),
        Some("-v" | "--version") => {
            println!("Orrery server v={VERSION} bits={} build=release", usize::BITS);
        }
        Some("--check-rdb") => return check_rdb::run(&arguments[1..]),
        Some("--check-aof") => return check_aof::run(&arguments[1..]),
        _ => return run(&Sources::from_arguments(&arguments)),
    }
    ExitCode::SUCCESS
}

fn run(sources: &Sources) -> ExitCode {
    match prepare(sources) {
        Ok((config, settings)) => start(config, &settings, sources),
        Err(fatal) => {
            eprintln!("{fatal}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the configuration and goes to its directory.
fn prepare(sources: &Sources) -> Result<(Config, Settings), Box<dyn Error>> {
    let config = sources.load()?;
    let settings = Settings::of(&config);
    settings.enter_directory()?;
    Ok((config, settings))
}

fn start(mut config: Config, settings: &Settings, sources: &Sources) -> ExitCode {
    let log = Log::new(settings.log_level, settings.log_format, settings.log_file.clone());
    log.write(LogLevel::Warning, "oO0OoO0OoO0Oo Orrery is starting oO0OoO0OoO0Oo");
    let process = std::process::id();
    log.write_with(
        LogLevel::Warning,
        &format!("Orrery version={VERSION}, bits={}, pid={process}, just started", usize::BITS),
        &[("version", VERSION.into()), ("bits", usize::BITS.into())],
    );
    match &sources.file {
        Some(path) => {
            let text = format!("Configuration loaded from {}", path.display());
            let path = path.display().to_string();
            log.write_with(LogLevel::Warning, &text, &[("config_file", path.into())]);
        }
        None if sources.lines.is_empty() && !sources.stdin => log.write(
            LogLevel::Warning,
            "Warning: no config file specified, using the default config. In order to specify a \
             config file use orrery-server /path/to/redis.conf",
        ),
        None => log.write(LogLevel::Warning, "Configuration loaded"),
    }
    let daemonize = config.value("daemonize").filter(|value| value == "yes");
    let in_vain = daemonize.map(|_| "daemonize".to_owned());
    for name in config.unsupported().into_iter().chain(in_vain) {
        let text = format!("Warning: the parameter '{name}' is not supported and has no effect");
        log.write_with(LogLevel::Warning, &text, &[("parameter", name.into())]);
    }
    open_files::make_room_for(&mut config, &log);
    rescue_recordings();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let exit_code = match runtime {
        Ok(runtime) => runtime.block_on(live(log, config, settings, sources)),
        Err(error) => {
            log.write(LogLevel::Warning, &format!("Can't start the event loop: {error}"));
            1
        }
    };
    ExitCode::from(u8::try_from(exit_code).unwrap_or(1))
}

/// Lets a panic save the recording, if there is one.
fn rescue_recordings() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        recorder::rescue();
    }));
}

/// From listening to the end; returns the exit code.
async fn live(log: Log, config: Config, settings: &Settings, sources: &Sources) -> i32 {
    let log = Rc::new(log);
    let platform = OsPlatform::new(Rc::clone(&log));
    platform.heed_insistence();
    // As in Redis a server that cannot do this starts all the same; the log tells.
    drop(platform.apply(settings, &["oom-score-adj"]));
    let launch = Launch { config, config_file: sources.file.clone() };
    let server = match Server::start(platform, launch).await {
        Ok(server) => server,
        Err(refusal) => {
            log.write(LogLevel::Warning, &refusal.to_string());
            return 1;
        }
    };
    let process = std::process::id();
    let mode = format!("Running mode=standalone, port={}.", settings.main_port());
    let mut listening = vec![("port", settings.port.into())];
    if settings.metrics_port != 0 {
        listening.push(("metrics_port", settings.metrics_port.into()));
    }
    if let Some(path) = &settings.unix_socket {
        listening.push(("unixsocket", path.display().to_string().into()));
    }
    log.write_with(LogLevel::Notice, &mode, &listening);
    log.write(LogLevel::Notice, &format!("Port: {}, PID: {process}", settings.main_port()));
    let pid_file = settings.pid_file.as_deref();
    if let Some(path) = pid_file
        && let Err(error) = std::fs::write(path, format!("{process}\n"))
    {
        let text = format!("Failed to write PID file {}: {error}", path.display());
        log.write(LogLevel::Warning, &text);
    }
    let exit_code = server.run().await;
    if let Some(path) = pid_file {
        if exit_code == 0 {
            log.write(LogLevel::Notice, "Removing the pid file.");
        }
        // Somebody may have removed it by hand.
        drop(std::fs::remove_file(path));
    }
    // As in Redis the last line of a server that cannot go on says why.
    if exit_code == 0 {
        let farewell = "Orrery is now ready to exit, bye bye...";
        log.write_with(LogLevel::Warning, farewell, &[("exit_code", exit_code.into())]);
    }
    exit_code
}
