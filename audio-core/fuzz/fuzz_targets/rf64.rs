#![no_main]
//! An RF64 file with any sizes and any chunks behind them.

use formant_audio_core_fuzz::decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (sizes, chunks) = bytes.split_at(bytes.len().min(28));
    let head = [b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0".as_slice(), sizes].concat();
    decode([head.as_slice(), chunks].concat(), &Default::default());
});
