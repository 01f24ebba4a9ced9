//! Files of append-only logs: see [`orrery_fuzz::logs_are_survived`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_fuzz::logs_are_survived;

fuzz_target!(|data: &[u8]| logs_are_survived(data));
