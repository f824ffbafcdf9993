#![no_main]
//! An RF64 file with any sizes, which are the last bytes of the input, and any chunks behind them:
//! those of a WAV file are good inputs to begin with.

use formant_audio_core_fuzz::decode;
use libfuzzer_sys::fuzz_target;

/// Bytes of the chunk `ds64` without a table.
const SIZES: usize = 28;

fuzz_target!(|bytes: &[u8]| {
    let Some((file, sizes)) = bytes.split_last_chunk::<SIZES>() else { return };
    let head = b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0".as_slice();
    let chunks = file.get(12..).unwrap_or_default();
    decode([head, sizes, chunks].concat(), &Default::default());
});
