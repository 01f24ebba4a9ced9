//! Places against brute force: every member of a set is decoded bit by bit, measured with the
//! haversine formula and compared with what a search returns.
//!
//! A member within a millimetre or so of an edge may be found or not. Nothing is searched near the
//! poles, where Redis's choice of squares misses a member now and then.

use std::collections::BTreeMap;

use orrery_engine::{Config, ConnId, Seed};
use orrery_tests::model::run;
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::Server;
use proptest::prelude::*;

const EARTH_RADIUS_M: f64 = 6_372_797.560856;
const LATITUDE_MAX: f64 = 85.05112878;
const UNITS: [(&str, f64); 4] = [("m", 1.0), ("km", 1000.0), ("FT", 0.3048), ("mi", 1609.34)];

type Key = u8;
type Member = u8;
type Place = (f64, f64);
type Zset = BTreeMap<Member, f64>;

/// A place by its distance from the centre of the case, as parts of its size.
type Offset = (f64, f64);

#[derive(Clone, Copy, Debug)]
enum Condition {
    None,
    Nx,
    Xx,
}

#[derive(Clone, Copy, Debug)]
enum From {
    Member(Member),
    Place(Offset),
}

/// Sizes are parts of the size of the case.
#[derive(Clone, Debug)]
enum By {
    Radius(f64),
    Box(f64, f64),
    Polygon(Vec<Offset>),
}

#[derive(Clone, Debug)]
struct Search {
    key: Key,
    from: From,
    by: By,
    unit: usize,
    order: Option<bool>,
    count: Option<(usize, bool)>,
    with: [bool; 3],
    /// Where the result goes, and whether distances do.
    store: Option<(Key, bool)>,
    /// GEORADIUS and GEORADIUSBYMEMBER instead of GEOSEARCH.
    old_form: bool,
}

#[derive(Clone, Debug)]
enum Op {
    Add(Key, Condition, bool, Vec<(Offset, Member)>),
    Remove(Key, Member),
    Pos(Key, Vec<Member>),
    Hash(Key, Vec<Member>),
    Dist(Key, Member, Member, Option<usize>),
    Search(Search),
}

/// Where everything happens and how far it reaches, in degrees.
#[derive(Clone, Copy, Debug)]
struct Region {
    center: Place,
    size: f64,
}

fn offset() -> impl Strategy<Value = Offset> {
    (-1.0..1.0_f64, -1.0..1.0_f64)
}

fn search() -> impl Strategy<Value = Search> {
    let from = prop_oneof![(0..40_u8).prop_map(From::Member), offset().prop_map(From::Place)];
    let by = prop_oneof![
        (0.0..1.0_f64).prop_map(By::Radius),
        (0.0..1.5_f64, 0.0..1.5_f64).prop_map(|(width, height)| By::Box(width, height)),
        prop::collection::vec(offset(), 3..8).prop_map(By::Polygon),
    ];
    let count = prop::option::of((1..12_usize, any::<bool>()));
    let store = prop::option::weighted(0.2, (3..5_u8, any::<bool>()));
    let with = any::<[bool; 3]>();
    let what = (0..3_u8, from, by, 0..UNITS.len());
    (what, prop::option::of(any::<bool>()), count, with, store, any::<bool>()).prop_map(
        |((key, from, by, unit), order, count, with, store, old_form)| Search {
            key,
            from,
            // A polygon is not around anything and has no unit.
            unit: if matches!(by, By::Polygon(_)) { 0 } else { unit },
            old_form: old_form && matches!(by, By::Radius(_)),
            by,
            order,
            count,
            with: if store.is_some() { [false; 3] } else { with },
            store,
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..3_u8;
    let member = || 0..40_u8;
    let members = || prop::collection::vec(member(), 1..5);
    let condition =
        prop_oneof![4 => Just(Condition::None), 1 => Just(Condition::Nx), 1 => Just(Condition::Xx)];
    let places = prop::collection::vec((offset(), member()), 1..15);
    prop_oneof![
        4 => (key(), condition, any::<bool>(), places)
            .prop_map(|(key, condition, ch, places)| Op::Add(key, condition, ch, places)),
        1 => (key(), member()).prop_map(|(key, member)| Op::Remove(key, member)),
        1 => (key(), members()).prop_map(|(key, members)| Op::Pos(key, members)),
        1 => (key(), members()).prop_map(|(key, members)| Op::Hash(key, members)),
        1 => (key(), member(), member(), prop::option::of(0..UNITS.len()))
            .prop_map(|(key, a, b, unit)| Op::Dist(key, a, b, unit)),
        8 => search().prop_map(Op::Search),
    ]
}

fn region() -> impl Strategy<Value = Region> {
    let center = (prop::sample::select(vec![0.0, 13.0, 179.95, -180.0, -74.0]), -50.0..50.0_f64);
    let size = prop::sample::select(vec![0.0005, 0.02, 0.7, 6.0]);
    (center, size).prop_map(|(center, size)| Region { center, size })
}

impl Region {
    fn place(&self, (x, y): Offset) -> Place {
        let longitude = (self.center.0 + x * self.size + 540.0).rem_euclid(360.0) - 180.0;
        (longitude, self.center.1 + y * self.size)
    }

    /// A part of the size in metres.
    fn length_m(&self, part: f64) -> f64 {
        part * self.size * 111_000.0
    }
}

fn name(key: Key) -> String {
    format!("k{key}")
}

/// Every third member is an integer.
fn member_name(member: Member) -> String {
    if member.is_multiple_of(3) { format!("{member}") } else { format!("m{member}") }
}

fn member_of(value: &Value) -> Member {
    let text = std::str::from_utf8(value.bytes()).expect("text");
    text.trim_start_matches('m').parse().expect("a number")
}

/// The score of a place: 26 times, which half of the world it is in, by longitude and by latitude.
fn score_of((longitude, latitude): Place) -> f64 {
    let (mut west, mut east) = (-180.0, 180.0);
    let (mut south, mut north) = (-LATITUDE_MAX, LATITUDE_MAX);
    let mut bits = 0_u64;
    for _ in 0..26 {
        for (place, low, high) in
            [(longitude, &mut west, &mut east), (latitude, &mut south, &mut north)]
        {
            let middle = (*low + *high) / 2.0;
            let is_high = place >= middle;
            if is_high {
                *low = middle
            } else {
                *high = middle
            }
            bits = bits << 1 | u64::from(is_high);
        }
    }
    bits as f64
}

/// The middle of the places with a score.
fn place_of(score: f64) -> Place {
    let bits = score as u64;
    let (mut west, mut east) = (-180.0, 180.0);
    let (mut south, mut north) = (-LATITUDE_MAX, LATITUDE_MAX);
    for at in (0..26).rev() {
        for (bit, low, high) in
            [(2 * at + 1, &mut west, &mut east), (2 * at, &mut south, &mut north)]
        {
            let middle = (*low + *high) / 2.0;
            if bits >> bit & 1 == 1 { *low = middle } else { *high = middle }
        }
    }
    ((west + east) / 2.0, (south + north) / 2.0)
}

/// Ten letters of five bits, longitude first; the eleventh is always `0`.
fn geohash_of((longitude, latitude): Place) -> String {
    let letters: Vec<char> = "0123456789bcdefghjkmnpqrstuvwxyz".chars().collect();
    let (mut west, mut east, mut south, mut north) = (-180.0, 180.0, -90.0, 90.0);
    let mut text = String::new();
    let mut bits = 0_usize;
    for step in 1..=50 {
        let by_longitude = step % 2 == 1;
        let (place, low, high) = if by_longitude {
            (longitude, &mut west, &mut east)
        } else {
            (latitude, &mut south, &mut north)
        };
        let middle = (*low + *high) / 2.0;
        let is_high = place >= middle;
        if is_high {
            *low = middle
        } else {
            *high = middle
        }
        bits = bits << 1 | usize::from(is_high);
        if step % 5 == 0 {
            text.push(letters[bits % 32]);
        }
    }
    text.push('0');
    text
}

fn distance_m(a: Place, b: Place) -> f64 {
    let ((a_lon, a_lat), (b_lon, b_lat)) =
        ((a.0.to_radians(), a.1.to_radians()), (b.0.to_radians(), b.1.to_radians()));
    let haversine = |angle: f64| (angle / 2.0).sin().powi(2);
    let h = haversine(b_lat - a_lat) + a_lat.cos() * b_lat.cos() * haversine(b_lon - a_lon);
    2.0 * EARTH_RADIUS_M * h.sqrt().asin()
}

/// What can be said of a member and an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Inside,
    Outside,
    OnTheEdge,
}

fn compare(length: f64, limit: f64) -> Is {
    match () {
        () if (length - limit).abs() < 1e-3 + limit * 1e-8 => Is::OnTheEdge,
        () if length < limit => Is::Inside,
        () => Is::Outside,
    }
}

fn both(a: Is, b: Is) -> Is {
    match (a, b) {
        (Is::Outside, _) | (_, Is::Outside) => Is::Outside,
        (Is::OnTheEdge, _) | (_, Is::OnTheEdge) => Is::OnTheEdge,
        _ => Is::Inside,
    }
}

/// By the sum of the angles under which the edges are seen.
fn in_polygon(corners: &[Place], place: Place) -> Is {
    let mut turned = 0.0_f64;
    for (at, &(x, y)) in corners.iter().enumerate() {
        let (next_x, next_y) = corners[(at + 1) % corners.len()];
        let (a, b) = ((x - place.0, y - place.1), (next_x - place.0, next_y - place.1));
        let cross = a.0 * b.1 - a.1 * b.0;
        let dot = a.0 * b.0 + a.1 * b.1;
        let length = (next_x - x).hypot(next_y - y);
        // How far the edge's line is, where it is near.
        if dot <= 0.0 && cross.abs() <= length * 1e-9 {
            return Is::OnTheEdge;
        }
        turned += cross.atan2(dot);
    }
    // Each turn counts: a ray that leaves where outlines overlap crosses an even number of edges.
    let turns = (turned / std::f64::consts::TAU).round() as i64;
    if turns % 2 != 0 { Is::Inside } else { Is::Outside }
}

/// The middle of places on the globe.
fn middle(places: &[Place]) -> Place {
    let sum = places.iter().fold((0.0, 0.0, 0.0), |sum, place| {
        let (longitude, latitude) = (place.0.to_radians(), place.1.to_radians());
        (
            sum.0 + latitude.cos() * longitude.cos(),
            sum.1 + latitude.cos() * longitude.sin(),
            sum.2 + latitude.sin(),
        )
    });
    let latitude = sum.2.atan2(sum.0.hypot(sum.1)).to_degrees();
    (sum.1.atan2(sum.0).to_degrees(), latitude)
}

impl Search {
    fn words(&self, region: &Region) -> Vec<String> {
        let unit = UNITS[self.unit];
        let length = |part: f64| (region.length_m(part) / unit.1).to_string();
        let place = |offset| {
            let (longitude, latitude) = region.place(offset);
            [longitude.to_string(), latitude.to_string()]
        };
        let mut words = Vec::new();
        match (self.old_form, self.store, self.from) {
            (true, _, From::Member(member)) => {
                let command =
                    if self.store.is_some() { "GEORADIUSBYMEMBER" } else { "georadiusbymember_ro" };
                words.extend([command.to_owned(), name(self.key), member_name(member)]);
            }
            (true, _, From::Place(offset)) => {
                let command = if self.store.is_some() { "GEORADIUS" } else { "GEORADIUS_RO" };
                words.extend([command.to_owned(), name(self.key)]);
                words.extend(place(offset));
            }
            (false, Some((to, _)), _) => {
                words.extend(["GEOSEARCHSTORE".to_owned(), name(to), name(self.key)]);
            }
            (false, None, _) => words.extend(["GEOSEARCH".to_owned(), name(self.key)]),
        }
        if !self.old_form && !matches!(self.by, By::Polygon(_)) {
            match self.from {
                From::Member(member) => {
                    words.extend(["FROMMEMBER".to_owned(), member_name(member)])
                }
                From::Place(offset) => {
                    words.push("FROMLONLAT".to_owned());
                    words.extend(place(offset));
                }
            }
        }
        match &self.by {
            By::Radius(radius) => {
                words.extend((!self.old_form).then(|| "BYRADIUS".to_owned()));
                words.extend([length(*radius), unit.0.to_owned()]);
            }
            By::Box(width, height) => {
                words.extend(["BYBOX".to_owned(), length(*width), length(*height)]);
                words.push(unit.0.to_owned());
            }
            By::Polygon(corners) => {
                words.extend(["BYPOLYGON".to_owned(), corners.len().to_string()]);
                words.extend(corners.iter().flat_map(|corner| place(*corner)));
            }
        }
        words.extend(self.order.map(|up| if up { "ASC" } else { "DESC" }.to_owned()));
        if let Some((count, any)) = self.count {
            words.extend(["COUNT".to_owned(), count.to_string()]);
            words.extend(any.then(|| "ANY".to_owned()));
        }
        for (wanted, word) in self.with.into_iter().zip(["WITHDIST", "WITHHASH", "WITHCOORD"]) {
            words.extend(wanted.then(|| word.to_owned()));
        }
        match (self.old_form, self.store) {
            (true, Some((to, distances))) => {
                words.push(if distances { "STOREDIST" } else { "STORE" }.to_owned());
                words.push(name(to));
            }
            (false, Some((_, true))) => words.push("STOREDIST".to_owned()),
            _ => {}
        }
        words
    }

    /// The centre, if it is known.
    fn center(&self, region: &Region, zset: &Zset) -> Option<Place> {
        match (&self.by, self.from) {
            (By::Polygon(corners), _) => {
                let corners: Vec<Place> = corners.iter().map(|it| region.place(*it)).collect();
                Some(middle(&corners))
            }
            (_, From::Place(offset)) => Some(region.place(offset)),
            (_, From::Member(member)) => zset.get(&member).map(|score| place_of(*score)),
        }
    }

    fn judge(&self, region: &Region, center: Place, place: Place) -> Is {
        match &self.by {
            By::Radius(radius) => compare(distance_m(center, place), region.length_m(*radius)),
            By::Box(width, height) => both(
                compare(distance_m((center.0, place.1), place), region.length_m(*width) / 2.0),
                compare(distance_m(center, (center.0, place.1)), region.length_m(*height) / 2.0),
            ),
            By::Polygon(corners) => {
                let corners: Vec<Place> = corners.iter().map(|it| region.place(*it)).collect();
                in_polygon(&corners, place)
            }
        }
    }

    /// Checks the members that were found, in order.
    fn check(
        &self,
        region: &Region,
        zset: &Zset,
        center: Place,
        found: &[Member],
    ) -> Result<(), String> {
        let distance = |member: &Member| distance_m(center, place_of(zset[member]));
        let mut seen = found.to_vec();
        seen.sort_unstable();
        seen.dedup();
        if seen.len() != found.len() {
            return Err("a member is there twice".to_owned());
        }
        let (mut sure, mut possible) = (0, 0);
        let limit = self.count.map_or(usize::MAX, |(count, _)| count);
        let is_sorted = self.order.is_some() || matches!(self.count, Some((_, false)));
        let descends = self.order == Some(false);
        let any = matches!(self.count, Some((_, true)));
        for (member, score) in zset {
            let is = self.judge(region, center, place_of(*score));
            let was_found = seen.binary_search(member).is_ok();
            sure += usize::from(is == Is::Inside);
            possible += usize::from(is != Is::Outside);
            if was_found && is == Is::Outside {
                return Err(format!("{member} is outside"));
            }
            if is == Is::Inside && !was_found {
                if found.len() < limit {
                    return Err(format!("{member} is inside"));
                }
                let last = found.last().map(&distance).unwrap_or_default();
                let is_better = if descends {
                    distance(member) > last + 1e-3
                } else {
                    distance(member) + 1e-3 < last
                };
                if is_better && !any {
                    return Err(format!("{member} should have come before"));
                }
            }
        }
        if found.len() < sure.min(limit) || found.len() > possible.min(limit) {
            return Err(format!("{} of {sure} to {possible} members", found.len()));
        }
        let in_order = |pair: &[Member]| {
            let (a, b) = (distance(&pair[0]), distance(&pair[1]));
            if descends { a + 1e-3 >= b } else { a <= b + 1e-3 }
        };
        if is_sorted && !found.windows(2).all(in_order) {
            return Err("not in order".to_owned());
        }
        Ok(())
    }

    /// The members of a reply; their details are checked on the way.
    fn read(&self, zset: &Zset, center: Place, reply: &Value) -> Result<Vec<Member>, String> {
        let unit_m = UNITS[self.unit].1;
        let mut members = Vec::new();
        for item in reply.elements() {
            if self.with == [false; 3] {
                members.push(member_of(item));
                continue;
            }
            let mut parts = item.elements().iter();
            let member = member_of(parts.next().ok_or("a member without a name")?);
            let score = *zset.get(&member).ok_or("a member that is not in the set")?;
            let place = place_of(score);
            if self.with[0] {
                let text = String::from_utf8_lossy(parts.next().ok_or("no distance")?.bytes())
                    .into_owned();
                let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
                let expected = distance_m(center, place) / unit_m;
                let shown: f64 = text.parse().map_err(|_| "a distance is a number")?;
                if decimals != 4 || (shown - expected).abs() > 2e-4 + expected * 1e-9 {
                    return Err(format!("{member} is {expected} away, not {text}"));
                }
            }
            if self.with[1] && parts.next() != Some(&Value::Integer(score as i64)) {
                return Err(format!("{member} has another score"));
            }
            if self.with[2] && !is_place(parts.next().ok_or("no place")?, place) {
                return Err(format!("{member} is elsewhere"));
            }
            if parts.next().is_some() {
                return Err("a detail too many".to_owned());
            }
            members.push(member);
        }
        Ok(members)
    }
}

fn is_place(value: &Value, place: Place) -> bool {
    let number = |value: &Value| String::from_utf8_lossy(value.bytes()).parse::<f64>();
    let [longitude, latitude] = value.elements() else { return false };
    let near = |value: &Value, expected: f64| {
        number(value).is_ok_and(|value| (value - expected).abs() < 1e-9)
    };
    near(longitude, place.0) && near(latitude, place.1)
}

struct Case {
    server: Server,
    conn: ConnId,
    region: Region,
    zsets: BTreeMap<Key, Zset>,
}

impl Case {
    fn call(&mut self, words: &[String], only_reads: bool) -> Value {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.clone().into_bytes()).collect();
        run(&mut self.server, self.conn, &words, only_reads)
    }

    fn zset(&self, key: Key) -> Zset {
        self.zsets.get(&key).cloned().unwrap_or_default()
    }

    fn add(
        &mut self,
        key: Key,
        condition: Condition,
        counts_changes: bool,
        places: &[(Offset, Member)],
    ) -> Result<(), String> {
        let mut words = vec!["GEOADD".to_owned(), name(key)];
        words.extend(counts_changes.then(|| "ch".to_owned()));
        match condition {
            Condition::None => {}
            Condition::Nx => words.push("NX".to_owned()),
            Condition::Xx => words.push("XX".to_owned()),
        }
        let mut zset = self.zset(key);
        let (mut added, mut moved) = (0, 0);
        for (offset, member) in places {
            let place = self.region.place(*offset);
            words.extend([place.0.to_string(), place.1.to_string(), member_name(*member)]);
            let score = score_of(place);
            match (zset.get(member), condition) {
                (None, Condition::Xx) | (Some(_), Condition::Nx) => continue,
                (None, _) => added += 1,
                (Some(old), _) => moved += i64::from(*old != score),
            }
            zset.insert(*member, score);
        }
        if !zset.is_empty() {
            self.zsets.insert(key, zset);
        }
        let expected = Value::Integer(if counts_changes { added + moved } else { added });
        let got = self.call(&words, false);
        if got == expected { Ok(()) } else { Err(format!("{got} is not {expected}")) }
    }

    fn search(&mut self, search: &Search) -> Result<(), String> {
        let zset = self.zset(search.key);
        let got = self.call(&search.words(&self.region), search.store.is_none());
        let Some(center) = search.center(&self.region, &zset) else {
            let expected = match (zset.is_empty(), search.store) {
                (false, _) => Value::error("ERR could not decode requested zset member"),
                (true, None) => Value::Array(vec![]),
                (true, Some((to, _))) => {
                    self.zsets.remove(&to);
                    Value::Integer(0)
                }
            };
            return if got == expected { Ok(()) } else { Err(format!("{got} is not {expected}")) };
        };
        let Some((to, stores_distances)) = search.store else {
            let found = search.read(&zset, center, &got)?;
            return search.check(&self.region, &zset, center, &found);
        };
        let stored = self
            .call(&["ZRANGE".into(), name(to), "0".into(), "-1".into(), "WITHSCORES".into()], true);
        let mut result = Zset::new();
        for pair in stored.elements().chunks(2) {
            let score = String::from_utf8_lossy(pair[1].bytes()).parse().map_err(|_| "no score")?;
            result.insert(member_of(&pair[0]), score);
        }
        if got != Value::Integer(result.len() as i64) {
            return Err(format!("{got} is not {}", result.len()));
        }
        for (member, score) in &result {
            let in_source = *zset.get(member).ok_or("a member from nowhere")?;
            let distance = distance_m(center, place_of(in_source)) / UNITS[search.unit].1;
            let expected = if stores_distances { distance } else { in_source };
            if (score - expected).abs()
                > 1e-6 + expected * 1e-9 * f64::from(u8::from(stores_distances))
            {
                return Err(format!("{member} has score {score}, not {expected}"));
            }
        }
        let mut found: Vec<Member> = result.keys().copied().collect();
        found.sort_by(|a, b| {
            let distance = |member| distance_m(center, place_of(zset[member]));
            let order = distance(a).total_cmp(&distance(b));
            if search.order == Some(false) { order.reverse() } else { order }
        });
        if result.is_empty() {
            self.zsets.remove(&to);
        } else {
            self.zsets.insert(to, result);
        }
        search.check(&self.region, &zset, center, &found)
    }

    fn of_members(&mut self, command: &str, key: Key, members: &[Member]) -> Value {
        let mut words = vec![command.to_owned(), name(key)];
        words.extend(members.iter().map(|member| member_name(*member)));
        self.call(&words, true)
    }

    fn apply(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Add(key, condition, ch, places) => self.add(*key, *condition, *ch, places),
            Op::Search(search) => self.search(search),
            Op::Remove(key, member) => {
                let removed =
                    self.zsets.get_mut(key).is_some_and(|zset| zset.remove(member).is_some());
                self.zsets.retain(|_, zset| !zset.is_empty());
                let got = self.call(&["ZREM".into(), name(*key), member_name(*member)], false);
                if got == Value::Integer(removed.into()) { Ok(()) } else { Err(got.to_string()) }
            }
            Op::Pos(key, members) => {
                let got = self.of_members("GEOPOS", *key, members);
                let zset = self.zset(*key);
                let fits = members.iter().zip(got.elements()).all(|(member, got)| {
                    match zset.get(member) {
                        Some(score) => is_place(got, place_of(*score)),
                        None => *got == Value::NullArray,
                    }
                });
                if fits && got.elements().len() == members.len() {
                    Ok(())
                } else {
                    Err(got.to_string())
                }
            }
            Op::Hash(key, members) => {
                let got = self.of_members("GEOHASH", *key, members);
                let zset = self.zset(*key);
                let hash = |member| zset.get(member).map(|score| geohash_of(place_of(*score)));
                let hashes = members.iter().map(|it| hash(it).map_or(Value::Null, Value::bulk));
                let expected = Value::Array(hashes.collect());
                if got == expected { Ok(()) } else { Err(format!("{got} is not {expected}")) }
            }
            Op::Dist(key, a, b, unit) => {
                let mut words =
                    vec!["GEODIST".to_owned(), name(*key), member_name(*a), member_name(*b)];
                words.extend(unit.map(|unit| UNITS[unit].0.to_owned()));
                let got = self.call(&words, true);
                let zset = self.zset(*key);
                let (Some(a), Some(b)) = (zset.get(a), zset.get(b)) else {
                    return if got == Value::Null { Ok(()) } else { Err(got.to_string()) };
                };
                let expected =
                    distance_m(place_of(*a), place_of(*b)) / unit.map_or(1.0, |unit| UNITS[unit].1);
                let shown: f64 = String::from_utf8_lossy(got.bytes()).parse().expect("a number");
                let is_near = (shown - expected).abs() < 2e-4 + expected * 1e-9;
                if is_near { Ok(()) } else { Err(format!("{got} is not {expected}")) }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn searches_find_what_brute_force_finds(
        region in region(),
        packed_max in prop::sample::select(vec![128, 128, 4]),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut config = Config::default();
        config.encodings.zset_entries = packed_max;
        let mut server = Server::new(config, Seed(1));
        let conn = server.connect();
        let mut case = Case { server, conn, region, zsets: BTreeMap::new() };
        for op in &ops {
            if let Err(why) = case.apply(op) {
                prop_assert!(false, "{:?} in {:?}: {}", op, region, why);
            }
        }
        let keys = case.zsets.len() as i64;
        prop_assert_eq!(case.server.call(conn, &["DBSIZE"]), Value::Integer(keys));
        case.server.engine().check_invariants();
    }
}
