#![no_main]
//! Chunks behind a valid RIFF marker; whole WAV files are good inputs to begin with.

use formant_audio_core_fuzz::decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let size = bytes.get(4..8).unwrap_or(&[0; 4]);
    let chunks = bytes.get(12..).unwrap_or_default();
    decode([b"RIFF", size, b"WAVE", chunks].concat(), &Default::default());
});
