//! What a super-resolution network says about itself: sizes, front end, origin and measured quality.
//! Stored as JSON in the metadata of its weights file.

use formant_audio_core::chunk::Edges;
use formant_audio_core::features::{FeatureConfig, presets};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::{GeneratorConfig, HifiSrConfig};
use crate::arch::front_end;
use crate::arch::mossformer::MossformerConfig;
use crate::checkpoint::StateDict;
use crate::error::{Error, Result};

/// Everything about a model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HifiSrCard {
    /// Sizes of the network.
    pub config: HifiSrConfig,
    /// The features that it takes; their rate is that of the samples.
    pub frontend: FeatureConfig,
    /// Where the weights come from: recipe, data, licence, measured quality; free-form.
    #[serde(default)]
    pub provenance: Value,
}

impl HifiSrCard {
    /// The card of a network as it is published.
    ///
    /// # Errors
    /// [`Error::Config`] when the front end's preset is gone.
    pub fn published(config: HifiSrConfig) -> Result<Self> {
        let frontend = presets::by_name("mossformer2-sr")?;
        Ok(Self { config, frontend, provenance: Value::Null })
    }

    /// The card of weights with plain names, which are below `mossformer_ckpt` and `generator_ckpt`.
    /// What their shapes do not show is as `stated`, or as published: a flat config, or one with the
    /// sections `encoder`, `generator` and `frontend`.
    ///
    /// # Errors
    /// [`Error::Config`] when the weights are of another network, or values have a wrong type.
    pub fn read(stated: Option<&Value>, weights: &StateDict) -> Result<Self> {
        let encoder = MossformerConfig::of_weights(&weights.scoped("mossformer_ckpt."))?;
        let generator = GeneratorConfig::of_weights(&weights.scoped("generator_ckpt."))?;
        let mut card = Self::published(HifiSrConfig { encoder, generator })?;
        if let Some(mel) = &mut card.frontend.mel {
            mel.n_mels = usize::try_from(card.config.encoder.in_channels).unwrap_or_default();
        }
        let Some(stated) = stated else { return Ok(card) };
        let section = |name: &str| stated.get(name).filter(|section| section.is_object());
        card.config.encoder = amended(&card.config.encoder, section("encoder"))?;
        card.config.generator =
            amended(&card.config.generator, section("generator").or(Some(stated)))?;
        card.frontend = with_sizes(card.frontend, section("frontend").unwrap_or(stated));
        Ok(card)
    }

    /// Rate of the samples, Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.frontend.sample_rate
    }

    /// Refuses a card whose parts do not fit each other.
    ///
    /// # Errors
    /// [`Error::Config`] naming the part.
    pub fn validate(&self) -> Result<()> {
        self.config.validate()?;
        front_end::check(&self.frontend, self.config.encoder.in_channels)?;
        let (hop, product) = (self.frontend.hop_length, self.config.generator.hop());
        if i64::try_from(hop) != Ok(product) {
            let reason = format!("their product is {product} for a hop of {hop}");
            return Err(Error::config("upsample_rates", reason));
        }
        Ok(())
    }
}

/// `config` with the fields of `stated` that it has.
fn amended<T: Serialize + DeserializeOwned>(config: &T, stated: Option<&Value>) -> Result<T> {
    let unreadable = |e: serde_json::Error| Error::config("config", e.to_string());
    let mut fields = serde_json::to_value(config).map_err(unreadable)?;
    if let (Some(known), Some(stated)) = (fields.as_object_mut(), stated.and_then(Value::as_object))
    {
        for (name, value) in known.iter_mut().filter(|(name, _)| *name != "model") {
            if let Some(stated) = stated.get(name).filter(|stated| !stated.is_null()) {
                *value = stated.clone();
            }
        }
    }
    serde_json::from_value(fields).map_err(unreadable)
}

/// `config` with the sizes that the reference's config gives by its own names.
fn with_sizes(mut config: FeatureConfig, stated: &Value) -> FeatureConfig {
    let number = |name: &str| stated.get(name).and_then(Value::as_u64);
    let size = |name: &str, usual: usize| {
        number(name).and_then(|size| usize::try_from(size).ok()).unwrap_or(usual)
    };
    config.sample_rate =
        number("sampling_rate").and_then(|n| n.try_into().ok()).unwrap_or(config.sample_rate);
    config.n_fft = size("n_fft", config.n_fft);
    config.win_length = size("win_size", config.win_length);
    config.hop_length = size("hop_size", config.hop_length);
    let padding = config.n_fft.saturating_sub(config.hop_length) / 2;
    if let Edges::Pad { samples, .. } = &mut config.edges {
        *samples = padding;
    }
    if let Some(mel) = &mut config.mel {
        mel.n_mels = size("num_mels", mel.n_mels);
        let edge = |name: &str| stated.get(name).and_then(Value::as_f64);
        mel.f_min = edge("fmin").unwrap_or(mel.f_min);
        mel.f_max = edge("fmax").unwrap_or(mel.f_max);
    }
    config
}
