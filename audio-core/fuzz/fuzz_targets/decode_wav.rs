#![no_main]
//! Chunks behind a valid RIFF marker.

use formant_audio_core_fuzz::decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let size = bytes.get(..4).unwrap_or(&[0; 4]);
    decode(
        [b"RIFF", size, b"WAVE", bytes.get(4..).unwrap_or_default()].concat(),
        &Default::default(),
    );
});
