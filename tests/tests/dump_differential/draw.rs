//! Commands that make a random value of a type, small or big, in every encoding.

use orrery_engine::rng::Rng;

/// The words of one command.
pub(crate) type Words = Vec<Vec<u8>>;

/// Every type.
pub(crate) const KINDS: [&str; 6] = ["string", "list", "set", "hash", "zset", "stream"];

/// Makes words from anything that is text.
pub(crate) fn words(line: &str) -> Words {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// How the elements of one value look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Integers,
    Short,
    Any,
}

pub(crate) struct Draw<'a> {
    pub(crate) rng: &'a mut Rng,
    style: Style,
}

impl<'a> Draw<'a> {
    pub(crate) fn new(rng: &'a mut Rng) -> Self {
        let style = match rng.below(3) {
            0 => Style::Integers,
            1 => Style::Short,
            _ => Style::Any,
        };
        Self { rng, style }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    fn integer(&mut self) -> i64 {
        let bits = 1 + self.below(64) as u32;
        (self.rng.next_u64() as i64) >> (64 - bits)
    }

    fn text(&mut self, len: u64) -> Vec<u8> {
        let letters = 1 + self.below(26);
        (0..len).map(|_| b'a' + self.rng.below(letters) as u8).collect()
    }

    fn element(&mut self) -> Vec<u8> {
        match self.style {
            Style::Integers => return self.integer().to_string().into_bytes(),
            Style::Short => {
                let len = self.below(20);
                return self.text(len);
            }
            Style::Any => {}
        }
        let len = match self.below(12) {
            0..=3 => self.below(30),
            4 => 60 + self.below(10),
            5 => 250 + self.below(20),
            6 => 4090 + self.below(10),
            7 => 16_380 + self.below(10),
            8 => {
                let len = self.below(40);
                return (0..len).map(|_| self.rng.next_u64() as u8).collect();
            }
            9 => return self.integer().to_string().into_bytes(),
            10 => return format!("{:?}", self.score()).into_bytes(),
            _ => return ["", "0", "-0", "007", "+1", "1.0", "nan"][self.below(7) as usize].into(),
        };
        self.text(len)
    }

    fn score(&mut self) -> f64 {
        match self.below(6) {
            0 => self.below(10) as f64,
            1 => self.integer() as f64,
            // No negative zero: Redis forgets its sign in small sorted sets only.
            2 => [f64::INFINITY, f64::NEG_INFINITY, 1e300, 1e-300][self.below(4) as usize],
            3 => self.integer() as f64 / 1000.0,
            _ => self.below(1000) as f64 / 8.0,
        }
    }

    fn count(&mut self) -> u64 {
        let most = if self.style == Style::Any { 4 } else { 8 };
        let limit = [1, 3, 20, 60, 129, 140, 520, 1500][self.below(most) as usize];
        1 + self.below(limit)
    }

    /// Commands that make a value at `key`, which is not there.
    pub(crate) fn commands(&mut self, kind: &str, key: &str) -> Vec<Words> {
        match kind {
            "string" => self.string(key),
            "list" => {
                let command = ["RPUSH", "LPUSH"][self.below(2) as usize];
                self.collection(command, key, |draw, words| words.push(draw.element()))
            }
            "set" => self.collection("SADD", key, |draw, words| words.push(draw.element())),
            "hash" => self.collection("HSET", key, |draw, words| {
                words.push(draw.element());
                words.push(draw.element());
            }),
            "zset" => self.collection("ZADD", key, |draw, words| {
                words.push(draw.score().to_string().into_bytes());
                words.push(draw.element());
            }),
            _ => self.stream(key),
        }
    }

    fn string(&mut self, key: &str) -> Vec<Words> {
        let value = self.element();
        let mut commands = vec![vec![b"SET".to_vec(), key.into(), value.clone()]];
        match self.below(4) {
            0 => commands.push(vec![b"APPEND".to_vec(), key.into(), value]),
            1 => commands.push(words(&format!("SETRANGE {key} {} x", self.rng.below(3000)))),
            _ => {}
        }
        commands
    }

    fn collection(
        &mut self,
        command: &str,
        key: &str,
        element: impl Fn(&mut Self, &mut Words),
    ) -> Vec<Words> {
        let mut left = self.count();
        let mut commands = Vec::new();
        while left > 0 {
            let mut words = words(&format!("{command} {key}"));
            for _ in 0..left.min(50) {
                element(self, &mut words);
            }
            left = left.saturating_sub(50);
            commands.push(words);
        }
        commands
    }

    fn stream(&mut self, key: &str) -> Vec<Words> {
        let mut commands = Vec::new();
        let (mut ms, mut seq) = (self.below(5), 1 + self.below(100));
        let names: Vec<Vec<u8>> = (0..1 + self.below(3)).map(|_| self.text(6)).collect();
        let mut ids = Vec::new();
        for _ in 0..self.count() {
            let mut entry = words(&format!("XADD {key} {ms}-{seq}"));
            for name in &names {
                let name = if self.below(30) == 0 { self.text(5) } else { name.clone() };
                entry.push(name);
                entry.push(self.element());
            }
            commands.push(entry);
            ids.push(format!("{ms}-{seq}"));
            if self.below(3) == 0 {
                (ms, seq) = (ms + 1 + self.below(1000), self.below(10));
            } else {
                seq += 1 + self.below(3);
            }
        }
        for group in 0..self.below(3) {
            self.group(key, &format!("g{group}"), &ids, &mut commands);
        }
        for _ in 0..self.below(4) {
            let id = &ids[self.below(ids.len() as u64) as usize];
            commands.push(words(&format!("XDEL {key} {id}")));
        }
        match self.below(7) {
            0 => commands.push(words(&format!("XTRIM {key} MAXLEN {}", self.rng.below(200)))),
            1 => commands.push(words(&format!("XSETID {key} 99999999999-5"))),
            2 if ids.len() > 1 => {
                // Back behind what was deleted, and on from there.
                let (last, before) = (&ids[ids.len() - 1], &ids[ids.len() - 2]);
                commands.push(words(&format!("XDEL {key} {last}")));
                commands.push(words(&format!("XSETID {key} {before}")));
                if self.below(2) == 0 {
                    let seq: u64 = before
                        .split('-')
                        .next_back()
                        .map_or(0, |seq| seq.parse().expect("a sequence number"));
                    let ms = before.split('-').next().unwrap_or_default();
                    commands.push(words(&format!("XADD {key} {ms}-{} again 1", seq + 1)));
                }
            }
            3 => commands.push(words(&format!(
                "XSETID {key} 99999999999-5 ENTRIESADDED 100000 MAXDELETEDID 99999999998-7"
            ))),
            _ => {}
        }
        commands
    }

    fn group(&mut self, key: &str, group: &str, ids: &[String], commands: &mut Vec<Words>) {
        let from = match self.below(3) {
            0 => "0".to_owned(),
            1 => "$".to_owned(),
            _ => ids[self.below(ids.len() as u64) as usize].clone(),
        };
        let read = ["", " ENTRIESREAD 7"][self.below(2) as usize];
        commands.push(words(&format!("XGROUP CREATE {key} {group} {from}{read}")));
        for consumer in 0..self.below(3) {
            commands.push(words(&format!("XGROUP CREATECONSUMER {key} {group} c{consumer}")));
            let count = 1 + self.below(30);
            commands.push(words(&format!(
                "XREADGROUP GROUP {group} c{consumer} COUNT {count} STREAMS {key} >"
            )));
        }
        for _ in 0..self.below(5) {
            let id = &ids[self.rng.below(ids.len() as u64) as usize];
            commands.push(words(&format!("XACK {key} {group} {id}")));
        }
        let id = &ids[self.rng.below(ids.len() as u64) as usize];
        commands.push(words(&format!("XCLAIM {key} {group} c9 0 {id} TIME 1600000000000")));
    }
}
