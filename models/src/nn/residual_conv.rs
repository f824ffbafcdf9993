//! Convolutions over time of `[batch, frames, channels]` without bias, where every output channel
//! sees a few input channels: the memories of the MossFormer family.
//!
//! Two forms that give the same numbers: one with a gradient, for training, and a frozen one. Both
//! are kernels of [`formant_kernels`] on the tensors' own memory, the former while a
//! [`tape`] records; else it is made of products whose gradient is cheap.

use std::sync::Arc;

use formant_kernels::depthwise::{DepthwiseConfig, DepthwiseConv1d};
use formant_kernels::tensor::{Axes, depthwise_conv1d, depthwise_filter_gradient};
use tch::{Device, Kind, Tensor, nn};

use super::depthwise::{Padding, toeplitz};
use super::tape;
use super::threads::threads;
use crate::error::Result;
use crate::params::{Params, Weight};

/// A convolution of every channel with a kernel of its own, added to its input.
#[derive(Debug, Clone)]
pub struct ResidualConv {
    weight: Weight, // [channels, 1, kernel], or with more axes of size one
}

/// A dilated convolution in groups: output channel `c` sees the input channels `c * inputs` to
/// `c * inputs + inputs - 1`.
#[derive(Debug, Clone)]
pub struct GroupedConv {
    weight: Weight, // [channels, inputs, kernel, 1]
    dilation: i64,
}

fn register(params: &Params<'_>, shape: &[i64]) -> Result<Weight> {
    let fan_in: i64 = shape[1..].iter().product();
    let bound = 1.0 / (fan_in as f64).sqrt();
    params.get("weight", shape, nn::Init::Uniform { lo: -bound, up: bound })
}

impl ResidualConv {
    /// `weight` with the shape `[channels, 1, kernel, ..]` under `params`; the kernel is
    /// odd.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, shape: &[i64]) -> Result<Self> {
        Ok(Self { weight: register(params, shape)? })
    }

    /// `x + conv(x)`, with a cheap gradient.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let weight = self.with_input();
        let padding = Padding::same(weight.size()[2]);
        taped(x, &weight, 1).unwrap_or_else(|| toeplitz(x, &weight, None, padding))
    }

    /// The same without a gradient.
    #[must_use]
    pub fn freeze(&self) -> FrozenConv {
        tch::no_grad(|| FrozenConv::new(&self.with_input(), 1))
    }

    /// Several of them, side by side on the channels of one.
    #[must_use]
    pub fn freeze_all(convs: &[&Self]) -> FrozenConv {
        tch::no_grad(|| {
            let weights: Vec<Tensor> = convs.iter().map(|conv| conv.with_input()).collect();
            FrozenConv::new(&Tensor::cat(&weights, 0), 1)
        })
    }

    /// Kernels `[channels, 1, kernel]` whose middle also carries the input.
    fn with_input(&self) -> Tensor {
        let size = self.weight.size();
        let kernel = size[2];
        let mut middle = vec![0.0f32; kernel as usize];
        middle[kernel as usize / 2] = 1.0;
        let middle = Tensor::from_slice(&middle).to_device(self.weight.device());
        self.weight.reshape([size[0], 1, kernel]) + middle.to_kind(self.weight.kind())
    }
}

impl GroupedConv {
    /// `weight` as `[channels, inputs, kernel, 1]` under `params`; the kernel is odd.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, shape: [i64; 3], dilation: i64) -> Result<Self> {
        let [channels, inputs, kernel] = shape;
        Ok(Self { weight: register(params, &[channels, inputs, kernel, 1])?, dilation })
    }

    fn inputs(&self) -> i64 {
        self.weight.size()[1]
    }

    /// Kernels of the `input`-th channel of every group, `[channels, 1, kernel]`.
    fn kernels(&self, input: i64) -> Tensor {
        self.weight.select(1, input).transpose(1, 2)
    }

    /// `[batch, frames, channels * inputs]` to `[batch, frames, channels]`, with a cheap gradient.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (size, inputs) = (x.size(), self.inputs());
        let (frames, phases) = (size[1], self.dilation);
        // Frames that are `dilation` apart become neighbours.
        let rows = (frames + phases - 1) / phases;
        let sum = (0..inputs)
            .map(|input| {
                let kernels = self.kernels(input);
                let channels = kernels.size()[0];
                let one = x.slice(2, input, size[2], inputs); // [batch, frames, channels]
                if let Some(y) = taped(&one, &kernels, phases) {
                    return y;
                }
                let apart = one
                    .constant_pad_nd([0, 0, 0, rows * phases - frames])
                    .reshape([size[0], rows, phases, channels])
                    .transpose(1, 2)
                    .reshape([size[0] * phases, rows, channels]);
                let padding = Padding::same(kernels.size()[2]);
                toeplitz(&apart, &kernels, None, padding)
                    .reshape([size[0], phases, rows, channels])
                    .transpose(1, 2)
                    .reshape([size[0], rows * phases, channels])
                    .narrow(1, 0, frames)
            })
            .reduce(|sum, one| sum + one);
        sum.unwrap_or_else(|| x.shallow_clone())
    }

    /// The same without a gradient.
    #[must_use]
    pub fn freeze(&self) -> FrozenGroups {
        let convs = (0..self.inputs())
            .map(|input| tch::no_grad(|| FrozenConv::new(&self.kernels(input), self.dilation)));
        FrozenGroups { convs: convs.collect() }
    }
}

/// A [`GroupedConv`] without a gradient.
#[derive(Debug, Clone)]
pub struct FrozenGroups {
    convs: Vec<FrozenConv>,
}

impl FrozenGroups {
    /// As [`GroupedConv::forward`].
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let inputs = self.convs.len() as i64;
        if let [conv] = self.convs.as_slice() {
            return conv.forward(x, None);
        }
        let channels = x.size()[2];
        let parts = self.convs.iter().zip(0..).fold(None, |sum: Option<Tensor>, (conv, input)| {
            let one = x.slice(2, input, channels, inputs).contiguous();
            Some(conv.forward(&one, sum.as_ref()))
        });
        parts.unwrap_or_else(|| x.shallow_clone())
    }
}

/// A depth-wise convolution with as many frames out as in, which cannot be trained.
#[derive(Debug, Clone)]
pub struct FrozenConv {
    kernel: Option<Arc<DepthwiseConv1d>>,
    /// The same without zeros at the ends.
    inside: Option<Arc<DepthwiseConv1d>>,
    weight: Weight, // [channels, 1, kernel]
    dilation: i64,
}

impl FrozenConv {
    fn new(weight: &Tensor, dilation: i64) -> Self {
        let weight = weight.detach().contiguous();
        let around = dilation * (weight.size()[2] - 1) / 2;
        let shared = |padding| plan(&weight, dilation, padding).map(Arc::new);
        let (kernel, inside) = (shared(around), shared(0));
        Self { kernel, inside, weight: weight.into(), dilation }
    }

    /// The kernel's plan, where a kernel convolves.
    #[must_use]
    pub fn kernel(&self) -> Option<&DepthwiseConv1d> {
        self.kernel.as_deref()
    }

    /// As [`FrozenConv::kernel`] without zeros at the ends.
    #[must_use]
    pub fn inside_kernel(&self) -> Option<&DepthwiseConv1d> {
        self.inside.as_deref()
    }

    /// Frames that an output sees to either side.
    #[must_use]
    pub fn reach(&self) -> i64 {
        self.dilation * (self.weight.size()[2] - 1) / 2
    }

    /// `[batch, frames, channels]` to the same shape, plus `residual` of that shape.
    pub fn forward(&self, x: &Tensor, residual: Option<&Tensor>) -> Tensor {
        self.run(self.kernel(), x, residual, self.reach())
    }

    /// The frames that see no end of `x`, fewer by [`FrozenConv::reach`] at both ends.
    pub fn forward_inside(&self, x: &Tensor) -> Tensor {
        self.run(self.inside_kernel(), x, None, 0)
    }

    fn run(
        &self,
        kernel: Option<&DepthwiseConv1d>,
        x: &Tensor,
        residual: Option<&Tensor>,
        padding: i64,
    ) -> Tensor {
        if let Some(y) = kernel.and_then(|kernel| convolve(kernel, x, residual)) {
            return y;
        }
        let channels = self.weight.size()[0];
        let y = x
            .transpose(1, 2)
            .conv1d::<Tensor>(&self.weight, None, 1, padding, self.dilation, channels)
            .transpose(1, 2);
        match residual {
            Some(residual) => y + residual,
            None => y,
        }
    }
}

/// `x [batch, frames, channels]` through a kernel, plus `residual`; `None` where it cannot take them.
fn convolve(conv: &DepthwiseConv1d, x: &Tensor, residual: Option<&Tensor>) -> Option<Tensor> {
    depthwise_conv1d(conv, x, residual, Axes::ChannelsLast, threads()).ok().flatten()
}

/// The convolution by a kernel, with a gradient by kernels, where a tape records and the tensors are
/// such that they can take: `x [batch, frames, channels]`, `weight [channels, 1, kernel]`, as many
/// frames out as in.
fn taped(x: &Tensor, weight: &Tensor, dilation: i64) -> Option<Tensor> {
    if !tape::is_recording() || x.device() != Device::Cpu || x.kind() != Kind::Float {
        return None;
    }
    let around = dilation * (weight.size()[2] - 1) / 2;
    let conv = plan(&weight.detach(), dilation, around)?;
    let reversed = plan(&weight.detach().flip([2]), dilation, around)?;
    let rows = x.detach().contiguous();
    let y = convolve(&conv, &rows, None)?;
    let size = weight.size();
    let gradient = move |gradient: &Tensor| {
        let gradient = gradient.contiguous();
        let filters = depthwise_filter_gradient(conv.config(), &rows, &gradient).ok().flatten();
        let both = convolve(&reversed, &gradient, None).zip(filters);
        let (input, filters) = both.expect("a gradient is a tensor like the output");
        vec![input, filters.view(size.as_slice())]
    };
    let inputs = vec![x.shallow_clone(), weight.shallow_clone()];
    Some(tape::note(inputs, &y, Box::new(gradient)))
}

/// The kernel's plan, where a kernel can take the weights.
fn plan(weight: &Tensor, dilation: i64, padding: i64) -> Option<DepthwiseConv1d> {
    if weight.device() != Device::Cpu || weight.kind() != Kind::Float {
        return None;
    }
    let mut config = DepthwiseConfig::same(usize::try_from(weight.size()[2]).ok()?);
    config.dilation = usize::try_from(dilation).ok()?;
    let padding = usize::try_from(padding).ok()?;
    config.padding = (padding, padding);
    let values = Vec::<f32>::try_from(weight.reshape([-1])).ok()?;
    DepthwiseConv1d::new(config, &values, &[]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::VarStore;

    fn worst(a: &Tensor, b: &Tensor) -> f64 {
        assert_eq!(a.size(), b.size());
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn both_forms_equal_the_librarys_own_convolution() {
        let vs = VarStore::new(Device::Cpu);
        for (at, (inputs, dilation)) in [(1, 1), (2, 2), (3, 4), (2, 1)].into_iter().enumerate() {
            let path = vs.root() / format!("{at}");
            let conv = GroupedConv::new(&Params::random(&path), [6, inputs, 7], dilation)
                .expect("sound sizes");
            for frames in [1, 5, 33, 64, 101] {
                let x = Tensor::randn([2, frames, 6 * inputs], tch::kind::FLOAT_CPU);
                let wanted = x
                    .transpose(1, 2)
                    .conv1d::<Tensor>(
                        &conv.weight.squeeze_dim(3),
                        None,
                        1,
                        3 * dilation,
                        dilation,
                        6,
                    )
                    .transpose(1, 2);
                assert!(worst(&conv.forward(&x), &wanted) < 1e-5, "{inputs} {dilation} {frames}");
                let frozen = tch::no_grad(|| conv.freeze().forward(&x));
                assert!(worst(&frozen, &wanted) < 1e-5, "{inputs} {dilation} {frames}");
            }
        }
    }

    #[test]
    fn clones_share_the_kernels_plans() {
        let vs = VarStore::new(Device::Cpu);
        let conv = ResidualConv::new(&Params::random(&vs.root()), &[6, 1, 5]).expect("sound sizes");
        let frozen = conv.freeze();
        let clone = frozen.clone();
        for (ours, theirs) in
            [(frozen.kernel(), clone.kernel()), (frozen.inside_kernel(), clone.inside_kernel())]
        {
            let (ours, theirs) = ours.zip(theirs).expect("a plan for 32-bit weights");
            assert!(std::ptr::eq(ours, theirs));
        }
    }

    #[test]
    fn the_residual_is_part_of_the_kernel() {
        let vs = VarStore::new(Device::Cpu);
        let conv =
            ResidualConv::new(&Params::random(&vs.root()), &[5, 1, 17]).expect("sound sizes");
        let x = Tensor::randn([2, 40, 5], tch::kind::FLOAT_CPU);
        let wanted =
            &x + x.transpose(1, 2).conv1d::<Tensor>(&conv.weight, None, 1, 8, 1, 5).transpose(1, 2);
        assert!(worst(&conv.forward(&x), &wanted) < 1e-5);
        assert!(worst(&tch::no_grad(|| conv.freeze().forward(&x, None)), &wanted) < 1e-5);
    }
}
