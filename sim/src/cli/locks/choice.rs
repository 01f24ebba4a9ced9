//! What the subcommands choose from: stories by name or file, and algorithms by name.
//!
//! Invariant: what is not there is refused with what there is.

use crate::locks::zoo::{FILES, Scenario, scenario};
use crate::locks::{ALGORITHMS, Algorithm, Story, algorithm};

/// The algorithm of this name.
pub(super) fn named(name: &str) -> Result<&'static Algorithm, String> {
    algorithm(name).ok_or_else(|| {
        format!("there is no algorithm {name:?}; there are {}", algorithm_names(|_| true))
    })
}

/// The names of the algorithms that are wanted.
pub(super) fn algorithm_names(is_wanted: impl Fn(&Algorithm) -> bool) -> String {
    let wanted = ALGORITHMS.iter().filter(|algorithm| is_wanted(algorithm));
    wanted.map(|algorithm| algorithm.name).collect::<Vec<_>>().join(", ")
}

/// A story of the catalogue, or one in a file, with what is expected of it.
pub(super) fn scenario_named(name: &str) -> Result<Scenario, String> {
    let text = match FILES.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => (*text).to_owned(),
        None => std::fs::read_to_string(name).map_err(|error| {
            let last = FILES.last().map_or("", |(last, _)| last);
            format!("{name}: no story of the catalogue (S01 to {last}), and as a file: {error}")
        })?,
    };
    let scenario = scenario(&text).map_err(|why| format!("{name}: {why}"))?;
    match &scenario.waits {
        Some(waits) => Err(format!("{name} cannot happen yet: it waits for {waits}")),
        None => Ok(scenario),
    }
}

/// The story of a scenario that can happen with an algorithm.
pub(super) fn story_for(
    scenario: &Scenario,
    name: &str,
    algorithm: &Algorithm,
) -> Result<Story, String> {
    let story = scenario.story_for(algorithm).ok_or_else(|| {
        let others = algorithm_names(|algorithm| scenario.story_for(algorithm).is_some());
        let wanted = algorithm.name;
        format!("{wanted} is not for as many servers as {name} has; choose one of {others}")
    })?;
    match (algorithm.settings)(story.nodes, story.ttl_ms).problem() {
        Some(problem) => {
            let wanted = algorithm.name;
            Err(format!("{name}: with {wanted} there is no such lock: {problem}"))
        }
        None => Ok(story.clone()),
    }
}

/// A story, by the name of its scenario or file, that can happen with an algorithm.
pub(super) fn load(name: &str, algorithm: &Algorithm) -> Result<Story, String> {
    story_for(&scenario_named(name)?, name, algorithm)
}
