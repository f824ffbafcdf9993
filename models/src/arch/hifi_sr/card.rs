//! What a super-resolution network says about itself: sizes, front end, origin and measured quality.
//! Stored as JSON in the metadata of its weights file.

use formant_audio_core::features::{FeatureConfig, presets};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::HifiSrConfig;
use crate::arch::front_end;
use crate::arch::generator::GeneratorConfig;
use crate::arch::mossformer::MossformerConfig;
use crate::arch::stated::{amended, with_sizes};
use crate::checkpoint::StateDict;
use crate::error::{Error, Result};

/// Settings of a config without sections, of which the published one has all.
const FLAT: [&str; 6] = [
    "resblock",
    "upsample_rates",
    "upsample_initial_channel",
    "num_mels",
    "hop_size",
    "sampling_rate",
];

/// Everything about a model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HifiSrCard {
    /// Sizes of the network.
    pub config: HifiSrConfig,
    /// The features that it takes; their rate is that of the samples.
    pub frontend: FeatureConfig,
    /// Seconds of the windows that recordings are cut into: about what training showed the network,
    /// whose norms and attention see all of a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<f64>,
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
        Ok(Self { config, frontend, window_seconds: None, provenance: Value::Null })
    }

    /// The card of a network of any size, whose front end sees windows of `n_fft` samples, as often as
    /// the generator makes frames, and frequencies up to `f_max` Hz.
    ///
    /// # Errors
    /// [`Error::Config`] for a front end that can't be.
    pub fn sized(config: HifiSrConfig, n_fft: usize, f_max: f64) -> Result<Self> {
        let mut card = Self::published(config)?;
        let sizes = serde_json::json!({
            "n_fft": n_fft,
            "win_size": n_fft,
            "hop_size": card.config.generator.hop(),
            "num_mels": card.config.encoder.in_channels,
            "fmax": f_max,
        });
        card.frontend = with_sizes(card.frontend, &sizes)?;
        Ok(card)
    }

    /// The card of weights with plain names, which are below `mossformer_ckpt` and `generator_ckpt`.
    /// What their shapes do not show is as `stated`, or as published: a flat config, or one with the
    /// sections `encoder`, `generator` and `frontend`.
    ///
    /// # Errors
    /// [`Error::Config`] when the weights are of another network, when values have a wrong type, and
    /// when `stated` says nothing about such a network.
    pub fn read(stated: Option<&Value>, weights: &StateDict) -> Result<Self> {
        let encoder = MossformerConfig::of_weights(&weights.scoped("mossformer_ckpt."))?;
        let generator = GeneratorConfig::of_weights(&weights.scoped("generator_ckpt."))?;
        let mut card = Self::published(HifiSrConfig { encoder, generator })?;
        if let Some(mel) = &mut card.frontend.mel {
            mel.n_mels = usize::try_from(card.config.encoder.in_channels).unwrap_or_default();
        }
        let Some(stated) = stated else { return Ok(card) };
        let sections = ["encoder", "generator", "frontend"];
        if let Some(name) =
            sections.iter().find(|&name| stated.get(name).is_some_and(|x| !x.is_object()))
        {
            return Err(Error::config(*name, "is no section of settings"));
        }
        if !sections.iter().chain(&FLAT).any(|name| stated.get(name).is_some()) {
            let reason = "has no setting of this network; remove it, or put the right one there";
            return Err(Error::config("config.json", reason));
        }
        let section = |name: &str| stated.get(name);
        card.config.encoder = amended(&card.config.encoder, section("encoder"))?;
        card.config.generator =
            amended(&card.config.generator, section("generator").or(Some(stated)))?;
        card.frontend = with_sizes(card.frontend, section("frontend").unwrap_or(stated))?;
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
        match self.window_seconds.filter(|seconds| !(0.2..=600.0).contains(seconds)) {
            Some(seconds) => {
                Err(Error::config("window_seconds", format!("{seconds} s is not from 0.2 to 600")))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tch::Device;

    use super::*;
    use crate::arch::hifi_sr::HifiSr;
    use crate::model::Model;

    #[test]
    fn a_config_that_makes_no_sense_is_refused() {
        let card = HifiSrCard::published(HifiSrConfig::tiny()).expect("a card");
        let model = Model::<HifiSr>::random(card.clone(), Device::Cpu).expect("valid");
        let mut weights = StateDict::default();
        for (name, tensor) in model.store.variables() {
            let raw = crate::checkpoint::RawTensor::from_tensor(&tensor.detach());
            weights.insert(name, raw.expect("plain numbers"));
        }
        let read = |stated: Value| HifiSrCard::read(Some(&stated), &weights);
        read(json!({ "sampling_rate": 48_000 })).expect("a flat config");
        read(json!({ "encoder": {}, "frontend": { "fmax": null } })).expect("sections");
        for stated in [
            json!([1, 2]),
            json!("mossformer"),
            json!({}),
            json!({ "architectures": ["BertModel"] }),
            json!({ "encoder": 5 }),
            json!({ "generator": "1" }),
            json!({ "sampling_rate": "fast" }),
            json!({ "frontend": { "hop_size": -256 } }),
            json!({ "frontend": { "fmax": "high" } }),
            json!({ "upsample_rates": "8 8" }),
        ] {
            assert!(read(stated.clone()).is_err(), "{stated}");
        }
        let rotated = json!({ "encoder": { "rotary_dim": 4096 } });
        let refused = read(rotated).and_then(|card| card.validate());
        assert!(refused.is_err_and(|e| e.to_string().contains("rotary_dim")));
    }
}
