//! The parameters of a world in which locks are measured.
//!
//! Invariant: each has a name, a default, and a greatest value that the arithmetic can take.

/// A parameter of the world.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it says, with its unit.
    pub words: &'static str,
    /// What it is if nobody says otherwise.
    pub default: u64,
    /// The least that it can be.
    pub least: u64,
    /// The most that it can be.
    pub most: u64,
}

const fn parameter(
    name: &'static str,
    words: &'static str,
    default: u64,
    least: u64,
    most: u64,
) -> Parameter {
    Parameter { name, words, default, least, most }
}

const DAY_MS: u64 = 86_400_000;

/// All of them, in the order of [`Values`].
pub const PARAMETERS: [Parameter; 17] = [
    parameter("ttl", "time to live of a grant, ms", 1000, 4, DAY_MS),
    parameter("nodes", "lock servers, for algorithms of several", 5, 1, 64),
    parameter("clients", "clients that want the lock", 3, 1, 26),
    parameter("work", "work of a holder, at most, ms", 900, 0, DAY_MS),
    parameter("think", "break between two sessions of a client, at most, ms", 200, 0, DAY_MS),
    parameter("gap", "from looking at the deadline to writing, at most, us", 100, 0, DAY_MS),
    parameter("delay", "a message's way, at most, us; a quarter at least", 1000, 1, DAY_MS),
    parameter("slow", "one message in so many takes up to 100 times that; 0: none", 0, 0, u64::MAX),
    parameter("loss", "one message in so many is lost; 0: none", 0, 0, u64::MAX),
    parameter("pause", "length of a client's pauses, ms", 0, 0, DAY_MS),
    parameter("pause-every", "a client is paused about so often, ms; 0: never", 10_000, 0, DAY_MS),
    parameter("clock-step", "servers' clocks are set forward by so much, ms", 0, 0, DAY_MS),
    parameter("step-servers", "so many servers' clocks are set at once", 3, 1, 64),
    parameter("step-every", "clocks are set about so often, ms; 0: never", 5000, 0, DAY_MS),
    parameter("drift", "a server's clock goes faster, up to so much, ppm", 0, 0, 500_000),
    parameter("forget-every", "a server forgets all about so often, ms; 0: never", 0, 0, DAY_MS),
    parameter("crash-every", "a client is gone about so often, ms; 0: never", 0, 0, DAY_MS),
];

/// A value for each parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Values([u64; PARAMETERS.len()]);

impl Default for Values {
    fn default() -> Self {
        Self(PARAMETERS.map(|parameter| parameter.default))
    }
}

impl Values {
    /// The parameter of this name, as a place among [`PARAMETERS`].
    #[must_use]
    pub fn find(name: &str) -> Option<usize> {
        PARAMETERS.iter().position(|parameter| parameter.name == name)
    }

    /// The same with another value at a place.
    ///
    /// # Errors
    /// The value is out of the parameter's range.
    pub fn with(mut self, place: usize, value: u64) -> Result<Self, String> {
        let Parameter { name, least, most, .. } = PARAMETERS[place];
        if value < least || value > most {
            return Err(format!("{name} is {least} to {most}, not {value}"));
        }
        self.0[place] = value;
        Ok(self)
    }

    /// The value at a place.
    #[must_use]
    pub fn at(&self, place: usize) -> u64 {
        self.0[place]
    }

    /// The value of the parameter of this name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn of(&self, name: &str) -> u64 {
        self.0[Self::find(name).expect("a parameter's name")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name_and_keep_to_their_range() {
        let place = Values::find("pause").expect("there is one");
        let values = Values::default().with(place, 7).expect("it fits");
        assert_eq!((values.of("pause"), values.of("ttl")), (7, 1000));
        let nodes = Values::find("nodes").expect("there is one");
        assert!(values.with(nodes, 64).is_ok());
        assert_eq!(values.with(nodes, 65).unwrap_err(), "nodes is 1 to 64, not 65");
        assert_eq!(Values::find("color"), None);
    }
}
