//! `formant bench`: speed and memory, a JSON line a job.

mod separation;
mod signal;
mod speech;

use std::path::Path;
use std::time::Instant;

use formant_audio_core::AudioBuf;
use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_models::Precision;
use serde_json::json;
use tch::Device;

use super::use_few_threads;
use crate::args::BenchJob;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::plan::{BenchPlan, Settings};
use crate::{interrupt, json as lines, stdout};

/// What a job came to.
struct Measured {
    /// Name with what distinguishes it, such as `features whisper`.
    name: String,
    audio_seconds: f64,
    /// One entry a run.
    wall: Vec<f64>,
    threads: i32,
    device: String,
    precision: Precision,
    /// Root mean square of what a network answered, for comparisons with other implementations.
    output_rms: Option<f64>,
}

pub(super) fn run(
    plan: &BenchPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_few_threads(settings);
    let audio = match &plan.input {
        Some(path) => {
            let clip = decode_file(path, &DecodeOptions::default())?;
            AudioBuf::from_mono(clip.audio.rate(), clip.audio.view().to_mono())
        }
        None => generate(44_100, plan.seconds, settings.seed.unwrap_or(0)),
    };
    for job in &plan.jobs {
        interrupt::check()?;
        let measured = match job {
            BenchJob::Decode => signal::decode(plan, &audio)?,
            BenchJob::Resample => signal::to_16k(plan, &audio)?,
            BenchJob::Features => signal::features(plan, &audio)?,
            BenchJob::Spot => speech::words(plan, settings, &audio)?,
            BenchJob::Speaker => speech::voices(plan, settings, &audio)?,
            BenchJob::Transcribe => speech::recognition(plan, settings, &audio)?,
            BenchJob::Stems => separation::stems_of_music(plan, settings, &audio)?,
            BenchJob::Separate => separation::apart(plan, settings, &audio)?,
            BenchJob::Enhance => separation::cleaned(plan, settings, &audio)?,
        };
        report(&measured, messages)?;
    }
    Ok(Outcome::done())
}

/// Noise with the rhythm of speech, the same for the same seed.
fn generate(rate: u32, seconds: f64, seed: u64) -> AudioBuf {
    let frames = (seconds * f64::from(rate)).round() as usize;
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let samples = (0..frames).map(|n| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let noise = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
        let syllable = (n as f32 / rate as f32 * 4.0 * std::f32::consts::TAU).sin().max(0.0);
        0.3 * noise * syllable
    });
    AudioBuf::from_mono(rate, samples.collect())
}

/// Wall-clock seconds of every run, after one that warms up unless the first is to count.
fn time(
    plan: &BenchPlan,
    mut work: impl FnMut() -> Result<(), Failure>,
) -> Result<Vec<f64>, Failure> {
    if !plan.cold {
        work()?;
    }
    (0..plan.repeat)
        .map(|_| {
            interrupt::check()?;
            let began = Instant::now();
            work()?;
            Ok(began.elapsed().as_secs_f64())
        })
        .collect()
}

/// What a network came to on `audio`; `output` is what it answered.
fn of_network(
    name: String,
    audio: &AudioBuf,
    wall: Vec<f64>,
    device: Device,
    output: &[f32],
) -> Measured {
    Measured {
        name,
        audio_seconds: audio.duration(),
        wall,
        threads: tch::get_num_threads(),
        device: name_of(device),
        precision: Precision::F32,
        output_rms: rms(output),
    }
}

/// The name of a network whose sizes are in this file.
fn random_name(job: &str, sizes: &Path) -> String {
    let name = sizes.file_stem().unwrap_or_default().to_string_lossy();
    format!("{job} {name} (random weights)")
}

fn rms(values: &[f32]) -> Option<f64> {
    let squares: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
    (!values.is_empty()).then(|| (squares / values.len() as f64).sqrt())
}

fn name_of(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}

fn report(measured: &Measured, messages: &Messages) -> Result<(), Failure> {
    let mut wall = measured.wall.clone();
    wall.sort_by(f64::total_cmp);
    let median = wall.get(wall.len() / 2).copied().unwrap_or(f64::NAN);
    let rtf = median / measured.audio_seconds;
    stdout::print(&lines::line(
        "bench",
        &json!({
            "job": measured.name,
            "audio_seconds": measured.audio_seconds,
            "wall_seconds": median,
            "wall_seconds_min": wall.first(),
            "runs": wall.len(),
            "run_seconds": measured.wall,
            "rtf": rtf,
            "peak_memory_bytes": peak_memory(),
            "threads": measured.threads,
            "precision": measured.precision,
            "device": measured.device,
            "output_rms": measured.output_rms,
        }),
    ))?;
    messages.note(&format!("{}: {:.0} times as fast as the audio", measured.name, 1.0 / rtf));
    Ok(())
}

/// The most memory that this process has had, where the system tells (Linux).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_audio_is_loud_and_repeats() {
        let audio = generate(8000, 1.0, 3);
        assert_eq!(audio.frames(), 8000);
        assert_eq!(audio, generate(8000, 1.0, 3));
        assert!(audio.channel(0).iter().any(|x| x.abs() > 0.2));
        assert!(audio.channel(0).iter().all(|x| x.abs() <= 0.3));
    }
}
