//! A linear layer without a gradient, by a kernel where one is likely to be faster than libtorch.

use std::sync::Arc;

use formant_kernels::gemm::{Gemm, Matrix, Precision};
use formant_kernels::{activation::Activation, linear::Linear, tensor};
use tch::{Device, Kind, Tensor};

use super::threads::threads;
use crate::params::Weight;

/// `y = activation(x weight^T + bias)` for 32-bit numbers; products are made in the layer's kind of
/// numbers.
#[derive(Debug, Clone)]
pub struct FrozenLinear {
    form: Form,
    activation: Activation,
}

#[derive(Debug, Clone)]
enum Form {
    Kernel(Arc<Linear>),
    Library { weight: Weight, bias: Option<Weight> },
}

impl FrozenLinear {
    /// A layer of `weight [outputs, inputs]` and `bias [outputs]`.
    #[must_use]
    pub fn new(weight: &Tensor, bias: Option<&Tensor>, activation: Activation) -> Self {
        let form = match packed(weight, bias, activation) {
            Some(layer) => Form::Kernel(Arc::new(layer)),
            None => Form::Library {
                weight: weight.detach().into(),
                bias: bias.map(|bias| bias.detach().to_kind(weight.kind()).into()),
            },
        };
        Self { form, activation }
    }

    /// Makes the products in numbers of `kind`.
    pub fn set_kind(&mut self, kind: Kind) {
        let (weight, bias) = match &self.form {
            Form::Kernel(layer) => {
                let size = [layer.outputs(), layer.inputs()].map(|size| size as i64);
                let bias = Some(layer.bias()).filter(|bias| !bias.is_empty());
                (Tensor::from_slice(&layer.weight()).view(size), bias.map(Tensor::from_slice))
            }
            Form::Library { weight, bias } => {
                (weight.shallow_clone(), bias.as_ref().map(|bias| bias.shallow_clone()))
            }
        };
        *self = Self::new(&weight.to_kind(kind), bias.as_ref(), self.activation);
    }

    /// The kernel's plan, where a kernel makes the products.
    #[must_use]
    pub fn kernel(&self) -> Option<&Linear> {
        match &self.form {
            Form::Kernel(layer) => Some(layer),
            Form::Library { .. } => None,
        }
    }

    /// `x [batch, frames, inputs]` to `[batch, frames, outputs]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        match &self.form {
            Form::Kernel(layer) => match tensor::linear(layer, x, threads()) {
                Ok(Some(y)) => y,
                _ => tensor::linear(layer, &x.detach().contiguous(), threads())
                    .ok()
                    .flatten()
                    .expect("frames of 32-bit numbers, as many as the layer takes"),
            },
            Form::Library { weight, bias } => {
                let mut y =
                    x.to_kind(weight.kind()).linear(weight, bias.as_ref()).to_kind(x.kind());
                match self.activation {
                    Activation::Identity => y,
                    Activation::Relu => y.relu_(),
                    Activation::Silu => y.silu_(),
                    Activation::SquaredRelu => y.relu_().square_(),
                }
            }
        }
    }
}

/// The kernel's plan, where there is one for such weights on this processor.
fn packed(weight: &Tensor, bias: Option<&Tensor>, activation: Activation) -> Option<Linear> {
    let precision = match weight.kind() {
        Kind::Float => Precision::Single,
        Kind::BFloat16 => Precision::Bf16,
        _ => return None,
    };
    if weight.device() != Device::Cpu {
        return None;
    }
    let gemm = Gemm::preferred(precision)?;
    let values =
        |tensor: &Tensor| Vec::<f32>::try_from(tensor.to_kind(Kind::Float).reshape([-1])).ok();
    let [outputs, inputs] = <[i64; 2]>::try_from(weight.size()).ok()?;
    let size = [usize::try_from(outputs).ok()?, usize::try_from(inputs).ok()?];
    let bias = bias.map_or(Some(Vec::new()), values)?;
    let weight = values(weight)?;
    Linear::new(gemm, Matrix::dense(&weight, size).ok()?, &bias, activation).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_librarys_layer_in_both_precisions() {
        tch::manual_seed(3);
        let [x, weight, bias] = [&[2i64, 70, 40][..], &[50, 40], &[50]]
            .map(|size| Tensor::randn(size, tch::kind::FLOAT_CPU));
        let wanted = x.linear(&weight, Some(&bias)).silu();
        let worst = |y: Tensor| ((y - &wanted).abs().max() / wanted.abs().max()).double_value(&[]);
        let mut layer = FrozenLinear::new(&weight, Some(&bias), Activation::Silu);
        assert!(worst(layer.forward(&x)) < 1e-5);
        let apart = x.transpose(1, 2).contiguous().transpose(1, 2);
        assert!(worst(layer.forward(&apart)) < 1e-5);
        layer.set_kind(Kind::BFloat16);
        let rounded = worst(layer.forward(&x));
        assert!((1e-5..2e-2).contains(&rounded), "{rounded}");
    }
}
