//! A server that begins with any files: see [`orrery_fuzz::starts_are_survived`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_fuzz::starts_are_survived;

fuzz_target!(|data: &[u8]| starts_are_survived(data));
