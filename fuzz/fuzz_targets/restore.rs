//! RESTORE of anything: see [`orrery_fuzz::restored_values_behave`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_fuzz::restored_values_behave;

fuzz_target!(|data: &[u8]| restored_values_behave(data));
