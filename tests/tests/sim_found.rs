//! Worlds of the swarm in which something was wrong once, each with what it was. They hold as long
//! as what is drawn for them stays the same; what they have found has tests of its own as well.

use orrery_sim::setup::Setup;
use orrery_sim::trial::trial;
use orrery_sim::world::Watch;

/// Seeds, and what was found there.
const FOUND: [(u64, &str); 3] = [
    (
        640_004_555,
        "a client took copies for fresh because the connection of the news answered, when the one \
         that reads had ended at the server: the client was mended",
    ),
    (
        640_005_009,
        "a server that ends over a failed sync left what nobody was told of in its log, with \
         zeros in the middle of a value, and loaded that: it cuts it off now",
    ),
    (
        640_010_645,
        "a reset waited to the end for a client that found no server: it strikes another's \
         connection after a second",
    ),
];

#[test]
fn what_was_found_once_is_not_there_any_more() {
    for (seed, found) in FOUND {
        let result = trial(&Setup::drawn(seed), &mut Watch::default(), false);
        assert!(result.faults.is_empty(), "seed {seed} ({found}): {:?}", result.faults);
    }
}
