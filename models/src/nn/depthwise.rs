//! Depthwise convolution over time on `[batch, frames, channels]`, in two forms that give the same
//! numbers: one whose gradient is cheap, for training, and one without a gradient, for inference,
//! which is a kernel of [`formant_kernels`] on the tensors' own memory.

use formant_kernels::depthwise::{DepthwiseConfig, DepthwiseConv1d};
use formant_kernels::tensor::{Axes, depthwise_conv1d};
use tch::{Device, Kind, Tensor, nn};

use super::threads::threads;
use crate::error::Result;
use crate::nn::batch_norm::BatchNorm;
use crate::params::{Params, Weight};

/// Zeros at both ends of the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Padding {
    /// Frames before the first.
    pub left: i64,
    /// Frames after the last.
    pub right: i64,
}

impl Padding {
    /// As many frames out as in; `kernel` is odd.
    #[must_use]
    pub fn same(kernel: i64) -> Self {
        Self { left: kernel / 2, right: kernel / 2 }
    }

    /// As many frames out as in, none of them looking ahead.
    #[must_use]
    pub fn causal(kernel: i64) -> Self {
        Self { left: kernel - 1, right: 0 }
    }
}

/// A convolution of every channel with a kernel of its own.
#[derive(Debug, Clone)]
pub struct Depthwise {
    /// `[channels, 1, kernel]`
    pub weight: Weight,
    /// `[channels]`
    pub bias: Weight,
    /// Zeros at the ends.
    pub padding: Padding,
    /// Frames from one output to the next.
    pub stride: i64,
}

impl Depthwise {
    /// `weight` and `bias` under `params`, with stride one.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, channels: i64, kernel: i64, padding: Padding) -> Result<Self> {
        let bound = 1.0 / (kernel as f64).sqrt();
        let init = nn::Init::Uniform { lo: -bound, up: bound };
        Ok(Self {
            weight: params.get("weight", &[channels, 1, kernel], init)?,
            bias: params.get("bias", &[channels], init)?,
            padding,
            stride: 1,
        })
    }

    /// The same kernels at every `stride`-th frame.
    #[must_use]
    pub fn with_stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }

    /// The same without a gradient.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { weight: self.weight.detach(), bias: self.bias.detach(), ..*self }
    }

    /// `[batch, frames, channels]` to `[batch, frames', channels]`, with a cheap gradient.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        if self.stride == 1 {
            toeplitz(x, &self.weight, Some(&self.bias), self.padding)
        } else {
            taps(x, &self.weight, &self.bias, self.padding, self.stride)
        }
    }

    /// As [`Depthwise::forward`], where no gradient is needed; see [`infer`].
    pub fn infer(&self, x: &Tensor) -> Tensor {
        infer(x, &self.weight, &self.bias, self.padding, self.stride)
    }
}

/// The convolution where no gradient is needed.
///
/// The kernel takes `f32` on the CPU with stride one whose frames or channels are neighbours in
/// memory, and copies nothing but the weights. All else (another device, type, stride or order in
/// memory, or a gradient that is wanted after all) is computed as in [`Depthwise::forward`].
pub fn infer(x: &Tensor, weight: &Tensor, bias: &Tensor, padding: Padding, stride: i64) -> Tensor {
    if stride != 1 {
        return taps(x, weight, bias, padding, stride);
    }
    kernel(x, weight, bias, padding).unwrap_or_else(|| toeplitz(x, weight, Some(bias), padding))
}

/// The convolution by the kernel, where it can take the tensors.
fn kernel(x: &Tensor, weight: &Tensor, bias: &Tensor, padding: Padding) -> Option<Tensor> {
    let plain = |tensor: &Tensor| {
        tensor.device() == Device::Cpu && tensor.kind() == Kind::Float && !wants_gradient(tensor)
    };
    if ![x, weight, bias].into_iter().all(plain) {
        return None;
    }
    let values = |tensor: &Tensor| Vec::<f32>::try_from(tensor.detach().reshape([-1])).ok();
    let mut config = DepthwiseConfig::same(usize::try_from(weight.size()[2]).ok()?);
    config.padding = (usize::try_from(padding.left).ok()?, usize::try_from(padding.right).ok()?);
    let conv = DepthwiseConv1d::new(config, &values(weight)?, &values(bias)?).ok()?;
    depthwise_conv1d(&conv, x, None, Axes::ChannelsLast, threads()).ok().flatten()
}

/// Whether what is computed from `tensor` here and now gets a gradient: inside of `no_grad` the
/// view of a parameter has none.
fn wants_gradient(tensor: &Tensor) -> bool {
    tensor.requires_grad() && tensor.alias().requires_grad()
}

/// Output frames that one matrix product makes at a time.
const BLOCK: i64 = 32;

/// The frames are cut into blocks, and each channel's blocks are multiplied by the band matrix of
/// its kernel. That is twice the arithmetic of the convolution, but as matrix products, which are
/// fast in both directions; the gradient of the library's own depthwise convolution is not.
pub(super) fn toeplitz(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    padding: Padding,
) -> Tensor {
    let (batch, frames, channels) = dims(x);
    let kernel = weight.size()[2];
    let out = frames + padding.left + padding.right - kernel + 1;
    let blocks = (out + BLOCK - 1) / BLOCK;
    let window = BLOCK + kernel - 1;
    // Zeros behind the last frame fill the last block.
    let padded =
        x.permute([2, 0, 1]).constant_pad_nd([padding.left, padding.right + blocks * BLOCK - out]); // [channels, batch, ...]
    let windows = padded
        .unfold(2, window, BLOCK) // [channels, batch, blocks, window]
        .reshape([channels, batch * blocks, window]);
    let y = windows.bmm(&band(weight, window)); // [channels, batch * blocks, BLOCK]
    let y = y.view([channels, batch, blocks * BLOCK]).narrow(2, 0, out).permute([1, 2, 0]);
    match bias {
        Some(bias) => y + bias,
        None => y,
    }
}

/// `[channels, window, BLOCK]`: column `j` holds the kernel from row `j` on.
fn band(weight: &Tensor, window: i64) -> Tensor {
    let (channels, kernel) = (weight.size()[0], weight.size()[2]);
    // A row of `window` numbers that begins with the kernel, written again and again one place
    // later each time, is the matrix: row `j` of length `window + 1` starts at `j * (window + 1)`.
    let row = weight.reshape([channels, kernel]).constant_pad_nd([0, BLOCK]); // [channels, window + 1]
    let rows = row.unsqueeze(1).expand([channels, BLOCK, window + 1], false);
    rows.reshape([channels, BLOCK * (window + 1)])
        .narrow(1, 0, BLOCK * window)
        .view([channels, BLOCK, window])
        .transpose(1, 2)
}

/// One product for every tap of the kernel; for small kernels and strides.
fn taps(x: &Tensor, weight: &Tensor, bias: &Tensor, padding: Padding, stride: i64) -> Tensor {
    let (_, frames, channels) = dims(x);
    let kernel = weight.size()[2];
    let padded = x.constant_pad_nd([0, 0, padding.left, padding.right]);
    let last = frames + padding.left + padding.right - kernel; // start of the last window
    let weight = weight.view([channels, kernel]);
    let mut y = bias.shallow_clone();
    for tap in 0..kernel {
        y = y.g_add(&(padded.slice(1, tap, tap + last + 1, stride) * weight.select(1, tap)));
    }
    y
}

fn dims(x: &Tensor) -> (i64, i64, i64) {
    let size = x.size();
    (size[0], size[1], size[2])
}

/// Kernel and bias of a convolution followed by a batch normalisation with fixed statistics.
#[must_use]
pub fn fold_batch_norm(depthwise: &Depthwise, norm: &BatchNorm, eps: f64) -> Depthwise {
    let (weight, bias) =
        (depthwise.weight.to_kind(Kind::Double), depthwise.bias.to_kind(Kind::Double));
    let gain =
        (norm.running_var.to_kind(Kind::Double) + eps).rsqrt() * norm.weight.to_kind(Kind::Double);
    let offset =
        (bias - norm.running_mean.to_kind(Kind::Double)) * &gain + norm.bias.to_kind(Kind::Double);
    let kind = depthwise.weight.kind();
    Depthwise {
        weight: (weight * gain.view([-1, 1, 1])).to_kind(kind).into(),
        bias: offset.to_kind(kind).into(),
        padding: depthwise.padding,
        stride: depthwise.stride,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;
    use tch::nn::VarStore;

    fn reference(conv: &Depthwise, x: &Tensor) -> Tensor {
        let channels = x.size()[2];
        let x = x.transpose(1, 2).constant_pad_nd([conv.padding.left, conv.padding.right]);
        x.conv1d(&conv.weight, Some(&conv.bias), conv.stride, 0, 1, channels).transpose(1, 2)
    }

    #[test]
    fn both_forms_equal_a_grouped_convolution() {
        let vs = VarStore::new(Device::Cpu);
        for (kernel, stride, padding) in [
            (31, 1, Padding::same(31)),
            (31, 1, Padding::causal(31)),
            (5, 2, Padding { left: 3, right: 3 }),
            (1, 2, Padding { left: 0, right: 0 }),
        ] {
            let path = vs.root() / format!("{kernel} {stride} {}", padding.right);
            let conv = Depthwise::new(&Params::random(&path), 6, kernel, padding)
                .expect("sound sizes")
                .with_stride(stride);
            for frames in [1, 2, 31, 32, 33, 100] {
                let x = Tensor::randn([2, frames, 6], tch::kind::FLOAT_CPU);
                let wanted = reference(&conv, &x);
                let frozen = conv.detached();
                let inferred = frozen.infer(&x);
                if stride == 1 {
                    let kernel = super::kernel(&x, &frozen.weight, &frozen.bias, padding);
                    assert!(kernel.is_some_and(|y| y.equal(&inferred)), "the kernel is used");
                }
                for found in [conv.forward(&x), inferred] {
                    assert_eq!(found.size(), wanted.size(), "{kernel}, {stride}, {frames}");
                    let worst = (found - &wanted).abs().max().double_value(&[]);
                    assert!(worst < 1e-5, "{kernel}, {stride}, {frames}: {worst}");
                }
            }
        }
    }

    #[test]
    fn gradients_equal_a_grouped_convolution() {
        let vs = VarStore::new(Device::Cpu);
        let conv = Depthwise::new(&Params::random(&vs.root()), 4, 31, Padding::same(31))
            .expect("sound sizes");
        let x = Tensor::randn([3, 50, 4], tch::kind::FLOAT_CPU).set_requires_grad(true);
        let target = Tensor::randn([3, 50, 4], tch::kind::FLOAT_CPU);
        let gradients = |y: Tensor| {
            let loss = (y * &target).sum(Kind::Float);
            Tensor::run_backward(&[loss], &[&x, &conv.weight, &conv.bias], false, false)
        };
        let wanted = gradients(reference(&conv, &x));
        // Inference outside of `no_grad` leaves the kernel aside.
        for y in [conv.forward(&x), conv.infer(&x)] {
            for (found, wanted) in gradients(y).iter().zip(&wanted) {
                assert!((found - wanted).abs().max().double_value(&[]) < 1e-4);
            }
        }
    }

    #[test]
    fn what_the_kernel_cannot_take_is_computed_all_the_same() {
        let _guard = tch::no_grad_guard();
        let vs = VarStore::new(Device::Cpu);
        let conv = Depthwise::new(&Params::random(&vs.root()), 4, 7, Padding::same(7))
            .expect("sound sizes");
        let near = |found: &Tensor, wanted: &Tensor| {
            (found.to_kind(Kind::Float) - wanted).abs().max().double_value(&[]) < 1e-5
        };
        let wide = Tensor::randn([2, 30, 8], tch::kind::FLOAT_CPU);
        let strided = wide.slice(2, 0, 8, 2).slice(1, 0, 30, 2);
        let wanted = reference(&conv, &strided);
        assert!(kernel(&strided, &conv.weight, &conv.bias, conv.padding).is_none());
        assert!(near(&conv.infer(&strided), &wanted));
        let frames_adjacent = strided.transpose(1, 2).contiguous().transpose(1, 2);
        assert!(near(&conv.infer(&frames_adjacent), &wanted));
        let [weight, bias] = [&conv.weight, &conv.bias].map(|t| t.to_kind(Kind::Double));
        let double = infer(&strided.to_kind(Kind::Double), &weight, &bias, conv.padding, 1);
        assert_eq!(double.kind(), Kind::Double);
        assert!(near(&double, &wanted));
    }

    #[test]
    fn folded_normalisation_changes_nothing() {
        let vs = VarStore::new(Device::Cpu);
        let conv = Depthwise::new(&Params::random(&vs.root()), 4, 7, Padding::same(7))
            .expect("sound sizes");
        let params = Params::random(&(vs.root() / "n"));
        let mut norm = BatchNorm::new(&params, 4).expect("sound sizes");
        norm.weight = Tensor::randn([4], tch::kind::FLOAT_CPU).into();
        norm.running_mean = Tensor::randn([4], tch::kind::FLOAT_CPU).into();
        norm.running_var = (Tensor::rand([4], tch::kind::FLOAT_CPU) + 0.1).into();
        let x = Tensor::randn([2, 9, 4], tch::kind::FLOAT_CPU);
        let plain = norm.forward_t(&conv.forward(&x).transpose(1, 2), false);
        let folded = fold_batch_norm(&conv, &norm, 1e-5).forward(&x);
        assert!((folded - plain.transpose(1, 2)).abs().max().double_value(&[]) < 1e-5);
    }
}
