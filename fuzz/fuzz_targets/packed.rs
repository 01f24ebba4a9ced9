//! Every packing of small collections: see [`orrery_fuzz::packed_values_are_read`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_fuzz::packed_values_are_read;

fuzz_target!(|data: &[u8]| packed_values_are_read(data));
