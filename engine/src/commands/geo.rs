//! Geo: places as scores of a sorted set, and what is known of them.
//!
//! Invariant: nothing but the score says where a member is; the set is like any other.

use core::fmt::Write as _;

use super::Cx;
use super::spec::{Command, Flags, Group, one_key};
use super::zset::{double, limits};
use crate::args::Args;
use crate::error::Error;
use crate::resp::{Protocol, Reply};
use crate::value::geo::{Point, distance_m};
use crate::value::zset::{Zset, ZsetRef};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "GEOADD",
        syntax: "key [NX | XX] [CH] longitude:double latitude:double member \
            [longitude:double latitude:double member ...]",
        arity: -5,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[one_key(&["RW", "UPDATE"])],
        group: Group::Geo,
        since: "3.2.0",
        complexity: "O(log(N)) for each member, where N is the number of members of the set.",
        summary: "Sets where members of a sorted set are.",
        reply: "integer",
        run: geoadd,
        ..Command::ROW
    },
    Command {
        name: "GEOPOS",
        syntax: "key [member [member ...]]",
        arity: -2,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Geo,
        since: "3.2.0",
        complexity: "O(1) for each member.",
        summary: "Returns longitudes and latitudes of members of a sorted set.",
        reply: "array<[double, double] | null>",
        run: geopos,
        ..Command::ROW
    },
    Command {
        name: "GEODIST",
        syntax: "key member1 member2 [M | KM | FT | MI]",
        arity: -4,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Geo,
        since: "3.2.0",
        summary: "Returns the distance between two members of a sorted set.",
        reply: "bulk | null",
        run: geodist,
        ..Command::ROW
    },
    Command {
        name: "GEOHASH",
        syntax: "key [member [member ...]]",
        arity: -2,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Geo,
        since: "3.2.0",
        complexity: "O(1) for each member.",
        summary: "Returns where members of a sorted set are, as geohashes.",
        reply: "array<bulk | null>",
        run: geohash,
        ..Command::ROW
    },
];

/// The place whose longitude and latitude are words `index` and the next.
pub(super) fn point(args: Args<'_>, index: usize) -> Result<Point, Error> {
    let degrees = |index| double(args.at(index)).ok_or(Error::NotAFloat);
    let (longitude, latitude) = (degrees(index)?, degrees(index + 1)?);
    Point::new(longitude, latitude).ok_or_else(|| {
        Error::text(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"))
    })
}

/// How many metres a unit has.
pub(super) fn unit_m(word: &[u8]) -> Result<f64, Error> {
    const UNITS: [(&[u8], f64); 4] =
        [(b"m", 1.0), (b"km", 1000.0), (b"ft", 0.3048), (b"mi", 1609.34)];
    let unit = UNITS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    unit.map(|&(_, metres)| metres)
        .ok_or(Error::fixed("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// The sorted set at a key, to read it.
pub(super) fn read<'a>(
    cx: &'a mut Cx<'_>,
    key: &[u8],
) -> Result<(Option<ZsetRef<'a>>, &'a mut Reply), Error> {
    let found = cx.find_read(key);
    let db = cx.state.keyspace.db(cx.session.db);
    let zset = found.map(|found| db.value(found).zset()).transpose()?;
    Ok((zset, cx.reply))
}

/// Where a member is.
pub(super) fn point_of(zset: ZsetRef<'_>, member: &[u8]) -> Option<Point> {
    zset.score(member).map(Point::of_score)
}

/// Writes a place: both numbers with all their digits.
pub(super) fn reply_point(reply: &mut Reply, point: Point) {
    reply.array(2);
    for degrees in [point.longitude, point.latitude] {
        let text = format!("{degrees:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        let text = if text == "-0" { "0" } else { text };
        match reply.protocol {
            Protocol::Resp2 => reply.text(text),
            Protocol::Resp3 => {
                reply.out.push(b',');
                reply.out.extend_from_slice(text.as_bytes());
                reply.out.extend_from_slice(b"\r\n");
            }
        }
    }
}

/// Writes a distance: four decimals are a tenth of a metre if it is in kilometres.
pub(super) fn reply_distance(reply: &mut Reply, distance: f64) {
    let mut text = String::with_capacity(24);
    write!(text, "{distance:.4}").expect("a String takes everything");
    reply.text(&text);
}

/// `GEOADD key [NX | XX] [CH] longitude latitude member ...`
fn geoadd(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (mut only_new, mut only_present, mut counts_changes) = (false, false, false);
    let mut first = 2;
    loop {
        match () {
            () if args.is(first, "NX") => only_new = true,
            () if args.is(first, "XX") => only_present = true,
            () if args.is(first, "CH") => counts_changes = true,
            () => break,
        }
        first += 1;
    }
    let words = args.len() - first;
    if !words.is_multiple_of(3) || only_new && only_present {
        return Err(Error::Syntax);
    }
    let scores: Vec<f64> = (first..args.len())
        .step_by(3)
        .map(|index| point(args, index).map(|point| point.score() as f64))
        .collect::<Result<_, Error>>()?;
    if scores.is_empty() {
        return Err(Error::Syntax);
    }
    let (mut added, mut moved) = (0, 0);
    let (key, limits) = (args.at(1), limits(cx));
    let add_all = |_: &mut Cx<'_>, zset: &mut Zset| {
        for (score, member) in scores.iter().zip(args.from(first + 2).step_by(3)) {
            zset.update(&limits, member, |old| match old {
                Some(old) if only_new || old == *score => None,
                None if only_present => None,
                Some(_) => {
                    moved += 1;
                    Some(*score)
                }
                None => {
                    added += 1;
                    Some(*score)
                }
            });
        }
    };
    cx.edit_or_create(key, add_all)?;
    if added + moved > 0 {
        if cx.logs() {
            log_places(cx, args, first, &scores);
        }
        cx.changed(key, "zadd");
    }
    cx.reply.integer(if counts_changes { added + moved } else { added });
    Ok(())
}

/// Places are logged as what they are stored as.
fn log_places(cx: &mut Cx<'_>, args: Args<'_>, first: usize, scores: &[f64]) {
    let scores: Vec<String> = scores.iter().map(|&score| format!("{}", score as u64)).collect();
    let pairs = scores.iter().zip(args.from(first + 2).step_by(3));
    let pairs = pairs.flat_map(|(score, member)| [score.as_bytes(), member]);
    let words = [b"zadd".as_slice()].into_iter().chain(args.from(1).take(first - 1)).chain(pairs);
    cx.log_as(words.collect::<Vec<_>>());
}

/// `GEOPOS key member ...`
fn geopos(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (zset, reply) = read(cx, args.at(1))?;
    reply.array(args.len() - 2);
    for member in args.from(2) {
        match zset.and_then(|zset| point_of(zset, member)) {
            Some(point) => reply_point(reply, point),
            None => reply.null_array(),
        }
    }
    Ok(())
}

/// `GEODIST key member1 member2 [unit]`
fn geodist(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 5 {
        return Err(Error::Syntax);
    }
    let unit_m = args.opt(4).map_or(Ok(1.0), unit_m)?;
    let (zset, reply) = read(cx, args.at(1))?;
    let place = |index| point_of(zset?, args.at(index));
    match (place(2), place(3)) {
        (Some(a), Some(b)) => reply_distance(reply, distance_m(a, b) / unit_m),
        _ => reply.null(),
    }
    Ok(())
}

/// `GEOHASH key member ...`
fn geohash(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (zset, reply) = read(cx, args.at(1))?;
    reply.array(args.len() - 2);
    for member in args.from(2) {
        match zset.and_then(|zset| point_of(zset, member)) {
            Some(point) => reply.bulk(&point.geohash()),
            None => reply.null(),
        }
    }
    Ok(())
}
