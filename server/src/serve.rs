//! A server's life: bind, serve, apply changed settings, end.
//!
//! Invariant: a server that could not listen on all that it must has left nothing listening.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use orrery_engine::record::Start;
use orrery_engine::{Config, ConnId, Engine, Facts, Input, LogLevel, Micros, Outcome};
use tokio::task::{JoinHandle, spawn_local};

use crate::node::{Node, NodeRef, Order};
use crate::platform::{Endpoint, Platform, reason};
use crate::recorder::Recorder;
use crate::settings::{Place, Service, Settings};
use crate::tls::TlsContext;
use crate::{VERSION, accept, clock, metrics, tls, users_file};

/// How long clients get to take their last replies when the server ends.
const FAREWELL: Micros = Micros::from_millis(500);

/// What a server starts from.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// The parameters.
    pub config: Config,
    /// The file that CONFIG REWRITE rewrites.
    pub config_file: Option<PathBuf>,
}

/// Why a server does not listen.
#[derive(Debug)]
pub enum Refusal {
    /// An endpoint cannot be had.
    Endpoint {
        /// Which.
        endpoint: Endpoint,
        /// What it was for.
        service: Service,
        /// Why not.
        error: io::Error,
    },
    /// The parameters of TLS or the files that they name are wrong; the log says how.
    Tls,
    /// Nothing can be recorded under this name.
    Record(PathBuf, String),
    /// Nothing is configured to listen.
    Nowhere,
    /// The users cannot be made: Redis's text.
    Users(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint { endpoint: Endpoint::Tcp { port, .. }, service, .. } => {
                let kind = match service {
                    Service::Plain => "tcp",
                    Service::Tls => "tls",
                    Service::Metrics => "metrics",
                };
                write!(f, "Failed listening on port {port} ({kind}), aborting.")
            }
            Self::Endpoint { endpoint: Endpoint::Unix { .. }, error, .. } => {
                write!(f, "Failed opening Unix socket: bind: {}", reason(error))
            }
            Self::Record(path, why) => {
                write!(f, "Can't record to {}: {why}", path.display())
            }
            Self::Tls => write!(f, "Failed to configure TLS. Check logs for more info."),
            Self::Nowhere => write!(f, "Configured to not listen anywhere, exiting."),
            Self::Users(why) => write!(f, "Aborting startup because of ACL errors: {why}"),
        }
    }
}

impl std::error::Error for Refusal {}

/// A server that listens.
pub struct Server<P: Platform> {
    node: NodeRef<P>,
    platform: Rc<P>,
    settings: Settings,
    listening: Vec<(Place, JoinHandle<()>)>,
}

/// Runs a server until it is told to end; returns the process's exit code.
pub async fn serve<P: Platform>(platform: P, launch: Launch) -> Result<i32, Refusal> {
    let server = Server::start(platform, launch).await?;
    Ok(server.run().await)
}

/// Makes the users that the configuration declares. Returns what the file of users holds.
fn load_users(engine: &mut Engine, platform: &impl Platform) -> Result<Option<Vec<u8>>, Refusal> {
    if !engine.config().has_users() {
        return Ok(None);
    }
    let path = engine.config().acl_file.clone();
    let file = users_file::read(engine.config()).transpose().map_err(|why| {
        Refusal::Users(format!("Error loading ACLs, opening file '{path}': {why}"))
    })?;
    for note in engine.load_users(file.as_deref()).map_err(Refusal::Users)? {
        platform.log(LogLevel::Notice, &note);
    }
    Ok(file)
}

impl<P: Platform> Server<P> {
    /// Starts to listen. Must be called where tokio can spawn local tasks.
    pub async fn start(platform: P, launch: Launch) -> Result<Self, Refusal> {
        let settings = Settings::of(&launch.config);
        let platform = Rc::new(platform);
        let (seed, now) = (platform.seed(), platform.now());
        let directives = launch.config.recorded();
        let mut engine = Engine::new(launch.config, seed, now);
        let config_file = launch.config_file.as_ref().map(|path| path.display().to_string());
        let facts = Facts { config_file, ..platform.facts() };
        engine.set_facts(facts.clone());
        let secret = platform.secret();
        if let Some(secret) = secret {
            engine.set_secret(secret);
        }
        let users = load_users(&mut engine, &*platform)?;
        let node = Node::new(Rc::clone(&platform), engine, launch.config_file);
        let node = Rc::new(RefCell::new(node));
        node.borrow_mut().keepalive = settings.keepalive;
        let mut server = Self { node, platform, settings, listening: Vec::new() };
        let places = server.settings.places();
        if places.iter().all(|place| place.service == Service::Metrics) {
            return Err(Refusal::Nowhere);
        }
        let uses_tls = server.settings.tls.port != 0;
        let context = uses_tls.then(|| load_tls(&*server.platform, &server.settings));
        let context = context.transpose()?;
        let bound = server.bind(places).await?;
        let version = VERSION.to_owned();
        server.record(&Start { version, seed, now, directives, facts, secret, users })?;
        server.node.borrow().tls.configure(&server.settings.tls, context);
        server.look_at_disk().await;
        server.open(bound);
        Ok(server)
    }

    /// Lets the engine see whether there is anything to load before clients come: who connects to a
    /// server that begins empty need not know that it has looked.
    async fn look_at_disk(&self) {
        self.node.borrow_mut().step(Input::Start, None);
        if self.node.borrow().engine().is_loading() {
            let answers = self.platform.answered().await;
            self.node.borrow_mut().answered(answers);
        }
    }

    /// Begins to record, if that is wanted.
    fn record(&self, start: &Start) -> Result<(), Refusal> {
        let Some(settings) = &self.settings.record else { return Ok(()) };
        let named = |why: String| Refusal::Record(settings.path.clone(), why);
        let sink = self.platform.record(settings, self.platform.seed().0);
        let sink = sink.map_err(|error| named(reason(&error)))?;
        self.node.borrow_mut().record(Recorder::begin(sink, start).map_err(named)?);
        let text = format!("Everything is recorded in {}.*", settings.path.display());
        self.platform.log(LogLevel::Notice, &text);
        Ok(())
    }

    /// Serves until the server is told to end; returns the process's exit code.
    pub async fn run(mut self) -> i32 {
        let clock = spawn_local(clock::run(Rc::clone(&self.node)));
        let (node, platform) = (Rc::clone(&self.node), Rc::clone(&self.platform));
        let disk = spawn_local(async move {
            loop {
                let answers = platform.answered().await;
                node.borrow_mut().answered(answers);
            }
        });
        let exit_code = self.obey().await;
        self.farewell(exit_code).await;
        for task in [clock, disk] {
            task.abort();
            drop(task.await);
        }
        self.node.borrow_mut().end_recording();
        exit_code
    }

    fn announce(&self) {
        let unix = self.settings.unix_socket.as_ref();
        if self.settings.main_port() != 0 {
            self.platform.log(LogLevel::Notice, "Ready to accept connections");
        }
        if let Some(path) = unix {
            let text =
                format!("The server is now ready to accept connections at {}", path.display());
            self.platform.log(LogLevel::Notice, &text);
        }
    }

    /// Carries out orders until one of them ends the server.
    async fn obey(&mut self) -> i32 {
        let bell = Rc::clone(&self.node.borrow().order_bell);
        let platform = Rc::clone(&self.platform);
        let mut terminated = pin!(platform.terminated());
        // Who is told that the server is ready may end it: signals are caught before.
        let early = std::future::poll_fn(|cx| Poll::Ready(terminated.as_mut().poll(cx))).await;
        self.platform.log(LogLevel::Notice, "Server initialized");
        if let Poll::Ready(name) = early {
            self.end_by(name);
            terminated.set(platform.terminated());
        }
        loop {
            let mut rung = pin!(bell.notified());
            let signal = std::future::poll_fn(|cx| match terminated.as_mut().poll(cx) {
                Poll::Ready(name) => Poll::Ready(Some(name)),
                Poll::Pending => rung.as_mut().poll(cx).map(|()| None),
            })
            .await;
            if let Some(name) = signal {
                self.end_by(name);
                terminated.set(platform.terminated());
            }
            let orders = core::mem::take(&mut self.node.borrow_mut().orders);
            for order in orders {
                match order {
                    Order::Shutdown { exit_code } => return exit_code,
                    Order::Announce => self.announce(),
                    Order::Apply { conn, names } => self.apply(conn, &names).await,
                }
            }
        }
    }

    /// Tells the engine that the signal `name` asks the server to end.
    fn end_by(&self, name: &str) {
        let text = format!("Received {name} scheduling shutdown...");
        self.platform.log(LogLevel::Warning, &text);
        let input = Input::Terminate { by_interrupt: name == "SIGINT" };
        self.node.borrow_mut().step(input, None);
    }

    /// Closes everything, after the clients had a moment to take their last replies.
    async fn farewell(&mut self, exit_code: i32) {
        // As in Redis the last line of a server that cannot go on says why.
        let removes_file = self.settings.unix_socket.is_some() && exit_code == 0;
        for (_, task) in self.listening.drain(..) {
            task.abort();
            drop(task.await);
        }
        if removes_file {
            self.platform.log(LogLevel::Notice, "Removing the unix socket file.");
        }
        self.node.borrow_mut().stop();
        let bell = Rc::clone(&self.node.borrow().order_bell);
        let end = self.platform.mono() + FAREWELL;
        while self.node.borrow().connections() > 0 && self.platform.mono() < end {
            clock::first(self.platform.sleep_until(end), bell.notified()).await;
        }
    }

    /// Puts changed settings into force and tells the client that changed them.
    async fn apply(&mut self, conn: ConnId, names: &[&'static str]) {
        let settings = Settings::of(self.node.borrow().engine().config());
        let result = self.put_into_force(settings, names).await;
        if result.is_err() {
            let name = names.first().copied().unwrap_or_default();
            let text = format!(
                "Failed applying new configuration. Possibly related to new {name} setting. \
                 Restoring previous settings."
            );
            self.platform.log(LogLevel::Warning, &text);
        }
        let outcome = Outcome::ConfigApplied(result);
        self.node.borrow_mut().step(Input::Done { conn, outcome }, None);
    }

    async fn put_into_force(
        &mut self,
        settings: Settings,
        names: &[&'static str],
    ) -> Result<(), String> {
        let turned_on = self.settings.tls.port == 0;
        let must_load = turned_on || names.iter().any(|name| tls::shapes_context(name));
        let context = if settings.tls.port != 0 && must_load {
            let context = load_tls(&*self.platform, &settings);
            Some(context.map_err(|_| "Unable to update TLS configuration. Check server logs.")?)
        } else {
            None
        };
        self.platform.apply(&settings, names)?;
        if self.move_to(settings).await.is_err() {
            // What was said of them is taken back.
            drop(self.platform.apply(&self.settings, names));
            let has_port = names.iter().any(|name| ["port", "tls-port"].contains(name));
            return Err(if names.contains(&"bind") && !has_port {
                "Failed to bind to specified addresses, check server logs.".to_owned()
            } else {
                "Unable to listen on this port. Check server logs.".to_owned()
            });
        }
        let mut node = self.node.borrow_mut();
        node.keepalive = self.settings.keepalive;
        node.tls.configure(&self.settings.tls, context);
        Ok(())
    }

    /// Listens where `settings` say, and where it did before if that fails.
    async fn move_to(&mut self, settings: Settings) -> Result<(), Refusal> {
        let wanted = settings.places();
        let (kept, dropped): (Vec<_>, Vec<_>) =
            self.listening.drain(..).partition(|(at, _)| wanted.contains(at));
        let before = dropped.iter().map(|(at, _)| Place { optional: true, ..at.clone() }).collect();
        for (_, task) in dropped {
            task.abort();
            drop(task.await);
        }
        let added = wanted.into_iter().filter(|at| kept.iter().all(|(old, _)| old != at));
        let added: Vec<_> = added.collect();
        let kept_len = kept.len();
        self.listening = kept;
        let result = self.listen(added).await;
        if result.is_err() {
            self.listening.truncate(kept_len);
            self.listen(before).await?;
        } else {
            self.settings = settings;
        }
        result
    }

    /// Starts to listen in all `places`, or in none.
    async fn listen(&mut self, places: Vec<Place>) -> Result<(), Refusal> {
        let bound = self.bind(places).await?;
        self.open(bound);
        Ok(())
    }

    /// Takes all `places`, or none.
    async fn bind(&self, places: Vec<Place>) -> Result<Vec<(Place, P::Listener)>, Refusal> {
        let mut bound = Vec::new();
        for place in places {
            let Place { endpoint, service, optional } = &place;
            match self.platform.bind(endpoint).await {
                Ok(listener) => bound.push((place, listener)),
                Err(error) => {
                    if let Endpoint::Tcp { .. } = endpoint {
                        let text = format!(
                            "Warning: Could not create server TCP listening socket {endpoint}: \
                             bind: {}",
                            reason(&error)
                        );
                        self.platform.log(LogLevel::Warning, &text);
                    }
                    let absent = error.kind() == io::ErrorKind::AddrNotAvailable && *optional;
                    if !absent && error.kind() != io::ErrorKind::Unsupported {
                        let (endpoint, service) = (endpoint.clone(), *service);
                        return Err(Refusal::Endpoint { endpoint, service, error });
                    }
                }
            }
        }
        Ok(bound)
    }

    /// Accepts whoever comes.
    fn open(&mut self, bound: Vec<(Place, P::Listener)>) {
        for (place, listener) in bound {
            let task = match place.service {
                Service::Plain => accept::spawn(&self.node, listener, false),
                Service::Tls => accept::spawn(&self.node, listener, true),
                Service::Metrics => metrics::spawn(&self.node, listener),
            };
            self.listening.push((place, task));
        }
    }
}

/// What handshakes are made with under these settings; what is wrong goes to the log.
fn load_tls<P: Platform>(platform: &P, settings: &Settings) -> Result<TlsContext, Refusal> {
    tls::load(platform, &settings.tls).map_err(|why| {
        platform.log(LogLevel::Warning, &why);
        Refusal::Tls
    })
}
