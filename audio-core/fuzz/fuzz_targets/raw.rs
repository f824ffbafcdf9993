#![no_main]
//! Headerless samples of every kind; the first two bytes choose kind and channels.

use formant_audio_core::decode::{DecodeOptions, RawFormat, RawSample};
use formant_audio_core_fuzz::decode;
use libfuzzer_sys::fuzz_target;

const KINDS: [RawSample; 7] = [
    RawSample::U8,
    RawSample::S16Be,
    RawSample::S24Le,
    RawSample::S32Le,
    RawSample::F32Le,
    RawSample::F64Be,
    RawSample::ALaw,
];

fuzz_target!(|bytes: &[u8]| {
    let [kind, channels, samples @ ..] = bytes else { return };
    let raw = RawFormat {
        rate: 16_000,
        format: KINDS[usize::from(*kind) % KINDS.len()],
        channels: u16::from(*channels % 8) + 1,
    };
    decode(samples.to_vec(), &DecodeOptions { raw: Some(raw), ..Default::default() });
});
