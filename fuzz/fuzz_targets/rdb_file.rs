//! RDB files: see [`orrery_fuzz::files_are_survived`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_fuzz::files_are_survived;

fuzz_target!(|data: &[u8]| files_are_survived(data));
