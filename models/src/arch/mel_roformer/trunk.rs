//! What comes before the heads: the split into bands and the layers over time and bands.

use tch::{Device, Kind, Tensor};

use super::attention::Attending;
use super::bands::Bands;
use super::config::MelRoformerConfig;
use super::transformer::{Passing, Transformer};
use crate::error::Result;
use crate::network::Trace;
use crate::nn::l2_norm::L2Norm;
use crate::nn::linear::Linear;
use crate::params::Params;

/// One layer; each part takes the sequences of its axis.
#[derive(Debug, Clone)]
struct Layer {
    linear: Option<Transformer>,
    time: Transformer,
    freq: Transformer,
}

/// Band split and layers.
#[derive(Debug, Clone)]
pub(super) struct Trunk {
    pub(super) bands: Bands,
    to_features: Vec<(L2Norm, Linear)>,
    layers: Vec<Layer>,
    skip_connection: bool,
    value_residual: bool,
}

/// The axis that a part of a layer looks along.
#[derive(Debug, Clone, Copy)]
enum Axis {
    Both,
    Time,
    Bands,
}

impl Axis {
    fn name(self) -> &'static str {
        match self {
            Self::Both => "linear",
            Self::Time => "time",
            Self::Bands => "freq",
        }
    }

    /// `[batch, bands, frames, dim]` as sequences along this axis.
    fn sequences(self, x: &Tensor) -> Tensor {
        match self {
            Self::Both => x.transpose(1, 2).flatten(1, 2),
            Self::Time => x.flatten(0, 1),
            // A view for a single mix: the stack takes its groups in any order in memory.
            Self::Bands => x.transpose(1, 2).flatten(0, 1),
        }
    }

    /// Back from [`Axis::sequences`].
    fn bands(self, y: &Tensor, like: &[i64]) -> Tensor {
        match self {
            Self::Time => y.view(like),
            Self::Both | Self::Bands => {
                y.view([like[0], like[2], like[1], like[3]]).transpose(1, 2)
            }
        }
    }
}

impl Trunk {
    pub(super) fn new(
        params: &Params<'_>,
        config: &MelRoformerConfig,
        device: Device,
    ) -> Result<Self> {
        let bands = Bands::new(config, device)?;
        let split = params / "band_split" / "to_features";
        let feature = |(k, width): (usize, i64)| -> Result<(L2Norm, Linear)> {
            let params = &split / k as i64;
            let norm = L2Norm::new(&(&params / "0"), width)?;
            Ok((norm, Linear::new(&(&params / "1"), width, config.dim)?))
        };
        let time = config.time_position();
        let layer = |i: i64| -> Result<Layer> {
            let params = params / "layers" / i;
            let part = |position: i64, depth: i64, kind: Attending| {
                Transformer::new(&(&params / position), config, depth, kind, i)
            };
            Ok(Layer {
                linear: (config.linear_transformer_depth > 0)
                    .then(|| part(0, config.linear_transformer_depth, Attending::Linear))
                    .transpose()?,
                time: part(time, config.time_transformer_depth, Attending::Full)?,
                freq: part(time + 1, config.freq_transformer_depth, Attending::Full)?,
            })
        };
        Ok(Self {
            to_features: bands.widths().enumerate().map(feature).collect::<Result<_>>()?,
            layers: (0..config.depth).map(layer).collect::<Result<_>>()?,
            bands,
            skip_connection: config.skip_connection,
            value_residual: config.add_value_residual,
        })
    }

    /// Makes the matrix products of the layers in numbers of `kind`.
    pub(super) fn set_kind(&mut self, kind: Kind) {
        for layer in &mut self.layers {
            layer.time.set_kind(kind);
            layer.freq.set_kind(kind);
            layer.linear.iter_mut().for_each(|linear| linear.set_kind(kind));
        }
    }

    /// `spectrum [batch, frames, inputs]` to `[batch, bands, frames, dim]`.
    pub(super) fn forward(
        &self,
        spectrum: &Tensor,
        passing: Passing,
        trace: &mut dyn Trace,
    ) -> Tensor {
        // The values of the first layer are needed whole.
        let passing = if self.value_residual { Passing::Whole } else { passing };
        let features: Vec<Tensor> = self
            .bands
            .split(spectrum)
            .iter()
            .zip(&self.to_features)
            .map(|(band, (norm, layer))| layer.forward(&norm.forward(band)))
            .collect();
        let mut x = Tensor::stack(&features, 1); // [batch, bands, frames, dim]
        trace.record("band_split.out", &x.transpose(1, 2));
        let mut first: [Option<Tensor>; 3] = [None, None, None];
        let mut outputs: Option<Tensor> = None; // sum over the layers so far
        for (i, layer) in self.layers.iter().enumerate() {
            let mut part = |x: Tensor, part: &Transformer, axis: Axis| {
                let name = format!("layer{i}.{}", axis.name());
                let first = &mut first[axis as usize];
                let input = axis.sequences(&x);
                let (y, values) = part.forward(&input, first.as_ref(), passing, (trace, &name));
                trace.record(&format!("{name}.out"), &y);
                if self.value_residual && first.is_none() {
                    *first = values;
                }
                axis.bands(&y, &x.size())
            };
            if let Some(linear) = &layer.linear {
                x = part(x, linear, Axis::Both);
            }
            if let Some(sum) = &outputs {
                // Not in place: the sum may be the same tensor.
                x = x.g_add(sum);
            }
            x = part(x, &layer.time, Axis::Time);
            x = part(x, &layer.freq, Axis::Bands);
            if self.skip_connection {
                outputs = Some(match outputs {
                    Some(sum) => sum + &x,
                    None => x.shallow_clone(),
                });
            }
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::super::network::MelRoformer;
    use super::*;
    use tch::nn::VarStore;

    fn shares<T: Clone + Send + 'static>() {}

    #[test]
    fn clones_share_their_weights_and_go_to_other_threads() {
        shares::<MelRoformer>();
        let config =
            MelRoformerConfig { dim: 8, depth: 1, heads: 2, dim_head: 4, ..Default::default() };
        let vs = VarStore::new(Device::Cpu);
        let trunk = Trunk::new(&Params::random(&vs.root()), &config, Device::Cpu);
        let trunk = trunk.expect("sound sizes");
        let clone = trunk.clone();
        for ((_, ours), (_, theirs)) in trunk.to_features.iter().zip(&clone.to_features) {
            assert_eq!(ours.weight.data_ptr(), theirs.weight.data_ptr());
        }
    }
}
