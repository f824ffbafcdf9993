//! Finds the default command words in a file of any length:
//! `cargo run --example spot -- samples/keyword_stream_16k.wav`
#![allow(clippy::print_stdout, reason = "programs print")]

use formant::prelude::*;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    run(&std::env::args().skip(1).collect::<Vec<_>>())
}

pub(crate) fn run(args: &[String]) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let [input] = args else { return Err("usage: spot FILE".into()) };
    let model = ModelSource::named("spot-commands");
    let spotter = Spotter::load(&model, &LoadOptions::default())?;
    let mut reader = BlockReader::open(input.as_ref(), &DecodeOptions::default())?;
    let heard = spotter.process_reader(&mut reader, &SpotOptions::default(), |detections| {
        for found in detections {
            println!("{:7.2} {:7.2}  {}  {:.2}", found.start, found.end, found.label, found.score);
        }
        Ok::<_, Error>(())
    })?;
    println!("{:.2} s heard", heard.seconds);
    Ok(())
}
