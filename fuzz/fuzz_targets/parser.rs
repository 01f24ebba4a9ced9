//! Chunking must not matter: see [`orrery_fuzz::cutting_does_not_matter`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_fuzz::{Cuts, cutting_does_not_matter};

fuzz_target!(|input: Cuts<'_>| cutting_does_not_matter(&input));
