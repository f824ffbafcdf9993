//! Spectrograms of files as waveforms.

use std::collections::HashSet;
use std::path::Path;

use formant_audio_core::encode::finish_group;
use formant_audio_core::features::FeatureConfig;
use formant_audio_core::{AudioSpec, AudioView};
use formant_models::checkpoint::{RawTensor, read_arrays};
use formant_models::tasks::vocode::{mel_differences, mel_doubts};
use serde_json::{Value, json};

use super::method::Vocoding;
use crate::audio_to_audio::AudioToAudio;
use crate::batch::{Done, Lane};
use crate::failure::{Failure, Kind};
use crate::inputs::Input;
use crate::json as lines;
use crate::outputs::{Target, target_of};
use crate::times::clock;
use crate::writing::create;

/// Names of the settings that `formant features` writes beside a matrix.
const SETTINGS: [&str; 3] = ["front_end", "sample_rate", "hop_length"];

/// Whether an input is a file of arrays.
pub(super) fn is_one(input: &Input) -> bool {
    let extension = input.path.as_deref().and_then(Path::extension);
    extension.is_some_and(|own| ["npy", "npz"].iter().any(|one| own.eq_ignore_ascii_case(one)))
}

/// A spectrogram, frame by frame.
struct Spectrogram {
    /// Its name in the archive; of a file's only one, none.
    name: String,
    rows: Vec<f32>,
}

/// Makes a waveform of each spectrogram of a file.
pub(super) fn vocode(
    files: &AudioToAudio,
    process: &Vocoding,
    is_forced: bool,
    input: &Input,
    lane: &Lane<'_>,
    json: bool,
) -> Result<Done, Failure> {
    let target = target_of(&files.targets, lane.index)?;
    let Some(path) = &input.path else {
        return Err(Failure::internal("input", "a file of arrays has a name"));
    };
    let (process, spectrograms) = read(path, process, is_forced)?;
    let targets: Vec<Target> = match spectrograms.as_slice() {
        [_] => vec![target.clone()],
        several if *target == Target::Stdout => {
            let why = format!("{} spectrograms", several.len());
            return Err(Failure::usage("-o -", why).help("name a folder with -o"));
        }
        several => several.iter().map(|one| target.with_suffix(&suffix(&one.name))).collect(),
    };
    let mut names = HashSet::new();
    if let Some(double) = targets.iter().find(|target| !names.insert(target.name())) {
        let why = "two arrays of the archive come to this name";
        return Err(Failure::new(Kind::Output, double.name(), why)
            .help("give one of the arrays another name"));
    }
    if !files.existing.admits_any(&targets)? {
        return Ok(Done::Skipped);
    }
    for (spectrogram, target) in spectrograms.iter().zip(&targets) {
        one(files, &process, spectrogram, target, lane, json)?;
    }
    Ok(Done::Worked)
}

/// What a name of an archive adds to the name of a file.
fn suffix(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    format!("_{}", name.chars().map(plain).collect::<String>())
}

fn one(
    files: &AudioToAudio,
    process: &Vocoding,
    spectrogram: &Spectrogram,
    target: &Target,
    lane: &Lane<'_>,
    json: bool,
) -> Result<(), Failure> {
    let rate = process.sample_rate();
    let mut writer = create(target, AudioSpec::mono(rate), &files.write)?;
    let mut frames = 0;
    process.waveform(&spectrogram.rows, |samples| {
        frames += samples.len();
        writer.write(&AudioView::from_mono(rate, samples)).map_err(Failure::of_writing)
    })?;
    let report = finish_group(vec![writer]).map_err(Failure::of_writing)?.remove(0);
    let warnings: Vec<_> = report.warnings().into_iter().collect();
    lane.warn(&warnings);
    let seconds = frames as f64 / f64::from(rate);
    if json {
        let mut line = json!({
            "input": lane.name,
            "array": spectrogram.name,
            "output": target.name(),
            "rate": rate,
            "channels": 1,
            "frames": frames,
            "duration": seconds,
            "peak": report.peak,
            "clipped": report.clipped,
            "warnings": lines::warnings(&warnings),
        });
        if let Value::Object(line) = &mut line {
            line.extend(process.facts());
        }
        lane.tell(&lines::line("vocode", &line))?;
    }
    lane.note(&format!("{} -> {} ({})", lane.name, target.name(), clock(seconds)))
}

/// The spectrograms of a file, all of which the method takes, and the method with their front end.
fn read(
    path: &Path,
    process: &Vocoding,
    is_forced: bool,
) -> Result<(Vocoding, Vec<Spectrogram>), Failure> {
    let name = path.display().to_string();
    let refuse = |why: String| Failure::new(Kind::Input, name.clone(), why);
    // Here files of arrays are inputs, and no checkpoints.
    let arrays = read_arrays(path).map_err(|error| refuse(error.to_string()))?;
    let stated = front_end(&arrays).map_err(refuse)?;
    let process = match &stated {
        Some(Stated::All(config)) => process.of_front_end(config).map_err(refuse)?,
        _ => process.clone(),
    };
    let (wanted, bands) = (process.front_end(), process.bands());
    if let (Some(stated), Some(wanted), false) = (&stated, wanted, is_forced) {
        let differences = match stated {
            Stated::All(config) => mel_differences(config, wanted),
            Stated::Timing { rate, hop } => {
                let all = FeatureConfig { sample_rate: *rate, hop_length: *hop, ..wanted.clone() };
                mel_differences(&all, wanted)
            }
        };
        if !differences.is_empty() {
            return Err(other_front_end(&process, &differences, refuse));
        }
    }
    let mut found = Vec::new();
    let mut others = Vec::new();
    let is_ours = arrays.iter().any(|(name, _)| name == "features");
    for (array, raw) in &arrays {
        if SETTINGS.contains(&array.as_str()) || is_ours && array != "features" {
            continue;
        }
        let values = raw.to_f32_vec().map_err(|fault| refuse(fault.to_string()))?;
        match rows(raw, values, bands) {
            Some(rows) => found.push(Spectrogram { name: array.clone(), rows }),
            None => others.push(raw.shape()),
        }
    }
    if found.is_empty() {
        return Err(other_shapes(&process, &others, refuse));
    }
    for Spectrogram { name: array, rows } in &found {
        if rows.is_empty() {
            return Err(formant_audio_core::Error::Empty.into());
        }
        let label = if array.is_empty() { String::new() } else { format!("{array}: ") };
        if rows.iter().any(|x| !x.is_finite()) {
            return Err(refuse(format!("{label}some values are no finite numbers"))
                .help("compute the spectrogram again, or replace them"));
        }
        let doubts = wanted.and_then(|wanted| mel_doubts(rows, wanted));
        if let (Some(doubt), false) = (doubts, is_forced) {
            let remedy = match process {
                Vocoding::Network { .. } => {
                    "compute it as `formant features --preset periodwave` does"
                }
                Vocoding::OnePass(_) => "compute it as `formant features --preset hifigan` does",
                Vocoding::GriffinLim(_) => "name its front end with --preset",
            };
            return Err(
                refuse(format!("{label}{doubt}")).help(format!("{remedy}; --force takes it"))
            );
        }
    }
    Ok((process, found))
}

/// The failure of a file whose front end is another one.
fn other_front_end(
    process: &Vocoding,
    differences: &[String],
    refuse: impl Fn(String) -> Failure,
) -> Failure {
    let (whose, mut remedy) = match process {
        Vocoding::Network { .. } => (
            "the model's spectrogram",
            "compute it with `formant features --preset periodwave`, or periodwave-22k-80 for 80 bands"
                .to_owned(),
        ),
        Vocoding::OnePass(_) => (
            "the model's spectrogram",
            "compute it with `formant features --preset hifigan`, or bigvgan-24k-100 for 100 bands"
                .to_owned(),
        ),
        Vocoding::GriffinLim(_) => {
            ("the spectrogram of --preset", "leave out --preset, or name the right one".to_owned())
        }
    };
    // Other bands are taken by no means.
    if !differences.iter().any(|difference| difference.starts_with("bands")) {
        remedy += "; --force takes it";
    }
    refuse(format!("not {whose}: {}", differences.join("; "))).help(remedy)
}

/// The failure of a file whose arrays are no spectrograms of as many bands.
fn other_shapes(
    process: &Vocoding,
    shapes: &[&[usize]],
    refuse: impl Fn(String) -> Failure,
) -> Failure {
    let bands = process.bands();
    let found = match shapes {
        [] => "no array".to_owned(),
        several => several.iter().map(|shape| format!("{shape:?}")).collect::<Vec<_>>().join(", "),
    };
    let is_matrix = |shape: &&[usize]| matches!(shape, [_, _] | [1, _, _]);
    let (whose, remedy) = match process {
        Vocoding::Network { .. } | Vocoding::OnePass(_) => ("model", "another model"),
        Vocoding::GriffinLim(_) => ("front end", "name its front end with --preset"),
    };
    let why = format!("{found}, where the {whose} takes frames x {bands} or {bands} x frames");
    refuse(why).help(match shapes.iter().any(is_matrix) {
        true => format!("give a spectrogram of as many bands, or {remedy}"),
        false => "give each spectrogram as an array of its own with these two axes".to_owned(),
    })
}

/// What a file says about its spectrogram.
enum Stated {
    All(Box<FeatureConfig>),
    Timing { rate: u32, hop: usize },
}

/// The front end that a file of `formant features` states.
fn front_end(arrays: &[(String, RawTensor)]) -> Result<Option<Stated>, String> {
    let [front_end, rate, hop] =
        SETTINGS.map(|name| arrays.iter().find(|(array, _)| array == name).map(|(_, raw)| raw));
    let numbers = |raw: &RawTensor| raw.to_f32_vec().map_err(|fault| fault.to_string());
    if let Some(raw) = front_end {
        let bytes: Vec<u8> = numbers(raw)?.into_iter().map(|x| x as u8).collect();
        let config = serde_json::from_slice(&bytes);
        let config = config.map_err(|error| format!("its `front_end` is unreadable: {error}"))?;
        return Ok(Some(Stated::All(Box::new(config))));
    }
    let one = |raw: &RawTensor| Ok::<_, String>(numbers(raw)?.first().copied().unwrap_or(0.0));
    match (rate, hop) {
        (Some(rate), Some(hop)) => {
            Ok(Some(Stated::Timing { rate: one(rate)? as u32, hop: one(hop)? as usize }))
        }
        _ => Ok(None),
    }
}

/// The values frame by frame: of frames x bands, or bands x frames, perhaps in a batch of one. Where
/// both are as long, frames come first.
fn rows(raw: &RawTensor, values: Vec<f32>, bands: usize) -> Option<Vec<f32>> {
    let (first, second) = match raw.shape() {
        [first, second] | [1, first, second] => (*first, *second),
        _ => return None,
    };
    if second == bands {
        return Some(values);
    }
    (first == bands).then(|| {
        let frames = 0..second;
        frames
            .flat_map(|frame| (0..bands).map(move |band| (band, frame)))
            .map(|(band, frame)| values[band * second + frame])
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_first_or_bands_do() {
        let array = |shape: &[usize]| {
            let count = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|n: usize| n as f32).collect();
            let raw = RawTensor::from_f32(shape.to_vec(), &values).expect("fits");
            rows(&raw, values, 2)
        };
        assert_eq!(array(&[3, 2]), Some(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
        assert_eq!(array(&[2, 3]), Some(vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        assert_eq!(array(&[1, 2, 3]), array(&[2, 3]));
        assert_eq!(array(&[2, 2]), Some(vec![0.0, 1.0, 2.0, 3.0]));
        assert_eq!([array(&[3, 3]), array(&[2, 2, 3]), array(&[6])], [None, None, None]);
        assert_eq!(suffix("a/b c"), "_a_b_c");
    }
}
