//! The table of big hashes and sets against a sorted map: runs of insertions, changes and removals
//! that make it grow and shrink, with scans that go on meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use orrery_engine::Seed;
use orrery_engine::rng::Rng;
use orrery_engine::value::packed::Encoded;
use orrery_engine::value::table::{DEADLINE_MS_MAX, Table};
use proptest::prelude::*;

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

/// What the words of a run look like.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Number,
    Negative,
    Short,
    /// So many bytes, at the limits of the forms.
    Sized(usize),
}

#[derive(Clone, Debug)]
enum Op {
    /// Sets the keys `first..first + count`, in steps of `step`.
    Set {
        keys: Shape,
        first: u32,
        count: u32,
        step: u32,
        values: Shape,
        deadline: Option<u64>,
    },
    SetDeadlines {
        keys: Shape,
        first: u32,
        count: u32,
        deadline: Option<u64>,
    },
    Remove {
        keys: Shape,
        first: u32,
        count: u32,
        step: u32,
    },
    /// Goes on with the scan for so many pieces.
    Scan(u8),
    Random,
    Choose(u16),
    Clone,
}

fn word(shape: Shape, id: u32) -> Vec<u8> {
    match shape {
        Shape::Number => id.to_string().into_bytes(),
        Shape::Negative => (-i64::from(id) * 1_000_000_007).to_string().into_bytes(),
        Shape::Short => format!("word:{id}").into_bytes(),
        Shape::Sized(len) => format!("{id:x>len$}").into_bytes(),
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    let sizes = vec![40, 62, 63, 64, 197, 198, 199, 200, 254, 255, 256, 257, 700];
    prop_oneof![
        3 => Just(Shape::Number),
        2 => Just(Shape::Negative),
        5 => Just(Shape::Short),
        4 => prop::sample::select(sizes).prop_map(Shape::Sized),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let count = || prop_oneof![4 => 1..20_u32, 2 => 20..300_u32, 1 => 300..3000_u32];
    let step = || prop_oneof![3 => Just(1_u32), 1 => 1..7_u32];
    let deadline = || prop::option::of(0..=DEADLINE_MS_MAX);
    let set = (shape(), 0..4000_u32, count(), step(), shape(), deadline());
    prop_oneof![
        6 => set.prop_map(|(keys, first, count, step, values, deadline)| {
            Op::Set { keys, first, count, step, values, deadline }
        }),
        1 => (shape(), 0..4000_u32, count(), deadline()).prop_map(
            |(keys, first, count, deadline)| Op::SetDeadlines { keys, first, count, deadline }
        ),
        5 => (shape(), 0..4000_u32, count(), step()).prop_map(
            |(keys, first, count, step)| Op::Remove { keys, first, count: count * 2, step }
        ),
        3 => any::<u8>().prop_map(Op::Scan),
        1 => Just(Op::Random),
        1 => any::<u16>().prop_map(Op::Choose),
        1 => Just(Op::Clone),
    ]
}

/// The table beside its model, and a scan of it.
struct Pair {
    table: Table,
    model: Model,
    rng: Rng,
    cursor: u64,
    /// What was there when the scan began and has been there ever since.
    stays: BTreeSet<Vec<u8>>,
    met: BTreeSet<Vec<u8>>,
}

impl Pair {
    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Set { keys, first, count, step, values, deadline } => {
                for id in (first..first + count).step_by(step as usize) {
                    let (key, value) = (word(keys, id), word(values, id ^ first));
                    let is_new = !self.model.contains_key(&key);
                    let added =
                        self.table.set(&Encoded::string(&key), &Encoded::string(&value), deadline);
                    assert_eq!(added, is_new);
                    self.model.insert(key, (value, deadline));
                }
            }
            Op::SetDeadlines { keys, first, count, deadline } => {
                for id in first..first + count {
                    let key = word(keys, id);
                    let known = self.model.get_mut(&key).map(|entry| entry.1 = deadline).is_some();
                    assert_eq!(self.table.set_deadline(&Encoded::string(&key), deadline), known);
                }
            }
            Op::Remove { keys, first, count, step } => {
                for id in (first..first + count).step_by(step as usize) {
                    let key = word(keys, id);
                    let known = self.model.remove(&key).is_some();
                    assert_eq!(self.table.remove(&Encoded::string(&key)), known);
                    self.stays.remove(&key);
                }
            }
            Op::Scan(pieces) => (0..pieces).for_each(|_| self.scan()),
            Op::Random => match self.table.random(&mut self.rng) {
                Some(entry) => assert!(self.model.contains_key(&entry.key().to_vec())),
                None => assert!(self.model.is_empty()),
            },
            Op::Choose(count) => {
                let (mut chosen, count) = (BTreeSet::new(), usize::from(count));
                self.table.choose(&mut self.rng, count, |entry| {
                    assert!(chosen.insert(entry.key().to_vec()), "different ones");
                });
                assert_eq!(chosen.len(), count.min(self.model.len()));
                assert!(chosen.iter().all(|key| self.model.contains_key(key)));
            }
            Op::Clone => self.table = self.table.clone(),
        }
    }

    fn scan(&mut self) {
        if self.cursor == 0 {
            self.stays = self.model.keys().cloned().collect();
            self.met.clear();
        }
        let met = &mut self.met;
        self.cursor = self.table.scan(self.cursor, |entry| {
            met.insert(entry.key().to_vec());
        });
        if self.cursor == 0 {
            assert!(self.met.is_superset(&self.stays), "what stays is met");
        }
    }

    fn check(&self) {
        self.table.check_invariants();
        let all: Model = self
            .table
            .iter()
            .map(|entry| (entry.key().to_vec(), (entry.value().to_vec(), entry.deadline_ms())))
            .collect();
        assert_eq!(self.table.iter().count(), self.model.len());
        assert!(all == self.model, "the table holds what the map holds");
        for key in self.model.keys() {
            let entry = self.table.find(&Encoded::string(key)).expect("it is there");
            assert_eq!(entry.key().to_vec(), *key);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_table_behaves_like_a_map(ops in prop::collection::vec(op(), 1..40), seed: u64) {
        let mut rng = Rng::new(Seed(seed), "table");
        let table = Table::of_pairs((rng.next_u64(), rng.next_u64()));
        let (stays, met) = (BTreeSet::new(), BTreeSet::new());
        let mut pair = Pair { table, model: Model::new(), rng, cursor: 0, stays, met };
        for op in &ops {
            pair.apply(op);
        }
        pair.check();
        while pair.cursor != 0 {
            pair.scan();
        }
        let keys: Vec<Vec<u8>> = pair.model.keys().cloned().collect();
        for key in keys.iter().rev() {
            prop_assert!(pair.table.remove(&Encoded::string(key)));
        }
        pair.model.clear();
        pair.check();
        prop_assert!(pair.table.memory_bytes() < 2000, "memory is given back");
    }
}
