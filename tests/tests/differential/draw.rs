//! Draws commands from the templates: typed keys that mostly hold what a command wants, small pools
//! of words so that commands meet, and a little damage.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use orrery_engine::commands::table::table;
use orrery_engine::rng::Rng;
use orrery_tests::resp_value::words;

const TEMPLATES: &str = include_str!("templates.txt");
const POOLS: &str = include_str!("pools.txt");

/// Keys of each type.
const KEYS_PER_POOL: u64 = 4;
/// The pools of keys: what a template calls them, and the first letter of the keys. Keys of a pool
/// mostly hold the type that its name says.
const KEY_POOLS: [(&str, &str); 9] = [
    ("string", "k"),
    ("list", "l"),
    ("set", "s"),
    ("hash", "h"),
    ("zset", "z"),
    ("stream", "x"),
    ("hyperloglog", "p"),
    ("geo", "g"),
    ("lex", "y"),
];
/// Pools from which any command may get a key. All scores of a key of the last pool are the same,
/// so nothing but its own commands may touch it.
const OPEN_POOLS: usize = 8;
/// Pools whose keys a lexical command may get beside its own: no sorted sets.
const NO_ZSETS: [usize; 5] = [0, 1, 2, 3, 5];

/// One template.
pub(crate) struct Template {
    pub(crate) family: &'static str,
    pub(crate) text: &'static str,
    weight: usize,
}

impl Template {
    /// The full name of its command, as the table has it.
    pub(crate) fn name(&self) -> String {
        let mut words = self.text.split(' ');
        let first = words.next().expect("a template has a name").to_ascii_lowercase();
        let row = table().find_full(first.as_bytes());
        match row {
            Some(row) if !row.subcommands.is_empty() => {
                let second = words.next().expect("a container has a subcommand");
                format!("{first}|{}", second.to_ascii_lowercase())
            }
            _ => first,
        }
    }
}

/// The templates whose commands this server knows.
pub(crate) fn templates() -> Vec<Template> {
    let mut family = "";
    let mut found = Vec::new();
    for line in TEMPLATES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("= ") {
            family = name;
            continue;
        }
        let (weight, text) = weighted(line);
        let template = Template { family, text, weight };
        if table().find_full(template.name().as_bytes()).is_some() {
            found.push(template);
        }
    }
    found
}

fn weighted(text: &str) -> (usize, &str) {
    match text.split_once('*') {
        Some((number, rest)) if number.parse::<usize>().is_ok() && !rest.is_empty() => {
            (number.parse().expect("it was parsed"), rest)
        }
        _ => (1, text),
    }
}

/// The pools of words by name, each word as often as it is likely.
fn pools() -> &'static BTreeMap<&'static str, Vec<Vec<u8>>> {
    static ALL: LazyLock<BTreeMap<&str, Vec<Vec<u8>>>> = LazyLock::new(|| {
        let mut pools: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
        let mut name = "";
        for line in POOLS.lines().filter(|line| !line.starts_with('#')) {
            if let Some(heading) = line.strip_prefix("= ") {
                name = heading;
                continue;
            }
            for word in words(line) {
                let text = String::from_utf8(word.clone());
                let (weight, rest) = text.as_deref().map_or((1, None), |text| {
                    let (weight, rest) = weighted(text);
                    (weight, Some(rest.as_bytes().to_vec()))
                });
                let pool = pools.entry(name).or_default();
                pool.extend(std::iter::repeat_n(rest.unwrap_or(word), weight));
            }
        }
        pools
    });
    &ALL
}

/// Draws words and commands.
pub(crate) struct Draw<'a> {
    pub(crate) rng: &'a mut Rng,
    templates: &'a [Template],
    /// The pool of the present command's first key.
    key_pool: Option<usize>,
    /// The time of the last stream entry's id.
    next_id: u64,
}

impl<'a> Draw<'a> {
    /// Draws from these templates.
    pub(crate) fn new(rng: &'a mut Rng, templates: &'a [Template]) -> Self {
        Self { rng, templates, key_pool: None, next_id: 0 }
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    fn one_of<'t, T: ?Sized>(&mut self, choices: &[&'t T]) -> &'t T {
        choices[self.rng.below(choices.len() as u64) as usize]
    }

    /// A command of one of the families.
    pub(crate) fn command(&mut self, families: &[&str]) -> Vec<Vec<u8>> {
        let templates = self.templates;
        let wanted: Vec<&Template> =
            templates.iter().filter(|template| families.contains(&template.family)).collect();
        let total: usize = wanted.iter().map(|template| template.weight).sum();
        let mut at = self.rng.below(total as u64) as usize;
        let template = wanted
            .iter()
            .find(|template| {
                let is_it = at < template.weight;
                at = at.saturating_sub(template.weight);
                is_it
            })
            .expect("the number is below the sum of the weights");
        let mut words = Vec::new();
        self.key_pool = None;
        self.expand(template.text, &mut words);
        if !template.text.contains("key:lex") && self.rng.chance(1, 12) {
            self.damage(&mut words);
        }
        if self.rng.chance(1, 8) {
            words[0] = words[0].to_ascii_lowercase();
        }
        words
    }

    fn expand(&mut self, template: &str, words: &mut Vec<Vec<u8>>) {
        let mut rest = template.trim_start();
        while !rest.is_empty() {
            let close = match rest.trim_start_matches('#').as_bytes()[0] {
                b'[' => "]",
                b'{' => "}",
                b'(' => ")",
                _ => " ",
            };
            let end = rest.find(close).map_or(rest.len(), |at| at + usize::from(close != " "));
            let (item, after) = rest.split_at(end);
            rest = after.trim_start();
            self.item(item, words);
        }
    }

    fn item(&mut self, item: &str, words: &mut Vec<Vec<u8>>) {
        let inner = item.strip_prefix('#').unwrap_or(item);
        let inner = if inner.len() > 2 { &inner[1..inner.len() - 1] } else { inner };
        match item.as_bytes()[0] {
            b'[' if !self.rng.chance(1, 3) => {}
            b'[' | b'(' => {
                let choices: Vec<&str> = inner.split('|').collect();
                let choice = self.one_of(&choices);
                self.expand(choice, words);
            }
            b'{' => {
                for _ in 0..=self.rng.below(3) {
                    self.expand(inner, words);
                }
            }
            b'#' => {
                let times = 1 + self.rng.below(3);
                let said = if self.rng.chance(1, 12) { self.rng.below(5) } else { times };
                words.push(said.to_string().into_bytes());
                for _ in 0..times {
                    self.expand(inner, words);
                }
            }
            _ => {
                let word = self.word(item);
                words.push(word);
            }
        }
    }

    fn word(&mut self, kind: &str) -> Vec<u8> {
        if let Some(pool) = kind.strip_prefix("key:") {
            return self.key(pool);
        }
        match kind {
            "value" => self.value(),
            "seconds" => self.span(1).into_bytes(),
            "millis" => self.span(1000).into_bytes(),
            "unixseconds" => self.moment(1).into_bytes(),
            "unixmillis" => self.moment(1000).into_bytes(),
            "largeint" => self.rng.below(100_000).to_string().into_bytes(),
            "nextid" => {
                self.next_id += self.rng.below(3);
                format!("{}-{}", self.next_id, self.rng.below(4)).into_bytes()
            }
            "longitude" if self.rng.chance(9, 10) => self.degrees(180),
            "latitude" if self.rng.chance(9, 10) => self.degrees(85),
            _ => match pools().get(kind) {
                Some(pool) => pool[self.rng.below(pool.len() as u64) as usize].clone(),
                None => kind.as_bytes().to_vec(),
            },
        }
    }

    /// A coordinate, most often in one small region.
    fn degrees(&mut self, most: u64) -> Vec<u8> {
        let micros = match self.rng.below(3) {
            0 => self.rng.below(2 * most * 1_000_000) as i64 - (most * 1_000_000) as i64,
            _ => 13_000_000 + self.rng.below(3_000_000) as i64,
        };
        format!("{}", micros as f64 / 1e6).into_bytes()
    }

    fn key(&mut self, pool: &str) -> Vec<u8> {
        let own = KEY_POOLS.iter().position(|&(name, _)| name == pool);
        let drawn = match (pool, own) {
            ("any", _) => self.rng.below(OPEN_POOLS as u64) as usize,
            ("same", _) if self.rng.chance(7, 8) => self.key_pool.unwrap_or(0),
            ("same", _) => self.rng.below(OPEN_POOLS as u64) as usize,
            ("zsetorset", _) => [4, 4, 2][self.rng.below(3) as usize],
            ("lex", _) if self.rng.chance(1, 20) => NO_ZSETS[self.rng.below(5) as usize],
            (_, Some(own)) if own >= OPEN_POOLS || self.rng.chance(19, 20) => own,
            (_, Some(_)) => self.rng.below(OPEN_POOLS as u64) as usize,
            _ => panic!("no pool of keys is called {pool}"),
        };
        self.key_pool.get_or_insert(drawn);
        let letter = KEY_POOLS[drawn].1;
        match self.rng.below(100) {
            0 if drawn == 0 => Vec::new(),
            1 => letter.repeat(300).into_bytes(),
            2 => letter.repeat(2000).into_bytes(),
            _ => format!("{letter}{}", self.rng.below(KEYS_PER_POOL)).into_bytes(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.rng.below(8) {
            0 => self.rng.next_u64().to_string().into_bytes(),
            1 => {
                // Around the lengths at which strings are stored in another way.
                let len = self.one_of(&[&20, &21, &44, &45, &64, &65, &900, &1030, &3000]);
                let start = self.rng.below(26) as u8;
                (0..*len).map(|at| b'a' + (start + (at % 7) as u8) % 26).collect()
            }
            2 => (0..self.rng.below(12)).map(|_| b"abc"[self.rng.below(3) as usize]).collect(),
            _ => {
                let pool = &pools()["value"];
                pool[self.rng.below(pool.len() as u64) as usize].clone()
            }
        }
    }

    /// A time to live that does not end while the test runs, or no good one.
    fn span(&mut self, factor: u64) -> String {
        if self.rng.chance(1, 4) {
            let odd = ["0", "-1", "x", "", "1.5", "9223372036854775807", "9223372036854775"];
            let negative = ["-9223372036854775808", "-9223372036854775", "-100000"];
            return self.one_of(&[&odd[..], &negative[..]].concat()).to_owned();
        }
        ((100_000 + self.rng.below(1_000_000)) * factor).to_string()
    }

    /// A moment long ago or far ahead, or no good one.
    fn moment(&mut self, factor: u64) -> String {
        match self.rng.below(6) {
            0 => self.one_of(&["0", "-1", "x", "", "9223372036854775808"]).to_owned(),
            1 => (factor * (1 + self.rng.below(1_000_000_000))).to_string(),
            _ => (factor * (4_102_444_800 + self.rng.below(1_000_000))).to_string(),
        }
    }

    /// Replaces, adds, doubles or drops a word behind the name.
    fn damage(&mut self, words: &mut Vec<Vec<u8>>) {
        let at = self.rng.below(words.len() as u64) as usize;
        let junk = self.word("junk");
        match self.rng.below(4) {
            0 if at > 0 => drop(words.remove(at)),
            1 => words.insert(at + 1, junk),
            2 if at > 0 => words.insert(at, words[at].clone()),
            _ if at > 0 => words[at] = junk,
            _ => words.push(junk),
        }
    }
}
