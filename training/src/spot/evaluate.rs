//! How good a keyword model is: its answers on clips, counted.

use std::collections::BTreeMap;

use formant_audio_core::AudioBuf;
use formant_models::tasks::spot::Spotter;
use rayon::prelude::*;
use serde::Serialize;

use crate::error::Result;
use crate::recording::Recording;

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

/// The word that a model finds in a clip; empty for none.
///
/// # Errors
/// When the clip cannot be read; what the model says.
pub fn answer(spotter: &Spotter, clip: &Recording) -> Result<String> {
    let audio = clip.decode_mono(spotter.sample_rate())?;
    Ok(spotter.classify(&audio.view())?.word.unwrap_or_default())
}

/// Answers to clips, counted as they come.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    items: usize,
    /// Clips of each word, and how many got the right answer.
    words: BTreeMap<String, (usize, usize)>,
    others: usize,
    rejected: usize,
    wrong: BTreeMap<(String, String), usize>,
}

impl Answers {
    /// Counts an answer, which is empty for no word: clips whose label is one of the model's words
    /// count towards accuracy, all others towards rejection.
    pub fn add(&mut self, spotter: &Spotter, said: &str, answered: &str) {
        self.items += 1;
        let right = if spotter.words().any(|word| word == said) {
            let (clips, correct) = self.words.entry(said.to_owned()).or_default();
            *clips += 1;
            *correct += usize::from(answered == said);
            answered == said
        } else {
            self.others += 1;
            self.rejected += usize::from(answered.is_empty());
            answered.is_empty()
        };
        if !right {
            *self.wrong.entry((said.to_owned(), answered.to_owned())).or_default() += 1;
        }
    }

    /// The figures, with the files that `failed`.
    #[must_use]
    pub fn report(self, failed: Vec<String>) -> SpotReport {
        let share = |part: usize, all: usize| (all > 0).then(|| part as f64 / all as f64);
        let (clips, correct) = self
            .words
            .values()
            .fold((0, 0), |(clips, correct), (n, right)| (clips + n, correct + right));
        let confusion = |((said, answered), clips)| Confusion { said, answered, clips };
        let mut confusions: Vec<Confusion> = self.wrong.into_iter().map(confusion).collect();
        confusions.sort_by_key(|c| std::cmp::Reverse(c.clips));
        let word = |(label, (clips, correct))| WordScore { label, clips, correct };
        SpotReport {
            items: self.items,
            failed,
            accuracy: share(correct, clips),
            rejection: share(self.rejected, self.others),
            words: self.words.into_iter().map(word).collect(),
            confusions,
        }
    }
}

/// Answers `count` clips that `clip` brings with their labels.
pub(super) fn score_clips(
    spotter: &Spotter,
    count: usize,
    clip: impl Fn(usize) -> Result<(AudioBuf, String)> + Sync,
) -> Result<SpotReport> {
    // Clips are decoded side by side, a bounded number at a time; libtorch spreads each answer
    // over the cores itself.
    let (mut answers, mut failed) = (Answers::default(), Vec::new());
    for from in (0..count).step_by(DECODE_AHEAD) {
        let clips: Vec<Result<(AudioBuf, String)>> =
            (from..count.min(from + DECODE_AHEAD)).into_par_iter().map(&clip).collect();
        for clip in clips {
            let answered = clip.and_then(|(audio, label)| {
                Ok((spotter.classify(&audio.view())?.word.unwrap_or_default(), label))
            });
            match answered {
                Ok((word, label)) => answers.add(spotter, &label, &word),
                Err(error) => failed.push(error.to_string()),
            }
        }
    }
    Ok(answers.report(failed))
}
