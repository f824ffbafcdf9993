//! Separates people who speak at the same time into files in a folder:
//! `cargo run --example separate -- samples/mix_two_speakers_8k.wav .`
#![allow(clippy::print_stdout, reason = "programs print")]

use std::path::Path;

use formant::prelude::*;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    run(&std::env::args().skip(1).collect::<Vec<_>>())
}

pub(crate) fn run(args: &[String]) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let [input, folder] = args else { return Err("usage: separate INPUT FOLDER".into()) };
    let mixture = decode_file(input.as_ref(), &DecodeOptions::default())?.audio;
    let model = ModelSource::named("separate-voices");
    let separator = Separator::load(&model, &LoadOptions::default())?;
    let (voices, _) = separator.process(&mixture.view(), &SeparateOptions::default())?;
    for (voice, number) in voices.iter().zip(1..) {
        let path = Path::new(folder).join(format!("voice{number}.wav"));
        let report = write_file(&path, &voice.view(), &WriteOptions::default())?;
        println!("{}: {} frames", path.display(), report.frames);
    }
    Ok(())
}
