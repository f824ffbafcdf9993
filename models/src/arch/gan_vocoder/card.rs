//! What a vocoder says about itself: sizes, front end, origin and measured quality. Stored as JSON in
//! the metadata of its weights file.

use formant_audio_core::chunk::Edges;
use formant_audio_core::features::{Affine, FeatureConfig, presets};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::GanVocoderConfig;
use crate::arch::front_end;
use crate::arch::stated::{amended, with_sizes};
use crate::checkpoint::StateDict;
use crate::error::{Error, Result};

/// Everything about a model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GanVocoderCard {
    /// Sizes of the network.
    pub config: GanVocoderConfig,
    /// The spectrogram that it takes.
    pub frontend: FeatureConfig,
    /// Where the weights come from: recipe, data, licence, measured quality; free-form.
    #[serde(default)]
    pub provenance: Value,
}

impl GanVocoderCard {
    /// The card of a network as it is published for as many bands: of 80 at 22.05 kHz, of 128 at
    /// 44.1 kHz, of others at 24 kHz.
    ///
    /// # Errors
    /// [`Error::Config`] when the front end's preset is gone.
    pub fn published(config: GanVocoderConfig) -> Result<Self> {
        let bands = config.bands();
        let mut frontend = match (&config, bands) {
            (GanVocoderConfig::Melgan(_), _) => {
                // The tokenizer's spectrogram, between 0 and 1.
                let affine = Affine { scale: 0.01, offset: 0.8, limits: Some([0.0, 1.0]) };
                FeatureConfig { affine: Some(affine), ..presets::by_name("specvqgan")? }
            }
            (_, 80) => presets::by_name("hifigan")?,
            (_, 128) => wide()?,
            _ => presets::by_name("bigvgan-24k-100")?,
        };
        if let Some(mel) = &mut frontend.mel {
            mel.n_mels = usize::try_from(bands).unwrap_or_default();
        }
        Ok(Self { config, frontend, provenance: Value::Null })
    }

    /// The card of weights with plain names. What their shapes do not show is as `stated`, or as
    /// published.
    ///
    /// # Errors
    /// [`Error::Config`] when the weights are of another network, or values have a wrong type.
    pub fn read(stated: Option<&Value>, weights: &StateDict) -> Result<Self> {
        let mut card = Self::published(GanVocoderConfig::of_weights(weights)?)?;
        let Some(stated) = stated else { return Ok(card) };
        if !stated.is_object() {
            let reason = "has no settings; remove it, or put the right one there";
            return Err(Error::config("config.json", reason));
        }
        // The second version says so where the activation is bounded otherwise; the first and
        // BigVSAN say nothing.
        card.config = amended(&card.config, Some(stated))?;
        if matches!(card.config, GanVocoderConfig::Melgan(_)) {
            return Ok(card);
        }
        card.frontend = with_sizes(card.frontend, stated)?;
        let rate = f64::from(card.frontend.sample_rate);
        if let Some(mel) = &mut card.frontend.mel
            && stated.get("fmax").is_some_and(Value::is_null)
        {
            mel.f_max = rate / 2.0;
        }
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
        front_end::check(&self.frontend, self.config.bands())?;
        let (hop, product) = (self.frontend.hop_length, self.config.hop());
        if i64::try_from(hop) != Ok(product) {
            let reason = format!("{hop}; the network makes {product} samples a frame");
            return Err(Error::config("frontend.hop_length", reason));
        }
        Ok(())
    }
}

/// The spectrogram of BigVGAN at 44.1 kHz.
fn wide() -> Result<FeatureConfig> {
    let mut frontend = presets::by_name("bigvgan-22k-80")?;
    frontend.sample_rate *= 2;
    frontend.n_fft *= 2;
    frontend.win_length *= 2;
    frontend.hop_length *= 2;
    if let Edges::Pad { samples, .. } = &mut frontend.edges {
        *samples *= 2;
    }
    if let Some(mel) = &mut frontend.mel {
        mel.f_max *= 2.0;
    }
    Ok(frontend)
}
