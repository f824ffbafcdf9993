//! Centred convolutions over time, whole or block by block with the same result.
//!
//! A symmetric kernel of size `2k + 1` sees `k` frames into the future, so that its stream is `k`
//! frames late; at both ends of a stream the layer sees zeros at its own input.

use crate::error::Result;
use crate::params::{Params, Weight};
use tch::{Tensor, nn};

/// A 1-d convolution with stride 1 and symmetric zero padding.
#[derive(Debug, Clone)]
pub struct CenteredConv1d {
    weight: Weight, // [out, in, kernel]
    bias: Option<Weight>,
    half: i64,
}

/// Whether a centred convolution adds a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// With bias.
    Yes,
    /// Without bias.
    No,
}

impl CenteredConv1d {
    /// `weight` (and `bias`) under `params`; `kernel` is odd.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(
        params: &Params<'_>,
        inputs: i64,
        outputs: i64,
        kernel: i64,
        bias: Bias,
    ) -> Result<Self> {
        debug_assert!(kernel % 2 == 1, "a centred kernel has odd size");
        let bound = 1.0 / ((inputs * kernel) as f64).sqrt();
        let init = nn::Init::Uniform { lo: -bound, up: bound };
        Ok(Self {
            weight: params.get("weight", &[outputs, inputs, kernel], init)?,
            bias: (bias == Bias::Yes).then(|| params.get("bias", &[outputs], init)).transpose()?,
            half: kernel / 2,
        })
    }

    /// `[batch, in, frames]` to `[batch, out, frames]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.conv1d(&self.weight, self.bias.as_ref(), 1, self.half, 1, 1)
    }

    /// The stream state before the first block.
    #[must_use]
    pub fn start(&self, batch: i64) -> ConvState {
        let size = [batch, self.weight.size()[1], self.half];
        ConvState { context: Tensor::zeros(size, (self.weight.kind(), self.weight.device())) }
    }

    /// Feeds a block, or ends the stream, and returns the outputs that are now known.
    #[must_use]
    pub fn step(&self, state: &mut ConvState, block: Option<&Tensor>, end: End) -> Option<Tensor> {
        let mut parts = vec![state.context.shallow_clone()];
        parts.extend(block.map(Tensor::shallow_clone));
        if end == End::Yes {
            let size = state.context.size();
            let pad = [size[0], size[1], self.half];
            parts.push(Tensor::zeros(pad, (self.weight.kind(), self.weight.device())));
        }
        let input = Tensor::cat(&parts, 2);
        let frames = input.size()[2];
        let keep = frames.min(2 * self.half);
        state.context = input.narrow(2, frames - keep, keep);
        (frames > 2 * self.half).then(|| input.conv1d(&self.weight, self.bias.as_ref(), 1, 0, 1, 1))
    }
}

/// Past input frames of one layer.
#[derive(Debug)]
pub struct ConvState {
    context: Tensor, // [batch, in, up to 2 * half]
}

/// Whether a block is the last one of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The stream ends here.
    Yes,
    /// More blocks may follow.
    No,
}

/// Holds a residual back until the branch beside it, which is some frames late, has caught up.
#[derive(Debug, Default)]
pub struct Delay {
    waiting: Option<Tensor>, // [batch, channels, frames]
}

impl Delay {
    /// Takes in `block` and gives out as many of the oldest frames as `branch` holds.
    ///
    /// # Panics
    /// When the branch runs ahead of what was fed; a late branch cannot.
    #[must_use]
    pub fn align(&mut self, block: Option<&Tensor>, branch: Option<&Tensor>) -> Option<Tensor> {
        let waiting = match (self.waiting.take(), block) {
            (Some(old), Some(new)) => Some(Tensor::cat(&[&old, new], 2)),
            (old, new) => old.or_else(|| new.map(Tensor::shallow_clone)),
        };
        let Some(branch) = branch else {
            self.waiting = waiting;
            return None;
        };
        let waiting = waiting.expect("a branch that is late never runs ahead of its residual");
        let (held, ready) = (waiting.size()[2], branch.size()[2]);
        self.waiting = (held > ready).then(|| waiting.narrow(2, ready, held - ready));
        Some(waiting.narrow(2, 0, ready))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;
    use tch::nn::VarStore;

    #[test]
    fn any_split_equals_the_whole() {
        let vs = VarStore::new(Device::Cpu);
        for kernel in [1, 3, 7] {
            let path = vs.root() / format!("k{kernel}");
            let conv = CenteredConv1d::new(&Params::random(&path), 4, 5, kernel, Bias::Yes)
                .expect("sound sizes");
            let x = Tensor::randn([2, 4, 23], tch::kind::FLOAT_CPU);
            let whole = conv.forward(&x);
            for split in [1, 2, 5, 23] {
                let mut state = conv.start(2);
                let mut parts = Vec::new();
                for at in (0..23).step_by(split) {
                    let block = x.narrow(2, at, (split as i64).min(23 - at));
                    parts.extend(conv.step(&mut state, Some(&block), End::No));
                }
                parts.extend(conv.step(&mut state, None, End::Yes));
                let stream = Tensor::cat(&parts, 2);
                assert_eq!(stream.size(), whole.size(), "kernel {kernel}, blocks of {split}");
                let worst = (&stream - &whole).abs().max().double_value(&[]);
                assert!(worst < 1e-5, "kernel {kernel}, blocks of {split}: {worst}");
            }
        }
    }
}
