//! Arbitrary media: mounting, recovering, walking and checking them never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| crashproof::check::campaign::survive_image(bytes));
