//! Hears words from the microphone, or from a file as if it were one:
//! `cargo run --example live_words [-- samples/keyword_stream_16k.wav]`
#![allow(clippy::print_stdout, reason = "programs print")]

use formant::audio::decode::DecodeOptions;
use formant::models::tasks::Task;
use formant::models::tasks::spot::{SpotOptions, Spotter};
use formant::models::{LoadOptions, ModelSource};
use formant::streaming::source::{FilePace, FileSource, LiveSource, Microphones, OnLoss, Wanted};
use formant::streaming::{Event, Session, task::SpotTask};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = ModelSource::Bundled("spot-commands".to_owned());
    let spotter = Spotter::load(&model, &LoadOptions::default())?;
    let words = SpotTask::new(spotter, SpotOptions::default())?;
    let session = match std::env::args_os().nth(1) {
        Some(path) => {
            let options = DecodeOptions::default();
            Session::new(FileSource::open(path.as_ref(), &options, FilePace::Realtime)?)
        }
        None => {
            let microphones = Box::new(Microphones::new()?);
            Session::new(LiveSource::open(microphones, Wanted::default(), OnLoss::Wait)?)
        }
    };
    let mut listening = session.task(words).start()?;
    for event in &mut listening {
        match event {
            Event::Keyword { word, start, .. } => println!("{start:8.2}  {word}"),
            Event::Gap { start, end, .. } => println!("{start:8.2}  nothing until {end:.2}"),
            _ => {}
        }
    }
    let stats = listening.finish()?;
    println!("{:.2} s heard, {} frames lost", stats.seconds, stats.lost_frames);
    Ok(())
}
