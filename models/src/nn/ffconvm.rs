//! Feed-forward part with a depth-wise convolution: norm, linear layer, SiLU, and a convolution
//! over 17 frames that is added to what goes into it.
//!
//! Source: `FFConvM` of MossFormer (Zhao, Ma, arXiv 2302.11824, figure 3), whose keys it has.

use formant_kernels::activation::Activation;
use tch::nn::Module;
use tch::{Kind, Tensor};

use super::frame_norm::FrameNorm;
use super::frozen_linear::FrozenLinear;
use super::linear::Linear;
use super::residual_conv::{FrozenConv, ResidualConv};
use super::scale_norm::{ScaleNorm, unit};
use crate::error::Result;
use crate::params::Params;

/// Epsilon of the layer normalisation.
const LAYER_EPS: f64 = 1e-5;

/// Which norm comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// [`ScaleNorm`].
    Scale,
    /// Layer normalisation with an epsilon of 1e-5.
    Layer,
}

#[derive(Debug, Clone)]
enum Norm {
    Scale(ScaleNorm),
    Layer(FrameNorm),
}

/// Sizes of a [`FfConvM`].
#[derive(Debug, Clone, Copy)]
pub struct FfSizes {
    /// Channels in.
    pub inputs: i64,
    /// Channels out.
    pub outputs: i64,
    /// Frames that the convolution sees, odd.
    pub kernel: i64,
}

/// The module, `[batch, frames, inputs]` to `[batch, frames, outputs]`.
#[derive(Debug, Clone)]
pub struct FfConvM {
    norm: Norm,
    linear: Linear,
    conv: ResidualConv,
    inputs: i64,
}

impl FfConvM {
    /// All parameters under `params`, below `mdl`.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, sizes: FfSizes, norm: NormKind) -> Result<Self> {
        let FfSizes { inputs, outputs, kernel } = sizes;
        let first = params.sub("mdl.0");
        Ok(Self {
            norm: match norm {
                NormKind::Scale => Norm::Scale(ScaleNorm::new(&first)?),
                NormKind::Layer => Norm::Layer(FrameNorm::new(&first, inputs, LAYER_EPS)?),
            },
            linear: Linear::new(&params.sub("mdl.1"), inputs, outputs)?,
            conv: ResidualConv::new(&params.sub("mdl.3.sequential.1.conv"), &[outputs, 1, kernel])?,
            inputs,
        })
    }

    /// The whole module.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_normed(&self.normed(x))
    }

    /// Only the norm.
    pub fn normed(&self, x: &Tensor) -> Tensor {
        match &self.norm {
            Norm::Scale(norm) => norm.forward(x),
            Norm::Layer(norm) => norm.forward(x),
        }
    }

    /// All but the norm.
    pub fn forward_normed(&self, normed: &Tensor) -> Tensor {
        self.conv.forward(&self.linear.forward(normed).silu())
    }

    /// Weight and bias of the linear layer, with what is learnt of the norm in them.
    fn folded(&self) -> (Tensor, Tensor) {
        let double = |tensor: &Tensor| tensor.detach().to_kind(Kind::Double);
        let weight = double(&self.linear.weight);
        let bias = self.linear.bias.as_deref().map(double);
        let bias = bias.unwrap_or_else(|| {
            weight.new_zeros([weight.size()[0]], (weight.kind(), weight.device()))
        });
        match &self.norm {
            Norm::Scale(norm) => (weight * double(&norm.g), bias),
            Norm::Layer(norm) => {
                let bias = bias + weight.mv(&double(&norm.bias));
                (weight * double(&norm.weight), bias)
            }
        }
    }

    /// Several modules with one input and one kind of norm as one without a gradient, whose
    /// channels are theirs side by side.
    #[must_use]
    pub fn freeze_all(modules: &[&Self]) -> FrozenFfConvM {
        tch::no_grad(|| {
            let (weights, biases): (Vec<Tensor>, Vec<Tensor>) =
                modules.iter().map(|module| module.folded()).unzip();
            let kind = modules.first().map_or(Kind::Float, |module| module.linear.weight.kind());
            let convs: Vec<&ResidualConv> = modules.iter().map(|module| &module.conv).collect();
            FrozenFfConvM {
                inputs: modules.first().map_or(0, |module| module.inputs),
                layer_norm: modules.iter().any(|m| matches!(m.norm, Norm::Layer(_))),
                product: FrozenLinear::new(
                    &Tensor::cat(&weights, 0).to_kind(kind),
                    Some(&Tensor::cat(&biases, 0)),
                    Activation::Silu,
                ),
                conv: ResidualConv::freeze_all(&convs),
            }
        })
    }
}

/// One or several [`FfConvM`] without a gradient.
#[derive(Debug, Clone)]
pub struct FrozenFfConvM {
    inputs: i64,
    layer_norm: bool,
    product: FrozenLinear,
    conv: FrozenConv,
}

impl FrozenFfConvM {
    /// Makes the matrix product in numbers of `kind`; all else stays as it is.
    pub fn set_kind(&mut self, kind: Kind) {
        self.product.set_kind(kind);
    }

    /// The linear layer with its activation.
    #[must_use]
    pub fn product(&self) -> &FrozenLinear {
        &self.product
    }

    /// The convolution.
    #[must_use]
    pub fn conv(&self) -> &FrozenConv {
        &self.conv
    }

    /// `[batch, frames, inputs]` to `[batch, frames, outputs]`, plus `residual` of that shape.
    pub fn forward(&self, x: &Tensor, residual: Option<&Tensor>) -> Tensor {
        self.convolve(&self.activated(&self.normed(x)), residual)
    }

    /// Only the norm, without what is learnt of it.
    pub fn normed(&self, x: &Tensor) -> Tensor {
        match self.layer_norm {
            true => x.layer_norm::<Tensor>([self.inputs], None, None, LAYER_EPS, false),
            false => unit(x),
        }
    }

    /// Linear layer and activation of frames that are normalised.
    pub fn activated(&self, normed: &Tensor) -> Tensor {
        self.product.forward(normed)
    }

    /// Only the convolution, plus `residual`.
    pub fn convolve(&self, activated: &Tensor, residual: Option<&Tensor>) -> Tensor {
        self.conv.forward(activated, residual)
    }

    /// The results of frames `from` to `to` alone, when all frames are normalised: what is computed
    /// for a few of them stays in the caches.
    pub fn rows(&self, normed: &Tensor, from: i64, to: i64) -> Tensor {
        let (frames, reach) = (normed.size()[1], self.conv.reach());
        let (first, last) = ((from - reach).max(0), (to + reach).min(frames));
        let y = self.activated(&normed.narrow(1, first, last - first));
        let (before, behind) = (reach - (from - first), reach - (last - to));
        match before + behind {
            0 => self.conv.forward_inside(&y),
            _ => self.conv.forward_inside(&y.constant_pad_nd([0, 0, before, behind])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::VarStore;

    #[test]
    fn frozen_modules_side_by_side_equal_the_modules() {
        let vs = VarStore::new(tch::Device::Cpu);
        for (at, kind) in [NormKind::Scale, NormKind::Layer].into_iter().enumerate() {
            let make = |name: &str, outputs| {
                let path = vs.root() / format!("{name}{at}");
                FfConvM::new(
                    &Params::random(&path),
                    FfSizes { inputs: 6, outputs, kernel: 5 },
                    kind,
                )
                .expect("sound sizes")
            };
            let (a, b) = (make("a", 8), make("b", 3));
            tch::no_grad(|| {
                for mut variable in vs.trainable_variables() {
                    let _ = variable.g_add_(&(Tensor::randn_like(&variable) * 0.1));
                }
                let x = Tensor::randn([2, 30, 6], tch::kind::FLOAT_CPU);
                let frozen = FfConvM::freeze_all(&[&a, &b]).forward(&x, None);
                let wanted = Tensor::cat(&[a.forward(&x), b.forward(&x)], 2);
                assert!((frozen - &wanted).abs().max().double_value(&[]) < 1e-5);
                let frozen = FfConvM::freeze_all(&[&a, &b]);
                let normed = frozen.normed(&x);
                for (from, to) in [(0, 30), (0, 1), (1, 7), (11, 19), (25, 30)] {
                    let rows = frozen.rows(&normed, from, to);
                    let wanted = wanted.narrow(1, from, to - from);
                    assert!((rows - wanted).abs().max().double_value(&[]) < 1e-5, "{from} {to}");
                }
            });
        }
    }
}
