//! What `--verbose` prints: one line per event, for people.

use super::World;
use super::network::{Kind, Toward};
use super::queue::{Lane, What};

/// Takes one line.
pub(crate) type Sink = Box<dyn FnMut(&str)>;

/// Which events are to be told of, and to whom.
#[derive(Default)]
pub struct Trace {
    /// From which event on.
    pub(crate) from: u64,
    /// Up to which event, exclusively.
    pub(crate) until: u64,
    /// Where the lines go.
    pub(crate) sink: Option<Sink>,
}

impl Trace {
    /// Tells of the events in `from..until`.
    #[must_use]
    pub fn new(from: u64, until: u64, sink: impl FnMut(&str) + 'static) -> Self {
        Self { from, until, sink: Some(Box::new(sink)) }
    }

    #[inline]
    pub(crate) fn wants(&self, event: u64) -> bool {
        event < self.until && event >= self.from
    }

    #[cold]
    pub(crate) fn line(&mut self, event: u64, at_ns: u64, text: &str) {
        if let Some(sink) = &mut self.sink {
            let (seconds, nanos) = (at_ns / 1_000_000_000, at_ns % 1_000_000_000);
            sink(&format!("{seconds:>4}.{nanos:09} #{event} {text}"));
        }
    }
}

/// A host's name.
pub(crate) fn host(host: u16, servers: usize) -> String {
    match usize::from(host).checked_sub(servers) {
        None => format!("S{host}"),
        Some(client) => format!("C{client}"),
    }
}

/// An event in words, before it is carried out.
pub(super) fn describe(what: What, world: &World) -> String {
    let World { net, plan, .. } = world;
    let servers = world.servers.len();
    match what {
        What::Arrive { pipe } => {
            let conn = &net.conns[pipe as usize / 2];
            let toward = [Toward::Server, Toward::Client][pipe as usize % 2];
            let (client, server) = (host(conn.client, servers), host(conn.server, servers));
            let (from, to) = match toward {
                Toward::Server => (client, server),
                Toward::Client => (server, client),
            };
            let what = match net.first(pipe) {
                None => "nothing any more".to_owned(),
                Some((Kind::Data, bytes)) => format!("\"{}\"", bytes.escape_ascii()),
                Some((kind, _)) => format!("{kind:?}"),
            };
            format!("{from} > {to} conn {}: {what}", conn.serial)
        }
        What::Wake { host: of, lane: Lane::Act, .. } => format!("{} wakes", host(of, servers)),
        What::Wake { host: of, lane: Lane::Patience, .. } => {
            format!("{} looks whether its patience has ended", host(of, servers))
        }
        What::Run { server } => format!("{} goes on", host(server, servers)),
        What::Disk { server, lane, generation } => {
            let storage = world.servers[usize::from(server)].storage.as_ref();
            let storage = storage.filter(|storage| storage.expects(generation));
            let did = storage.map_or_else(|| "nothing".to_owned(), |it| it.describe(lane));
            format!("{} disk: {did}", host(server, servers))
        }
        What::Start { server } => format!("{} is started again", host(server, servers)),
        What::Begin { fault } => {
            format!("fault {fault}: {}", plan.faults[usize::from(fault)].fault.kind)
        }
        What::Turn { fault, .. } => {
            format!("fault {fault} turns: {}", plan.faults[usize::from(fault)].fault.kind)
        }
        What::Heal => "all faults end".to_owned(),
        What::GiveUp => "no more waiting".to_owned(),
    }
}
