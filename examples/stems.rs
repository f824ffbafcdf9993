//! Separates a song into vocals and accompaniment, as files in a folder:
//! `cargo run --example stems -- samples/song_mix_44k.flac .`
#![allow(clippy::print_stdout, reason = "programs print")]

use std::path::Path;

use formant::prelude::*;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    run(&std::env::args().skip(1).collect::<Vec<_>>())
}

pub(crate) fn run(args: &[String]) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let [input, folder] = args else { return Err("usage: stems INPUT FOLDER".into()) };
    let song = decode_file(input.as_ref(), &DecodeOptions::default())?.audio;
    let model = ModelSource::named("stems-vocals");
    let separator = StemSeparator::load(&model, &LoadOptions::default())?;
    let (stems, _) = separator.process(&song.view(), &StemsOptions::default())?;
    for (name, stem) in stems {
        let path = Path::new(folder).join(format!("{name}.wav"));
        let report = write_file(&path, &stem.view(), &WriteOptions::default())?;
        println!("{}: {} frames", path.display(), report.frames);
    }
    Ok(())
}
