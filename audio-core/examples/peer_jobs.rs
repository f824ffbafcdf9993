//! The jobs that `cargo xtask bench-peers` times, as formant does them, on one thread.
//!
//! `peer_jobs AUDIO_FOLDER` reads requests `JOB SECONDS`, a line each, and answers each with one
//! line of JSON, as `bench/peers.py` does for other libraries.

#![allow(clippy::print_stdout, reason = "the answers go to standard output")]

use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use formant_audio_core::AudioView;
use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::features::{FeatureConfig, FeaturePlan, presets};
use formant_audio_core::resample::{Quality, resample};
use formant_audio_core::stft::{StftConfig, StftPlan};

type Outcome<T> = Result<T, Box<dyn Error>>;
/// Does the work once and returns its numbers; what they are made from is ready beforehand.
type Job = Box<dyn FnMut() -> Outcome<Numbers>>;

/// What a job computed, as it left the library.
enum Numbers {
    Matrix(ndarray::Array2<f32>),
    Spectra(Vec<ndarray::Array2<formant_audio_core::stft::Complex32>>),
    Audio(formant_audio_core::AudioBuf),
}

impl Numbers {
    fn values(&self) -> Vec<f64> {
        match self {
            Self::Matrix(matrix) => matrix.iter().copied().map(f64::from).collect(),
            Self::Spectra(spectra) => {
                spectra.iter().flatten().map(|bin| f64::from(bin.norm())).collect()
            }
            Self::Audio(audio) => audio.as_planar().iter().copied().map(f64::from).collect(),
        }
    }
}

fn main() -> Outcome<()> {
    let folder = std::env::args_os().nth(1).ok_or("usage: peer_jobs AUDIO_FOLDER")?;
    let folder = PathBuf::from(folder);
    println!("{{\"versions\": \"formant {}\"}}", env!("CARGO_PKG_VERSION"));
    for line in std::io::stdin().lock().lines() {
        match answer(&folder, &line?) {
            Ok(reply) => println!("{reply}"),
            Err(error) => println!("{{\"error\": {:?}}}", error.to_string()),
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn answer(folder: &Path, request: &str) -> Outcome<String> {
    let (name, seconds) = request.split_once(' ').ok_or("a request is JOB SECONDS")?;
    let budget = Duration::from_secs_f64(seconds.trim().parse()?);
    let mut job = job(folder, name)?;
    let values = job()?.values(); // the warm-up run
    let power = values.iter().map(|v| v * v).sum::<f64>() / values.len().max(1) as f64;
    let mut times = Vec::new();
    let end = Instant::now() + budget;
    while times.len() < 2 || (Instant::now() < end && times.len() < 50) {
        let start = Instant::now();
        black_box(job()?);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let (count, rms) = (values.len(), power.sqrt());
    Ok(format!("{{\"milliseconds\": {times:?}, \"values\": {count}, \"rms\": {rms}}}"))
}

fn job(folder: &Path, name: &str) -> Outcome<Job> {
    Ok(match name {
        "log_mel" => features(folder, log_mel())?,
        "fbank" => features(folder, presets::by_name("wenet")?)?,
        "stft" => {
            let config = StftConfig { hop_length: 441, ..StftConfig::default() };
            let plan = StftPlan::new(&config)?;
            let mut channels = Vec::new();
            for name in ["music_left_44k.f32", "music_right_44k.f32"] {
                channels.push(samples(&folder.join(name))?[..8 * 44_100].to_vec());
            }
            Box::new(move || {
                let spectra = channels.iter().map(|channel| plan.forward(black_box(channel)));
                Ok(Numbers::Spectra(spectra.collect()))
            })
        }
        "decode_mp3" => decode(folder, "music_44k.mp3"),
        "decode_flac" => decode(folder, "music_44k.flac"),
        "decode_m4a" => decode(folder, "music_44k.m4a"),
        _ => {
            let (rates, quality) = name.rsplit_once('_').ok_or("there is no such job")?;
            let quality = match quality {
                "fast" => Quality::Fast,
                "high" => Quality::High,
                "best" => Quality::Best,
                _ => return Err("there is no such job".into()),
            };
            let (file, from, to) = match rates {
                "resample_44k_16k" => ("music_left_44k.f32", 44_100, 16_000),
                "resample_16k_48k" => ("speech_16k.f32", 16_000, 48_000),
                _ => return Err("there is no such job".into()),
            };
            let samples = samples(&folder.join(file))?;
            Box::new(move || {
                let view = AudioView::from_mono(from, black_box(&samples));
                Ok(Numbers::Audio(resample(&view, to, quality)?))
            })
        }
    })
}

/// librosa's log-mel of 80 bands at 16 kHz, windows of 25 ms every 10 ms.
fn log_mel() -> FeatureConfig {
    let mut config = FeatureConfig { sample_rate: 16_000, n_fft: 400, ..presets::librosa(80) };
    (config.win_length, config.hop_length) = (400, 160);
    if let Some(mel) = &mut config.mel {
        mel.f_max = 8000.0;
    }
    config
}

fn features(folder: &Path, config: FeatureConfig) -> Outcome<Job> {
    let plan = FeaturePlan::new(&config)?;
    let samples = samples(&folder.join("speech_16k.f32"))?;
    Ok(Box::new(move || Ok(Numbers::Matrix(plan.compute(black_box(&samples))?))))
}

fn decode(folder: &Path, name: &str) -> Job {
    let path = folder.join(name);
    Box::new(move || Ok(Numbers::Audio(decode_file(&path, &DecodeOptions::default())?.audio)))
}

fn samples(path: &Path) -> Outcome<Vec<f32>> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (samples, _) = bytes.as_chunks::<4>();
    Ok(samples.iter().map(|&sample| f32::from_le_bytes(sample)).collect())
}
