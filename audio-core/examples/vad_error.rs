//! How often the voice detector errs: `vad_error audio labels [audio labels ..]`.
//!
//! A label file has a line `start end` in seconds for each stretch of speech. Prints, over all
//! files, the share of 10 ms frames that are missed, falsely reported, and wrong.

use std::path::Path;
use std::process::ExitCode;

use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::vad::{VadOptions, speech_segments};

/// Frames of speech, frames of pause, misses, false alarms.
type Counts = [u64; 4];

fn count(audio: &str, labels: &str, total: &mut Counts) -> Result<(), Box<dyn std::error::Error>> {
    let clip = decode_file(Path::new(audio), &DecodeOptions::default())?;
    let (rate, samples) = (clip.audio.rate(), clip.audio.view().to_mono());
    let options = VadOptions { min_silence: 0.2, padding: 0.0, ..VadOptions::default() };
    let hop = rate as usize / 100;
    let frames = samples.len() / hop;
    let mut found = vec![false; frames];
    for segment in speech_segments(&samples, rate, &options)? {
        let (start, end) = (segment.start as usize / hop, segment.end as usize / hop);
        found[start..end.min(frames)].fill(true);
    }
    let mut truth = vec![false; frames];
    for line in std::fs::read_to_string(labels)?.lines() {
        let times = line.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        if let [start, end] = times[..] {
            let frame = |time: f64| ((time * 100.0).round() as usize).min(frames);
            truth[frame(start)..frame(end).max(frame(start))].fill(true);
        }
    }
    for (found, truth) in found.into_iter().zip(truth) {
        total[usize::from(!truth)] += 1;
        total[2] += u64::from(truth && !found);
        total[3] += u64::from(!truth && found);
    }
    Ok(())
}

#[allow(clippy::print_stdout, clippy::print_stderr)]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (pairs, rest) = arguments.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        eprintln!("usage: vad_error audio labels [audio labels ..]  (audio at 8000 or 16000 Hz)");
        return ExitCode::from(2);
    }
    let mut total = Counts::default();
    for [audio, labels] in pairs {
        if let Err(error) = count(audio, labels, &mut total) {
            eprintln!("{audio}: {error}");
            return ExitCode::FAILURE;
        }
    }
    let [speech, pause, misses, alarms] = total;
    let share = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
    println!(
        "miss {:.1} %  false alarm {:.1} %  error {:.1} %  ({} frames)",
        share(misses, speech),
        share(alarms, pause),
        share(misses + alarms, speech + pause),
        speech + pause
    );
    ExitCode::SUCCESS
}
