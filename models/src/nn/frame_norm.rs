//! Layer normalisation of every frame over its channels, with weights that can be taken out of
//! training.

use tch::Tensor;
use tch::nn;

/// A mean and a deviation for every frame over all channels, with a scale and an offset a channel.
#[derive(Debug)]
pub struct FrameNorm {
    /// `[channels]`
    pub weight: Tensor,
    /// `[channels]`
    pub bias: Tensor,
    eps: f64,
}

impl FrameNorm {
    /// Registers `weight` and `bias` under `path`.
    #[must_use]
    pub fn new(path: &nn::Path<'_>, channels: i64, eps: f64) -> Self {
        let (weight, bias) = (path.ones("weight", &[channels]), path.zeros("bias", &[channels]));
        Self { weight, bias, eps }
    }

    /// `[.., channels]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let channels = self.weight.size()[0];
        x.layer_norm([channels], Some(&self.weight), Some(&self.bias), self.eps, false)
    }

    /// The same without a gradient.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { weight: self.weight.detach(), bias: self.bias.detach(), eps: self.eps }
    }
}
