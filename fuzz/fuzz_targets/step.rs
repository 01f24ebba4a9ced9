//! Arbitrary inputs to the engine: see [`orrery_fuzz::inputs_are_survived`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_fuzz::{Action, inputs_are_survived};

fuzz_target!(|actions: Vec<Action<'_>>| inputs_are_survived(&actions));
