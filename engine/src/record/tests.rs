//! What is written is read back; what is damaged is an error.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::disk::{DiskAnswer, DiskError, DiskErrorKind, DiskResult, Ticket};
use crate::input::{Facts, Handshakes, Input, Origin, Outcome, Vitals};
use crate::rng::Seed;
use crate::time::{Instant, Micros, Now, UnixMicros};

/// An event as a driver would cause it.
#[derive(Clone, Debug)]
enum Made {
    Opened(u64, Origin),
    Received(u64, Vec<u8>),
    Sent(u64, usize),
    Closed(u64),
    Done(u64, Outcome),
    Vitals(Vitals),
    Disk(u64, DiskResult),
    Start,
    Terminate(bool),
    Tick,
    Elapsed(u64, Vec<u64>),
    Taken(u64, Option<usize>, Vec<u8>, usize),
    Time(u64, i64),
}

fn origins() -> impl Strategy<Value = Origin> {
    let address = any::<core::net::SocketAddr>().prop_map(|mut address| {
        // Its text does not tell.
        if let core::net::SocketAddr::V6(v6) = &mut address {
            v6.set_flowinfo(0);
        }
        address
    });
    prop_oneof![
        (address.clone(), address.clone()).prop_map(|(peer, local)| Origin::Tcp { peer, local }),
        (address.clone(), address, proptest::option::of(".{0,9}")).prop_map(
            |(peer, local, user)| {
                Origin::Tls { peer, local, user: user.map(String::into_boxed_str) }
            }
        ),
        ".{0,9}".prop_map(|path| Origin::Unix { path }),
    ]
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let result = proptest::result::maybe_ok(Just(()), ".{0,9}");
    let bytes = proptest::collection::vec(any::<u8>(), 0..9);
    (0..4, result, bytes).prop_map(|(kind, result, bytes)| match kind {
        0 => Outcome::ConfigApplied(result),
        1 => Outcome::ConfigRewritten(result),
        2 => Outcome::UsersRead(result.map(|()| bytes)),
        _ => Outcome::UsersWritten(result),
    })
}

fn disk_results() -> impl Strategy<Value = DiskResult> {
    let kind = prop_oneof![
        Just(DiskErrorKind::NotFound),
        Just(DiskErrorKind::NoSpace),
        Just(DiskErrorKind::Other),
    ];
    let error =
        (0..9_usize, kind, ".{0,9}").prop_map(|(at, kind, text)| DiskError { at, kind, text });
    let answer = (proptest::collection::vec(any::<u8>(), 0..9), any::<u64>())
        .prop_map(|(bytes, file_len)| DiskAnswer { bytes, file_len });
    proptest::result::maybe_ok(answer, error)
}

fn made() -> impl Strategy<Value = Made> {
    let conn = prop_oneof![0..4_u64, any::<u64>()];
    let bytes = proptest::collection::vec(any::<u8>(), 0..200);
    let number = prop_oneof![0..300_u64, any::<u64>()];
    let vitals = any::<[u64; 8]>().prop_map(|[a, b, c, d, e, f, g, h]| Vitals {
        resident_bytes: a,
        machine_bytes: b,
        cpu_user_us: c,
        cpu_system_us: d,
        handshakes: Handshakes { done: e, resumed: f, failed: g, pending: h },
    });
    let size = prop_oneof![Just(0_usize), 0..5000_usize];
    prop_oneof![
        1 => (conn.clone(), origins()).prop_map(|(conn, origin)| Made::Opened(conn, origin)),
        4 => (conn.clone(), bytes.clone()).prop_map(|(conn, bytes)| Made::Received(conn, bytes)),
        2 => (conn.clone(), size.clone()).prop_map(|(conn, len)| Made::Sent(conn, len)),
        1 => conn.clone().prop_map(Made::Closed),
        1 => (conn.clone(), outcomes()).prop_map(|(conn, outcome)| Made::Done(conn, outcome)),
        1 => vitals.prop_map(Made::Vitals),
        1 => (any::<u64>(), disk_results()).prop_map(|(ticket, result)| Made::Disk(ticket, result)),
        1 => Just(Made::Start),
        1 => any::<bool>().prop_map(Made::Terminate),
        1 => Just(Made::Tick),
        2 => (number.clone(), proptest::collection::vec(number, 0..4))
            .prop_map(|(micros, readings)| Made::Elapsed(micros, readings)),
        4 => (conn, proptest::option::of(size.clone()), bytes, size)
            .prop_map(|(conn, before, output, after)| Made::Taken(conn, before, output, after)),
        2 => (0..1_000_000_u64, -5_000..5_000_i64).prop_map(|(mono, wall)| Made::Time(mono, wall)),
    ]
}

const START: Now = Now { mono: Instant(77), wall: UnixMicros(1_700_000_000_000_000) };

/// Writes events, and what reading them must give.
fn write(writer: &mut Writer, made: &[Made]) -> Vec<String> {
    let mut now = START;
    let mut digest = 0;
    let mut expected = Vec::new();
    for made in made {
        let mut step = |input: Input<'_>, known: usize, recorded: Recorded<'_>| {
            writer.step(now, &input, known);
            expected.push(format!("{:?}", Event::Step { now, input: recorded }));
        };
        match made.clone() {
            Made::Opened(conn, origin) => {
                let conn = ConnId(conn);
                let again = origin.clone();
                step(Input::Opened { conn, origin: again }, 0, Recorded::Opened { conn, origin });
            }
            Made::Received(conn, bytes) => {
                let (conn, known) = (ConnId(conn), bytes.len() / 3);
                let mut buffer = BytesMut::from(&bytes[..]);
                let fresh = &bytes[known..];
                let bytes = &mut buffer;
                step(Input::Received { conn, bytes }, known, Recorded::Received { conn, fresh });
            }
            Made::Sent(conn, len) => {
                let conn = ConnId(conn);
                step(Input::Sent { conn, len }, 0, Recorded::Sent { conn, len });
            }
            Made::Closed(conn) => {
                let conn = ConnId(conn);
                step(Input::Closed { conn }, 0, Recorded::Closed { conn });
            }
            Made::Done(conn, outcome) => {
                let (conn, again) = (ConnId(conn), outcome.clone());
                step(Input::Done { conn, outcome: again }, 0, Recorded::Done { conn, outcome });
            }
            Made::Vitals(vitals) => step(Input::Vitals(vitals), 0, Recorded::Vitals(vitals)),
            Made::Disk(ticket, result) => {
                let (ticket, again) = (Ticket(ticket), result.clone());
                step(Input::Disk { ticket, result: again }, 0, Recorded::Disk { ticket, result });
            }
            Made::Start => step(Input::Start, 0, Recorded::Start),
            Made::Terminate(by_interrupt) => {
                let recorded = Recorded::Terminate { by_interrupt };
                step(Input::Terminate { by_interrupt }, 0, recorded);
            }
            Made::Tick => step(Input::Tick, 0, Recorded::Tick),
            Made::Elapsed(micros, readings) => {
                let readings: Vec<Instant> = readings.into_iter().map(Instant).collect();
                writer.elapsed(Micros(micros), &readings);
                let event = Event::Elapsed { elapsed: Micros(micros), readings };
                expected.push(format!("{event:?}"));
            }
            Made::Taken(conn, before, output, after) => {
                writer.taken(ConnId(conn), before, &output, after);
                digest = roll(digest, ConnId(conn), &output);
                expected.push(format!(
                    "taken {conn} {before:?} {} {}",
                    output.len(),
                    digest as u16
                ));
            }
            Made::Time(mono, wall) => {
                now.mono = Instant(now.mono.0 + mono);
                now.wall = UnixMicros((now.wall.0 + mono).saturating_add_signed(wall));
            }
        }
    }
    expected
}

/// The events of a block as `write` expects them.
fn read(block: &[u8], made: &[Made]) -> Vec<String> {
    let header = BlockHeader::decode(block).unwrap();
    header.verify(block).unwrap();
    assert_eq!(header.payload_len as usize, block.len() - BLOCK_HEADER_LEN);
    // What `Same` means is what the last empty buffer became.
    let mut afters = made.iter().filter_map(|made| match made {
        Made::Taken(_, before, _, after) => Some((*before, *after)),
        _ => None,
    });
    let mut last = None;
    let shown = |event: Result<Event<'_>, Malformed>| match event.unwrap() {
        Event::Taken { conn, capacity, len, check } => {
            let before = match capacity {
                Capacity::Same => last,
                Capacity::Bytes(bytes) => Some(bytes),
                Capacity::InUse => None,
            };
            let (given, after) = afters.next().unwrap();
            last = if given.is_some() { Some(after) } else { last };
            format!("taken {} {before:?} {len} {check}", conn.0)
        }
        event => format!("{event:?}"),
    };
    Events::new(&header, &block[BLOCK_HEADER_LEN..]).map(shown).collect()
}

proptest! {
    #[test]
    fn events_are_read_back_as_they_were(
        first in proptest::collection::vec(made(), 0..60),
        second in proptest::collection::vec(made(), 0..60),
    ) {
        let mut writer = Writer::new(START, Vec::new());
        prop_assert!(writer.is_empty());
        let expected = write(&mut writer, &first);
        let digest = writer.digest();
        let block = writer.seal(Vec::new());
        prop_assert_eq!(read(&block, &first), expected);
        prop_assert_eq!(BlockHeader::decode(&block).unwrap().digest, digest);
        // A block knows nothing of the one before it.
        writer.step(START, &Input::Tick, 0);
        writer.seal(block);
        let mut alone = Writer::new(START, Vec::new());
        let expected = write(&mut alone, &second);
        prop_assert_eq!(read(&alone.seal(Vec::new()), &second), expected);
    }

    #[test]
    fn damage_is_found(
        made in proptest::collection::vec(made(), 1..40),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let mut writer = Writer::new(START, Vec::new());
        write(&mut writer, &made);
        let mut block = writer.seal(Vec::new());
        let place = place.index(block.len());
        block[place] ^= 1 << bit;
        let found = BlockHeader::decode(&block).and_then(|header| header.verify(&block));
        prop_assert!(found.is_err(), "byte {place}");
    }

    /// Even what has a good checksum may be nonsense.
    #[test]
    fn nonsense_is_an_error_or_an_event(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        let header = BlockHeader::events(0, 0, START, 0);
        for event in Events::new(&header, &payload) {
            drop(format!("{event:?}"));
        }
        drop((Start::decode(&payload), End::decode(&payload), FileHeader::decode(&payload)));
        let _ = BlockHeader::decode(&payload);
    }
}

#[test]
fn starts_ends_and_headers_are_read_back() {
    let facts = Facts { process_id: 7, config_file: Some("x".into()), ..Facts::default() };
    let words = vec!["a b".to_owned(), String::new()];
    let start = Start {
        version: "1.2".to_owned(),
        seed: Seed(u64::MAX),
        now: START,
        directives: vec![("save".to_owned(), words), ("bind".to_owned(), Vec::new())],
        facts,
        secret: Some([3; 32]),
        users: Some(b"user u\xff".to_vec()),
    };
    let block = sealed(&start);
    let header = BlockHeader::decode(&block).unwrap();
    assert_eq!((header.kind, header.verify(&block)), (Kind::Start, Ok(())));
    assert_eq!(Start::decode(&block[BLOCK_HEADER_LEN..]), Ok(start));
    for digest in [None, Some(7)] {
        let end = End { why: "it was full".to_owned(), digest };
        let block = Writer::new(START, Vec::new()).end(&end);
        assert_eq!(BlockHeader::decode(&block).unwrap().kind, Kind::End);
        assert_eq!(End::decode(&block[BLOCK_HEADER_LEN..]), Ok(end));
    }
    let file = FileHeader { part: 3, recording: 99 };
    let mut bytes = file.encode();
    assert_eq!(FileHeader::decode(&bytes), Ok(file));
    bytes[12] ^= 1;
    let wrong = Malformed("the checksum of its header is wrong");
    assert_eq!(FileHeader::decode(&bytes), Err(wrong));
    assert_eq!(FileHeader::decode(b"REDIS0011"), Err(Malformed("it ends in the middle")));
}

#[test]
fn what_is_common_is_short() {
    let mut writer = Writer::new(START, Vec::new());
    let conn = ConnId(300);
    let mut bytes = BytesMut::from(&b"GET k\r\n"[..]);
    for round in 0..3 {
        let before = writer.len();
        let now = Now { mono: Instant(177 + round), wall: UnixMicros(START.wall.0 + 100 + round) };
        writer.step(now, &Input::Received { conn, bytes: &mut bytes }, 0);
        writer.elapsed(Micros(3), &[]);
        writer.taken(conn, Some(64), b"$1\r\nv\r\n", 64);
        writer.step(now, &Input::Sent { conn, len: 7 }, 0);
        if round == 2 {
            let overhead = writer.len() - before - bytes.len();
            assert!(overhead <= 12, "{overhead} bytes beside the request");
        }
    }
}
