#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| formant_models_fuzz::config(data));
