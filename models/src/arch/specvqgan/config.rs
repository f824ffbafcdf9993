//! Sizes of the tokenizer; field names are those of the reference's config.

use serde::{Deserialize, Serialize};

use super::blocks::GROUPS;
use crate::arch::bounds::check_sizes;
use crate::checkpoint::StateDict;
use crate::error::{Error, Result};

/// Most levels: each halves the spectrogram.
const MOST_LEVELS: usize = 8;
/// Most residual blocks of a level, four times the published number.
const MOST_BLOCKS: i64 = 8;
/// Most channels of a level and of latents, and most dimensions of a code; eight times the published
/// numbers and more.
const MOST_CHANNELS: i64 = 1 << 12;
/// Most codes, 64 times the published number.
const MOST_CODES: i64 = 1 << 16;
/// Most frames that a network is made for.
const MOST_FRAMES: i64 = 1 << 16;

/// Sizes of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpecVqganConfig {
    /// Channels of the finest level.
    pub ch: i64,
    /// Channels of each level as a multiple of `ch`, the finest first.
    pub ch_mult: Vec<i64>,
    /// Residual blocks of a level of the encoder; the decoder has one more.
    pub num_res_blocks: i64,
    /// Frames of a spectrogram as the network is trained.
    pub resolution: i64,
    /// Frames of the levels that have attention.
    pub attn_resolutions: Vec<i64>,
    /// Channels of the latents.
    pub z_channels: i64,
    /// Dimensions of a code.
    pub embed_dim: i64,
    /// Codes.
    pub n_embed: i64,
}

impl Default for SpecVqganConfig {
    /// The tokenizer that is trained on VGGSound.
    fn default() -> Self {
        Self {
            ch: 128,
            ch_mult: vec![1, 1, 2, 2, 4],
            num_res_blocks: 2,
            resolution: 848,
            attn_resolutions: vec![53],
            z_channels: 256,
            embed_dim: 256,
            n_embed: 1024,
        }
    }
}

impl SpecVqganConfig {
    /// Bands, and frames, of a token.
    #[must_use]
    pub fn factor(&self) -> i64 {
        1 << self.ch_mult.len().saturating_sub(1).min(MOST_LEVELS)
    }

    /// Channels of a level.
    pub(super) fn channels(&self, level: usize) -> i64 {
        self.ch * self.ch_mult[level]
    }

    /// Channels of the coarsest level.
    pub(super) fn bottom(&self) -> i64 {
        self.channels(self.ch_mult.len() - 1)
    }

    /// Whether a level has attention.
    pub(super) fn has_attention(&self, level: usize) -> bool {
        self.attn_resolutions.contains(&(self.resolution >> level))
    }

    /// Refuses sizes that no network can have.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        let levels = self.ch_mult.len();
        if !(1..=MOST_LEVELS).contains(&levels) {
            let reason = format!("{levels} levels; 1 to {MOST_LEVELS} are supported");
            return Err(Error::config("ch_mult", reason));
        }
        check_sizes(&[
            ("ch", self.ch, MOST_CHANNELS),
            ("num_res_blocks", self.num_res_blocks, MOST_BLOCKS),
            ("resolution", self.resolution, MOST_FRAMES),
            ("z_channels", self.z_channels, MOST_CHANNELS),
            ("embed_dim", self.embed_dim, MOST_CHANNELS),
            ("n_embed", self.n_embed, MOST_CODES),
        ])?;
        for &multiple in &self.ch_mult {
            let channels = self.ch.saturating_mul(multiple);
            if !(1..=MOST_CHANNELS).contains(&channels) || channels % GROUPS != 0 {
                let reason = format!(
                    "{channels} channels are no multiple of {GROUPS} up to {MOST_CHANNELS}"
                );
                return Err(Error::config("ch_mult", reason));
            }
        }
        let is_level = |frames: &i64| (0..levels).any(|level| self.resolution >> level == *frames);
        if !self.attn_resolutions.iter().all(is_level) {
            let reason = format!(
                "{:?} are not all frames of levels of {}",
                self.attn_resolutions, self.resolution
            );
            return Err(Error::config("attn_resolutions", reason));
        }
        Ok(())
    }

    /// The sizes that weights show by their names and shapes, all but `resolution`, which is as
    /// published and tells levels apart alone.
    ///
    /// # Errors
    /// [`Error::Config`] when the weights are of another network.
    pub fn of_weights(weights: &StateDict) -> Result<Self> {
        let dim = |name: &str, axis: usize| -> Result<i64> {
            let size = weights.get(name).and_then(|tensor| tensor.shape().get(axis).copied());
            size.and_then(|size| i64::try_from(size).ok())
                .ok_or_else(|| Error::config("weights", format!("no `{name}` of a SpecVQGAN")))
        };
        let has = |name: String| weights.get(&name).is_some();
        let block =
            |level: usize, block: i64| format!("encoder.down.{level}.block.{block}.conv1.weight");
        let ch = dim("encoder.conv_in.weight", 0)?;
        let mut config =
            Self { ch, ch_mult: Vec::new(), attn_resolutions: Vec::new(), ..Self::default() };
        for level in (0..=MOST_LEVELS).take_while(|&level| has(block(level, 0))) {
            config.ch_mult.push(dim(&block(level, 0), 0)? / ch.max(1));
            if has(format!("encoder.down.{level}.attn.0.q.weight")) {
                config.attn_resolutions.push(config.resolution >> level);
            }
        }
        config.num_res_blocks =
            (0..=MOST_BLOCKS).take_while(|&at| has(block(0, at))).count() as i64;
        config.z_channels = dim("encoder.conv_out.weight", 0)?;
        config.n_embed = dim("quantize.embedding.weight", 0)?;
        config.embed_dim = dim("quantize.embedding.weight", 1)?;
        Ok(config)
    }
}

#[cfg(test)]
impl SpecVqganConfig {
    /// A network that computes in no time, for tests.
    pub(crate) fn tiny() -> Self {
        Self {
            ch: 32,
            ch_mult: vec![1, 1],
            num_res_blocks: 1,
            attn_resolutions: vec![424],
            z_channels: 8,
            embed_dim: 4,
            n_embed: 12,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_sizes_are_refused() {
        SpecVqganConfig::tiny().validate().expect("sound sizes");
        let published = SpecVqganConfig::default;
        published().validate().expect("published sizes");
        assert_eq!(published().factor(), 16);
        let broken = [
            SpecVqganConfig { ch: 40, ..published() },
            SpecVqganConfig { ch: 1 << 40, ..published() },
            SpecVqganConfig { ch_mult: vec![], ..published() },
            SpecVqganConfig { ch_mult: vec![1; 9], ..published() },
            SpecVqganConfig { ch_mult: vec![0, 1], ..published() },
            SpecVqganConfig { ch_mult: vec![1, 1 << 60], ..published() },
            SpecVqganConfig { num_res_blocks: 0, ..published() },
            SpecVqganConfig { attn_resolutions: vec![52], ..published() },
            SpecVqganConfig { z_channels: -1, ..published() },
            SpecVqganConfig { n_embed: 1 << 40, ..published() },
        ];
        for config in broken {
            assert!(config.validate().is_err(), "{config:?}");
        }
    }
}
