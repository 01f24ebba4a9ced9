//! Geo: which members of a sorted set are in an area.
//!
//! Six commands ask the same: where the area is, what shape it has, how much of the result is
//! wanted and where it goes. They only differ in the words that they take.

use core::cmp::Ordering;

use super::Cx;
use super::arguments::integer;
use super::geo::{point, point_of, read, reply_distance, reply_point, unit_m};
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec, one_key};
use super::zset::{double, limits};
use crate::args::Args;
use crate::error::Error;
use crate::resp::Reply;
use crate::value::collection::Collection as _;
use crate::value::geo::{Area, Cell, Point, Shape};
use crate::value::packed::Element;
use crate::value::zset::{Edge, Zset, ZsetRef};

const SEARCH_COMPLEXITY: &str = "O(N+M*log(M)) where N is the number of members in the squares \
    around the area and M is the number of members inside it.";

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "GEOSEARCH",
        syntax: "key ((FROMMEMBER member | FROMLONLAT longitude:double latitude:double) \
            ((BYRADIUS radius:double) (M | KM | FT | MI) | \
            (BYBOX width:double) height:double (M | KM | FT | MI)) | \
            BYPOLYGON num-vertices:integer longitude:double latitude:double \
            [longitude:double latitude:double ...]) [ASC | DESC] [(COUNT count) [ANY]] \
            [WITHCOORD] [WITHDIST] [WITHHASH]",
        arity: -7,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        since: "6.2.0",
        summary: "Returns the members of a sorted set that are in an area.",
        run: |cx, args| search(cx, args, Form::Search),
        ..SEARCH
    },
    Command {
        name: "GEOSEARCHSTORE",
        syntax: "destination source ((FROMMEMBER member | \
            FROMLONLAT longitude:double latitude:double) \
            ((BYRADIUS radius:double) (M | KM | FT | MI) | \
            (BYBOX width:double) height:double (M | KM | FT | MI)) | \
            BYPOLYGON num-vertices:integer longitude:double latitude:double \
            [longitude:double latitude:double ...]) [ASC | DESC] [(COUNT count) [ANY]] [STOREDIST]",
        arity: -8,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[
            one_key(&["OW", "UPDATE"]),
            KeySpec {
                flags: &["RO", "ACCESS"],
                begin: Begin::Index(2),
                find: Find::Range { last: 0, step: 1 },
            },
        ],
        since: "6.2.0",
        summary: "Stores the members of a sorted set that are in an area.",
        reply: "integer",
        run: |cx, args| search(cx, args, Form::SearchStore),
        ..SEARCH
    },
    Command {
        name: "GEORADIUS",
        syntax: "key longitude:double latitude:double radius:double (M | KM | FT | MI) \
            [WITHCOORD] [WITHDIST] [WITHHASH] [(COUNT count) [ANY]] [ASC | DESC] \
            [STORE key] [STOREDIST key]",
        arity: -6,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[one_key(&["RO", "ACCESS"]), stored("STORE", 6), stored("STOREDIST", 6)],
        since: "3.2.0",
        summary: "Returns or stores the members of a sorted set that are in a circle.",
        reply: MEMBERS_OR_COUNT,
        run: |cx, args| search(cx, args, Form::Radius { may_store: true }),
        ..SEARCH
    },
    Command {
        name: "GEORADIUS_RO",
        syntax: "key longitude:double latitude:double radius:double (M | KM | FT | MI) \
            [WITHCOORD] [WITHDIST] [WITHHASH] [(COUNT count) [ANY]] [ASC | DESC]",
        arity: -6,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        since: "3.2.10",
        summary: "Returns the members of a sorted set that are in a circle.",
        run: |cx, args| search(cx, args, Form::Radius { may_store: false }),
        ..SEARCH
    },
    Command {
        name: "GEORADIUSBYMEMBER",
        syntax: "key member radius:double (M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] \
            [(COUNT count) [ANY]] [ASC | DESC] [STORE key] [STOREDIST key]",
        arity: -5,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[one_key(&["RO", "ACCESS"]), stored("STORE", 5), stored("STOREDIST", 5)],
        since: "3.2.0",
        summary: "Returns or stores the members of a sorted set that are in a circle around one.",
        reply: MEMBERS_OR_COUNT,
        run: |cx, args| search(cx, args, Form::RadiusByMember { may_store: true }),
        ..SEARCH
    },
    Command {
        name: "GEORADIUSBYMEMBER_RO",
        syntax: "key member radius:double (M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] \
            [(COUNT count) [ANY]] [ASC | DESC]",
        arity: -5,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        since: "3.2.10",
        summary: "Returns the members of a sorted set that are in a circle around one.",
        run: |cx, args| search(cx, args, Form::RadiusByMember { may_store: false }),
        ..SEARCH
    },
];

/// Members alone or with details, which always come in this order: distance, score, place.
macro_rules! members {
    () => {
        "array<bulk | [bulk, bulk | integer | [double, double]] | \
         [bulk, bulk | integer, integer | [double, double]] | \
         [bulk, bulk, integer, [double, double]]>"
    };
}

const SEARCH: Command =
    Command { group: Group::Geo, complexity: SEARCH_COMPLEXITY, reply: members!(), ..Command::ROW };

const MEMBERS_OR_COUNT: &str = concat!(members!(), " | integer");

const fn stored(word: &'static str, from: i32) -> KeySpec {
    KeySpec {
        flags: &["OW", "UPDATE"],
        begin: Begin::Keyword { word, from },
        find: Find::Range { last: 0, step: 1 },
    }
}

/// Which of the commands it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// GEOSEARCH
    Search,
    /// GEOSEARCHSTORE
    SearchStore,
    /// GEORADIUS, and with `_RO` it may not store.
    Radius { may_store: bool },
    /// GEORADIUSBYMEMBER, and with `_RO` it may not store.
    RadiusByMember { may_store: bool },
}

impl Form {
    fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::SearchStore)
    }

    fn may_store(self) -> bool {
        matches!(self, Self::Radius { may_store: true } | Self::RadiusByMember { may_store: true })
    }

    /// Where the word with the set's key is.
    fn source_at(self) -> usize {
        if self == Self::SearchStore { 2 } else { 1 }
    }
}

/// Where the area is.
#[derive(Clone, Copy, Debug)]
enum From {
    /// At a place.
    Place(Point),
    /// At a member; `None`: there is no set.
    Member(Option<Point>),
}

/// The area's outline, as it was given.
#[derive(Clone, Debug)]
enum By {
    Shape(Shape),
    Polygon(Vec<Point>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Ascending,
    Descending,
}

/// All that a command asks.
#[derive(Debug)]
struct Query<'a> {
    from: Option<From>,
    by: Option<By>,
    /// The length of the unit of distances.
    unit_m: f64,
    sort: Option<Sort>,
    /// Most members that are wanted.
    count: Option<usize>,
    /// Any members will do.
    any: bool,
    with_distance: bool,
    with_hash: bool,
    with_place: bool,
    store: Option<&'a [u8]>,
    /// Distances are stored instead of places.
    stores_distances: bool,
}

impl<'a> Query<'a> {
    fn parse(args: Args<'a>, form: Form, zset: Option<ZsetRef<'_>>) -> Result<Self, Error> {
        let mut query = Self {
            from: None,
            by: None,
            unit_m: 1.0,
            sort: None,
            count: None,
            any: false,
            with_distance: false,
            with_hash: false,
            with_place: false,
            store: None,
            stores_distances: false,
        };
        let mut index = query.fixed_words(args, form, zset)?;
        while index < args.len() {
            index += match query.option(args, index)? {
                Some(words) => words,
                None if form.is_search() => query.search_option(args, index, form, zset)?,
                None => query.store_option(args, index, form).ok_or(Error::Syntax)?,
            };
        }
        query.check(args, form)?;
        Ok(query)
    }

    /// Takes the words that stand at fixed places; returns where the options begin.
    fn fixed_words(
        &mut self,
        args: Args<'a>,
        form: Form,
        zset: Option<ZsetRef<'_>>,
    ) -> Result<usize, Error> {
        match form {
            Form::Search => Ok(2),
            Form::SearchStore => {
                self.store = Some(args.at(1));
                Ok(3)
            }
            Form::Radius { .. } => {
                self.from = Some(From::Place(point(args, 2)?));
                self.circle(args, 4)?;
                Ok(6)
            }
            Form::RadiusByMember { .. } => {
                self.from = Some(from_member(zset, args.at(2))?);
                // Without a set the radius is not looked at.
                if zset.is_some() {
                    self.circle(args, 3)?;
                }
                Ok(5)
            }
        }
    }

    /// Takes an option that all forms have; returns how many words it has, or `None` if it is
    /// another one.
    fn option(&mut self, args: Args<'a>, index: usize) -> Result<Option<usize>, Error> {
        for (word, flag) in [
            ("WITHDIST", &mut self.with_distance),
            ("WITHHASH", &mut self.with_hash),
            ("WITHCOORD", &mut self.with_place),
            ("ANY", &mut self.any),
        ] {
            if args.is(index, word) {
                *flag = true;
                return Ok(Some(1));
            }
        }
        for (word, sort) in [("ASC", Sort::Ascending), ("DESC", Sort::Descending)] {
            if args.is(index, word) {
                self.sort = Some(sort);
                return Ok(Some(1));
            }
        }
        if let Some(number) = args.opt(index + 1)
            && args.is(index, "COUNT")
        {
            let count = integer(number)?;
            let count = usize::try_from(count).ok().filter(|count| *count > 0);
            self.count = Some(count.ok_or(Error::fixed("ERR COUNT must be > 0"))?);
            return Ok(Some(2));
        }
        Ok(None)
    }

    /// Takes `STORE` or `STOREDIST` of GEORADIUS and its kin.
    fn store_option(&mut self, args: Args<'a>, index: usize, form: Form) -> Option<usize> {
        let key = args.opt(index + 1).filter(|_| form.may_store())?;
        self.stores_distances = match () {
            () if args.is(index, "STORE") => false,
            () if args.is(index, "STOREDIST") => true,
            () => return None,
        };
        self.store = Some(key);
        Some(2)
    }

    /// Takes an option that only GEOSEARCH and GEOSEARCHSTORE have.
    fn search_option(
        &mut self,
        args: Args<'a>,
        index: usize,
        form: Form,
        zset: Option<ZsetRef<'_>>,
    ) -> Result<usize, Error> {
        let left = args.len() - index;
        if args.is(index, "STOREDIST") && form == Form::SearchStore {
            self.stores_distances = true;
            return Ok(1);
        }
        let shape = match &self.by {
            // Its corners say everything.
            Some(By::Polygon(_)) => return Err(Error::Syntax),
            Some(By::Shape(shape)) => Some(shape),
            None => None,
        };
        if args.is(index, "FROMMEMBER") && left >= 2 && !matches!(self.from, Some(From::Place(_))) {
            self.from = Some(from_member(zset, args.at(index + 1))?);
            return Ok(2);
        }
        if args.is(index, "FROMLONLAT") && left >= 3 && !matches!(self.from, Some(From::Member(_)))
        {
            self.from = Some(From::Place(point(args, index + 1)?));
            return Ok(3);
        }
        if args.is(index, "BYRADIUS") && left >= 3 && !matches!(shape, Some(Shape::Box { .. })) {
            self.circle(args, index + 1)?;
            return Ok(3);
        }
        if args.is(index, "BYBOX") && left >= 4 && !matches!(shape, Some(Shape::Circle { .. })) {
            self.box_around(args, index + 1)?;
            return Ok(4);
        }
        if args.is(index, "BYPOLYGON") && left >= 3 && self.from.is_none() && shape.is_none() {
            return self.polygon(args, index + 1).map(|words| words + 1);
        }
        Err(Error::Syntax)
    }

    /// Takes a radius and its unit.
    fn circle(&mut self, args: Args<'_>, index: usize) -> Result<(), Error> {
        let radius = number(args.at(index), "ERR need numeric radius")?;
        if radius < 0.0 {
            return Err(Error::fixed("ERR radius cannot be negative"));
        }
        self.unit_m = unit_m(args.at(index + 1))?;
        self.by = Some(By::Shape(Shape::Circle { radius_m: radius * self.unit_m }));
        Ok(())
    }

    /// Takes width, height and their unit.
    fn box_around(&mut self, args: Args<'_>, index: usize) -> Result<(), Error> {
        let width = number(args.at(index), "ERR need numeric width")?;
        let height = number(args.at(index + 1), "ERR need numeric height")?;
        if width < 0.0 || height < 0.0 {
            return Err(Error::fixed("ERR height or width cannot be negative"));
        }
        self.unit_m = unit_m(args.at(index + 2))?;
        let (width_m, height_m) = (width * self.unit_m, height * self.unit_m);
        self.by = Some(By::Shape(Shape::Box { width_m, height_m }));
        Ok(())
    }

    /// Takes the number of a polygon's corners and the corners; returns how many words they are.
    fn polygon(&mut self, args: Args<'_>, index: usize) -> Result<usize, Error> {
        let count = integer(args.at(index))
            .ok()
            .and_then(|count| i32::try_from(count).ok())
            .ok_or(Error::fixed("ERR invalid number of vertices"))?;
        let room = (args.len() - index - 1) / 2;
        let count = usize::try_from(count).ok().filter(|count| (3..=room).contains(count));
        let count =
            count.ok_or(Error::fixed("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"))?;
        let corners = (0..count).map(|corner| point(args, index + 1 + 2 * corner));
        self.by = Some(By::Polygon(corners.collect::<Result<_, Error>>()?));
        self.unit_m = 1.0;
        Ok(1 + 2 * count)
    }

    /// Checks what goes together, and what must be there.
    fn check(&self, args: Args<'_>, form: Form) -> Result<(), Error> {
        if self.store.is_some() && (self.with_distance || self.with_hash || self.with_place) {
            return Err(Error::fixed(if form == Form::SearchStore {
                "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            } else {
                "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and \
                 WITHCOORD options"
            }));
        }
        let name = String::from_utf8_lossy(args.at(0));
        let is_polygon = matches!(self.by, Some(By::Polygon(_)));
        if form.is_search() && self.from.is_none() && !is_polygon {
            return Err(Error::text(format!(
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}"
            )));
        }
        if form.is_search() && self.by.is_none() {
            return Err(Error::text(format!(
                "ERR exactly one of BYRADIUS and BYBOX can be specified for {name}"
            )));
        }
        if self.any && self.count.is_none() {
            return Err(Error::fixed("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// The area; `None` if it is around a member of a set that does not exist.
    fn area(&mut self) -> Option<Area> {
        match (self.by.take()?, self.from) {
            (By::Polygon(corners), _) => Some(Area::polygon(corners)),
            (By::Shape(shape), Some(From::Place(place) | From::Member(Some(place)))) => {
                Some(Area::around(place, shape))
            }
            (By::Shape(_), _) => None,
        }
    }

    /// Whether the nearest come first, or last; `None`: in the order of the search.
    fn sort(&self) -> Option<Sort> {
        // The first few are the nearest few if nothing else is said.
        let nearest = self.count.is_some() && !self.any;
        self.sort.or_else(|| nearest.then_some(Sort::Ascending))
    }
}

fn number(word: &[u8], error: &'static str) -> Result<f64, Error> {
    double(word).ok_or_else(|| Error::fixed(error))
}

/// Where a member of the set is; it must be there if the set is.
fn from_member(zset: Option<ZsetRef<'_>>, member: &[u8]) -> Result<From, Error> {
    let Some(zset) = zset else { return Ok(From::Member(None)) };
    let place =
        point_of(zset, member).ok_or(Error::fixed("ERR could not decode requested zset member"))?;
    Ok(From::Member(Some(place)))
}

/// A member inside the area.
#[derive(Clone, Copy, Debug)]
struct Hit<'a> {
    member: Element<'a>,
    score: f64,
    place: Point,
    /// From the centre, in metres.
    distance_m: f64,
}

/// The members of `zset` inside the area, cell by cell; at most `limit`.
fn hits<'a>(zset: ZsetRef<'a>, area: &Area, limit: usize) -> Vec<Hit<'a>> {
    let mut hits = Vec::new();
    let mut look_at = |(member, score): (Element<'a>, f64)| {
        let place = Point::of_score(score);
        if let Some(distance_m) = area.distance_if_inside_m(place) {
            hits.push(Hit { member, score, place, distance_m });
        }
        hits.len() < limit
    };
    let mut cells = area.cells().into_iter().map(Cell::scores);
    match zset {
        // A small set is read once for all cells.
        ZsetRef::Packed(_) => {
            let pairs: Vec<(Element<'a>, f64)> = zset.iter().collect();
            cells.all(|(first, end)| {
                let start = pairs.partition_point(|(_, score)| *score < first);
                let inside = pairs[start..].iter().take_while(|(_, score)| *score < end);
                inside.copied().all(&mut look_at)
            });
        }
        ZsetRef::Tree(_) => {
            cells.all(|(first, end)| {
                let ranks = zset.between(Edge::BeforeScore(first), Edge::BeforeScore(end));
                zset.range(ranks).all(&mut look_at)
            });
        }
    }
    hits
}

/// Brings the first `count` hits to the front, in order.
fn sort_hits(hits: &mut Vec<Hit<'_>>, sort: Sort, count: usize) {
    let order = |a: &Hit<'_>, b: &Hit<'_>| {
        let order = a.distance_m.partial_cmp(&b.distance_m).unwrap_or(Ordering::Equal);
        if sort == Sort::Ascending { order } else { order.reverse() }
    };
    if count < hits.len() {
        hits.select_nth_unstable_by(count, order);
        hits.truncate(count);
    }
    hits.sort_by(order);
}

/// All six commands.
fn search(cx: &mut Cx<'_>, args: Args<'_>, form: Form) -> Result<(), Error> {
    let (zset, reply) = read(cx, args.at(form.source_at()))?;
    let mut query = Query::parse(args, form, zset)?;
    let mut found = Vec::new();
    if let (Some(zset), Some(area)) = (zset, query.area()) {
        let count = query.count.unwrap_or(usize::MAX);
        found = hits(zset, &area, if query.any { count } else { usize::MAX });
        match query.sort() {
            Some(sort) => sort_hits(&mut found, sort, count),
            None => found.truncate(count),
        }
    }
    let Some(key) = query.store else {
        reply_hits(reply, &found, &query);
        return Ok(());
    };
    let members: Vec<(Vec<u8>, f64)> = found
        .iter()
        .map(|hit| {
            let distance = hit.distance_m / query.unit_m;
            (hit.member.to_vec(), if query.stores_distances { distance } else { hit.score })
        })
        .collect();
    let event = if form.is_search() { "geosearchstore" } else { "georadiusstore" };
    store(cx, key, &members, event);
    Ok(())
}

/// Writes the members, each with what was asked for.
fn reply_hits(reply: &mut Reply, hits: &[Hit<'_>], query: &Query<'_>) {
    let details = [query.with_distance, query.with_hash, query.with_place];
    let details = details.iter().filter(|wanted| **wanted).count();
    reply.array(hits.len());
    let mut buffer = itoa::Buffer::new();
    for hit in hits {
        if details > 0 {
            reply.array(1 + details);
        }
        reply.bulk(hit.member.bytes(&mut buffer));
        if query.with_distance {
            reply_distance(reply, hit.distance_m / query.unit_m);
        }
        if query.with_hash {
            reply.integer(hit.score as i64);
        }
        if query.with_place {
            reply_point(reply, hit.place);
        }
    }
}

/// Sets a key to a sorted set of these members, and replies how many they are.
fn store(cx: &mut Cx<'_>, key: &[u8], members: &[(Vec<u8>, f64)], event: &'static str) {
    let limits = limits(cx);
    let mut zset = Zset::default();
    for (member, score) in members {
        zset.insert(&limits, member, *score);
    }
    let is_empty = zset.reader().is_empty();
    let was_there = cx.store(key, zset);
    if !is_empty {
        cx.changed(key, event);
    } else if was_there {
        cx.changed(key, "del");
    }
    cx.reply.count(members.len());
}
