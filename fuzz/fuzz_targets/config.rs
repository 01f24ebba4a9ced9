//! Configuration: see [`orrery_fuzz::configurations_are_survived`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_fuzz::configurations_are_survived;

fuzz_target!(|data: &[u8]| configurations_are_survived(data));
