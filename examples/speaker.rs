//! Says whether one person speaks in two recordings:
//! `cargo run --example speaker -- samples/speech_en_female_a1_24k.wav samples/speech_en_male_b1_24k.wav`
#![allow(clippy::print_stdout, reason = "programs print")]

use formant::prelude::*;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    run(&std::env::args().skip(1).collect::<Vec<_>>())
}

pub(crate) fn run(args: &[String]) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let [first, second] = args else { return Err("usage: speaker FILE FILE".into()) };
    let model = ModelSource::named("speaker-voices");
    let embedder = SpeakerEmbedder::load(&model, &LoadOptions::default())?;
    let embed = |path: &String| -> Result<_> {
        let audio = decode_file(path.as_ref(), &DecodeOptions::default())?.audio;
        Ok(embedder.process(&audio.view(), &EmbedOptions::default())?.0?)
    };
    let (a, b) = (embed(first)?, embed(second)?);
    let found = embedder.scorer().verify(&a.values, &b.values);
    let speakers = if found.same_speaker { "the same speaker" } else { "different speakers" };
    println!("{speakers}: {:.3}, threshold {:.3}", found.score, found.threshold);
    Ok(())
}
