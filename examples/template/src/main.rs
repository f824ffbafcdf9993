//! Prints the command words in a recording.

use formant::prelude::*;

fn main() -> Result<()> {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: listener RECORDING");
        std::process::exit(2);
    };
    let recording = decode_file(path.as_ref(), &DecodeOptions::default())?.audio;
    let spotter = Spotter::load(&ModelSource::named("spot-commands"), &LoadOptions::default())?;
    let (found, _) = spotter.process(&recording.view(), &SpotOptions::default())?;
    for word in found {
        println!("{:6.2} s  {}", word.start, word.label);
    }
    Ok(())
}
