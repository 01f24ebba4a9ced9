//! JSON of scripts: see [`orrery_fuzz::json_is_survived`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_fuzz::json_is_survived;

fuzz_target!(|data: &[u8]| json_is_survived(data));
