//! Layers of the generator: convolutions and residual blocks.

use formant_kernels::convolution::{
    Convolution, ConvolutionConfig, LONGEST_KERNEL, Upsampling, UpsamplingConfig,
};
use formant_kernels::gemm::Gemm;
use formant_kernels::row_activation::RowActivation;
use tch::nn::Init;
use tch::{Device, Kind, Tensor};

use super::activation::{Activation, Style};
use super::config::ResBlockKind;
use super::frozen;
use crate::error::Result;
use crate::network::Trace;
use crate::nn::linear::uniform;
use crate::params::{Params, Weight};

/// A convolution that keeps the length, or one that multiplies it by a whole factor.
#[derive(Debug, Clone)]
pub(super) struct Conv {
    weight: Weight, // [outputs, inputs, kernel]; of an upsampling one [inputs, outputs, kernel]
    bias: Option<Weight>, // [outputs]
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
            bias: Some(params.get("bias", &[outputs], begin)?),
            weight: params.get("weight", shape, begin)?,
            kind,
        })
    }

    /// With an odd kernel, and without a bias.
    pub(super) fn without_bias(
        params: &Params<'_>,
        [inputs, outputs]: [i64; 2],
        kernel: i64,
    ) -> Result<Self> {
        let begin = uniform(inputs * kernel, 1.0);
        let weight = params.get("weight", &[outputs, inputs, kernel], begin)?;
        Ok(Self { weight, bias: None, kind: ConvKind::Dilated(1) })
    }

    /// `[batch, inputs, time]` to `[batch, outputs, time]`, in f32.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let (x, kernel) = (x.to_kind(self.weight.kind()), self.weight.size()[2]);
        let y = match self.kind {
            ConvKind::Dilated(dilation) => {
                let padding = dilation * (kernel - 1) / 2;
                let (weight, bias) = (&*self.weight, self.bias.as_deref());
                x.conv1d(weight, bias, [1], [padding], [dilation], 1)
            }
            ConvKind::Upsampling(factor) => {
                let padding = (kernel - factor) / 2;
                let (weight, bias) = (&*self.weight, self.bias.as_deref());
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
        let bias = self.bias.as_deref().map_or_else(|| vec![0.0; outputs], numbers);
        Convolution::new(gemm, config, before, &numbers(&weight), &bias)
            .expect("sizes that were validated")
    }

    /// The kernel of a convolution that multiplies the length, behind `before`.
    pub(super) fn into_upsampling(self, gemm: Gemm, before: RowActivation) -> Upsampling {
        let ConvKind::Upsampling(factor) = self.kind else { unreachable!("it multiplies") };
        let weight = self.weight.detach().permute([2, 0, 1]);
        let [kernel, inputs, outputs] = sizes(&weight);
        let factor = usize::try_from(factor).unwrap_or_default();
        let config = UpsamplingConfig { inputs, outputs, kernel, factor };
        let bias = self.bias.as_deref().map_or_else(|| vec![0.0; outputs], numbers);
        Upsampling::new(gemm, config, before, &numbers(&weight), &bias)
            .expect("sizes that were validated")
    }

    pub(super) fn set_kind(&mut self, kind: Kind) {
        self.weight = self.weight.detach().to_kind(kind).into();
        self.bias = self.bias.as_ref().map(|bias| bias.detach().to_kind(kind).into());
    }
}

/// The elements of a tensor of 32-bit numbers.
pub(super) fn numbers(tensor: &Tensor) -> Vec<f32> {
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

/// An activation and the convolution behind it, with their names where they have weights.
#[derive(Debug, Clone)]
struct Half {
    activation: (Option<String>, Activation),
    conv: (String, Conv),
}

impl ResBlock {
    pub(super) fn new(
        params: &Params<'_>,
        kind: ResBlockKind,
        style: Style,
        channels: i64,
        kernel: i64,
        dilations: &[i64],
    ) -> Result<Self> {
        let half = |list: &str, index: usize, order: usize, dilation: i64| -> Result<Half> {
            let (name, both) = (format!("{list}.{index}"), [channels, channels]);
            let conv = Conv::new(&params.sub(&name), both, kernel, dilation)?;
            let activation = style.of_block(params, (list, index, order), channels)?;
            Ok(Half { activation, conv: (name, conv) })
        };
        let step = |(index, &dilation): (usize, &i64)| -> Result<Vec<Half>> {
            Ok(match kind {
                ResBlockKind::Pairs => vec![
                    half("convs1", index, 2 * index, dilation)?,
                    half("convs2", index, 2 * index + 1, 1)?,
                ],
                ResBlockKind::Singles => vec![half("convs", index, index, dilation)?],
            })
        };
        Ok(Self { steps: dilations.iter().enumerate().map(step).collect::<Result<_>>()? })
    }

    /// `[batch, channels, time]` to the same; `name` is the block's in the trace.
    pub(super) fn forward(&self, x: &Tensor, name: &str, trace: &mut dyn Trace) -> Tensor {
        let mut x = x.shallow_clone();
        for step in &self.steps {
            let mut inner = x.shallow_clone();
            for Half { activation, conv } in step {
                inner = activation.1.forward(&inner);
                if let Some(activation) = &activation.0 {
                    trace.record(&format!("{name}.{activation}"), &inner);
                }
                inner = conv.1.forward(&inner);
                trace.record(&format!("{name}.{}", conv.0), &inner);
            }
            x = inner + x;
        }
        trace.record(name, &x);
        x
    }

    fn halves(&self) -> impl Iterator<Item = &Half> {
        self.steps.iter().flatten()
    }

    /// Whether kernels take its layers.
    pub(super) fn has_kernels(&self) -> bool {
        self.halves().all(|half| half.conv.1.has_kernel())
    }

    /// The layers as kernels take them.
    pub(super) fn into_kernels(self, gemm: Gemm) -> frozen::Block {
        let half = |half: Half| {
            let (anti_aliased, before) = half.activation.1.into_kernels();
            frozen::Half { anti_aliased, conv: half.conv.1.into_convolution(gemm, before) }
        };
        let step = |step: Vec<Half>| step.into_iter().map(half).collect();
        frozen::Block { steps: self.steps.into_iter().map(step).collect() }
    }

    /// Samples on each side that an output depends on.
    pub(super) fn reach(&self) -> i64 {
        self.halves().map(|half| half.activation.1.reach() + half.conv.1.reach()).sum()
    }

    pub(super) fn set_kind(&mut self, kind: Kind) {
        self.steps.iter_mut().flatten().for_each(|half| half.conv.1.set_kind(kind));
    }
}
