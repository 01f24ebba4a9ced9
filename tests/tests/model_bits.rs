//! Bitmaps and bitfields against rows of truth values: random sequences over few keys.

use std::collections::BTreeMap;

use orrery_engine::{Config, Seed};
use orrery_tests::model::run;
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::Server;
use proptest::prelude::*;

/// `proto-max-bulk-len` of the servers here: small enough to be reached.
const STRING_BYTES_MAX: u64 = 3000;

type Key = u8;

#[derive(Clone, Copy, Debug)]
enum Unit {
    Unsaid,
    Byte,
    Bit,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
    Diff,
    Diff1,
    AndOr,
    One,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Sat,
    Fail,
}

#[derive(Clone, Copy, Debug)]
enum FieldKind {
    Get,
    Set(i64),
    IncrBy(i64),
}

/// One operation of BITFIELD.
#[derive(Clone, Copy, Debug)]
struct FieldOp {
    overflow: Option<Overflow>,
    signed: bool,
    bits: u32,
    /// `#`: the offset counts fields.
    in_fields: bool,
    offset: u64,
    kind: FieldKind,
}

#[derive(Clone, Debug)]
enum Op {
    Set(Key, Vec<u8>),
    Del(Key),
    SetBit(Key, u64, bool),
    GetBit(Key, u64),
    Count(Key, Option<(i64, i64, Unit)>),
    Pos(Key, bool, Option<(i64, Option<(i64, Unit)>)>),
    Combine(Operation, Key, Vec<Key>),
    Field(Key, Vec<FieldOp>),
    FieldRo(Key, Vec<FieldOp>),
}

fn name(key: Key) -> Vec<u8> {
    // One key is too long to share a page with others.
    if key == 0 { vec![b'k'; 1500] } else { format!("k{key}").into_bytes() }
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let fill = (prop::sample::select(vec![0, 0xff, 0x55]), 0..2500_usize);
    prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 0..40),
        1 => any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        1 => fill.prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn offset() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0..200_u64,
        3 => 0..9000_u64,
        1 => 0..2 * 8 * STRING_BYTES_MAX,
        1 => prop::sample::select(vec![
            8 * STRING_BYTES_MAX - 1,
            8 * STRING_BYTES_MAX,
            u64::from(u32::MAX),
            i64::MAX as u64,
        ]),
    ]
}

fn place() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => -30..30_i64,
        2 => -9000..9000_i64,
        1 => prop::sample::select(vec![i64::MIN + 1, i64::MAX, -1, 0]),
    ]
}

fn unit() -> impl Strategy<Value = Unit> {
    prop_oneof![Just(Unit::Unsaid), Just(Unit::Byte), Just(Unit::Bit)]
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => -300..300_i64,
        1 => any::<i64>(),
        1 => prop::sample::select(vec![i64::MIN, i64::MAX, -1, 1, 1 << 32]),
    ]
}

fn field_op() -> impl Strategy<Value = FieldOp> {
    let overflow = prop::option::of(prop_oneof![
        Just(Overflow::Wrap),
        Just(Overflow::Sat),
        Just(Overflow::Fail)
    ]);
    let kind = prop_oneof![
        Just(FieldKind::Get),
        number().prop_map(FieldKind::Set),
        number().prop_map(FieldKind::IncrBy),
        number().prop_map(FieldKind::IncrBy),
    ];
    let width = prop_oneof![3 => 1..12_u32, 1 => 1..64_u32, 1 => Just(64)];
    (overflow, any::<bool>(), width, any::<bool>(), offset(), kind).prop_map(
        |(overflow, signed, bits, in_fields, offset, kind)| {
            let bits = if signed { bits } else { bits.min(63) };
            let offset = if in_fields { offset % (1 << 40) / 8 } else { offset };
            FieldOp { overflow, signed, bits, in_fields, offset, kind }
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..4_u8;
    let operation = prop::sample::select(vec![
        Operation::And,
        Operation::Or,
        Operation::Xor,
        Operation::Not,
        Operation::Diff,
        Operation::Diff1,
        Operation::AndOr,
        Operation::One,
    ]);
    let end = prop::option::of((place(), unit()));
    let fields = || prop::collection::vec(field_op(), 0..5);
    prop_oneof![
        2 => (key(), value()).prop_map(|(key, value)| Op::Set(key, value)),
        1 => key().prop_map(Op::Del),
        6 => (key(), offset(), any::<bool>()).prop_map(|(key, at, on)| Op::SetBit(key, at, on)),
        2 => (key(), offset()).prop_map(|(key, at)| Op::GetBit(key, at)),
        3 => (key(), prop::option::of((place(), place(), unit())))
            .prop_map(|(key, part)| Op::Count(key, part)),
        4 => (key(), any::<bool>(), prop::option::of((place(), end)))
            .prop_map(|(key, bit, part)| Op::Pos(key, bit, part)),
        4 => (operation, key(), prop::collection::vec(key(), 1..5))
            .prop_map(|(operation, to, keys)| Op::Combine(operation, to, keys)),
        6 => (key(), fields()).prop_map(|(key, ops)| Op::Field(key, ops)),
        1 => (key(), fields()).prop_map(|(key, ops)| Op::FieldRo(key, ops)),
    ]
}

impl Operation {
    fn word(self) -> String {
        format!("{self:?}").to_uppercase()
    }
}

impl FieldOp {
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(overflow) = self.overflow {
            words.extend(["OVERFLOW".to_owned(), format!("{overflow:?}")]);
        }
        let field = format!("{}{}", if self.signed { 'i' } else { 'u' }, self.bits);
        let offset = format!("{}{}", if self.in_fields { "#" } else { "" }, self.offset);
        let (word, number) = match self.kind {
            FieldKind::Get => ("GET", None),
            FieldKind::Set(value) => ("SET", Some(value)),
            FieldKind::IncrBy(by) => ("incrby", Some(by)),
        };
        words.extend([word.to_owned(), field, offset]);
        words.extend(number.map(|number| number.to_string()));
        words
    }

    fn place(&self) -> u64 {
        if self.in_fields { self.offset * u64::from(self.bits) } else { self.offset }
    }
}

impl Op {
    fn words(&self) -> Vec<Vec<u8>> {
        let unit_word = |unit: &Unit| match unit {
            Unit::Unsaid => None,
            Unit::Byte => Some("BYTE".to_owned()),
            Unit::Bit => Some("bit".to_owned()),
        };
        let mut rest = Vec::new();
        let (command, key) = match self {
            Self::Set(key, value) => return vec![b"SET".to_vec(), name(*key), value.clone()],
            Self::Combine(operation, to, keys) => {
                let mut words = vec![b"BITOP".to_vec(), operation.word().into_bytes(), name(*to)];
                words.extend(keys.iter().map(|key| name(*key)));
                return words;
            }
            Self::Del(key) => ("DEL", key),
            Self::SetBit(key, offset, on) => {
                rest = vec![offset.to_string(), u8::from(*on).to_string()];
                ("SETBIT", key)
            }
            Self::GetBit(key, offset) => {
                rest = vec![offset.to_string()];
                ("GETBIT", key)
            }
            Self::Count(key, part) => {
                if let Some((start, end, unit)) = part {
                    rest = vec![start.to_string(), end.to_string()];
                    rest.extend(unit_word(unit));
                }
                ("BITCOUNT", key)
            }
            Self::Pos(key, bit, part) => {
                rest = vec![u8::from(*bit).to_string()];
                if let Some((start, end)) = part {
                    rest.push(start.to_string());
                    if let Some((end, unit)) = end {
                        rest.push(end.to_string());
                        rest.extend(unit_word(unit));
                    }
                }
                ("BITPOS", key)
            }
            Self::Field(key, ops) => {
                rest = ops.iter().flat_map(FieldOp::words).collect();
                ("BITFIELD", key)
            }
            Self::FieldRo(key, ops) => {
                rest = ops.iter().flat_map(FieldOp::words).collect();
                ("BITFIELD_RO", key)
            }
        };
        let head = [command.as_bytes().to_vec(), name(*key)];
        head.into_iter().chain(rest.into_iter().map(String::into_bytes)).collect()
    }

    fn only_reads(&self) -> bool {
        matches!(self, Self::GetBit(..) | Self::Count(..) | Self::Pos(..) | Self::FieldRo(..))
    }
}

/// The bits of every key; a key is there if it was ever written.
#[derive(Default)]
struct Model(BTreeMap<Key, Vec<bool>>);

fn bits_of(string: &[u8]) -> Vec<bool> {
    string.iter().flat_map(|byte| (0..8).map(move |at| byte >> (7 - at) & 1 == 1)).collect()
}

fn bytes_of(bits: &[bool]) -> Vec<u8> {
    let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks(8).map(byte).collect()
}

impl Model {
    fn bits(&self, key: Key) -> &[bool] {
        self.0.get(&key).map(Vec::as_slice).unwrap_or_default()
    }

    fn bit(&self, key: Key, at: u64) -> bool {
        self.bits(key).get(at as usize).copied().unwrap_or(false)
    }

    /// The bits of a key that is long enough for bit `last`.
    fn reaching(&mut self, key: Key, last: u64) -> &mut Vec<bool> {
        let bits = self.0.entry(key).or_default();
        bits.resize(bits.len().max((last as usize / 8 + 1) * 8), false);
        bits
    }

    /// The places of the bits from `start` to `end`.
    fn part(&self, key: Key, start: i64, end: i64, unit: Unit) -> Vec<usize> {
        let (len, factor) = match unit {
            Unit::Bit => (self.bits(key).len() as i128, 1),
            _ => (self.bits(key).len() as i128 / 8, 8),
        };
        let absolute = |at: i64| {
            let at = i128::from(at);
            (if at < 0 { len + at } else { at }).max(0)
        };
        let wanted = absolute(start)..=absolute(end);
        (0..self.bits(key).len()).filter(|at| wanted.contains(&(*at as i128 / factor))).collect()
    }

    fn field(&self, key: Key, op: &FieldOp) -> i128 {
        let bits = (0..u64::from(op.bits)).map(|at| self.bit(key, op.place() + at));
        let value = bits.fold(0, |value, bit| value << 1 | i128::from(bit));
        if op.signed && value >= 1 << (op.bits - 1) { value - (1 << op.bits) } else { value }
    }

    /// Runs one write of BITFIELD.
    fn write_field(&mut self, key: Key, op: &FieldOp, overflow: Overflow) -> Value {
        let old = self.field(key, op);
        let wanted = match op.kind {
            FieldKind::Get => return Value::Integer(old as i64),
            FieldKind::Set(value) if !op.signed => i128::from(value as u64),
            // What is left to the largest value does not fit 64 bits: Redis takes the sign wrong.
            FieldKind::Set(value) if op.bits < 64 && value < i64::MIN + (1 << (op.bits - 1)) => {
                i128::from(value) + (1 << 64)
            }
            FieldKind::Set(value) => value.into(),
            FieldKind::IncrBy(by) => old + i128::from(by),
        };
        let (min, max) = if op.signed {
            (-(1 << (op.bits - 1)), (1 << (op.bits - 1)) - 1)
        } else {
            (0, (1 << op.bits) - 1)
        };
        let modulus: i128 = 1 << op.bits;
        let new = match overflow {
            _ if (min..=max).contains(&wanted) => wanted,
            Overflow::Wrap => (wanted - min).rem_euclid(modulus) + min,
            Overflow::Sat => wanted.clamp(min, max),
            Overflow::Fail => return Value::Null,
        };
        for at in 0..op.bits {
            let on = new.rem_euclid(modulus) >> (op.bits - 1 - at) & 1 == 1;
            let place = op.place() + u64::from(at);
            self.reaching(key, place)[place as usize] = on;
        }
        Value::Integer(if matches!(op.kind, FieldKind::Set(_)) { old } else { new } as i64)
    }
}

fn bad_offset() -> Value {
    Value::error("ERR bit offset is not an integer or out of range")
}

fn combine(model: &mut Model, operation: Operation, to: Key, keys: &[Key]) -> Value {
    if matches!(operation, Operation::Not) && keys.len() != 1 {
        return Value::error("ERR BITOP NOT must be called with a single source key.");
    }
    let needs_two = matches!(operation, Operation::Diff | Operation::Diff1 | Operation::AndOr);
    if needs_two && keys.len() < 2 {
        let word = operation.word();
        return Value::error(&format!(
            "ERR BITOP {word} must be called with multiple source keys."
        ));
    }
    let len = keys.iter().map(|key| model.bits(*key).len()).max().expect("there is a key");
    let result: Vec<bool> = (0..len as u64)
        .map(|at| {
            let first = model.bit(keys[0], at);
            let others = keys[1..].iter().filter(|key| model.bit(**key, at)).count();
            let all = others + usize::from(first);
            match operation {
                Operation::And => all == keys.len(),
                Operation::Or => all > 0,
                Operation::Xor => all % 2 == 1,
                Operation::Not => !first,
                Operation::Diff => first && others == 0,
                Operation::Diff1 => !first && others > 0,
                Operation::AndOr => first && others > 0,
                Operation::One => all == 1,
            }
        })
        .collect();
    if len == 0 {
        model.0.remove(&to);
    } else {
        model.0.insert(to, result);
    }
    Value::Integer(len as i64 / 8)
}

fn fields(model: &mut Model, key: Key, ops: &[FieldOp], may_write: bool) -> Value {
    if ops.iter().any(|op| op.place() / 8 >= STRING_BYTES_MAX) {
        return bad_offset();
    }
    let writes = |op: &&FieldOp| !matches!(op.kind, FieldKind::Get);
    let last = ops.iter().filter(writes).map(|op| op.place() + u64::from(op.bits) - 1).max();
    if let Some(last) = last {
        if !may_write {
            return Value::error("ERR BITFIELD_RO only supports the GET subcommand");
        }
        model.reaching(key, last);
    }
    let mut overflow = Overflow::Wrap;
    let mut replies = Vec::new();
    for op in ops {
        overflow = op.overflow.unwrap_or(overflow);
        replies.push(model.write_field(key, op, overflow));
    }
    Value::Array(replies)
}

/// What the command must reply; the model is changed as the server must be.
fn apply(model: &mut Model, op: &Op) -> Value {
    let limit = 8 * STRING_BYTES_MAX;
    match op {
        Op::Set(key, value) => {
            model.0.insert(*key, bits_of(value));
            Value::simple("OK")
        }
        Op::Del(key) => Value::Integer(model.0.remove(key).is_some().into()),
        Op::SetBit(_, offset, _) | Op::GetBit(_, offset) if *offset >= limit => bad_offset(),
        Op::SetBit(key, offset, on) => {
            let bit = &mut model.reaching(*key, *offset)[*offset as usize];
            Value::Integer(std::mem::replace(bit, *on).into())
        }
        Op::GetBit(key, offset) => Value::Integer(model.bit(*key, *offset).into()),
        Op::Count(key, part) => {
            let (start, end, unit) = part.unwrap_or((0, -1, Unit::Byte));
            // Redis looks at the signs before it cuts both ends to the string.
            if start < 0 && end < 0 && start > end {
                return Value::Integer(0);
            }
            let part = model.part(*key, start, end, unit);
            let ones = part.iter().filter(|at| model.bits(*key)[**at]).count();
            Value::Integer(ones as i64)
        }
        Op::Pos(key, bit, part) => {
            if !model.0.contains_key(key) {
                return Value::Integer(if *bit { -1 } else { 0 });
            }
            let (start, end) = part.unwrap_or((0, None));
            let (last, unit) = end.unwrap_or((-1, Unit::Byte));
            let part = model.part(*key, start, last, unit);
            let found = part.iter().find(|at| model.bits(*key)[**at] == *bit);
            // Behind a string that has no end there are only zeros.
            let beyond = || part.last().filter(|_| !bit && end.is_none()).map(|last| last + 1);
            Value::Integer(found.copied().or_else(beyond).map_or(-1, |at| at as i64))
        }
        Op::Combine(operation, to, keys) => combine(model, *operation, *to, keys),
        Op::Field(key, ops) => fields(model, *key, ops, true),
        Op::FieldRo(key, ops) => fields(model, *key, ops, false),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn bitmaps_behave_like_rows_of_truth_values(ops in prop::collection::vec(op(), 1..60)) {
        let config = Config { proto_max_bulk_len: STRING_BYTES_MAX, ..Config::default() };
        let mut server = Server::new(config, Seed(1));
        let conn = server.connect();
        let mut model = Model::default();
        for op in &ops {
            let got = run(&mut server, conn, &op.words(), op.only_reads());
            prop_assert_eq!(&apply(&mut model, op), &got, "{:?}", op);
        }
        prop_assert_eq!(server.call(conn, &["DBSIZE"]), Value::Integer(model.0.len() as i64));
        for (key, bits) in &model.0 {
            let got = server.call(conn, &[b"GET".as_slice(), &name(*key)]);
            prop_assert_eq!(got, Value::bulk(bytes_of(bits)));
        }
        server.engine().check_invariants();
    }
}

/// A deadline outlives every change, and goes with BITOP only.
#[test]
fn changes_keep_the_deadline() {
    let mut server = Server::default();
    let conn = server.connect();
    for start in ["x", "12", &"long".repeat(500)] {
        for change in
            ["SETBIT k 9 1", "SETBIT k 90000 1", "BITFIELD k SET u8 #3 77", "SETBIT k 9 1"]
        {
            server.call(conn, &["SET", "k", start, "EX", "100"]);
            server.line(conn, change);
            assert_eq!(server.line(conn, "TTL k"), Value::Integer(100), "{change}");
            assert_eq!(server.line(conn, "OBJECT ENCODING k"), Value::bulk("raw"), "{change}");
        }
        server.line(conn, "BITOP NOT k k");
        assert_eq!(server.line(conn, "TTL k"), Value::Integer(-1));
    }
    server.engine().check_invariants();
}

/// The memory of a huge string is counted, and given back.
#[test]
fn one_bit_far_away_makes_a_long_string() {
    let mut server = Server::default();
    let conn = server.connect();
    let last = (512_u64 << 23) - 1;
    assert_eq!(server.line(conn, &format!("SETBIT k {last} 1")), Value::Integer(0));
    assert_eq!(server.line(conn, "STRLEN k"), Value::Integer(512 << 20));
    assert_eq!(server.line(conn, "BITPOS k 1"), Value::Integer(last as i64));
    assert_eq!(server.line(conn, "BITCOUNT k"), Value::Integer(1));
    assert_eq!(server.line(conn, &format!("SETBIT k {} 1", last + 1)), bad_offset());
    assert!(server.line(conn, "MEMORY USAGE k").integer() >= 512 << 20);
    assert_eq!(server.line(conn, "DEL k"), Value::Integer(1));
    server.engine().check_invariants();
}
