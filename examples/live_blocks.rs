//! Feeds a spotter block by block, as an audio callback would:
//! `cargo run --example live_blocks -- samples/keyword_stream_16k.wav`
#![allow(clippy::print_stdout, reason = "programs print")]

use std::path::PathBuf;

use formant::audio::decode::{DecodeOptions, decode_file};
use formant::models::tasks::spot::{SpotOptions, Spotter};
use formant::models::tasks::{Task, TaskSession};
use formant::models::{LoadOptions, ModelSource};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: live_blocks FILE")?;
    let audio = decode_file(&path, &DecodeOptions::default())?.audio;
    let model = ModelSource::Bundled("spot-commands".to_owned());
    let spotter = Spotter::load(&model, &LoadOptions::default())?;
    let mut session = spotter.start(&SpotOptions::default())?;
    for at in (0..audio.frames()).step_by(480) {
        for found in session.push(&audio.view().slice(at..at + 480))? {
            println!("{} at {:.2} s, known at {:.2} s", found.label, found.start, found.decided);
        }
    }
    for found in session.finish()?.0 {
        println!("{} at {:.2} s, known at the end", found.label, found.start);
    }
    Ok(())
}
