//! The figures of `formant eval vocode` for pairs of WAV files, for `cargo xtask bench-peers --vocoding`,
//! which sets other libraries' beside them.
//!
//! `vocoding_figures pairs FOLDER RECORDING..` writes two pairs for each recording, `NAME.original.wav` (mono,
//! 24 kHz) and `NAME.made.wav`: of Griffin-Lim of its spectrogram, and of what the mel correction makes of
//! that, as `formant vocode` does without a model. `vocoding_figures figures FOLDER`
//! writes the figures of all pairs in the folder to `figures.jsonl` in it, a JSON object a line; a
//! `NAME.made.wav` may be that of any vocoder.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use formant_audio_core::AudioView;
use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::encode::{WriteOptions, write_wav};
use formant_audio_core::features::{FeaturePlan, presets};
use formant_audio_core::griffin_lim::{GriffinLim, GriffinLimOptions};
use formant_audio_core::mel_correction::MelCorrection;
use formant_audio_core::metrics::multi_resolution::multi_resolution_distance;
use formant_audio_core::metrics::voice::voice_distance;
use formant_audio_core::resample::{Quality, resample};
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn Error>>;

const RATE: u32 = 24_000;
/// Passes of the correction, as many as `formant vocode` makes without a model.
const PASSES: usize = 32;
/// Ends of the names of a pair.
const ORIGINAL: &str = ".original.wav";
const MADE: &str = ".made.wav";

fn main() -> Outcome<()> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args.as_slice() {
        [command, folder, recordings @ ..] if command == "pairs" => {
            let folder = Path::new(folder);
            recordings.iter().try_for_each(|recording| write_pair(folder, Path::new(recording)))
        }
        [command, folder] if command == "figures" => write_figures(Path::new(folder)),
        _ => Err("usage: vocoding_figures pairs FOLDER RECORDING.. | figures FOLDER".into()),
    }
}

/// The mono samples of a file, and their rate.
fn samples(path: &Path) -> Outcome<(Vec<f32>, u32)> {
    let audio = decode_file(path, &DecodeOptions::default())?.audio;
    Ok((audio.view().to_mono(), audio.rate()))
}

fn write_pair(folder: &Path, recording: &Path) -> Outcome<()> {
    let (mono, rate) = samples(recording)?;
    let audio = resample(&AudioView::from_mono(rate, &mono), RATE, Quality::High)?;
    let config = presets::vocoder(RATE, 100, f64::from(RATE) / 2.0);
    // Whole frames, so that both are as long.
    let whole = audio.frames() / config.hop_length * config.hop_length;
    let original = &audio.channel(0)[..whole];
    let features = FeaturePlan::new(&config)?.compute(original)?;
    let method = GriffinLim::new(&config, GriffinLimOptions::default())?;
    let made = method.process(features.view())?;
    let corrected = MelCorrection::new(&config, PASSES)?.process(&made, features.view())?;
    let name = recording.file_stem().ok_or("a recording has a name")?.to_string_lossy();
    // 32-bit floating-point numbers.
    let options = WriteOptions::default();
    for (method, made) in [("griffin_lim", &made), ("corrected", &corrected)] {
        for (end, samples) in [(ORIGINAL, original), (MADE, made)] {
            let path = folder.join(format!("{name}.{method}{end}"));
            write_wav(&path, &AudioView::from_mono(RATE, samples), &options)?;
        }
    }
    Ok(())
}

fn write_figures(folder: &Path) -> Outcome<()> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Outcome<_>>()?;
    files.sort();
    let mut lines = String::new();
    for original in files {
        let Some(name) = original.to_str().and_then(|path| path.strip_suffix(ORIGINAL)) else {
            continue;
        };
        let (wanted, rate) = samples(&original)?;
        let (found, _) = samples(Path::new(&format!("{name}{MADE}")))?;
        let count = wanted.len().min(found.len());
        let (wanted, found) = (&wanted[..count], &found[..count]);
        let voice = voice_distance(wanted, found, rate)?;
        let name = Path::new(name).file_name().unwrap_or_default().to_string_lossy();
        let line = json!({
            "name": name,
            "multi_resolution": multi_resolution_distance(wanted, found)?,
            "periodicity_rmse": voice.periodicity_rmse,
            "voiced_f1": voice.voiced_f1,
            "pitch_rmse_cents": voice.pitch_rmse_cents,
        });
        lines += &format!("{line}\n");
    }
    Ok(fs::write(folder.join("figures.jsonl"), lines)?)
}
