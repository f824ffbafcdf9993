//! Sizes of the vocoders; field names are those of the references' configs.

use serde::{Deserialize, Serialize};

use crate::arch::bounds::check_sizes;
use crate::arch::generator::{Ending, GeneratorConfig, Periodic, Style};
use crate::checkpoint::StateDict;
use crate::error::{Error, Result};

/// Most bands of a spectrogram, eight times the published number.
const MOST_BANDS: i64 = 1 << 10;
/// Most channels of a layer of MelGAN, 32 times the published number.
const MOST_CHANNELS: i64 = 1 << 14;
/// Most stages of MelGAN, the largest factor of one, and the most residual blocks behind it, each of
/// which is three times as wide as the one before.
const MOST_STAGES: usize = 8;
const LARGEST_RATE: i64 = 1 << 8;
const MOST_BLOCKS: i64 = 6;

/// Sizes of a network, by its layout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case")]
pub enum GanVocoderConfig {
    /// HiFi-GAN.
    HifiGan(HifiGanConfig),
    /// BigVGAN and BigVSAN.
    Bigvgan(BigVganConfig),
    /// MelGAN.
    Melgan(MelGanConfig),
}

/// Sizes of HiFi-GAN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HifiGanConfig {
    /// Bands of the spectrogram.
    pub num_mels: i64,
    /// Stages and residual blocks.
    #[serde(flatten)]
    pub generator: GeneratorConfig,
}

/// The periodic function of BigVGAN's activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeriodicKind {
    /// `x + sin(alpha x)^2 / alpha`.
    Snake,
    /// `x + sin(alpha x)^2 / beta`.
    #[default]
    SnakeBeta,
}

/// Sizes of BigVGAN and BigVSAN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BigVganConfig {
    /// Bands of the spectrogram.
    pub num_mels: i64,
    /// The periodic function.
    pub activation: PeriodicKind,
    /// Whether logarithms of its factors are stored.
    pub snake_logscale: bool,
    /// Whether the last convolution has a bias.
    pub use_bias_at_final: bool,
    /// Whether a hyperbolic tangent bounds the samples, or what exceeds 1 is cut.
    pub use_tanh_at_final: bool,
    /// Stages and residual blocks.
    #[serde(flatten)]
    pub generator: GeneratorConfig,
}

/// Sizes of MelGAN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MelGanConfig {
    /// Bands of the spectrogram.
    pub n_mel_channels: i64,
    /// Channels at the rate of the samples; each stage before has twice as many.
    pub ngf: i64,
    /// Residual blocks of a stage.
    pub n_residual_layers: i64,
    /// Factor of each stage.
    pub ratios: Vec<i64>,
}

impl Default for HifiGanConfig {
    /// V1.
    fn default() -> Self {
        let generator = GeneratorConfig { upsample_initial_channel: 512, ..Default::default() };
        Self { num_mels: 80, generator }
    }
}

impl Default for BigVganConfig {
    /// The first version at 24 kHz.
    fn default() -> Self {
        Self {
            num_mels: 100,
            activation: PeriodicKind::SnakeBeta,
            snake_logscale: true,
            use_bias_at_final: true,
            use_tanh_at_final: true,
            generator: GeneratorConfig {
                upsample_rates: vec![4, 4, 2, 2, 2, 2],
                upsample_kernel_sizes: vec![8, 8, 4, 4, 4, 4],
                upsample_initial_channel: 1536,
                ..Default::default()
            },
        }
    }
}

impl Default for MelGanConfig {
    /// The vocoder of SpecVQGAN.
    fn default() -> Self {
        Self { n_mel_channels: 80, ngf: 32, n_residual_layers: 3, ratios: vec![8, 8, 2, 2] }
    }
}

impl BigVganConfig {
    pub(super) fn style(&self) -> (Style, Ending) {
        let function = Periodic {
            has_beta: self.activation == PeriodicKind::SnakeBeta,
            is_log: self.snake_logscale,
        };
        let ending = Ending { has_bias: self.use_bias_at_final, is_tanh: self.use_tanh_at_final };
        (Style::AntiAliased(function), ending)
    }
}

impl MelGanConfig {
    /// Channels behind the first convolution.
    pub(super) fn first_channels(&self) -> i64 {
        self.ngf << self.ratios.len()
    }

    fn validate(&self) -> Result<()> {
        let stages = self.ratios.len();
        if !(1..=MOST_STAGES).contains(&stages)
            || !self.ratios.iter().all(|rate| (1..=LARGEST_RATE).contains(rate))
        {
            let reason = format!(
                "{:?}; 1 to {MOST_STAGES} from 1 to {LARGEST_RATE} are accepted",
                self.ratios
            );
            return Err(Error::config("ratios", reason));
        }
        check_sizes(&[
            ("ngf", self.ngf, MOST_CHANNELS >> stages),
            ("n_residual_layers", self.n_residual_layers, MOST_BLOCKS),
        ])
    }
}

impl GanVocoderConfig {
    /// Name of the layout, as in the detection table.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::HifiGan(_) => "hifi-gan",
            Self::Bigvgan(_) => "bigvgan",
            Self::Melgan(_) => "melgan",
        }
    }

    /// Bands of the spectrogram.
    #[must_use]
    pub fn bands(&self) -> i64 {
        match self {
            Self::HifiGan(config) => config.num_mels,
            Self::Bigvgan(config) => config.num_mels,
            Self::Melgan(config) => config.n_mel_channels,
        }
    }

    /// Samples of a frame.
    #[must_use]
    pub fn hop(&self) -> i64 {
        match self {
            Self::HifiGan(config) => config.generator.hop(),
            Self::Bigvgan(config) => config.generator.hop(),
            Self::Melgan(MelGanConfig { ratios, .. }) => {
                ratios.iter().fold(1, |hop: i64, rate| hop.saturating_mul(*rate))
            }
        }
    }

    /// Refuses sizes that no network can have.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        check_sizes(&[("num_mels", self.bands(), MOST_BANDS)])?;
        match self {
            Self::HifiGan(config) => config.generator.validate(),
            Self::Bigvgan(config) => config.generator.validate(),
            Self::Melgan(config) => config.validate(),
        }
    }

    /// The sizes that weights show by their names and shapes; the others are as published.
    ///
    /// # Errors
    /// [`Error::Config`] when the weights are of another network.
    pub fn of_weights(weights: &StateDict) -> Result<Self> {
        let dim = |name: &str, axis: usize| -> Result<i64> {
            let size = weights.get(name).and_then(|tensor| tensor.shape().get(axis).copied());
            size.and_then(|size| i64::try_from(size).ok())
                .ok_or_else(|| Error::config("weights", format!("no `{name}` of a vocoder")))
        };
        let has = |name: &str| weights.get(name).is_some();
        if has("model.1.weight") {
            return of_melgan(&dim).map(Self::Melgan);
        }
        let (num_mels, generator) =
            (dim("conv_pre.weight", 1)?, GeneratorConfig::of_weights(weights)?);
        let act = |name: &str| has(&format!("resblocks.0.activations.0.act.{name}"));
        if !act("alpha") {
            return Ok(Self::HifiGan(HifiGanConfig { num_mels, generator }));
        }
        let (has_beta, has_bias) = (act("beta"), has("conv_post.bias"));
        Ok(Self::Bigvgan(BigVganConfig {
            num_mels,
            activation: if has_beta { PeriodicKind::SnakeBeta } else { PeriodicKind::Snake },
            // BigVSAN has neither.
            snake_logscale: has_beta,
            // The second version has neither.
            use_bias_at_final: has_bias,
            use_tanh_at_final: has_bias,
            generator,
        }))
    }
}

/// The upsampling of a stage is `n_residual_layers + 2` layers behind that of the stage before.
fn of_melgan(dim: &dyn Fn(&str, usize) -> Result<i64>) -> Result<MelGanConfig> {
    let block = |index: usize| dim(&format!("model.{index}.block.2.weight"), 0).is_ok();
    let blocks = (4..).take_while(|&index| block(index)).count();
    let kernel = |stage: usize| dim(&format!("model.{}.weight", 3 + stage * (blocks + 2)), 2);
    let is_stage = |stage: &usize| block(4 + stage * (blocks + 2));
    let ratios =
        (0..=MOST_STAGES).take_while(is_stage).map(|stage| kernel(stage).map(|taps| taps / 2));
    let ratios = ratios.collect::<Result<Vec<_>>>()?;
    Ok(MelGanConfig {
        n_mel_channels: dim("model.1.weight", 1)?,
        ngf: dim("model.1.weight", 0)? >> ratios.len(),
        n_residual_layers: blocks as i64,
        ratios,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_sizes_are_refused() {
        let melgan = MelGanConfig::default;
        for sound in [
            GanVocoderConfig::HifiGan(HifiGanConfig::default()),
            GanVocoderConfig::Bigvgan(BigVganConfig::default()),
            GanVocoderConfig::Melgan(melgan()),
        ] {
            sound.validate().expect("published sizes");
            assert_eq!(sound.hop(), 256, "{}", sound.name());
            let text = serde_json::to_string(&sound).expect("plain data");
            assert_eq!(serde_json::from_str::<GanVocoderConfig>(&text).expect("read"), sound);
        }
        for broken in [
            MelGanConfig { n_mel_channels: 0, ..melgan() },
            MelGanConfig { ngf: 1 << 40, ..melgan() },
            MelGanConfig { n_residual_layers: 40, ..melgan() },
            MelGanConfig { ratios: vec![], ..melgan() },
            MelGanConfig { ratios: vec![1 << 40], ..melgan() },
        ] {
            assert!(GanVocoderConfig::Melgan(broken.clone()).validate().is_err(), "{broken:?}");
        }
        let hifi = HifiGanConfig { num_mels: 1 << 40, ..Default::default() };
        assert!(GanVocoderConfig::HifiGan(hifi).validate().is_err());
    }
}
