//! Layers of the generator: convolutions, the Snake activation, residual blocks.

use formant_kernels::convolution::{
    Convolution, ConvolutionConfig, LONGEST_KERNEL, Upsampling, UpsamplingConfig,
};
use formant_kernels::gemm::Gemm;
use formant_kernels::row_activation::{self, RowActivation};
use tch::nn::Init;
use tch::{Device, Kind, Tensor};

use super::config::ResBlockKind;
use super::frozen;
use crate::error::Result;
use crate::network::Trace;
use crate::nn::linear::uniform;
use crate::params::{Params, Weight};

/// Keeps the quotient of [`Snake`] finite.
const SNAKE_EPS: f64 = 1e-9;

/// `x + sin(alpha x)^2 / alpha`, an `alpha` a channel. Always in f32: in 16 bits a large `alpha x`
/// has no phase.
///
/// Source: Ziyin et al., "Neural Networks Fail to Learn Periodic Functions" (arXiv 2006.08195).
#[derive(Debug, Clone)]
pub(super) struct Snake {
    alpha: Weight, // [1, channels, 1]
}

impl Snake {
    pub(super) fn new(params: &Params<'_>, channels: i64) -> Result<Self> {
        Ok(Self { alpha: params.ones("alpha", &[1, channels, 1])? })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let inverse = (&*self.alpha + SNAKE_EPS).reciprocal();
        (x * &*self.alpha).sin_().square_().g_mul_(&inverse).g_add_(x)
    }

    /// The activation of rows of channels.
    pub(super) fn into_kernel(self) -> RowActivation {
        let alpha = self.alpha.detach();
        let inverse = (&*alpha + SNAKE_EPS).reciprocal();
        let snake = row_activation::Snake::new(&numbers(&alpha), &numbers(&inverse));
        RowActivation::Snake(snake.expect("lists of one length"))
    }
}

/// A convolution that keeps the length, or one that multiplies it by a whole factor.
#[derive(Debug, Clone)]
pub(super) struct Conv {
    weight: Weight, // [outputs, inputs, kernel]; of an upsampling one [inputs, outputs, kernel]
    bias: Weight,   // [outputs]
    kind: ConvKind,
}

#[derive(Debug, Clone, Copy)]
enum ConvKind {
    Dilated(i64),
    Upsampling(i64),
}

impl Conv {
    /// With an odd kernel.
    pub(super) fn new(
        params: &Params<'_>,
        [inputs, outputs]: [i64; 2],
        kernel: i64,
        dilation: i64,
    ) -> Result<Self> {
        let begin = uniform(inputs * kernel, 1.0);
        Self::make(params, &[outputs, inputs, kernel], outputs, begin, ConvKind::Dilated(dilation))
    }

    /// With a kernel that is longer than `factor` by an even number.
    pub(super) fn upsampling(
        params: &Params<'_>,
        [inputs, outputs]: [i64; 2],
        kernel: i64,
        factor: i64,
    ) -> Result<Self> {
        let begin = uniform((inputs * kernel / factor).max(1), 1.0);
        Self::make(params, &[inputs, outputs, kernel], outputs, begin, ConvKind::Upsampling(factor))
    }

    fn make(
        params: &Params<'_>,
        shape: &[i64],
        outputs: i64,
        begin: Init,
        kind: ConvKind,
    ) -> Result<Self> {
        Ok(Self {
            bias: params.get("bias", &[outputs], begin)?,
            weight: params.get("weight", shape, begin)?,
            kind,
        })
    }

    /// `[batch, inputs, time]` to `[batch, outputs, time]`, in f32.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let (x, kernel) = (x.to_kind(self.weight.kind()), self.weight.size()[2]);
        let y = match self.kind {
            ConvKind::Dilated(dilation) => {
                let padding = dilation * (kernel - 1) / 2;
                let (weight, bias) = (&*self.weight, Some(&*self.bias));
                x.conv1d(weight, bias, [1], [padding], [dilation], 1)
            }
            ConvKind::Upsampling(factor) => {
                let padding = (kernel - factor) / 2;
                let (weight, bias) = (&*self.weight, Some(&*self.bias));
                x.conv_transpose1d(weight, bias, [factor], [padding], [0], 1, [1])
            }
        };
        y.to_kind(Kind::Float)
    }

    /// Inputs on each side that an output depends on, in samples of the input.
    pub(super) fn reach(&self) -> i64 {
        let kernel = self.weight.size()[2];
        match self.kind {
            ConvKind::Dilated(dilation) => dilation * (kernel - 1) / 2,
            ConvKind::Upsampling(factor) => kernel / factor + 1,
        }
    }

    /// Whether a kernel takes such weights.
    pub(super) fn has_kernel(&self) -> bool {
        let plain = self.weight.device() == Device::Cpu && self.weight.kind() == Kind::Float;
        plain && self.weight.size()[2] <= LONGEST_KERNEL as i64
    }

    /// The kernel of a convolution that keeps the length, behind `before`.
    pub(super) fn into_convolution(self, gemm: Gemm, before: RowActivation) -> Convolution {
        let ConvKind::Dilated(dilation) = self.kind else { unreachable!("it keeps the length") };
        let weight = self.weight.detach().permute([2, 1, 0]);
        let [kernel, inputs, outputs] = sizes(&weight);
        let dilation = usize::try_from(dilation).unwrap_or_default();
        let config = ConvolutionConfig { inputs, outputs, kernel, dilation };
        Convolution::new(gemm, config, before, &numbers(&weight), &numbers(&self.bias))
            .expect("sizes that were validated")
    }

    /// The kernel of a convolution that multiplies the length, behind `before`.
    pub(super) fn into_upsampling(self, gemm: Gemm, before: RowActivation) -> Upsampling {
        let ConvKind::Upsampling(factor) = self.kind else { unreachable!("it multiplies") };
        let weight = self.weight.detach().permute([2, 0, 1]);
        let [kernel, inputs, outputs] = sizes(&weight);
        let factor = usize::try_from(factor).unwrap_or_default();
        let config = UpsamplingConfig { inputs, outputs, kernel, factor };
        Upsampling::new(gemm, config, before, &numbers(&weight), &numbers(&self.bias))
            .expect("sizes that were validated")
    }

    pub(super) fn set_kind(&mut self, kind: Kind) {
        self.weight = self.weight.detach().to_kind(kind).into();
        self.bias = self.bias.detach().to_kind(kind).into();
    }
}

/// The elements of a tensor of 32-bit numbers.
fn numbers(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.detach().reshape([-1])).expect("32-bit numbers")
}

fn sizes(tensor: &Tensor) -> [usize; 3] {
    let (a, b, c) = tensor.size3().expect("three axes");
    [a, b, c].map(|size| usize::try_from(size).unwrap_or_default())
}

/// A residual block: activations and convolutions around which the input goes.
#[derive(Debug, Clone)]
pub(super) struct ResBlock {
    steps: Vec<Vec<Half>>,
}

/// An activation and the convolution behind it, with their names.
#[derive(Debug, Clone)]
struct Half {
    snake: (String, Snake),
    conv: (String, Conv),
}

impl ResBlock {
    pub(super) fn new(
        params: &Params<'_>,
        kind: ResBlockKind,
        channels: i64,
        kernel: i64,
        dilations: &[i64],
    ) -> Result<Self> {
        let half = |list: &str, index: usize, dilation: i64| -> Result<Half> {
            let (snake, conv) = (format!("{list}_activates.{index}"), format!("{list}.{index}"));
            let both = [channels, channels];
            Ok(Half {
                snake: (snake.clone(), Snake::new(&params.sub(snake), channels)?),
                conv: (conv.clone(), Conv::new(&params.sub(conv), both, kernel, dilation)?),
            })
        };
        let step = |(index, &dilation): (usize, &i64)| -> Result<Vec<Half>> {
            Ok(match kind {
                ResBlockKind::Pairs => {
                    vec![half("convs1", index, dilation)?, half("convs2", index, 1)?]
                }
                ResBlockKind::Singles => vec![half("convs", index, dilation)?],
            })
        };
        Ok(Self { steps: dilations.iter().enumerate().map(step).collect::<Result<_>>()? })
    }

    /// `[batch, channels, time]` to the same; `name` is the block's in the trace.
    pub(super) fn forward(&self, x: &Tensor, name: &str, trace: &mut dyn Trace) -> Tensor {
        let mut x = x.shallow_clone();
        for step in &self.steps {
            let mut inner = x.shallow_clone();
            for Half { snake, conv } in step {
                inner = snake.1.forward(&inner);
                trace.record(&format!("{name}.{}", snake.0), &inner);
                inner = conv.1.forward(&inner);
                trace.record(&format!("{name}.{}", conv.0), &inner);
            }
            x = inner + x;
        }
        trace.record(name, &x);
        x
    }

    pub(super) fn convs(&self) -> impl Iterator<Item = &Conv> {
        self.steps.iter().flatten().map(|half| &half.conv.1)
    }

    /// The layers as kernels take them.
    pub(super) fn into_kernels(self, gemm: Gemm) -> frozen::Block {
        let half =
            |Half { snake, conv }: Half| conv.1.into_convolution(gemm, snake.1.into_kernel());
        let step = |step: Vec<Half>| step.into_iter().map(half).collect();
        frozen::Block { steps: self.steps.into_iter().map(step).collect() }
    }

    /// Samples on each side that an output depends on.
    pub(super) fn reach(&self) -> i64 {
        self.steps.iter().flatten().map(|half| half.conv.1.reach()).sum()
    }

    pub(super) fn set_kind(&mut self, kind: Kind) {
        self.steps.iter_mut().flatten().for_each(|half| half.conv.1.set_kind(kind));
    }
}
