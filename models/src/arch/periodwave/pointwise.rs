//! A linear layer of every frame, which a matrix unit computes where there is one and no gradient is
//! asked for.

use std::sync::Arc;

use formant_kernels::convolution::{Convolution, ConvolutionConfig, Onto};
use formant_kernels::gemm::{Gemm, Precision};
use formant_kernels::row_activation::RowActivation;
use tch::{Device, Tensor};

use super::layers::numbers;
use crate::error::Result;
use crate::nn::linear::Linear;
use crate::params::Params;

/// `[batch, frames, inputs]` to `[batch, frames, outputs]`.
#[derive(Debug, Clone)]
pub(super) enum Pointwise {
    Library(Linear),
    /// A convolution of one tap.
    Kernel(Arc<Convolution>),
}

impl Pointwise {
    pub(super) fn new(params: &Params<'_>, inputs: i64, outputs: i64) -> Result<Self> {
        Linear::new(params, inputs, outputs).map(Self::Library)
    }

    /// On at most `threads` threads where a kernel computes it, which change no byte.
    pub(super) fn forward(&self, x: &Tensor, threads: usize) -> Tensor {
        let layer = match self {
            Self::Library(layer) => return layer.forward(x),
            Self::Kernel(layer) => layer,
        };
        let ConvolutionConfig { inputs, outputs, .. } = layer.config();
        let rows = numbers(x);
        let mut out = vec![0.0; rows.len() / inputs * outputs];
        layer
            .run(&rows, 0, Onto::default(), &mut out, threads)
            .expect("rows of the layer's inputs");
        let mut size = x.size();
        size[2] = outputs as i64;
        Tensor::from_slice(&out).view(size.as_slice())
    }

    /// The same without a gradient, faster where there is a matrix unit.
    pub(super) fn freeze(&mut self) {
        let Self::Library(Linear { weight, bias }) = self else { return };
        let size = weight
            .size()
            .into_iter()
            .map(usize::try_from)
            .collect::<std::result::Result<Vec<_>, _>>();
        let (Device::Cpu, Ok([outputs, inputs]), Some(gemm), Some(bias)) =
            (weight.device(), size.as_deref(), Gemm::new(Precision::Single), bias)
        else {
            return;
        };
        let config =
            ConvolutionConfig { inputs: *inputs, outputs: *outputs, kernel: 1, dilation: 1 };
        let (weight, bias) = (numbers(&weight.transpose(0, 1)), numbers(bias));
        let layer = Convolution::new(gemm, config, RowActivation::Identity, &weight, &bias);
        if let Some(layer) = layer.ok().filter(Convolution::is_direct) {
            *self = Self::Kernel(Arc::new(layer));
        }
    }
}
