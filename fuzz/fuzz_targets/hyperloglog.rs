//! Damaged HyperLogLogs: see [`orrery_fuzz::sketches_are_survived`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_fuzz::sketches_are_survived;

fuzz_target!(|data: &[u8]| sketches_are_survived(data));
