//! Sizes of a generator; field names are those of the references' configs.

use serde::{Deserialize, Serialize};

use crate::checkpoint::StateDict;
use crate::error::{Error, Result};

/// Most stages: each doubles the rate at least and halves the channels.
const MOST_STAGES: usize = 8;
/// Most channels of a layer, 16 times the published number.
const MOST_CHANNELS: i64 = 1 << 14;
/// Most samples that one convolution spans, where the published span is 51.
const LONGEST_SPAN: i64 = 1 << 10;
/// Most residual blocks of a stage, and most pairs of convolutions of a block.
const MOST_BLOCKS: usize = 16;

/// Kind of the generator's residual blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ResBlockKind {
    /// Pairs of convolutions, the first of each dilated.
    #[default]
    #[serde(rename = "1")]
    Pairs,
    /// Single dilated convolutions.
    #[serde(rename = "2")]
    Singles,
}

/// Sizes of the generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GeneratorConfig {
    /// Kind of the residual blocks.
    pub resblock: ResBlockKind,
    /// Factor of each stage; their product is the hop of the front end.
    pub upsample_rates: Vec<i64>,
    /// Kernel of each stage.
    pub upsample_kernel_sizes: Vec<i64>,
    /// Channels in front of the first stage; each stage halves them.
    pub upsample_initial_channel: i64,
    /// Kernel of each residual block of a stage.
    pub resblock_kernel_sizes: Vec<i64>,
    /// Dilations of the convolutions of each residual block of a stage.
    pub resblock_dilation_sizes: Vec<Vec<i64>>,
}

impl Default for GeneratorConfig {
    /// The published generator.
    fn default() -> Self {
        Self {
            resblock: ResBlockKind::Pairs,
            upsample_rates: vec![8, 8, 2, 2],
            upsample_kernel_sizes: vec![16, 16, 4, 4],
            upsample_initial_channel: 1024,
            resblock_kernel_sizes: vec![3, 7, 11],
            resblock_dilation_sizes: vec![vec![1, 3, 5]; 3],
        }
    }
}

impl GeneratorConfig {
    /// Samples of a frame.
    #[must_use]
    pub fn hop(&self) -> i64 {
        self.upsample_rates.iter().fold(1, |hop: i64, rate| hop.saturating_mul(*rate))
    }

    /// Refuses sizes that no generator can have.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        let refuse = |field: &str, reason: String| Err(Error::config(field, reason));
        let stages = self.upsample_rates.len();
        if !(1..=MOST_STAGES).contains(&stages) {
            let reason = format!("{stages} stages; 1 to {MOST_STAGES} are supported");
            return refuse("upsample_rates", reason);
        }
        if self.upsample_kernel_sizes.len() != stages {
            let reason = format!("{} kernels of {stages}", self.upsample_kernel_sizes.len());
            return refuse("upsample_kernel_sizes", reason);
        }
        for (&rate, &kernel) in self.upsample_rates.iter().zip(&self.upsample_kernel_sizes) {
            let fits = (1..=LONGEST_SPAN).contains(&kernel) && (1..=kernel).contains(&rate);
            if !fits || (kernel - rate) % 2 != 0 {
                let reason = format!("a kernel of {kernel} for a factor of {rate}");
                return refuse("upsample_kernel_sizes", reason);
            }
        }
        let channels = self.upsample_initial_channel;
        if !(1..=MOST_CHANNELS).contains(&channels) || channels % (1 << stages) != 0 {
            let reason = format!("{channels} channels can't be halved by {stages} stages");
            return refuse("upsample_initial_channel", reason);
        }
        let (kernels, dilations) = (&self.resblock_kernel_sizes, &self.resblock_dilation_sizes);
        if !(1..=MOST_BLOCKS).contains(&kernels.len()) || dilations.len() != kernels.len() {
            let reason = format!("{} kernels, {} dilations", kernels.len(), dilations.len());
            return refuse("resblock_kernel_sizes", reason);
        }
        for (&kernel, dilations) in kernels.iter().zip(dilations) {
            if kernel % 2 != 1 || !(1..=LONGEST_SPAN).contains(&kernel) {
                let reason = format!("{kernel} is not odd, or not from 1 to {LONGEST_SPAN}");
                return refuse("resblock_kernel_sizes", reason);
            }
            let spans = |&d: &i64| d >= 1 && d.saturating_mul(kernel - 1) < LONGEST_SPAN;
            if !(1..=MOST_BLOCKS).contains(&dilations.len()) || !dilations.iter().all(spans) {
                let reason = format!("{dilations:?} with a kernel of {kernel}");
                return refuse("resblock_dilation_sizes", reason);
            }
        }
        Ok(())
    }

    /// The sizes that the weights of a generator show by their shapes. No shape shows the factors
    /// of the stages, which are half their kernels, and the dilations, which are 1, 3 and 5.
    ///
    /// # Errors
    /// [`Error::Config`] when the weights are not of a generator.
    pub fn of_weights(weights: &StateDict) -> Result<Self> {
        let dim = |name: &str, axis: usize| -> Option<i64> {
            weights.get(name)?.shape().get(axis).and_then(|&size| i64::try_from(size).ok())
        };
        let missing = |name: &str| Error::config("weights", format!("no `{name}` of a generator"));
        let channels = dim("conv_pre.weight", 0).ok_or_else(|| missing("conv_pre.weight"))?;
        // BigVGAN's stages are lists of one.
        let up = |stage: usize, list: &str| dim(&format!("ups.{stage}{list}.weight"), 2);
        let kernels: Vec<i64> =
            (0..).map_while(|stage| up(stage, "").or_else(|| up(stage, ".0"))).collect();
        let (resblock, convs) = match weights.get("resblocks.0.convs1.0.weight") {
            Some(_) => (ResBlockKind::Pairs, "convs1"),
            None => (ResBlockKind::Singles, "convs"),
        };
        let name = |block: usize, conv: usize| format!("resblocks.{block}.{convs}.{conv}.weight");
        let blocks: Vec<i64> = (0..).map_while(|block| dim(&name(block, 0), 2)).collect();
        let each = blocks.len() / kernels.len().max(1);
        let dilations = |block: usize| -> Vec<i64> {
            let convs = (0..).take_while(|&conv| weights.get(&name(block, conv)).is_some());
            convs.map(|conv| 2 * conv as i64 + 1).collect()
        };
        Ok(Self {
            resblock,
            upsample_rates: kernels.iter().map(|kernel| kernel / 2).collect(),
            upsample_kernel_sizes: kernels,
            upsample_initial_channel: channels,
            resblock_kernel_sizes: blocks.into_iter().take(each).collect(),
            resblock_dilation_sizes: (0..each).map(dilations).collect(),
        })
    }
}

#[cfg(test)]
impl GeneratorConfig {
    /// A generator that computes in no time, for tests.
    pub(crate) fn tiny() -> Self {
        Self {
            upsample_rates: vec![16, 16],
            upsample_kernel_sizes: vec![32, 32],
            upsample_initial_channel: 8,
            resblock_kernel_sizes: vec![3],
            resblock_dilation_sizes: vec![vec![1, 3]],
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_sizes_are_refused() {
        let published = GeneratorConfig::default;
        published().validate().expect("published sizes");
        GeneratorConfig::tiny().validate().expect("sound sizes");
        let broken = [
            GeneratorConfig {
                upsample_rates: vec![],
                upsample_kernel_sizes: vec![],
                ..published()
            },
            GeneratorConfig { upsample_rates: vec![8, 8, 2], ..published() },
            GeneratorConfig { upsample_rates: vec![8, 8, 2, 3], ..published() },
            GeneratorConfig { upsample_rates: vec![8, 8, 2, 0], ..published() },
            GeneratorConfig { upsample_initial_channel: 1000, ..published() },
            GeneratorConfig { resblock_kernel_sizes: vec![3, 7, 10], ..published() },
            GeneratorConfig { resblock_dilation_sizes: vec![vec![1]; 2], ..published() },
            GeneratorConfig { resblock_dilation_sizes: vec![vec![1 << 40]; 3], ..published() },
            GeneratorConfig { resblock_dilation_sizes: vec![vec![]; 3], ..published() },
        ];
        for config in broken {
            assert!(config.validate().is_err(), "{config:?}");
        }
    }
}
