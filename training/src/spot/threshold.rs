//! The detection threshold, by the false alarms that are measured.

use formant_audio_core::AudioView;
use formant_models::tasks::Task;
use formant_models::tasks::spot::{SpotOptions, Spotter};
use serde::Serialize;

use crate::corpus::Corpus;
use crate::error::Result;

/// Scores from here on are counted.
const LOWEST: f32 = 0.5;
/// A threshold above this misses the words.
const HIGHEST: f32 = 0.97;
/// Speech that is heard at most, in seconds.
const LONGEST: f64 = 600.0;

/// A threshold, and what was measured for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Threshold {
    pub(super) threshold: f32,
    /// False alarms at the threshold.
    pub(super) alarms: usize,
    /// Hours of audio without the words.
    pub(super) hours: f64,
}

/// Streams `clips` without words, and takes the lowest threshold with at most one false alarm an hour.
/// Less than an hour of audio shows too little for a threshold below `usual`.
pub(super) fn measure(
    spotter: &Spotter,
    corpus: &Corpus,
    clips: impl Iterator<Item = usize>,
    usual: f32,
) -> Result<Threshold> {
    let options = SpotOptions { threshold: Some(LOWEST), ..SpotOptions::default() };
    let (mut scores, mut seconds) = (Vec::new(), 0.0);
    for clip in clips {
        if seconds >= LONGEST {
            break;
        }
        let samples = corpus.clip_f32(clip);
        seconds += samples.len() as f64 / f64::from(corpus.rate());
        let (found, _) =
            spotter.process(&AudioView::from_mono(corpus.rate(), &samples), &options)?;
        scores.extend(found.into_iter().map(|found| found.score));
    }
    Ok(choose(scores, seconds / 3600.0, usual))
}

fn choose(mut scores: Vec<f32>, hours: f64, usual: f32) -> Threshold {
    scores.sort_by(|a, b| b.total_cmp(a));
    let allowed = hours as usize;
    // Just above the first score that is one alarm too many.
    let above = scores.get(allowed).map_or(LOWEST, |score| score + 0.01);
    let lowest = if hours < 1.0 { usual } else { LOWEST };
    let threshold = above.max(lowest).min(HIGHEST.max(usual));
    let alarms = scores.iter().filter(|score| **score >= threshold).count();
    Threshold { threshold, alarms, hours }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alarm_an_hour_is_allowed() {
        let scores = || vec![0.6, 0.93, 0.7, 0.8];
        let two_hours = choose(scores(), 2.0, 0.85);
        assert!((two_hours.threshold - 0.71).abs() < 1e-6, "{two_hours:?}");
        assert_eq!(two_hours.alarms, 2);
        // Less than an hour: none, and not below the usual threshold.
        assert_eq!(choose(scores(), 0.5, 0.85).alarms, 0);
        assert!((choose(scores(), 0.5, 0.85).threshold - 0.94).abs() < 1e-6);
        assert!((choose(vec![0.6], 0.5, 0.85).threshold - 0.85).abs() < 1e-6);
        assert!((choose(vec![1.0; 9], 0.5, 0.85).threshold - HIGHEST).abs() < 1e-6);
    }
}
