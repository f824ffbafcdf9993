//! Writes down what is said in a file:
//! `cargo run --example transcribe -- samples/keyword_stream_16k.wav`
#![allow(clippy::print_stdout, reason = "programs print")]

use formant::prelude::*;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    run(&std::env::args().skip(1).collect::<Vec<_>>())
}

pub(crate) fn run(args: &[String]) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let [input] = args else { return Err("usage: transcribe FILE".into()) };
    let speech = decode_file(input.as_ref(), &DecodeOptions::default())?.audio;
    let model = ModelSource::named("asr-an4");
    let transcriber = Transcriber::load(&model, &LoadOptions::default())?;
    let (transcript, _) = transcriber.process(&speech.view(), &TranscribeOptions::default())?;
    for word in &transcript.words {
        println!("{:7.2} {:7.2}  {}", word.start, word.end, word.text);
    }
    println!("{}", transcript.text);
    Ok(())
}
