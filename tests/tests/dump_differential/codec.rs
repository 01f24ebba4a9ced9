//! The codec alone: what a real server dumps is read and written anew in every packing, and the
//! real server, which checks thoroughly, reads it as the same value.

use orrery_engine::Seed;
use orrery_engine::rng::Rng;
use orrery_engine::value::list::Part;
use orrery_engine::value::rdb::listpack::Builder;
use orrery_engine::value::rdb::{
    self, Dialect, Element, Group, Id, Idempotence, Item, Kind, Saver, StreamSaver, Target, Totals,
};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::Value;

use crate::draw::{Draw, KINDS, words};
use crate::pair::stream_in_full;

const VALUES_PER_KIND: usize = 40;

/// A value that owns everything.
#[derive(Debug)]
pub(crate) enum Owned {
    String(Vec<u8>),
    List(Vec<Vec<u8>>),
    Set(Vec<Vec<u8>>),
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
    Zset(Vec<(Vec<u8>, f64)>),
    Stream(Vec<Entry>, Totals, Vec<Group<'static>>),
}

impl Owned {
    /// The same in every run: without the order of hash tables and the times of deliveries.
    pub(crate) fn steady(mut self) -> Self {
        const TIME_MS: i64 = 1_700_000_000_000;
        match &mut self {
            Self::Set(members) => members.sort(),
            Self::Hash(fields) => fields.sort(),
            Self::Zset(members) => members.sort_by(|a, b| a.0.cmp(&b.0)),
            Self::Stream(.., groups) => {
                for group in groups {
                    group.pending.iter_mut().for_each(|entry| entry.delivered_ms = TIME_MS);
                    for consumer in &mut group.consumers {
                        (consumer.seen_ms, consumer.active_ms) = (TIME_MS, TIME_MS);
                    }
                }
            }
            Self::String(_) | Self::List(_) => {}
        }
        self
    }
}

type Entry = (Id, Vec<(Vec<u8>, Vec<u8>)>);

pub(crate) fn read(value: &[u8]) -> Owned {
    let mut owned = match rdb::kind(value[0], Dialect::Redis).expect("a known type") {
        Kind::String => Owned::String(Vec::new()),
        Kind::List => Owned::List(Vec::new()),
        Kind::Set => Owned::Set(Vec::new()),
        Kind::Hash => Owned::Hash(Vec::new()),
        Kind::Zset => Owned::Zset(Vec::new()),
        Kind::Stream => Owned::Stream(Vec::new(), Totals::default(), Vec::new()),
    };
    let read = rdb::load(value, Dialect::Redis, &mut |item| {
        match (&mut owned, item) {
            (Owned::String(string), Item::String(element)) => *string = element.to_vec(),
            (Owned::List(elements), Item::ListElement(element)) => elements.push(element.to_vec()),
            (Owned::Set(members), Item::SetMember(member)) => members.push(member.to_vec()),
            (Owned::Hash(fields), Item::HashField { field, value, deadline_ms: None }) => {
                fields.push((field.to_vec(), value.to_vec()));
            }
            (Owned::Zset(members), Item::ZsetMember { member, score }) => {
                members.push((member.to_vec(), score));
            }
            (Owned::Stream(..), Item::StreamEntry { is_deleted: true, .. }) => {}
            (Owned::Stream(entries, ..), Item::StreamEntry { id, fields, .. }) => {
                let fields = fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec()));
                entries.push((id, fields.collect()));
            }
            (Owned::Stream(_, totals, _), Item::StreamTotals(found)) => *totals = found,
            (Owned::Stream(.., groups), Item::StreamGroup(group)) => groups.push(own(group)),
            (owned, item) => panic!("{item:?} in {owned:?}"),
        }
        Ok(())
    });
    read.unwrap_or_else(|error| panic!("{error:?} in {}", value.escape_ascii()));
    owned
}

fn own(group: &Group<'_>) -> Group<'static> {
    let consumers = group
        .consumers
        .iter()
        .map(|consumer| rdb::Consumer { name: consumer.name.to_vec().into(), ..*consumer });
    Group {
        name: group.name.to_vec().into(),
        consumers: consumers.collect(),
        pending: group.pending.clone(),
        given_back: group.given_back.clone(),
        ..*group
    }
}

fn elements(strings: &[Vec<u8>]) -> impl Iterator<Item = Element<'_>> {
    strings.iter().map(|string| Element::Bytes(string))
}

fn listpack(strings: &[Vec<u8>]) -> Vec<u8> {
    let mut listpack = Builder::default();
    elements(strings).for_each(|element| listpack.push(element));
    listpack.finish()
}

fn members(zset: &[(Vec<u8>, f64)]) -> impl Iterator<Item = (Element<'_>, f64)> {
    zset.iter().map(|(member, score)| (Element::Bytes(member), *score))
}

fn save_list<'a>(saver: &mut Saver, parts: impl Iterator<Item = Part<'a>> + Clone) {
    saver.begin_list(parts.clone().count());
    parts.for_each(|part| saver.list_part(part));
}

/// The value in every packing that it can have.
pub(crate) fn write(owned: &Owned, compress: bool) -> Vec<Vec<u8>> {
    let payload = |write: &dyn Fn(&mut Saver)| {
        let mut saver = Saver::new(Target::Redis70, compress);
        write(&mut saver);
        saver.into_payload()
    };
    match owned {
        Owned::String(string) => vec![payload(&|saver| saver.string(Element::Bytes(string)))],
        Owned::List(list) => {
            let listpacks: Vec<Vec<u8>> = list.chunks(10).map(listpack).collect();
            let parts = || {
                let counts = list.chunks(10).map(<[_]>::len);
                listpacks.iter().zip(counts).map(|(listpack, count)| {
                    // Without header and end.
                    Part::Entries { bytes: &listpack[6..listpack.len() - 1], count }
                })
            };
            let long = || list.iter().map(|element| Part::Long(element));
            vec![
                payload(&|saver| save_list(saver, parts())),
                payload(&|saver| save_list(saver, long())),
            ]
        }
        Owned::Set(set) => {
            let mut payloads = vec![payload(&|saver| saver.set(set.len(), elements(set)))];
            let integers = || elements(set).map(Element::integer);
            if integers().all(|integer| integer.is_some()) {
                payloads.push(payload(&|saver| saver.integer_set(integers().flatten())));
            }
            payloads
        }
        Owned::Hash(hash) => {
            let fields = || hash.iter().map(|(a, b)| (Element::Bytes(a), Element::Bytes(b)));
            vec![
                payload(&|saver| saver.hash(hash.len(), fields())),
                payload(&|saver| saver.small_hash(fields())),
            ]
        }
        Owned::Zset(zset) => {
            let mut sorted = zset.clone();
            sorted.sort_by(|a, b| a.1.partial_cmp(&b.1).expect("scores").then(a.0.cmp(&b.0)));
            vec![
                payload(&|saver| saver.zset(zset.len(), members(zset))),
                payload(&|saver| saver.small_zset(members(&sorted))),
            ]
        }
        Owned::Stream(entries, totals, groups) => {
            let mut saver = StreamSaver::new(compress);
            for (id, fields) in entries {
                let pairs = fields.iter().map(|(a, b)| (Element::Bytes(a), Element::Bytes(b)));
                saver.entry(*id, pairs);
            }
            let mut whole = Saver::new(Target::Redis70, compress);
            saver.finish(&mut whole, totals, groups, &Idempotence::default(), true);
            vec![whole.into_payload()]
        }
    }
}

fn digests(client: &mut RealClient) -> (Value, Value) {
    let digests = client.call(&["DEBUG", "DIGEST-VALUE", "theirs", "ours"]);
    (digests.elements()[0].clone(), digests.elements()[1].clone())
}

#[test]
fn what_a_real_server_dumps_is_read_and_what_is_written_it_reads() {
    let arguments = ["--enable-debug-command", "yes", "--sanitize-dump-payload", "yes"];
    let Some(redis) = RealRedis::start_with("dump_differential", &arguments) else { return };
    let mut client = redis.connect();
    for (kind_number, kind) in KINDS.iter().enumerate() {
        for number in 0..VALUES_PER_KIND {
            let seed = (kind_number * 1000 + number) as u64;
            let mut rng = Rng::new(Seed(seed), "dump codec");
            let compression = ["yes", "no"][number % 2];
            client.call(&["CONFIG", "SET", "rdbcompression", compression]);
            client.call(&["DEL", "theirs"]);
            for command in Draw::new(&mut rng).commands(kind, "theirs") {
                let reply = client.call(&command);
                let shown = String::from_utf8_lossy(&command[0]).into_owned();
                assert!(!reply.is_error(), "seed {seed}: {shown} gives {reply}");
            }
            let payload = client.call(&["DUMP", "theirs"]);
            let (_, value) = rdb::open(payload.bytes()).expect("its payload is sound");
            let owned = read(value);
            for compress in [false, true] {
                for payload in write(&owned, compress) {
                    let mut restore = words("RESTORE ours 0");
                    restore.extend([payload.clone(), b"REPLACE".to_vec()]);
                    let reply = client.call(&restore);
                    assert!(!reply.is_error(), "seed {seed}: {kind}: {reply}");
                    let (theirs, ours) = digests(&mut client);
                    assert_eq!(theirs, ours, "seed {seed}: {kind} {}", payload.escape_ascii());
                    if *kind == "stream" {
                        let theirs =
                            stream_in_full(client.call(&words("XINFO STREAM theirs FULL")));
                        let ours = stream_in_full(client.call(&words("XINFO STREAM ours FULL")));
                        assert_eq!(theirs, ours, "seed {seed}");
                    }
                }
            }
        }
    }
}

/// What fuzzing starts from is sound, so that it comes to where something is to be found.
#[test]
fn the_seeds_of_the_fuzzer_are_sound() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/restore");
    let mut count = 0;
    for seed in std::fs::read_dir(seeds).expect("there are seeds") {
        let path = seed.expect("a seed").path();
        let bytes = std::fs::read(&path).expect("a seed is read");
        let dialect = if bytes[0] == 2 { Dialect::Valkey } else { Dialect::Redis };
        let read = rdb::load(&bytes[1..], dialect, &mut |_| Ok(()));
        assert_eq!(read, Ok(()), "{}", path.display());
        count += 1;
    }
    assert!(count > 30, "{count} seeds");
}
