//! The speaker embedder: a network with its front end, from recordings to embeddings.

use std::collections::BTreeMap;
use std::path::Path;

use formant_audio_core::features::FeaturePlan;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::companions::Companions;
use super::identity;
use super::score::{Cohort, Scorer};
use super::session::EmbedSession;
use crate::arch::ecapa::{Ecapa, SpeakerCard};
use crate::compute::compute;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::nn::frames::batch;
use crate::source::{LoadOptions, ModelSource};
use crate::tasks::task::{Pieces, Task};

/// A voice as numbers, comparable with others of the same model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// The numbers; their length means nothing.
    pub values: Vec<f32>,
    /// Identity of the model: only embeddings of one model can be compared.
    pub model: String,
    /// Seconds of speech that it was made from.
    pub speech_seconds: f64,
}

/// Why a recording has no embedding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Unusable {
    /// Nobody speaks in it.
    NoSpeech,
    /// There is too little of it.
    TooShort {
        /// Seconds that are there.
        have: f64,
        /// Seconds that the model needs.
        need: f64,
    },
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSpeech => f.write_str("no speech in it"),
            Self::TooShort { have, need } => {
                write!(f, "too short: have {have:.2} s of speech, need {need:.2} s")
            }
        }
    }
}

/// An embedding, or why there is none.
pub type Embedded = std::result::Result<Embedding, Unusable>;

/// Whether pauses are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeechOnly {
    /// Only stretches in which somebody speaks are used.
    #[default]
    Yes,
    /// Everything is used, as the references do.
    No,
}

/// How recordings become embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EmbedOptions {
    /// Whether pauses are left out.
    pub speech_only: SpeechOnly,
}

/// A loaded speaker model. One serves any number of recordings at the same time.
#[derive(Debug, Clone)]
pub struct SpeakerEmbedder {
    model: Model<Ecapa>,
    plan: FeaturePlan,
    companions: Companions,
    identity: String,
}

impl SpeakerEmbedder {
    /// An embedder of a model that is loaded already.
    ///
    /// # Errors
    /// What is wrong with its front end or its companions.
    pub fn of_model(model: Model<Ecapa>) -> Result<Self> {
        let plan = FeaturePlan::new(&model.card.frontend)?;
        let identity = identity::of_weights(&model.store)?;
        let companions = Companions::of_state(&model.companions)?;
        Ok(Self { model, plan, companions, identity })
    }

    /// A model with random weights, for timing sizes that have no weights.
    ///
    /// # Errors
    /// [`Error::Config`] when the card's parts do not fit each other.
    pub fn random(card: SpeakerCard, device: Device) -> Result<Self> {
        let mut model = Model::random(card, device)?;
        model.store.freeze();
        Ok(Self { identity: "random".to_owned(), ..Self::of_model(model)? })
    }

    /// Writes weights (as `kind`), card, mean voice and cohort into one safetensors file, which
    /// [`Task::load`] reads.
    ///
    /// # Errors
    /// What writing says; nothing half-written is left under `path`.
    pub fn save(&self, path: &Path, kind: Kind) -> Result<()> {
        Model { companions: self.companions.to_state()?, ..self.model.clone() }.save(path, kind)
    }

    /// All weights and buffers by name.
    #[must_use]
    pub fn weights(&self) -> BTreeMap<String, Tensor> {
        self.model.weights()
    }

    /// What the model says about itself.
    #[must_use]
    pub fn card(&self) -> &SpeakerCard {
        &self.model.card
    }

    /// The card, to change the decision or provenance before saving.
    pub fn card_mut(&mut self) -> &mut SpeakerCard {
        &mut self.model.card
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Ecapa {
        &self.model.network
    }

    /// A text that changes with the weights; embeddings carry it.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The mean voice and the cohort that the model's file brings.
    #[must_use]
    pub fn companions(&self) -> (Option<&[f32]>, Option<&Cohort>) {
        (self.companions.centre.as_deref(), self.companions.cohort.as_ref())
    }

    /// Gives the model a mean voice and a cohort.
    pub fn set_companions(&mut self, centre: Option<Vec<f32>>, cohort: Option<Cohort>) {
        self.companions = Companions { centre, cohort };
    }

    /// Compares embeddings as the model's card says.
    #[must_use]
    pub fn scorer(&self) -> Scorer {
        let Companions { centre, cohort } = &self.companions;
        Scorer::of_model(&self.model.card.decision, centre.as_ref(), cohort.as_ref())
    }

    /// The rate at which the model hears, in Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.plan.sample_rate()
    }

    /// The network's answer for one stretch of samples at the model's rate.
    pub(super) fn embed_piece(&self, samples: &[f32]) -> Result<Vec<f32>> {
        let features = self.plan.compute(samples)?;
        let x = batch(&[features]).to_device(self.model.device());
        let y = compute("the speaker model", &x.size(), || self.network().forward(&x))?;
        Ok(Vec::<f32>::try_from(y.to_device(Device::Cpu).to_kind(Kind::Float).view([-1]))?)
    }

    /// Least samples, at the model's rate, that the network and the card accept.
    pub(super) fn least_samples(&self) -> usize {
        let rate = f64::from(self.sample_rate());
        let frames = self.model.network.info().minimum_frames;
        let network =
            frames * self.model.card.frontend.hop_length + self.model.card.frontend.win_length;
        network.max((self.model.card.minimum_seconds * rate) as usize)
    }
}

impl Task for SpeakerEmbedder {
    const NAME: &'static str = "speaker";
    type Options = EmbedOptions;
    type Session = EmbedSession;
    /// The embedding, or why there is none.
    type Output = Embedded;

    fn load(source: &ModelSource, options: &LoadOptions) -> Result<Self> {
        Self::of_model(Model::load(source, options.device.resolve()?)?)
    }

    fn start(&self, options: &EmbedOptions) -> Result<EmbedSession> {
        EmbedSession::new(self, options)
    }

    fn join(&self, pieces: Pieces<'_, Self>) -> Result<Embedded> {
        Ok(pieces.parts.into_iter().flatten().next_back().unwrap_or(Err(Unusable::NoSpeech)))
    }
}

impl Embedding {
    /// Refuses to compare embeddings of different models.
    ///
    /// # Errors
    /// [`Error::Config`] naming both.
    pub fn check_model(&self, other: &str) -> Result<()> {
        if identity::same(&self.model, other) {
            return Ok(());
        }
        let reason = format!("embeddings of {} and {other} can't be compared", self.model);
        Err(Error::config("model", format!("{reason}; enroll again with the model in use")))
    }
}
