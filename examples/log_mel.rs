//! Prints the size and the range of a file's Whisper features:
//! `cargo run --example log_mel -- samples/keyword_yes_16k.wav`
#![allow(clippy::print_stdout, reason = "programs print")]

use std::path::PathBuf;

use formant::audio::decode::{DecodeOptions, decode_file};
use formant::audio::features::{FeaturePlan, presets};
use formant::audio::resample::{Quality, resample};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: log_mel FILE")?;
    let clip = decode_file(&path, &DecodeOptions::default())?;
    let plan = FeaturePlan::new(&presets::by_name("whisper")?)?;
    let audio = resample(&clip.audio.view(), plan.sample_rate(), Quality::High)?;
    let features = plan.compute(&audio.view().to_mono())?; // [frames, bins]
    let (least, most) = features
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)));
    println!("{} frames of {} bands, {least:.2} to {most:.2}", features.nrows(), features.ncols());
    Ok(())
}
