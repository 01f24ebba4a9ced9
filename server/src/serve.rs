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

use orrery_engine::{Config, ConnId, Engine, Facts, Input, LogLevel, Micros, Outcome};
use tokio::task::{JoinHandle, spawn_local};

use crate::node::{Node, NodeRef, Order};
use crate::platform::{Endpoint, Platform, reason};
use crate::settings::Settings;
use crate::{accept, clock, users_file};

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
    Endpoint(Endpoint, io::Error),
    /// Nothing is configured to listen.
    Nowhere,
    /// The users cannot be made: Redis's text.
    Users(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(Endpoint::Tcp { port, .. }, _) => {
                write!(f, "Failed listening on port {port} (tcp), aborting.")
            }
            Self::Endpoint(Endpoint::Unix { .. }, error) => {
                write!(f, "Failed opening Unix socket: bind: {}", reason(error))
            }
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
    listening: Vec<(Endpoint, JoinHandle<()>)>,
}

/// Runs a server until it is told to end; returns the process's exit code.
pub async fn serve<P: Platform>(platform: P, launch: Launch) -> Result<i32, Refusal> {
    let server = Server::start(platform, launch).await?;
    Ok(server.run().await)
}

/// Makes the users that the configuration declares.
fn load_users(engine: &mut Engine, platform: &impl Platform) -> Result<(), Refusal> {
    if !engine.config().has_users() {
        return Ok(());
    }
    let path = engine.config().acl_file.clone();
    let file = users_file::read(engine.config()).transpose().map_err(|why| {
        Refusal::Users(format!("Error loading ACLs, opening file '{path}': {why}"))
    })?;
    for note in engine.load_users(file.as_deref()).map_err(Refusal::Users)? {
        platform.log(LogLevel::Notice, &note);
    }
    Ok(())
}

impl<P: Platform> Server<P> {
    /// Starts to listen. Must be called where tokio can spawn local tasks.
    pub async fn start(platform: P, launch: Launch) -> Result<Self, Refusal> {
        let settings = Settings::of(&launch.config);
        let platform = Rc::new(platform);
        let mut engine = Engine::new(launch.config, platform.seed(), platform.now());
        let config_file = launch.config_file.as_ref().map(|path| path.display().to_string());
        engine.set_facts(Facts { config_file, ..platform.facts() });
        if let Some(secret) = platform.secret() {
            engine.set_secret(secret);
        }
        load_users(&mut engine, &*platform)?;
        let node = Node::new(Rc::clone(&platform), engine, launch.config_file);
        let node = Rc::new(RefCell::new(node));
        node.borrow_mut().keepalive = settings.keepalive;
        let mut server = Self { node, platform, settings, listening: Vec::new() };
        let endpoints = server.settings.endpoints();
        if endpoints.is_empty() {
            return Err(Refusal::Nowhere);
        }
        server.listen(endpoints).await?;
        Ok(server)
    }

    /// Serves until the server is told to end; returns the process's exit code.
    pub async fn run(mut self) -> i32 {
        self.platform.log(LogLevel::Notice, "Server initialized");
        self.announce();
        let clock = spawn_local(clock::run(Rc::clone(&self.node)));
        let exit_code = self.obey().await;
        self.farewell().await;
        clock.abort();
        drop(clock.await);
        exit_code
    }

    fn announce(&self) {
        let unix = self.settings.unix_socket.as_ref();
        if self.settings.port != 0 {
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
        loop {
            let mut rung = pin!(bell.notified());
            let signal = std::future::poll_fn(|cx| match terminated.as_mut().poll(cx) {
                Poll::Ready(name) => Poll::Ready(Some(name)),
                Poll::Pending => rung.as_mut().poll(cx).map(|()| None),
            })
            .await;
            if let Some(name) = signal {
                let text = format!("Received {name} scheduling shutdown...");
                self.platform.log(LogLevel::Warning, &text);
                self.platform.log(LogLevel::Warning, "User requested shutdown...");
                return 0;
            }
            let orders = core::mem::take(&mut self.node.borrow_mut().orders);
            for order in orders {
                match order {
                    Order::Shutdown { exit_code } => return exit_code,
                    Order::Apply { conn, names } => self.apply(conn, &names).await,
                }
            }
        }
    }

    /// Closes everything, after the clients had a moment to take their last replies.
    async fn farewell(&mut self) {
        let removes_file = self.settings.unix_socket.is_some();
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
        let settings = Settings::of(self.node.borrow().engine.config());
        self.node.borrow_mut().keepalive = settings.keepalive;
        let mut result = self.platform.apply(&settings, names);
        if result.is_ok() && self.move_to(settings).await.is_err() {
            result = Err("Unable to listen on this port. Check server logs.".to_owned());
        }
        let outcome = Outcome::ConfigApplied(result);
        self.node.borrow_mut().step(Input::Done { conn, outcome }, None);
    }

    /// Listens where `settings` say, and where it did before if that fails.
    async fn move_to(&mut self, settings: Settings) -> Result<(), Refusal> {
        let wanted = settings.endpoints();
        let is_wanted = |at: &Endpoint| wanted.iter().any(|(endpoint, _)| endpoint == at);
        let (kept, dropped): (Vec<_>, Vec<_>) =
            self.listening.drain(..).partition(|(at, _)| is_wanted(at));
        let before: Vec<_> = dropped.iter().map(|(at, _)| (at.clone(), true)).collect();
        for (_, task) in dropped {
            task.abort();
            drop(task.await);
        }
        let added = wanted.into_iter().filter(|(at, _)| kept.iter().all(|(old, _)| old != at));
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

    /// Starts to listen on all of `endpoints`, or on none.
    async fn listen(&mut self, endpoints: Vec<(Endpoint, bool)>) -> Result<(), Refusal> {
        let mut bound = Vec::new();
        for (endpoint, optional) in endpoints {
            match self.platform.bind(&endpoint).await {
                Ok(listener) => bound.push((endpoint, listener)),
                Err(error) => {
                    if let Endpoint::Tcp { .. } = endpoint {
                        let text = format!(
                            "Warning: Could not create server TCP listening socket {endpoint}: \
                             bind: {}",
                            reason(&error)
                        );
                        self.platform.log(LogLevel::Warning, &text);
                    }
                    let absent = error.kind() == io::ErrorKind::AddrNotAvailable && optional;
                    if !absent && error.kind() != io::ErrorKind::Unsupported {
                        return Err(Refusal::Endpoint(endpoint, error));
                    }
                }
            }
        }
        for (endpoint, listener) in bound {
            self.listening.push((endpoint, accept::spawn(&self.node, listener)));
        }
        Ok(())
    }
}
