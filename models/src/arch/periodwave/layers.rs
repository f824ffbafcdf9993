//! Layers of the paths: convolutions over time, and residual blocks of them. Signals are
//! `[batch, time, channels]` throughout, so that no operation has to turn them.

use formant_kernels::convolution::{Convolution, ConvolutionConfig};
use formant_kernels::gemm::Gemm;
use formant_kernels::row_activation::RowActivation;
use tch::nn::Init;
use tch::{Kind, Tensor};

use super::frozen;
use crate::error::Result;
use crate::nn::linear::uniform;
use crate::params::{Params, Weight};

/// The axes that a stored weight has. Paths were trained on rows of a plane, of which convolutions
/// see one column at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// `[outputs, inputs, kernel]`
    Line,
    /// `[outputs, inputs, kernel, 1]`
    Plane,
}

/// How a convolution goes over time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pass {
    /// From every `stride`-th place, with taps `dilation` apart.
    Down { stride: i64, dilation: i64, padding: i64 },
    /// To `factor` places for each.
    Up { factor: i64, padding: i64 },
}

impl Pass {
    /// As many out as in, for an odd kernel.
    pub(super) fn same(kernel: i64, dilation: i64) -> Self {
        Self::Down { stride: 1, dilation, padding: dilation * (kernel - 1) / 2 }
    }
}

/// A convolution over time.
#[derive(Debug, Clone)]
pub(super) struct Conv {
    weight: Weight, // as stored; of an upsampling one inputs come first
    bias: Option<Weight>,
    pass: Pass,
}

impl Conv {
    /// With `bias`.
    pub(super) fn new(
        params: &Params<'_>,
        stored: Stored,
        channels: [i64; 2],
        kernel: i64,
        pass: Pass,
    ) -> Result<Self> {
        let mut conv = Self::without_bias(params, stored, channels, kernel, pass)?;
        let begin = uniform(channels[0] * kernel, 1.0);
        conv.bias = Some(params.get("bias", &[channels[1]], begin)?);
        Ok(conv)
    }

    /// `weight` alone under `params`, for channels `[in, out]`.
    pub(super) fn without_bias(
        params: &Params<'_>,
        stored: Stored,
        [inputs, outputs]: [i64; 2],
        kernel: i64,
        pass: Pass,
    ) -> Result<Self> {
        let (first, second, seen) = match pass {
            Pass::Down { .. } => (outputs, inputs, kernel),
            Pass::Up { factor, .. } => (inputs, outputs, kernel / factor),
        };
        let shape = [first, second, kernel, 1];
        let axes = if stored == Stored::Line { 3 } else { 4 };
        let begin: Init = uniform(inputs * seen.max(1), 1.0);
        Ok(Self { weight: params.get("weight", &shape[..axes], begin)?, bias: None, pass })
    }

    /// `[batch, time, inputs]` to `[batch, time', outputs]`, in f32.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let size = self.weight.size();
        let weight = self.weight.view([size[0], size[1], 1, size[2]]);
        let (x, bias) = (x.to_kind(weight.kind()), self.bias.as_deref());
        // Neighbors stay channels: the library's convolutions of planes take and give that order.
        let plane = x.transpose(1, 2).unsqueeze(2); // [batch, inputs, 1, time]
        let y = match self.pass {
            Pass::Down { stride, dilation, padding } => {
                plane.conv2d(&weight, bias, [1, stride], [0, padding], [1, dilation], 1)
            }
            Pass::Up { factor, padding } => {
                plane.conv_transpose2d(&weight, bias, [1, factor], [0, padding], [0, 0], 1, [1, 1])
            }
        };
        y.squeeze_dim(2).transpose(1, 2).to_kind(Kind::Float).contiguous()
    }

    /// As [`Conv::forward`] of one channel, for a kernel of one tap.
    pub(super) fn spread(&self, x: &Tensor) -> Tensor {
        x * self.weight.view([1, 1, -1]).to_kind(Kind::Float)
    }

    /// Where it computes.
    pub(super) fn device(&self) -> tch::Device {
        self.weight.device()
    }

    /// The weight, element by element as it is stored.
    pub(super) fn numbers(&self) -> Vec<f32> {
        numbers(&self.weight)
    }

    /// The same behind an activation as a kernel takes it; `None` where it does not. Rows that are `stride`
    /// times as many as those of the result are one of as many times the channels, and so are those of
    /// an upsampling result.
    pub(super) fn kernel(&self, gemm: Gemm) -> Option<Convolution> {
        let size = self.weight.size();
        let (rows, kernel) = (self.weight.view([size[0], size[1], size[2]]), size[2]);
        let (taps, dilation) = match self.pass {
            Pass::Down { stride: 1, dilation, padding }
                if 2 * padding == (kernel - 1) * dilation =>
            {
                (rows.permute([2, 1, 0]), dilation)
            }
            // The first tap is that of the first of the rows before, the last that of the first behind.
            Pass::Down { stride, dilation: 1, padding }
                if padding == stride && kernel == 2 * stride + 1 =>
            {
                let taps =
                    rows.constant_pad_nd([0, stride - 1]).view([size[0], size[1], 3, stride]);
                (taps.permute([2, 3, 1, 0]).reshape([3, stride * size[1], size[0]]), 1)
            }
            // A row sees the one that it comes from, and of those beside it the nearer.
            Pass::Up { factor, padding } if kernel == 2 * factor && factor == 2 * padding => {
                let taps = rows.constant_pad_nd([padding, padding]);
                let taps = taps.view([size[0], size[1], 3, factor]).flip([2]);
                (taps.permute([2, 0, 3, 1]).reshape([3, size[0], factor * size[1]]), 1)
            }
            _ => return None,
        };
        let [kernel, inputs, outputs] =
            <[i64; 3]>::try_from(taps.size()).ok()?.map(|x| usize::try_from(x).unwrap_or_default());
        let dilation = usize::try_from(dilation).ok()?;
        let config = ConvolutionConfig { inputs, outputs, kernel, dilation };
        let bias = self.bias.as_ref().map_or_else(|| vec![0.0; outputs], |bias| numbers(bias));
        Convolution::new(gemm, config, RowActivation::Silu, &numbers(&taps), &bias).ok()
    }

    /// Makes the products in numbers of `kind`.
    pub(super) fn set_kind(&mut self, kind: Kind) {
        self.weight = self.weight.detach().to_kind(kind).into();
        self.bias = self.bias.as_ref().map(|bias| bias.detach().to_kind(kind).into());
    }
}

/// The elements of a tensor, in order.
pub(super) fn numbers(weight: &Tensor) -> Vec<f32> {
    let weight = weight.detach().to_kind(Kind::Float).contiguous().view([-1]);
    Vec::try_from(weight).expect("32-bit numbers")
}

/// Residual blocks one after the other, each with two convolutions of kernel 3, the first dilated.
#[derive(Debug, Clone)]
pub(super) struct ResBlocks {
    blocks: Vec<[Conv; 2]>,
}

/// Taps of the convolutions of residual blocks.
const KERNEL: i64 = 3;

impl ResBlocks {
    /// A block for each of `dilations`.
    pub(super) fn new(
        params: &Params<'_>,
        stored: Stored,
        channels: i64,
        dilations: &[i64],
    ) -> Result<Self> {
        let block = |(index, &dilation): (usize, &i64)| -> Result<[Conv; 2]> {
            let place = params / "ResBlocks" / index;
            let conv = |name: &str, dilation: i64| {
                let pass = Pass::same(KERNEL, dilation);
                Conv::new(&place.sub(name), stored, [channels, channels], KERNEL, pass)
            };
            Ok([conv("block1", dilation)?, conv("block2", 1)?])
        };
        Ok(Self { blocks: dilations.iter().enumerate().map(block).collect::<Result<_>>()? })
    }

    /// `[batch, time, channels]` to the same shape.
    pub(super) fn forward(&self, x: Tensor) -> Tensor {
        self.blocks.iter().fold(x, |x, [first, second]| {
            let inner = first.forward(&x.silu());
            x + second.forward(&inner.silu())
        })
    }

    /// The same as kernels take them; `None` where they do not.
    pub(super) fn kernels(&self, gemm: Gemm) -> Option<Vec<frozen::Block>> {
        let block = |[first, second]: &[Conv; 2]| Some([first.kernel(gemm)?, second.kernel(gemm)?]);
        self.blocks.iter().map(block).collect()
    }

    /// Makes the products in numbers of `kind`.
    pub(super) fn set_kind(&mut self, kind: Kind) {
        self.blocks.iter_mut().flatten().for_each(|conv| conv.set_kind(kind));
    }
}

/// Places on each side that an output of residual blocks sees.
pub(super) fn reach(dilations: &[i64]) -> i64 {
    dilations.iter().map(|dilation| dilation + 1).sum()
}
