//! Rules of users: see [`orrery_fuzz::rules_are_survived`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_fuzz::rules_are_survived;

fuzz_target!(|data: &[u8]| rules_are_survived(data));
