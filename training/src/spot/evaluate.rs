//! How good a keyword model is: answers on clips, false alarms on long audio.

use std::collections::BTreeMap;
use std::path::PathBuf;

use formant_audio_core::AudioBuf;
use formant_audio_core::decode::{BlockReader, DecodeOptions};
use formant_models::tasks::spot::{Detection, SpotOptions, Spotter};
use rayon::prelude::*;
use serde::Serialize;

use crate::corpus::decode_at;
use crate::error::Result;
use crate::manifest::Row;

/// Clips that are decoded before they are answered.
const DECODE_AHEAD: usize = 256;

/// Figures of one word.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WordScore {
    /// The word.
    pub label: String,
    /// Clips of it.
    pub clips: usize,
    /// Clips that got the right answer.
    pub correct: usize,
}

/// Clips of one label that were taken for another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confusion {
    /// What was said.
    pub said: String,
    /// What was answered.
    pub answered: String,
    /// How often.
    pub clips: usize,
}

/// Figures over all clips of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpotReport {
    /// Clips that were answered.
    pub items: usize,
    /// Files that could not be used.
    pub failed: Vec<String>,
    /// Share of the clips of known words that got the right answer; `None` without such clips.
    pub accuracy: Option<f64>,
    /// Share of the other clips that were taken for no word; `None` without such clips.
    pub rejection: Option<f64>,
    /// Each word.
    pub words: Vec<WordScore>,
    /// Wrong answers, the most frequent first.
    pub confusions: Vec<Confusion>,
}

impl SpotReport {
    /// One figure for choosing between epochs: accuracy and rejection, three to one.
    #[must_use]
    pub fn selection_score(&self) -> f64 {
        match (self.accuracy, self.rejection) {
            (Some(accuracy), Some(rejection)) => 0.75 * accuracy + 0.25 * rejection,
            (accuracy, rejection) => accuracy.or(rejection).unwrap_or(0.0),
        }
    }

    /// The main figures in one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        let percent =
            |share: Option<f64>| share.map_or("-".to_owned(), |s| format!("{:.1} %", 100.0 * s));
        format!(
            "words {} right, others {} rejected",
            percent(self.accuracy),
            percent(self.rejection)
        )
    }
}

/// False alarms on audio without the words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FalseAlarms {
    /// Hours that were heard.
    pub hours: f64,
    /// Detections.
    pub count: usize,
    /// Detections per hour.
    pub per_hour: f64,
    /// Each of them with its file.
    pub detections: Vec<(String, Detection)>,
    /// Files that could not be used.
    pub failed: Vec<String>,
}

/// Rows without a word that are longer than this are recordings, not clips, in seconds.
const LONGEST_CLIP: f64 = 3.0;

/// Parts a list in two: clips to answer, and recordings without the words, in which a detection is
/// a false alarm. A row without a label, and one that is longer than a clip and not labelled with
/// one of the model's words, is a recording.
#[must_use]
pub fn split_recordings(spotter: &Spotter, rows: Vec<Row>) -> (Vec<Row>, Vec<Row>) {
    rows.into_iter().partition(|row| {
        let is_word = spotter.words().any(|word| word == row.label);
        is_word || (!row.label.is_empty() && seconds(row).is_none_or(|s| s <= LONGEST_CLIP))
    })
}

/// Length of a row's file, from the manifest or else from the file's header.
fn seconds(row: &Row) -> Option<f64> {
    row.seconds.or_else(|| {
        let mut reader = BlockReader::open(&row.path, &DecodeOptions::default()).ok()?;
        let frames = reader.declared_frames()?;
        Some(frames as f64 / f64::from(reader.spec().rate))
    })
}

/// Answers every row that has a label and compares: rows whose label is one of the model's words
/// count towards accuracy, all others towards rejection.
///
/// # Errors
/// What the model says; files that cannot be read are listed in the report instead.
pub fn evaluate(spotter: &Spotter, rows: &[Row]) -> Result<SpotReport> {
    let rate = spotter.sample_rate();
    score_clips(spotter, rows.len(), |i| {
        let row = &rows[i];
        let (audio, _) = decode_at(&row.path, rate)?;
        Ok((audio, row.label.clone()))
    })
}

/// Answers `count` clips that `clip` brings.
pub(super) fn score_clips(
    spotter: &Spotter,
    count: usize,
    clip: impl Fn(usize) -> Result<(AudioBuf, String)> + Sync,
) -> Result<SpotReport> {
    // Clips are decoded side by side, a bounded number at a time; libtorch spreads each answer
    // over the cores itself.
    let mut answers: Vec<Result<(String, String)>> = Vec::with_capacity(count);
    for from in (0..count).step_by(DECODE_AHEAD) {
        let clips: Vec<Result<(AudioBuf, String)>> =
            (from..count.min(from + DECODE_AHEAD)).into_par_iter().map(&clip).collect();
        answers.extend(clips.into_iter().map(|clip| {
            let (audio, label) = clip?;
            let answer = spotter.classify(&audio.view())?;
            Ok((label, answer.word.unwrap_or_default()))
        }));
    }
    let mut failed = Vec::new();
    let mut words: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut wrong: BTreeMap<(String, String), usize> = BTreeMap::new();
    let (mut others, mut rejected, mut items) = (0, 0, 0);
    for answer in answers {
        let (said, answered) = match answer {
            Ok(pair) => pair,
            Err(error) => {
                failed.push(error.to_string());
                continue;
            }
        };
        items += 1;
        let right = match spotter.words().find(|word| *word == said) {
            Some(word) => {
                let (clips, correct) = words.entry(word).or_default();
                *clips += 1;
                *correct += usize::from(answered == said);
                answered == said
            }
            None => {
                others += 1;
                rejected += usize::from(answered.is_empty());
                answered.is_empty()
            }
        };
        if !right {
            *wrong.entry((said, answered)).or_default() += 1;
        }
    }
    let share = |part: usize, all: usize| (all > 0).then(|| part as f64 / all as f64);
    let (clips, correct) =
        words.values().fold((0, 0), |(clips, correct), (n, right)| (clips + n, correct + right));
    let mut confusions: Vec<Confusion> = wrong
        .into_iter()
        .map(|((said, answered), clips)| Confusion { said, answered, clips })
        .collect();
    confusions.sort_by_key(|c| std::cmp::Reverse(c.clips));
    Ok(SpotReport {
        items,
        failed,
        accuracy: share(correct, clips),
        rejection: share(rejected, others),
        words: words
            .into_iter()
            .map(|(label, (clips, correct))| WordScore { label: label.to_owned(), clips, correct })
            .collect(),
        confusions,
    })
}

/// Streams every file through the spotter and counts what it reports.
///
/// # Errors
/// What the model says about `options`; files that cannot be read are listed instead.
pub fn false_alarms(
    spotter: &Spotter,
    files: &[PathBuf],
    options: &SpotOptions,
) -> Result<FalseAlarms> {
    // Options are checked once, so that a wrong word is one error and not one a file.
    spotter.start(options)?;
    let mut result = FalseAlarms {
        hours: 0.0,
        count: 0,
        per_hour: 0.0,
        detections: Vec::new(),
        failed: Vec::new(),
    };
    for path in files {
        let run = || -> Result<(f64, Vec<Detection>)> {
            let mut reader = BlockReader::open(path, &DecodeOptions::default())?;
            let mut found = Vec::new();
            let seconds = spotter.process_reader(&mut reader, options, |d| found.push(d))?;
            Ok((seconds, found))
        };
        match run() {
            Ok((seconds, found)) => {
                result.hours += seconds / 3600.0;
                result.count += found.len();
                let name = path.display().to_string();
                result.detections.extend(found.into_iter().map(|d| (name.clone(), d)));
            }
            Err(problem) => result.failed.push(problem.to_string()),
        }
    }
    if result.hours > 0.0 {
        result.per_hour = result.count as f64 / result.hours;
    }
    Ok(result)
}
