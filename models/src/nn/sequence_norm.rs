//! Normalisation over time of `[batch, frames, channels]`: of a whole sequence, and of every
//! channel by itself. Both need all frames before they give the first.

use std::sync::Arc;

use formant_kernels::tensor as kernels;
use tch::{Device, Tensor};

use super::threads::threads;
use crate::error::Result;
use crate::params::{Params, Weight};

/// One mean and one deviation over all frames and channels, with a scale and an offset a channel:
/// a group normalisation with one group.
#[derive(Debug, Clone)]
pub struct GlobalNorm {
    affine: Affine,
}

/// A mean and a deviation for every channel over all frames, with a scale and an offset.
#[derive(Debug, Clone)]
pub struct ChannelNorm {
    affine: Affine,
}

#[derive(Debug, Clone)]
struct Affine {
    weight: Weight,
    bias: Weight,
    eps: f64,
}

impl Affine {
    fn new(params: &Params<'_>, channels: i64, eps: f64) -> Result<Self> {
        let (weight, bias) =
            (params.ones("weight", &[channels])?, params.zeros("bias", &[channels])?);
        Ok(Self { weight, bias, eps })
    }

    fn detached(&self) -> Self {
        Self { weight: self.weight.detach(), bias: self.bias.detach(), eps: self.eps }
    }

    /// Normalises over the axes `over` of `[batch, frames, channels]`.
    fn forward(&self, x: &Tensor, over: &[i64]) -> Tensor {
        let (var, mean) = x.var_mean_dim(over, false, true);
        let gain = (var + self.eps).rsqrt() * &*self.weight; // [batch, 1, channels]
        let offset = &*self.bias - mean * &gain;
        offset.addcmul(x, &gain)
    }
}

impl GlobalNorm {
    /// The same without a gradient.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { affine: self.affine.detached() }
    }

    /// `weight` and `bias` under `params`.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, channels: i64, eps: f64) -> Result<Self> {
        Ok(Self { affine: Affine::new(params, channels, eps)? })
    }

    /// `[batch, frames, channels]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.affine.forward(x, &[1, 2])
    }
}

impl ChannelNorm {
    /// The same without a gradient, followed by a PReLU with `slopes [channels]`.
    #[must_use]
    pub fn freeze(&self, slopes: &Tensor) -> FrozenChannelNorm {
        let values = |tensor: &Tensor| Vec::<f32>::try_from(tensor.detach()).ok();
        let learnt = match self.affine.weight.device() {
            Device::Cpu => values(&self.affine.weight)
                .zip(values(&self.affine.bias))
                .zip(values(slopes))
                .map(|((weight, bias), slopes)| Arc::new([weight, bias, slopes])),
            _ => None,
        };
        FrozenChannelNorm { affine: self.affine.detached(), slopes: slopes.detach().into(), learnt }
    }

    /// `weight` and `bias` under `params`.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, channels: i64, eps: f64) -> Result<Self> {
        Ok(Self { affine: Affine::new(params, channels, eps)? })
    }

    /// `[batch, frames, channels]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.affine.forward(x, &[1])
    }
}

/// A [`ChannelNorm`] and a PReLU without a gradient.
#[derive(Debug, Clone)]
pub struct FrozenChannelNorm {
    affine: Affine,
    slopes: Weight, // [channels]
    /// Scales, offsets and slopes where the kernel can take them.
    learnt: Option<Arc<[Vec<f32>; 3]>>,
}

impl FrozenChannelNorm {
    /// `[batch, frames, channels]` to the same shape, plus `residual` of that shape.
    pub fn forward(&self, x: &Tensor, residual: Option<&Tensor>) -> Tensor {
        if let Some([weight, bias, slopes]) = self.learnt.as_deref() {
            let norm = kernels::ChannelNorm { weight, bias, slopes, eps: self.affine.eps as f32 };
            if let Ok(Some(y)) = kernels::channel_norm(&norm, x, residual, threads()) {
                return y;
            }
        }
        let y = self.affine.forward(x, &[1]).transpose(1, 2).prelu(&self.slopes).transpose(1, 2);
        match residual {
            Some(residual) => y + residual,
            None => y,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::VarStore;

    #[test]
    fn equal_to_the_librarys_own() {
        let vs = VarStore::new(Device::Cpu);
        let x = Tensor::randn([2, 50, 6], tch::kind::FLOAT_CPU) * 3.0 + 1.5;
        let first = x.transpose(1, 2);
        let global = GlobalNorm::new(&Params::random(&(vs.root() / "g")), 6, 1e-8)
            .expect("sound sizes")
            .forward(&x);
        let wanted = first.group_norm::<Tensor>(1, None, None, 1e-8, false).transpose(1, 2);
        assert!((global - wanted).abs().max().double_value(&[]) < 1e-5);
        let channel = ChannelNorm::new(&Params::random(&(vs.root() / "c")), 6, 1e-5)
            .expect("sound sizes")
            .forward(&x);
        let wanted = first.group_norm::<Tensor>(6, None, None, 1e-5, false).transpose(1, 2);
        assert!((channel - wanted).abs().max().double_value(&[]) < 1e-5);
    }
}
