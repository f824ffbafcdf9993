//! The mask head of a stem: a perceptron for each band.

use tch::nn::Module;
use tch::{Kind, Tensor};

use super::config::MelRoformerConfig;
use crate::error::Result;
use crate::nn::linear::Linear;
use crate::params::Params;

/// A perceptron a band, its output gated by a second half of it.
#[derive(Debug, Clone)]
pub(super) struct MaskHead {
    bands: Vec<Vec<Linear>>,
}

impl MaskHead {
    pub(super) fn new(
        params: &Params<'_>,
        config: &MelRoformerConfig,
        widths: impl Iterator<Item = i64>,
    ) -> Result<Self> {
        let (dim, depth) = (config.dim, config.mask_estimator_depth);
        let hidden = dim * config.mlp_expansion_factor;
        let band = |(k, width): (usize, i64)| {
            let params = params / "to_freqs" / k as i64 / 0;
            let layer = |i: i64| {
                let inputs = if i == 0 { dim } else { hidden };
                let outputs = if i == depth { 2 * width } else { hidden };
                // Every second place holds a Tanh.
                Linear::new(&(&params / (2 * i)), inputs, outputs)
            };
            (0..=depth).map(layer).collect::<Result<_>>()
        };
        Ok(Self { bands: widths.enumerate().map(band).collect::<Result<_>>()? })
    }

    /// Makes the matrix products in numbers of `kind`.
    pub(super) fn set_kind(&mut self, kind: Kind) {
        self.bands.iter_mut().flatten().for_each(|layer| layer.set_kind(kind));
    }

    /// `x [batch, bands, frames, dim]` to masks `[batch, frames, width]`, one a band.
    pub(super) fn forward(&self, x: &Tensor) -> Vec<Tensor> {
        let mask = |(k, layers): (usize, &Vec<Linear>)| {
            let kind = layers.first().map_or(x.kind(), |layer| layer.weight.kind());
            let mut y = x.select(1, k as i64).to_kind(kind);
            for (i, layer) in layers.iter().enumerate() {
                y = layer.forward(&if i == 0 { y } else { y.tanh() });
            }
            y.to_kind(x.kind()).glu(-1)
        };
        self.bands.iter().enumerate().map(mask).collect()
    }
}
