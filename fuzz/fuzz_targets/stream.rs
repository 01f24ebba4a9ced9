//! Streams and damaged streams: see [`orrery_fuzz::streams_are_survived`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_fuzz::streams_are_survived;

fuzz_target!(|data: &[u8]| streams_are_survived(data));
