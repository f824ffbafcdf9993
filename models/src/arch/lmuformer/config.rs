//! Sizes of an LMUFormer; field names as in the reference's configuration.

use serde::{Deserialize, Serialize};

use crate::arch::bounds::check_sizes;
use crate::error::{Error, Result};

/// Which of the reference's networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// `lmu_rnn_conv1d`: the published network with ReLU.
    #[default]
    LmuRnnConv1d,
    /// `slmu_rnn_ms_conv1d`: the spiking network with membrane shortcuts.
    SlmuRnnMsConv1d,
}

/// Sizes and constants of an LMUFormer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LmuFormerConfig {
    /// Which network.
    pub variant: Variant,
    /// Channels `d`.
    pub dim: i64,
    /// Heads of the attention variants; without effect here, kept for the reference's configs.
    pub num_heads: i64,
    /// Channels of the feed-forward part relative to `dim`.
    pub mlp_ratio: f64,
    /// Number of blocks.
    pub layer: i64,
    /// Feature bins per frame.
    pub in_channels: i64,
    /// Number of answers.
    #[serde(alias = "n_class")]
    pub num_classes: i64,
    /// Length of the impulse response that is kept, in frames.
    pub seq_len: i64,
    /// Window of the Legendre memory, in frames.
    pub theta: f64,
    /// Membrane time constant (spiking variant), in frames.
    pub tau: f32,
    /// Voltage after a spike (spiking variant).
    pub v_reset: f32,
    /// Firing threshold (spiking variant).
    pub v_threshold: f32,
    /// Firing threshold of the neurons before the memory (spiking variant).
    pub prev_lif_threshold: f32,
}

impl Default for LmuFormerConfig {
    /// The published configuration (`gsc.yml`).
    fn default() -> Self {
        Self {
            variant: Variant::LmuRnnConv1d,
            dim: 256,
            num_heads: 16,
            mlp_ratio: 4.0,
            layer: 1,
            in_channels: 128,
            num_classes: 35,
            seq_len: 128,
            theta: 128.0,
            tau: 2.0,
            v_reset: 0.0,
            v_threshold: 1.0,
            prev_lif_threshold: 0.5,
        }
    }
}

/// Most blocks; the published networks have one.
const BLOCKS: i64 = 256;
/// Longest impulse response: 20 s at a hop of 10 ms, where published networks keep 128 frames. Files
/// may lack it, so that it is computed when a network is made: at this length and the published
/// width, 0.3 s of processor time a block, or 1.2 s in the spiking variant. Longer signals need none.
const LONGEST_RESPONSE: i64 = 1 << 11;
/// Largest number of channels, bins or answers.
const WIDTH: i64 = 1 << 16;

impl LmuFormerConfig {
    /// Order of the Legendre memory: `dim`, or twice that in the spiking variant.
    #[must_use]
    pub fn memory_size(&self) -> i64 {
        match self.variant {
            Variant::LmuRnnConv1d => self.dim,
            Variant::SlmuRnnMsConv1d => 2 * self.dim,
        }
    }

    /// Channels inside the feed-forward part.
    #[must_use]
    pub fn mlp_dim(&self) -> i64 {
        (self.dim as f64 * self.mlp_ratio) as i64
    }

    /// Refuses sizes that no network can have.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("dim", self.dim, WIDTH),
            ("layer", self.layer, BLOCKS),
            ("in_channels", self.in_channels, WIDTH),
            ("num_classes", self.num_classes, WIDTH),
            ("seq_len", self.seq_len, LONGEST_RESPONSE),
            ("mlp_ratio", self.mlp_dim(), WIDTH),
        ];
        check_sizes(&sizes)?;
        if !(self.theta.is_finite() && self.theta >= 1.0) {
            return Err(Error::config(
                "theta",
                format!("{} frames; at least 1 needed", self.theta),
            ));
        }
        if !(self.tau.is_finite() && self.tau >= 1.0) {
            return Err(Error::config("tau", format!("{} frames; at least 1 needed", self.tau)));
        }
        let voltages = [
            ("v_reset", self.v_reset),
            ("v_threshold", self.v_threshold),
            ("prev_lif_threshold", self.prev_lif_threshold),
        ];
        for (field, voltage) in voltages {
            if !voltage.is_finite() {
                return Err(Error::config(field, format!("{voltage} is not a finite number")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_sizes_are_named() {
        LmuFormerConfig::default().validate().expect("the published sizes");
        type Change = fn(&mut LmuFormerConfig);
        let broken: [(&str, Change); 9] = [
            ("dim", |c| c.dim = 0),
            ("layer", |c| c.layer = 1 << 16),
            ("in_channels", |c| c.in_channels = 1 << 32),
            ("num_classes", |c| c.num_classes = -1),
            ("seq_len", |c| c.seq_len = (1 << 11) + 1),
            ("mlp_ratio", |c| c.mlp_ratio = 1e308),
            ("mlp_ratio", |c| c.mlp_ratio = f64::NAN),
            ("theta", |c| c.theta = f64::NAN),
            ("v_threshold", |c| c.v_threshold = f32::INFINITY),
        ];
        for (field, change) in broken {
            let mut config = LmuFormerConfig::default();
            change(&mut config);
            let error = config.validate().expect_err(field).to_string();
            assert!(error.contains(field), "{error}");
        }
    }
}
