//! Finds the default command words in a file:
//! `cargo run --example find_words -- samples/keyword_stream_16k.wav`
#![allow(clippy::print_stdout, reason = "programs print")]

use std::path::PathBuf;

use formant::audio::decode::{BlockReader, DecodeOptions};
use formant::models::tasks::spot::{SpotOptions, Spotter};
use formant::models::{LoadOptions, ModelSource};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: find_words FILE")?;
    let model = ModelSource::Bundled("spot-commands".to_owned());
    let spotter = Spotter::load(&model, &LoadOptions::default())?;
    let mut reader = BlockReader::open(&path, &DecodeOptions::default())?;
    let seconds = spotter.process_reader(&mut reader, &SpotOptions::default(), |found| {
        println!("{:7.2} {:7.2}  {}  {:.2}", found.start, found.end, found.label, found.score);
    })?;
    println!("{seconds:.2} s heard");
    Ok(())
}
