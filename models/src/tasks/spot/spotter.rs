//! The keyword spotter: a network with its front end and labels, on clips and on streams.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use formant_audio_core::features::{Divisor, FeaturePlan, FeatureStream, Normalization};
use formant_audio_core::resample::{Quality, resample};
use formant_audio_core::{AudioBuf, AudioView};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::detector::{Detection, Detector, SpotOptions};
use crate::arch::lmuformer::{LmuFormer, LmuFormerState, SpotCard};
use crate::compute::compute;
use crate::error::Result;
use crate::model::Model;
use crate::network::StreamingNetwork;
use crate::nn::frames::batch;
use crate::source::{LoadOptions, ModelSource};
use crate::tasks::intake::{Intake, Pace};
use crate::tasks::task::{Heard, Pieces, Task, TaskSession};

/// Frames between the places at which a clip that is longer than the window is answered.
const CLASSIFY_HOP: usize = 5;

/// The answer for one clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    /// The word, or `None` when the model hears none of its words.
    pub word: Option<String>,
    /// Score of the best label, 0 to 1.
    pub score: f32,
    /// Scores of all labels, in the model's order.
    pub scores: Vec<(String, f32)>,
}

/// A loaded keyword model. One serves any number of clips and streams at the same time.
#[derive(Debug, Clone)]
pub struct Spotter {
    model: Model<LmuFormer>,
    plan: FeaturePlan,
}

impl Spotter {
    /// As [`Task::load`], with the names of a published checkpoint's answers, in their order.
    ///
    /// # Errors
    /// As [`Task::load`], and [`crate::Error::Config`] when the number of labels does not fit.
    pub fn load_with_labels(
        source: &ModelSource,
        labels: Option<Vec<String>>,
        options: &LoadOptions,
    ) -> Result<Self> {
        let model =
            Model::load_with(source, options.device.resolve()?, |card: &mut SpotCard, _| {
                if let Some(labels) = labels {
                    card.labels = labels;
                }
            })?;
        Self::of_model(model)
    }

    /// A spotter of a model that is loaded already.
    ///
    /// # Errors
    /// What is wrong with its front end.
    pub fn of_model(model: Model<LmuFormer>) -> Result<Self> {
        let plan = FeaturePlan::new(&model.card.frontend.streamable())?;
        Ok(Self { model, plan })
    }

    /// A model with random weights, for timing sizes that have no weights.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when the card's parts do not fit each other.
    pub fn random(card: SpotCard, device: Device) -> Result<Self> {
        let mut model = Model::random(card, device)?;
        model.store.freeze();
        Self::of_model(model)
    }

    /// Writes weights (as `kind`) and card into one safetensors file, which [`Task::load`] reads.
    ///
    /// # Errors
    /// What writing says; nothing half-written is left under `path`.
    pub fn save(&self, path: &Path, kind: Kind) -> Result<()> {
        self.model.save(path, kind)
    }

    /// All weights and buffers by name.
    #[must_use]
    pub fn weights(&self) -> BTreeMap<String, Tensor> {
        self.model.weights()
    }

    /// What the model says about itself.
    #[must_use]
    pub fn card(&self) -> &SpotCard {
        &self.model.card
    }

    /// The card, to change detection defaults or provenance before saving.
    pub fn card_mut(&mut self) -> &mut SpotCard {
        &mut self.model.card
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &LmuFormer {
        &self.model.network
    }

    /// The words that are reported.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.model.card.words()
    }

    /// The rate at which the model hears, in Hz; sessions resample to it.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.plan.sample_rate()
    }

    /// Seconds of audio after a moment that the network needs to hear before it answers for it.
    #[must_use]
    pub fn lookahead(&self) -> f64 {
        let frames = self.model.network.latency() * self.model.card.frontend.hop_length;
        (frames + self.model.card.frontend.win_length) as f64 / f64::from(self.sample_rate())
    }

    /// The word of one clip. The clip is put into digital silence; where it is longer than the
    /// model's window, the window in which the network is surest of a word decides.
    ///
    /// # Errors
    /// [`formant_audio_core::Error::Empty`] for a clip without samples.
    pub fn classify(&self, clip: &AudioView<'_>) -> Result<Classification> {
        if clip.is_empty() {
            return Err(formant_audio_core::Error::Empty.into());
        }
        let mono = AudioBuf::from_mono(clip.rate(), clip.to_mono());
        let clip = resample(&mono.view(), self.sample_rate(), Quality::High)?;
        let (frontend, window) =
            (&self.model.card.frontend, self.model.card.detection.window_frames.max(1));
        let (hop, tail) = (frontend.hop_length, self.model.network.latency() * frontend.hop_length);
        // Silence of one window in front, then the clip in the middle of the next window.
        let room = (window * hop).saturating_sub(tail);
        let before = window * hop + room.saturating_sub(clip.frames()) / 2;
        let length = (before + clip.frames() + tail).max(2 * window * hop) + frontend.win_length;
        let mut samples = vec![0.0; length];
        samples[before..before + clip.frames()].copy_from_slice(clip.channel(0));
        let features = self.plan.compute(&samples)?;
        let input = batch(&[features]).to_device(self.model.device());
        let logits = compute("the spotter", &input.size(), || self.model.network.forward(&input))?; // [1, frames, labels]
        let frames = logits.size()[1];
        let sums =
            Tensor::cat(&[logits.narrow(1, 0, 1).zeros_like(), logits.cumsum(1, Kind::Double)], 1); // [1, frames + 1, labels]
        let window = (window as i64).min(frames);
        let mut best: Option<(f32, Vec<f32>)> = None;
        let mut end = frames.min(2 * window);
        while end <= frames {
            let mean = (sums.narrow(1, end, 1) - sums.narrow(1, end - window, 1)) / window as f64;
            let mean =
                Vec::<f32>::try_from(mean.to_kind(Kind::Float).to_device(Device::Cpu).view([-1]))?;
            let scores = self.model.card.activation.apply(&mean);
            let surest = self.best_word(&scores).map_or(0.0, |word| scores[word]);
            if best.as_ref().is_none_or(|(score, _)| surest > *score) {
                best = Some((surest, scores));
            }
            end += CLASSIFY_HOP as i64;
        }
        let scores = best.map(|(_, scores)| scores).unwrap_or_default();
        let top = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0);
        let label = &self.model.card.labels[top];
        Ok(Classification {
            word: (!self.model.card.is_background(label)).then(|| label.clone()),
            score: scores[top],
            scores: self.model.card.labels.iter().cloned().zip(scores).collect(),
        })
    }

    fn best_word(&self, scores: &[f32]) -> Option<usize> {
        (0..scores.len())
            .filter(|&k| !self.model.card.is_background(&self.model.card.labels[k]))
            .max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
    }

    /// `[1, frames, bins]` on the model's device.
    fn energy(&self, row: &[f32]) -> f32 {
        let (mean, scale) = match &self.model.card.frontend.normalization {
            Normalization::Fixed { mean, std, divisor: Divisor::TwiceStd } => (*mean, 2.0 * std),
            Normalization::Fixed { mean, std, divisor: Divisor::Std } => (*mean, *std),
            _ => (0.0, 1.0),
        };
        let power: f32 = row.iter().map(|x| (x * scale + mean).exp()).sum();
        (power / row.len().max(1) as f32).max(f32::MIN_POSITIVE).ln()
    }
}

impl Task for Spotter {
    const NAME: &'static str = "spot";
    type Options = SpotOptions;
    type Session = SpotSession;
    type Output = Vec<Detection>;

    fn load(source: &ModelSource, options: &LoadOptions) -> Result<Self> {
        Self::load_with_labels(source, None, options)
    }

    fn start(&self, options: &SpotOptions) -> Result<SpotSession> {
        let mut session = SpotSession {
            spotter: self.clone(),
            detector: Detector::new(&self.model.card, options)?,
            features: self.plan.stream(),
            state: Some(self.model.network.start(1)),
            intake: Intake::new(self.sample_rate(), Pace::Live),
            energies: VecDeque::new(),
            rows: Vec::new(),
        };
        // The detector answers from its first full window on: silence before the stream lets it
        // hear a word in the very first sample.
        let lead = vec![0.0; session.lead()];
        let found = session.feed(&lead)?;
        debug_assert!(found.is_empty(), "silence holds no word");
        Ok(session)
    }

    fn join(&self, pieces: Pieces<'_, Self>) -> Result<Vec<Detection>> {
        Ok(pieces.parts.into_iter().flatten().collect())
    }
}

/// One stream of audio.
pub struct SpotSession {
    spotter: Spotter,
    detector: Detector,
    features: FeatureStream,
    state: Option<LmuFormerState>,
    intake: Intake,
    energies: VecDeque<f32>,
    rows: Vec<f32>,
}

impl SpotSession {
    /// Samples of silence before and after the stream.
    fn lead(&self) -> usize {
        self.spotter.model.card.detection.window_frames.max(1)
            * self.spotter.model.card.frontend.hop_length
    }

    /// Takes mono samples at the model's rate.
    fn feed(&mut self, samples: &[f32]) -> Result<Vec<Detection>> {
        self.rows.clear();
        let frames = self.features.push_into(samples, &mut self.rows);
        if frames == 0 {
            return Ok(Vec::new());
        }
        let bins = self.features.bins();
        for row in self.rows.chunks_exact(bins) {
            self.energies.push_back(self.spotter.energy(row));
        }
        let block = Tensor::from_slice(&self.rows)
            .view([1, frames as i64, bins as i64])
            .to_device(self.spotter.model.device());
        let state = self.state.as_mut().expect("present until the end");
        let logits = compute("the spotter", &block.size(), || {
            self.spotter.model.network.step(state, &block)
        })?;
        self.detect(logits)
    }

    fn detect(&mut self, logits: Option<Tensor>) -> Result<Vec<Detection>> {
        let Some(logits) = logits else {
            return Ok(Vec::new());
        };
        let labels = self.spotter.model.card.labels.len();
        let flat = logits.to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view([-1]);
        let values = Vec::<f32>::try_from(flat)?;
        let mut found = Vec::new();
        for row in values.chunks_exact(labels) {
            let energy = self.energies.pop_front().unwrap_or(f32::MIN);
            if let Some(detection) = self.detector.push(row, energy) {
                found.push(self.placed(detection));
            }
        }
        Ok(found)
    }

    /// Moves frame times to where the frames' middles are in the stream.
    fn placed(&self, detection: Detection) -> Detection {
        let frontend = &self.spotter.model.card.frontend;
        let rate = f64::from(self.spotter.sample_rate());
        let lead = self.lead() as f64 / rate;
        let middle = frontend.win_length.saturating_sub(frontend.hop_length) as f64 / 2.0 / rate;
        let place = |seconds: f64| (seconds + middle - lead).max(0.0);
        Detection {
            start: place(detection.start),
            end: place(detection.end),
            decided: (detection.decided - lead + self.spotter.lookahead()).max(0.0),
            ..detection
        }
    }
}

impl TaskSession for SpotSession {
    /// What was found by now.
    type Part = Vec<Detection>;
    type Report = Heard;

    fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<Detection>> {
        let samples = self.intake.push(block)?;
        self.feed(&samples)
    }

    fn heard(&self) -> Heard {
        self.intake.guard().heard()
    }

    fn finish(mut self) -> Result<(Vec<Detection>, Heard)> {
        let mut found = Vec::new();
        let tail = self.intake.finish()?;
        found.extend(self.feed(&tail)?);
        // Silence after the end gives the last word the time that any other word has.
        let tail = vec![0.0; self.lead()];
        found.extend(self.feed(&tail)?);
        let state = self.state.take().expect("present until the end");
        let last = compute("the spotter", &[], || self.spotter.model.network.finish(state))?;
        found.extend(self.detect(last)?);
        found.extend(self.detector.finish());
        let heard = self.heard();
        for detection in &mut found {
            detection.start = detection.start.min(heard.seconds);
            detection.end = detection.end.min(heard.seconds);
        }
        Ok((found, heard))
    }
}
