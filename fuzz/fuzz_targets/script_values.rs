//! Arguments and results of scripts: see [`orrery_fuzz::values_are_survived`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_fuzz::values_are_survived;

fuzz_target!(|data: &[u8]| values_are_survived(data));
