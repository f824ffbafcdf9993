//! Sizes of encoder and generator; field names are those of the reference's config.

use serde::{Deserialize, Serialize};

use crate::arch::generator::GeneratorConfig;
use crate::arch::mossformer::{Family, MossformerConfig};
use crate::error::{Error, Result};

/// Sizes of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HifiSrConfig {
    /// From the spectrogram to latents.
    pub encoder: MossformerConfig,
    /// From latents to samples.
    pub generator: GeneratorConfig,
}

impl Default for HifiSrConfig {
    /// The published network.
    fn default() -> Self {
        let encoder = MossformerConfig {
            family: Family::Mossformer2Se,
            in_channels: 80,
            out_channels_final: Some(80),
            num_spks: 1,
            ..MossformerConfig::default()
        };
        Self { encoder, generator: GeneratorConfig::default() }
    }
}

impl HifiSrConfig {
    /// Refuses sizes that no network can have.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        if self.encoder.family != Family::Mossformer2Se {
            let reason = "the encoder takes features: its `model` is mossformer2-se";
            return Err(Error::config("encoder.model", reason));
        }
        self.encoder.validate()?;
        self.generator.validate()
    }
}

#[cfg(test)]
impl HifiSrConfig {
    /// A network that computes in no time, for tests.
    pub(crate) fn tiny() -> Self {
        let encoder = MossformerConfig {
            family: Family::Mossformer2Se,
            in_channels: 80,
            out_channels_final: Some(80),
            ..MossformerConfig::tiny()
        };
        Self { encoder, generator: GeneratorConfig::tiny() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_sizes_are_refused() {
        HifiSrConfig::default().validate().expect("published sizes");
        HifiSrConfig::tiny().validate().expect("sound sizes");
        let separator = HifiSrConfig { encoder: MossformerConfig::tiny(), ..Default::default() };
        assert!(separator.validate().is_err());
    }
}
