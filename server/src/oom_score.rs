//! How ready the kernel is to end this process when memory runs out: `/proc/self/oom_score_adj`.
//!
//! Invariant: what stood there before the server first wrote to it comes back when it is told to
//! leave it alone.

use std::cell::Cell;
use std::io;
use std::path::Path;

use orrery_engine::Config;

/// Where the kernel keeps it.
const FILE: &str = "/proc/self/oom_score_adj";
/// The kernel takes nothing beyond this.
const LIMIT: i32 = 1000;

/// What it is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OomScore {
    /// What it was.
    #[default]
    Untouched,
    /// So much more than it was.
    Relative(i32),
    /// This.
    Absolute(i32),
}

impl OomScore {
    /// What a configuration says for a server that is no replica.
    pub(crate) fn of(config: &Config) -> Self {
        let mode = config.value("oom-score-adj").unwrap_or_default();
        let values = config.value("oom-score-adj-values").unwrap_or_default();
        let first = values.split_whitespace().next().and_then(|word| word.parse().ok());
        match mode.as_str() {
            "yes" | "relative" => Self::Relative(first.unwrap_or(0)),
            "absolute" => Self::Absolute(first.unwrap_or(0)),
            _ => Self::Untouched,
        }
    }
}

/// The file, and what stood in it.
#[derive(Debug, Default)]
pub(crate) struct OomScoreFile {
    before: Cell<Option<i32>>,
}

impl OomScoreFile {
    /// Writes what it is to be. The error is what the file system says.
    pub(crate) fn apply(&self, wanted: OomScore) -> io::Result<()> {
        self.apply_to(Path::new(FILE), wanted)
    }

    fn apply_to(&self, file: &Path, wanted: OomScore) -> io::Result<()> {
        let score = match (wanted, self.before.get()) {
            (OomScore::Untouched, None) => return Ok(()),
            (OomScore::Untouched, Some(before)) => {
                self.before.set(None);
                before
            }
            (_, None) => {
                let text = std::fs::read_to_string(file)?;
                let before = text.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
                self.before.set(Some(before));
                score(wanted, before)
            }
            (_, Some(before)) => score(wanted, before),
        };
        std::fs::write(file, format!("{score}\n"))
    }
}

fn score(wanted: OomScore, before: i32) -> i32 {
    let score = match wanted {
        OomScore::Untouched => before,
        OomScore::Relative(more) => before + more,
        OomScore::Absolute(score) => score,
    };
    score.clamp(-LIMIT, LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_comes_back() {
        let path = std::env::temp_dir().join(format!("orrery-oom-{}", std::process::id()));
        std::fs::write(&path, "22\n").unwrap();
        let file = OomScoreFile::default();
        for (wanted, expected) in [
            (OomScore::Untouched, "22"),
            (OomScore::Relative(9), "31"),
            (OomScore::Relative(2000), "1000"),
            (OomScore::Absolute(-5), "-5"),
            (OomScore::Untouched, "22"),
        ] {
            file.apply_to(&path, wanted).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), expected, "{wanted:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(file.apply_to(&path, OomScore::Relative(1)).is_err());
    }

    #[test]
    fn settings_are_read_from_the_configuration() {
        let mut config = Config::default();
        assert_eq!(OomScore::of(&config), OomScore::Untouched);
        config.set("oom-score-adj-values", &["7", "8", "9"]).unwrap();
        config.set("oom-score-adj", &["yes"]).unwrap();
        assert_eq!(OomScore::of(&config), OomScore::Relative(7));
        config.set("oom-score-adj", &["absolute"]).unwrap();
        assert_eq!(OomScore::of(&config), OomScore::Absolute(7));
    }
}
