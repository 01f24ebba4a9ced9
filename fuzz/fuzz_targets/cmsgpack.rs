//! MessagePack of scripts: see [`orrery_fuzz::packs_are_survived`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_fuzz::packs_are_survived;

fuzz_target!(|data: &[u8]| packs_are_survived(data));
