#![no_main]
//! Any bytes, as they come.

use formant_audio_core_fuzz::decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| decode(bytes.to_vec(), &Default::default()));
