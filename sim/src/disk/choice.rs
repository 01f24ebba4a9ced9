//! Who decides what becomes of bytes that nobody has made safe: chance, or one case after the
//! other.
//!
//! Invariant: whoever asks counts the options of one question from the oldest state to the newest,
//! so that the first answer to every question loses all that can be lost, and the last loses
//! nothing.

use crate::chance::Draw;

/// Decides.
pub trait Choice {
    /// One of `options` possibilities, from 0; there is at least one.
    fn choose(&mut self, options: u64) -> u64;
}

/// What a loss of power tends to do. Were all decisions alike, a loss of a hundred sectors would
/// never be a loss of all or of none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// What can be lost is lost.
    Oldest,
    /// Nothing is lost.
    Newest,
    /// So many of 16 decisions lose nothing, the others are drawn evenly.
    Mixed(u64),
}

/// Decides by keyed chance.
#[derive(Clone, Copy, Debug)]
pub struct Drawn {
    draw: Draw,
    mood: Mood,
}

impl Drawn {
    /// Decisions that follow from this draw.
    #[must_use]
    pub fn new(mut draw: Draw) -> Self {
        let moods = [Mood::Oldest, Mood::Newest, Mood::Mixed(1), Mood::Mixed(8), Mood::Mixed(15)];
        let mood = draw.pick(&moods);
        Self { draw, mood }
    }
}

impl Choice for Drawn {
    fn choose(&mut self, options: u64) -> u64 {
        match self.mood {
            Mood::Oldest => 0,
            Mood::Newest => options - 1,
            Mood::Mixed(share) if self.draw.chance(share, 16) => options - 1,
            Mood::Mixed(_) => self.draw.below(options),
        }
    }
}

/// Goes through all possibilities: the same questions are answered again and again, each time
/// otherwise, until there is no other way.
#[derive(Clone, Debug, Default)]
pub struct Odometer {
    /// The answers and how many there were, question by question.
    digits: Vec<(u64, u64)>,
    /// The next question.
    at: usize,
}

impl Odometer {
    /// Turns to the next combination of answers; false: there is none.
    pub fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((answer, options)) = self.digits.pop() {
            if answer + 1 < options {
                self.digits.push((answer + 1, options));
                return true;
            }
        }
        false
    }
}

impl Choice for Odometer {
    fn choose(&mut self, options: u64) -> u64 {
        debug_assert!(options > 0, "a question has an answer");
        let answer = match self.digits.get_mut(self.at) {
            // A question that depends on earlier answers may have another number of options.
            Some(digit) => {
                digit.1 = options;
                digit.0
            }
            None => {
                self.digits.push((0, options));
                0
            }
        };
        self.at += 1;
        answer
    }
}

/// Loses nothing: what a kill leaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Newest;

impl Choice for Newest {
    fn choose(&mut self, options: u64) -> u64 {
        options - 1
    }
}

/// Loses all that can be lost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Oldest;

impl Choice for Oldest {
    fn choose(&mut self, _options: u64) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::{Chance, Stream};

    #[test]
    fn an_odometer_goes_through_all_answers_once() {
        let mut odometer = Odometer::default();
        let mut seen = Vec::new();
        loop {
            let first = odometer.choose(3);
            // The second question has as many answers as the first answer says.
            let second = odometer.choose(first + 1);
            seen.push((first, second));
            if !odometer.advance() {
                break;
            }
        }
        assert_eq!(seen, [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]);
    }

    #[test]
    fn chance_loses_all_or_nothing_or_something() {
        let key = Chance::new(1).key(Stream::Disk, 0);
        let mut kinds = [0; 3];
        for index in 0..200 {
            let mut drawn = Drawn::new(key.at(index));
            let kept: u64 = (0..64).map(|_| drawn.choose(2)).sum();
            kinds[match kept {
                0 => 0,
                64 => 2,
                _ => 1,
            }] += 1;
        }
        assert!(kinds.iter().all(|&count| count > 20), "{kinds:?}");
    }
}
