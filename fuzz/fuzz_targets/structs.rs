//! Formats of scripts: see [`orrery_fuzz::formats_are_survived`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_fuzz::formats_are_survived;

fuzz_target!(|data: &[u8]| formats_are_survived(data));
