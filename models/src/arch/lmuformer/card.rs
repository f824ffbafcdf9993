//! What a keyword model says about itself: labels, front end, detection defaults, origin and
//! measured quality. Stored as JSON in the metadata of its weights file.

use std::collections::BTreeMap;

use formant_audio_core::features::FeatureConfig;
use serde::{Deserialize, Serialize};

use super::config::LmuFormerConfig;
use crate::arch::front_end;
use crate::error::{Error, Result};

/// Most frames over which answers are averaged: eleven minutes at a hop of 10 ms.
const LONGEST_WINDOW: usize = 1 << 16;

/// How logits become scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Scores of all labels sum to one; such a model has background labels.
    #[default]
    Softmax,
    /// Every label has a score of its own, as in the published checkpoints.
    Sigmoid,
}

impl Activation {
    /// Scores of one row of logits.
    #[must_use]
    pub fn apply(self, logits: &[f32]) -> Vec<f32> {
        match self {
            Self::Sigmoid => logits.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
            Self::Softmax => {
                let peak = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let exps: Vec<f32> = logits.iter().map(|x| (x - peak).exp()).collect();
                let sum: f32 = exps.iter().sum();
                exps.into_iter().map(|e| e / sum).collect()
            }
        }
    }
}

/// Defaults of detection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DetectionDefaults {
    /// Frames over which the network's answers are averaged.
    pub window_frames: usize,
    /// Threshold of words that have none of their own.
    pub threshold: f32,
    /// Thresholds of single words.
    pub thresholds: BTreeMap<String, f32>,
    /// Seconds over which scores are averaged.
    pub smoothing: f64,
    /// Seconds in which a word is not reported again.
    pub refractory: f64,
}

impl Default for DetectionDefaults {
    fn default() -> Self {
        Self {
            window_frames: 100,
            threshold: 0.8,
            thresholds: BTreeMap::new(),
            smoothing: 0.05,
            refractory: 0.8,
        }
    }
}

/// Everything about a keyword model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpotCard {
    /// Sizes of the network.
    pub config: LmuFormerConfig,
    /// The features that it takes.
    pub frontend: FeatureConfig,
    /// Its answers, in the order of its outputs.
    pub labels: Vec<String>,
    /// Labels that mean "none of the words", such as `unknown` and `silence`.
    #[serde(default)]
    pub background: Vec<String>,
    /// How logits become scores.
    #[serde(default)]
    pub activation: Activation,
    /// Defaults of detection.
    #[serde(default)]
    pub detection: DetectionDefaults,
    /// Where the weights come from: recipe, data, licence, measured quality; free-form.
    #[serde(default)]
    pub provenance: serde_json::Value,
}

impl SpotCard {
    /// The words that are reported: all labels but the background.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(String::as_str).filter(|label| !self.is_background(label))
    }

    /// Seconds from frame to frame.
    #[must_use]
    pub fn seconds_per_frame(&self) -> f64 {
        self.frontend.hop_length as f64 / f64::from(self.frontend.sample_rate.max(1))
    }

    /// Whether a label means "none of the words".
    #[must_use]
    pub fn is_background(&self, label: &str) -> bool {
        self.background.iter().any(|name| name == label)
    }

    /// Refuses a card whose parts do not fit each other.
    ///
    /// # Errors
    /// [`Error::Config`] naming the part.
    pub fn validate(&self) -> Result<()> {
        self.config.validate()?;
        front_end::check(&self.frontend.streamable(), self.config.in_channels)?;
        if !(1..=LONGEST_WINDOW).contains(&self.detection.window_frames) {
            let frames = self.detection.window_frames;
            let reason = format!("{frames} is not from 1 to {LONGEST_WINDOW}");
            return Err(Error::config("detection.window_frames", reason));
        }
        if self.labels.len() as i64 != self.config.num_classes {
            let (labels, classes) = (self.labels.len(), self.config.num_classes);
            let reason = format!("{labels} labels for a network with {classes} answers");
            return Err(Error::config("labels", reason));
        }
        Ok(())
    }
}

#[cfg(test)]
impl SpotCard {
    /// A card for tests: these labels, of which `unknown` and `silence` are background.
    pub(crate) fn for_labels(labels: &[&str]) -> Self {
        Self {
            config: LmuFormerConfig { num_classes: labels.len() as i64, ..Default::default() },
            frontend: FeatureConfig::default(),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            background: ["unknown", "silence"].map(str::to_owned).to_vec(),
            activation: Activation::Softmax,
            detection: DetectionDefaults::default(),
            provenance: serde_json::Value::Null,
        }
    }
}
