#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| formant_training_fuzz::manifest(data));
