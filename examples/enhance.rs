//! Removes noise from speech:
//! `cargo run --example enhance -- samples/speech_noisy_5db_16k.wav clean.wav`
#![allow(clippy::print_stdout, reason = "programs print")]

use formant::prelude::*;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    run(&std::env::args().skip(1).collect::<Vec<_>>())
}

pub(crate) fn run(args: &[String]) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let [input, output] = args else { return Err("usage: enhance INPUT OUTPUT".into()) };
    let noisy = decode_file(input.as_ref(), &DecodeOptions::default())?.audio;
    let model = ModelSource::named("enhance-speech");
    let enhancer = Enhancer::load(&model, &LoadOptions::default())?;
    let (clean, _) = enhancer.process(&noisy.view(), &EnhanceOptions::default())?;
    let report = write_file(output.as_ref(), &clean.view(), &WriteOptions::default())?;
    println!("{} frames written", report.frames);
    Ok(())
}
