//! The commands of the model test, and how they are drawn.
//!
//! Ids are not drawn as such: they are new ones after the last, or old ones by number, so that
//! commands meet.

use proptest::prelude::*;

pub(crate) type Key = u8;
pub(crate) type Name = u8;

/// An id in a command, resolved when the command is run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IdOf {
    /// One that the stream or a group knows, by number.
    Known(u8),
    /// Near to a known one.
    Near(u8, i8),
    /// The smallest or the greatest.
    Edge(bool),
}

/// The id of a new entry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NewId {
    /// So much after the last one.
    After(u8, u8),
    /// `ms-*`, so many milliseconds after the last one.
    AutoSeq(u8),
    /// `*`
    Auto,
    /// Perhaps too small.
    Some(IdOf),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    MaxLen(u8),
    MinId(IdOf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum References {
    Keep,
    Drop,
    Acked,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Trim {
    pub(crate) cut: Cut,
    pub(crate) approximate: bool,
    pub(crate) limit: Option<u8>,
    pub(crate) references: Option<References>,
}

#[derive(Clone, Debug)]
pub(crate) struct Add {
    pub(crate) key: Key,
    pub(crate) id: NewId,
    pub(crate) fields: u8,
    pub(crate) value: String,
    pub(crate) trim: Option<Trim>,
    pub(crate) no_stream_made: bool,
}

/// What is read of one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    /// Everything after an id; in a group: what is pending with the consumer.
    After(IdOf),
    /// `$` or, in a group, `>`.
    New,
    /// `+`; in a group `>` as well.
    Last,
}

#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// Group and consumer.
    pub(crate) reader: Option<(Name, Name)>,
    pub(crate) streams: Vec<(Key, From)>,
    pub(crate) count: Option<u8>,
    /// MAXCOUNT
    pub(crate) count_in_all: Option<u8>,
    pub(crate) no_ack: bool,
    pub(crate) min_idle_ms: Option<u16>,
    /// Milliseconds; `None`: it does not wait, or for ever.
    pub(crate) patience_ms: Option<u16>,
}

#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) key: Key,
    pub(crate) group: Name,
    pub(crate) consumer: Name,
    pub(crate) min_idle_ms: u16,
    pub(crate) ids: Vec<IdOf>,
    pub(crate) idle_ms: Option<u16>,
    pub(crate) retry_count: Option<u8>,
    pub(crate) force: bool,
    pub(crate) just_id: bool,
    pub(crate) last_id: Option<IdOf>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    Silent,
    Fail,
    Fatal,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Add(Add),
    AddOnce {
        key: Key,
        producer: Name,
        name: Option<Name>,
        value: u8,
    },
    Configure {
        key: Key,
        secs: Option<u8>,
        names: Option<u8>,
    },
    Trim(Key, Trim),
    Delete(Key, Vec<IdOf>),
    DeleteEx(Key, References, Vec<IdOf>),
    DropKey(Key),
    MakeString(Key),
    Copy(Key, Key),
    SetId {
        key: Key,
        id: IdOf,
        added: Option<u8>,
        max_deleted: Option<IdOf>,
    },
    Len(Key),
    Range {
        key: Key,
        start: (IdOf, bool),
        end: (IdOf, bool),
        count: Option<u8>,
        reverse: bool,
    },
    Create {
        key: Key,
        group: Name,
        id: Option<IdOf>,
        make_stream: bool,
        read: Option<u8>,
    },
    SetGroupId {
        key: Key,
        group: Name,
        id: Option<IdOf>,
        read: Option<u8>,
    },
    Destroy(Key, Name),
    CreateConsumer(Key, Name, Name),
    DeleteConsumer(Key, Name, Name),
    Read(Reading),
    /// Another client reads, and waits if it must.
    Block(Reading),
    Acknowledge(Key, Name, Vec<IdOf>),
    AcknowledgeDelete(Key, Name, References, Vec<IdOf>),
    Release {
        key: Key,
        group: Name,
        mode: Mode,
        ids: Vec<IdOf>,
        retry: Option<u8>,
        force: bool,
    },
    Pending(Key, Name),
    PendingRange {
        key: Key,
        group: Name,
        min_idle_ms: Option<u16>,
        start: (IdOf, bool),
        end: (IdOf, bool),
        count: u8,
        consumer: Option<Name>,
    },
    Claim(Claim),
    AutoClaim {
        key: Key,
        group: Name,
        consumer: Name,
        min_idle_ms: u16,
        start: IdOf,
        count: Option<u8>,
        just_id: bool,
    },
    InfoStream(Key, Option<Option<u8>>),
    InfoGroups(Key),
    InfoConsumers(Key, Name),
    Wait(u64),
    /// CONFIG SET stream-node-max-entries
    Limit(usize),
}

fn key() -> impl Strategy<Value = Key> + Clone {
    prop_oneof![6 => Just(0_u8), 2 => Just(1)]
}

fn name() -> impl Strategy<Value = Name> + Clone {
    prop_oneof![3 => Just(0_u8), 1 => Just(1)]
}

fn id() -> impl Strategy<Value = IdOf> + Clone {
    prop_oneof![
        6 => any::<u8>().prop_map(IdOf::Known),
        2 => (any::<u8>(), -2..3_i8).prop_map(|(number, delta)| IdOf::Near(number, delta)),
        1 => any::<bool>().prop_map(IdOf::Edge),
    ]
}

fn ids() -> impl Strategy<Value = Vec<IdOf>> {
    prop::collection::vec(id(), 1..4)
}

fn bound() -> impl Strategy<Value = (IdOf, bool)> {
    prop_oneof![
        3 => id().prop_map(|id| (id, false)),
        1 => id().prop_map(|id| (id, true)),
        2 => any::<bool>().prop_map(|greatest| (IdOf::Edge(greatest), false)),
    ]
}

fn references() -> impl Strategy<Value = References> + Clone {
    prop_oneof![Just(References::Keep), Just(References::Drop), Just(References::Acked)]
}

fn trim() -> impl Strategy<Value = Trim> {
    let cut = prop_oneof![(0..14_u8).prop_map(Cut::MaxLen), id().prop_map(Cut::MinId)];
    let limit = prop::option::weighted(0.2, 0..8_u8);
    let references = prop::option::weighted(0.3, references());
    (cut, any::<bool>(), limit, references).prop_map(|(cut, approximate, limit, references)| {
        let limit = limit.filter(|_| approximate);
        Trim { cut, approximate, limit, references }
    })
}

fn add() -> impl Strategy<Value = Op> {
    let id = prop_oneof![
        8 => (0..4_u8, 0..3_u8).prop_map(|(ms, seq)| NewId::After(ms, seq)),
        1 => (0..3_u8).prop_map(NewId::AutoSeq),
        1 => Just(NewId::Auto),
        1 => id().prop_map(NewId::Some),
    ];
    let value = prop_oneof!["[0-9]{1,9}", "-?[0-9]{1,20}", "[a-z]{0,4}", "x{120,140}"];
    let trim = prop::option::weighted(0.15, trim());
    (key(), id, 0..4_u8, value, trim, prop::bool::weighted(0.1)).prop_map(
        |(key, id, fields, value, trim, no_stream_made)| {
            Op::Add(Add { key, id, fields, value, trim, no_stream_made })
        },
    )
}

fn reading() -> impl Strategy<Value = Reading> {
    let from = prop_oneof![
        2 => id().prop_map(From::After),
        3 => Just(From::New),
        1 => Just(From::Last),
    ];
    let streams = prop::collection::vec((key(), from), 1..3);
    let reader = prop::option::weighted(0.8, (name(), name()));
    let min_idle_ms = prop::option::weighted(0.3, 0..60_u16);
    (
        reader,
        streams,
        (prop::option::of(0..5_u8), prop::option::weighted(0.3, 0..4_u8)),
        prop::bool::weighted(0.2),
        min_idle_ms,
        prop::option::of(1..80_u16),
    )
        .prop_map(|(reader, streams, (count, more), no_ack, min_idle_ms, patience_ms)| {
            Reading {
                reader,
                streams,
                count,
                // It may not be less than COUNT, nor nothing.
                count_in_all: more.map(|more| (count.unwrap_or(0) + more).max(1)),
                no_ack: no_ack && reader.is_some(),
                min_idle_ms: min_idle_ms.filter(|_| reader.is_some()),
                patience_ms,
            }
        })
}

fn claim() -> impl Strategy<Value = Op> {
    let options = (
        prop::option::weighted(0.2, 0..90_u16),
        prop::option::weighted(0.2, 0..9_u8),
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop::option::weighted(0.1, id()),
    );
    let min_idle_ms = prop_oneof![Just(0_u16), 0..60_u16];
    (key(), name(), name(), min_idle_ms, ids(), options).prop_map(
        |(key, group, consumer, min_idle_ms, ids, options)| {
            let (idle_ms, retry_count, force, just_id, last_id) = options;
            Op::Claim(Claim {
                key,
                group,
                consumer,
                min_idle_ms,
                ids,
                idle_ms,
                retry_count,
                force,
                just_id,
                last_id,
            })
        },
    )
}

fn writes() -> impl Strategy<Value = Op> {
    let range = (key(), bound(), bound(), prop::option::of(0..6_u8), any::<bool>());
    prop_oneof![
        3 => (key(), ids()).prop_map(|(key, ids)| Op::Delete(key, ids)),
        1 => (key(), references(), ids()).prop_map(|(key, how, ids)| Op::DeleteEx(key, how, ids)),
        2 => (key(), trim()).prop_map(|(key, trim)| Op::Trim(key, trim)),
        1 => (key(), id(), prop::option::of(0..30_u8), prop::option::of(id()))
            .prop_map(|(key, id, added, max_deleted)| Op::SetId { key, id, added, max_deleted }),
        1 => key().prop_map(Op::Len),
        3 => range.prop_map(|(key, start, end, count, reverse)| {
            Op::Range { key, start, end, count, reverse }
        }),
        1 => (key(), name(), prop::option::of(name()), 0..4_u8)
            .prop_map(|(key, producer, name, value)| Op::AddOnce { key, producer, name, value }),
    ]
}

fn groups() -> impl Strategy<Value = Op> {
    let read = || prop::option::weighted(0.3, 0..20_u8);
    let at = || prop_oneof![2 => Just(Some(IdOf::Edge(false))), 1 => prop::option::of(id())];
    prop_oneof![
        4 => (key(), name(), at(), any::<bool>(), read()).prop_map(
            |(key, group, id, make_stream, read)| Op::Create { key, group, id, make_stream, read }
        ),
        1 => (key(), name(), at(), read())
            .prop_map(|(key, group, id, read)| Op::SetGroupId { key, group, id, read }),
        1 => (key(), name()).prop_map(|(key, group)| Op::Destroy(key, group)),
        1 => (key(), name(), name()).prop_map(|(key, name, it)| Op::CreateConsumer(key, name, it)),
        1 => (key(), name(), name()).prop_map(|(key, name, it)| Op::DeleteConsumer(key, name, it)),
        3 => (key(), name(), ids()).prop_map(|(key, group, ids)| Op::Acknowledge(key, group, ids)),
        1 => (key(), name(), references(), ids())
            .prop_map(|(key, group, how, ids)| Op::AcknowledgeDelete(key, group, how, ids)),
    ]
}

fn pending() -> impl Strategy<Value = Op> {
    let mode = prop_oneof![Just(Mode::Silent), Just(Mode::Fail), Just(Mode::Fatal)];
    let release = (key(), name(), mode, ids(), prop::option::weighted(0.2, 0..9_u8), any::<bool>());
    let range = (
        key(),
        name(),
        prop::option::of(0..60_u16),
        bound(),
        bound(),
        0..8_u8,
        prop::option::of(name()),
    );
    let auto = (key(), name(), name(), 0..60_u16, id(), prop::option::of(1..4_u8), any::<bool>());
    prop_oneof![
        1 => (key(), name()).prop_map(|(key, group)| Op::Pending(key, group)),
        2 => range.prop_map(|(key, group, min_idle_ms, start, end, count, consumer)| {
            Op::PendingRange { key, group, min_idle_ms, start, end, count, consumer }
        }),
        2 => release.prop_map(|(key, group, mode, ids, retry, force)| {
            Op::Release { key, group, mode, ids, retry, force }
        }),
        3 => claim(),
        3 => auto.prop_map(|(key, group, consumer, min_idle_ms, start, count, just_id)| {
            Op::AutoClaim { key, group, consumer, min_idle_ms, start, count, just_id }
        }),
    ]
}

fn others() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => key().prop_map(Op::DropKey),
        1 => Just(Op::MakeString(1)),
        1 => (key(), key()).prop_map(|(from, to)| Op::Copy(from, to)),
        2 => (key(), prop::option::of(prop::option::of(0..5_u8)))
            .prop_map(|(key, full)| Op::InfoStream(key, full)),
        1 => key().prop_map(Op::InfoGroups),
        1 => (key(), name()).prop_map(|(key, group)| Op::InfoConsumers(key, group)),
        1 => (key(), prop::option::of(1..3_u8), prop::option::of(1..4_u8))
            .prop_map(|(key, secs, names)| Op::Configure { key, secs, names }),
        1 => (1..6_usize).prop_map(Op::Limit),
        6 => (0..70_u64).prop_map(Op::Wait),
        1 => (900..1500_u64).prop_map(Op::Wait),
    ]
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => add(),
        4 => writes(),
        5 => groups(),
        5 => reading().prop_map(Op::Read),
        3 => reading().prop_map(Op::Block),
        5 => pending(),
        2 => others(),
    ]
}
