//! From scores for every frame to detections: smoothing, thresholds, refractory time, and where
//! in the window the word was.
//!
//! Knows nothing of networks: rows of logits and frame energies go in, in order.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::arch::lmuformer::{Activation, SpotCard};
use crate::error::{Error, Result};

/// How detections are made from scores. Unset fields take the model's own defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpotOptions {
    /// Threshold for all words, 0 to 1.
    pub threshold: Option<f32>,
    /// Thresholds for single words; they win over `threshold`.
    pub thresholds: BTreeMap<String, f32>,
    /// Seconds in which a word is not reported again.
    pub refractory: Option<f64>,
    /// Seconds over which scores are averaged.
    pub smoothing: Option<f64>,
    /// Words to look for; all when empty.
    pub words: Vec<String>,
}

/// A word that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// The word.
    pub label: String,
    /// Where it begins, in seconds from the start of the stream; estimated from the sound level
    /// inside the network's window.
    pub start: f64,
    /// Where it ends, in seconds.
    pub end: f64,
    /// Score at its highest, 0 to 1.
    pub score: f32,
    /// When the decision fell, in seconds of audio that had been heard by then.
    pub decided: f64,
}

/// Frames without a higher score after which a peak is taken as one.
const SETTLE_FRAMES: u64 = 5;
/// A score above its threshold for this long is reported although it still rises.
const LONGEST_RISE_FRAMES: u64 = 25;
/// Frames this far below the loudest of a window (natural log of power) count as silence.
const SILENCE_BELOW_PEAK: f32 = 5.0;
/// Shorter gaps inside a word, such as the closure of a plosive, do not end it.
const LONGEST_GAP_FRAMES: usize = 14;

/// Turns frame scores into detections.
#[derive(Debug)]
pub struct Detector {
    labels: Vec<String>,
    thresholds: Vec<Option<f32>>, // None: not a word to report
    activation: Activation,
    window: usize,
    smoothing: usize,
    refractory: u64,
    seconds_per_frame: f64,
    rows: VecDeque<Vec<f32>>,
    sums: Vec<f64>,
    recent: VecDeque<Vec<f32>>, // posteriors of the last `smoothing` frames
    energies: VecDeque<f32>,    // of the frames in the window
    frame: u64,
    candidate: Option<Candidate>,
    last: BTreeMap<usize, u64>, // label -> frame of its last report
    last_span: (u64, u64),
    armed: Vec<bool>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    label: usize,
    score: f32,
    peak: u64,
    since: u64,
    span: (u64, u64),
}

impl Detector {
    /// A detector for a model's labels.
    ///
    /// # Errors
    /// [`Error::Config`] for a word that the model does not know or a value out of range.
    pub fn new(card: &SpotCard, options: &SpotOptions) -> Result<Self> {
        let known = || card.words().collect::<Vec<_>>().join(", ");
        for word in options.thresholds.keys().chain(&options.words) {
            if !card.words().any(|known| known == word) {
                let reason =
                    format!("the model does not know the word `{word}`; it has: {}", known());
                return Err(Error::config("word", reason));
            }
        }
        let values = options.thresholds.values().chain(&options.threshold);
        if let Some(value) = values.clone().find(|v| !(0.0..=1.0).contains(*v)) {
            return Err(Error::config("threshold", format!("{value} is not between 0 and 1")));
        }
        let defaults = &card.detection;
        let frames = |setting: &str, seconds: f64| {
            if (0.0..=60.0).contains(&seconds) {
                return Ok((seconds / card.seconds_per_frame()).round() as usize);
            }
            Err(Error::config(setting, format!("{seconds} s is not between 0 and 60 s")))
        };
        let thresholds = card
            .labels
            .iter()
            .map(|label| {
                let wanted = options.words.is_empty() || options.words.contains(label);
                (wanted && !card.is_background(label)).then(|| {
                    let own = options.thresholds.get(label).copied().or(options.threshold);
                    own.or(defaults.thresholds.get(label).copied()).unwrap_or(defaults.threshold)
                })
            })
            .collect();
        Ok(Self {
            thresholds,
            activation: card.activation,
            window: defaults.window_frames.max(1),
            smoothing: frames("smoothing", options.smoothing.unwrap_or(defaults.smoothing))?.max(1),
            refractory: frames("refractory", options.refractory.unwrap_or(defaults.refractory))?
                as u64,
            seconds_per_frame: card.seconds_per_frame(),
            rows: VecDeque::new(),
            sums: vec![0.0; card.labels.len()],
            recent: VecDeque::new(),
            energies: VecDeque::new(),
            frame: 0,
            candidate: None,
            last: BTreeMap::new(),
            last_span: (0, 0),
            armed: vec![true; card.labels.len()],
            labels: card.labels.clone(),
        })
    }

    /// Takes in the next frame: its logits (one a label) and its energy (natural log of power).
    ///
    /// # Panics
    /// When the number of logits is not the number of labels.
    pub fn push(&mut self, logits: &[f32], energy: f32) -> Option<Detection> {
        assert_eq!(logits.len(), self.labels.len(), "one logit a label");
        let scores = self.scores(logits, energy);
        self.frame += 1;
        if self.rows.len() < self.window {
            return None;
        }
        for (label, armed) in self.armed.iter_mut().enumerate() {
            *armed |= self.thresholds[label].is_none_or(|threshold| scores[label] < threshold);
        }
        let best = (0..scores.len())
            .filter(|&label| self.thresholds[label].is_some_and(|t| scores[label] >= t))
            .max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        match (self.candidate, best) {
            (Some(candidate), _) => self.follow(candidate, &scores),
            (None, Some(label)) if self.may_report(label) => {
                let span = self.loud_span();
                let (score, now) = (scores[label], self.frame);
                self.candidate = Some(Candidate { label, score, peak: now, since: now, span });
                None
            }
            _ => None,
        }
    }

    /// Ends the stream: a word whose score was still rising is reported.
    pub fn finish(&mut self) -> Option<Detection> {
        let candidate = self.candidate.take()?;
        self.report(candidate)
    }

    /// Score of every label over the window that ends with the frame pushed last.
    fn scores(&mut self, logits: &[f32], energy: f32) -> Vec<f32> {
        self.rows.push_back(logits.to_vec());
        self.energies.push_back(energy);
        for (sum, &x) in self.sums.iter_mut().zip(logits) {
            *sum += f64::from(x);
        }
        if self.rows.len() > self.window {
            let old = self.rows.pop_front().unwrap_or_default();
            self.energies.pop_front();
            for (sum, &x) in self.sums.iter_mut().zip(&old) {
                *sum -= f64::from(x);
            }
        }
        let count = self.rows.len() as f64;
        let means: Vec<f32> = self.sums.iter().map(|sum| (sum / count) as f32).collect();
        self.recent.push_back(self.activation.apply(&means));
        if self.recent.len() > self.smoothing {
            self.recent.pop_front();
        }
        let count = self.recent.len() as f32;
        (0..logits.len())
            .map(|k| self.recent.iter().map(|row| row[k]).sum::<f32>() / count)
            .collect()
    }

    fn may_report(&self, label: usize) -> bool {
        let rested = self.last.get(&label).is_none_or(|&at| self.frame - at >= self.refractory);
        self.armed[label] && rested
    }

    fn follow(&mut self, mut candidate: Candidate, scores: &[f32]) -> Option<Detection> {
        let rival = (0..scores.len())
            .filter(|&k| self.thresholds[k].is_some_and(|t| scores[k] >= t))
            .filter(|&k| scores[k] > candidate.score && self.may_report(k))
            .max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        if let Some(label) = rival {
            candidate.label = label;
            candidate.score = scores[label];
            candidate.peak = self.frame;
            candidate.span = self.loud_span();
        }
        let settled = self.frame - candidate.peak >= SETTLE_FRAMES;
        let overdue = self.frame - candidate.since >= LONGEST_RISE_FRAMES;
        if settled || overdue {
            self.candidate = None;
            return self.report(candidate);
        }
        self.candidate = Some(candidate);
        None
    }

    fn report(&mut self, candidate: Candidate) -> Option<Detection> {
        self.last.insert(candidate.label, self.frame);
        self.armed[candidate.label] = false;
        let (start, end) = candidate.span;
        // The tail of a word that was already reported under another name is not a second word.
        let overlap = end.min(self.last_span.1).saturating_sub(start.max(self.last_span.0));
        if 2 * overlap > end - start {
            return None;
        }
        self.last_span = candidate.span;
        Some(Detection {
            label: self.labels[candidate.label].clone(),
            start: start as f64 * self.seconds_per_frame,
            end: end as f64 * self.seconds_per_frame,
            score: candidate.score,
            decided: self.frame as f64 * self.seconds_per_frame,
        })
    }

    /// The stretch of the window around its loudest frame that stands out of the silence.
    fn loud_span(&self) -> (u64, u64) {
        let energies: Vec<f32> = self.energies.iter().copied().collect();
        let first = self.frame - energies.len() as u64;
        let Some(loudest) =
            (0..energies.len()).max_by(|&a, &b| energies[a].total_cmp(&energies[b]))
        else {
            return (first, self.frame);
        };
        let quietest = energies.iter().copied().fold(f32::INFINITY, f32::min);
        let peak = energies[loudest];
        let floor = (peak - SILENCE_BELOW_PEAK).max(quietest + 0.25 * (peak - quietest));
        let reach = |indices: &mut dyn Iterator<Item = usize>| {
            let mut edge = loudest;
            for i in indices {
                if energies[i] >= floor {
                    edge = i;
                } else if i.abs_diff(edge) > LONGEST_GAP_FRAMES {
                    break;
                }
            }
            edge as u64
        };
        let start = reach(&mut (0..loudest).rev());
        let end = reach(&mut (loudest + 1..energies.len())) + 1;
        (first + start, first + end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> SpotCard {
        let mut card = SpotCard::for_labels(&["yes", "no", "unknown", "silence"]);
        card.detection.window_frames = 20;
        card.detection.threshold = 0.5;
        card.detection.smoothing = 0.0;
        card
    }

    /// Frames of silence, then of each word at its place; a word's frames are loud.
    fn run(words: &[(usize, usize)], frames: usize, options: &SpotOptions) -> Vec<Detection> {
        let mut detector = Detector::new(&card(), options).expect("valid options");
        let mut found = Vec::new();
        for t in 0..frames {
            let word = words.iter().find(|(_, at)| (*at..*at + 15).contains(&t));
            let mut logits = [0.0, 0.0, 0.0, 3.0];
            if let Some((label, _)) = word {
                logits = [0.0; 4];
                logits[*label] = 12.0;
            }
            found.extend(detector.push(&logits, if word.is_some() { -2.0 } else { -12.0 }));
        }
        found.extend(detector.finish());
        found
    }

    #[test]
    fn finds_each_word_once_and_where_it_is() {
        let found = run(&[(0, 50), (1, 120), (0, 300)], 400, &SpotOptions::default());
        let labels: Vec<&str> = found.iter().map(|d| d.label.as_str()).collect();
        assert_eq!(labels, ["yes", "no", "yes"]);
        for (detection, at) in found.iter().zip([0.5, 1.2, 3.0]) {
            assert!((detection.start - at).abs() < 0.021, "{detection:?}");
            assert!((detection.end - at - 0.15).abs() < 0.021, "{detection:?}");
            assert!(detection.decided > detection.start && detection.decided < at + 0.5);
        }
    }

    #[test]
    fn background_and_unwanted_words_are_not_reported() {
        assert!(run(&[(2, 50)], 100, &SpotOptions::default()).is_empty());
        let only_no = SpotOptions { words: vec!["no".into()], ..Default::default() };
        assert_eq!(run(&[(0, 50), (1, 120)], 200, &only_no).len(), 1);
        let strict = SpotOptions {
            thresholds: BTreeMap::from([("yes".to_owned(), 1.0)]),
            ..Default::default()
        };
        assert_eq!(run(&[(0, 50), (1, 120)], 200, &strict).len(), 1);
    }

    #[test]
    fn refractory_time_holds_a_word_back() {
        let words = [(0, 50), (0, 90)];
        let quick = SpotOptions { refractory: Some(0.2), ..Default::default() };
        assert_eq!(run(&words, 200, &quick).len(), 2);
        let slow = SpotOptions { refractory: Some(1.0), ..Default::default() };
        assert_eq!(run(&words, 200, &slow).len(), 1);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let unknown_word = SpotOptions { words: vec!["maybe".into()], ..Default::default() };
        let error = Detector::new(&card(), &unknown_word).expect_err("unknown word");
        assert!(error.to_string().contains("it has: yes, no"), "{error}");
        let threshold = SpotOptions { threshold: Some(1.5), ..Default::default() };
        assert!(Detector::new(&card(), &threshold).is_err());
        let refractory = SpotOptions { refractory: Some(-1.0), ..Default::default() };
        assert!(Detector::new(&card(), &refractory).is_err());
    }
}
