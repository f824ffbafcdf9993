//! Depth-wise convolution over time for inference, with normalisation folded into its weights, and
//! activation and residual in the same pass over memory.
//!
//! Made from weights that are loaded already and unaware of later changes to them; the form that
//! can be trained is the networks' own layer.

use formant_kernels::activation::Activation;
use formant_kernels::depthwise::{DepthwiseConfig, DepthwiseConv1d};
use formant_kernels::tensor::{Axes, depthwise_conv1d};
use tch::{Device, Kind, Tensor, nn};

use crate::error::{Error, Result};

/// A frozen depth-wise convolution:
/// `activation(normalisation(convolution(x) + bias)) + residual`.
///
/// On the CPU in `f32`, where no gradient is wanted, this is a kernel of [`formant_kernels`]; it
/// reads frames or channels that are neighbours in memory without a copy, and copies others
/// first. Everything else (another device or type, an input with a gradient) is computed by
/// libtorch's operations with the same weights, and gradients reach the input but not the weights.
#[derive(Debug)]
pub struct FusedDepthwise {
    conv: DepthwiseConv1d,
    weight: Tensor, // [channels, 1, kernel], normalisation folded in
    bias: Tensor,   // [channels]
}

impl FusedDepthwise {
    /// From `weight [channels, 1, kernel]` (or any shape with the same elements, as that of
    /// `[channels, 1, kernel, 1]`) and `bias [channels]`.
    ///
    /// # Errors
    /// [`Error::Config`] when the sizes contradict each other or a setting is out of its range.
    pub fn new(config: DepthwiseConfig, weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let taps = values(weight)?;
        let bias = bias.map_or(Ok(Vec::new()), values)?;
        let conv = DepthwiseConv1d::new(config, &taps, &bias).map_err(|error| fault(&error))?;
        Ok(Self::from_kernel(conv))
    }

    /// With the batch normalisation that follows the convolution, whose epsilon is `eps`, as it
    /// is applied outside of training.
    ///
    /// # Errors
    /// [`Error::Config`] when it has another number of channels.
    pub fn batch_norm(self, norm: &nn::BatchNorm, eps: f64) -> Result<Self> {
        tch::no_grad(|| {
            let deviation = (norm.running_var.to_kind(Kind::Double) + eps).sqrt();
            let scale = match &norm.ws {
                Some(weight) => weight / &deviation,
                None => deviation.reciprocal(),
            };
            let shift = &norm.running_mean * &scale * -1.0;
            let shift = match &norm.bs {
                Some(bias) => shift + bias,
                None => shift,
            };
            let conv = self.conv.scaled(&values(&scale)?, &values(&shift)?);
            Ok(Self::from_kernel(conv.map_err(|error| fault(&error))?))
        })
    }

    /// `x + convolution(x)`, at no cost; before the activation.
    ///
    /// # Errors
    /// [`Error::Config`] when the padding is such that no tap sees the frame that is computed.
    pub fn plus_input(self) -> Result<Self> {
        Ok(Self::from_kernel(self.conv.plus_input().map_err(|error| fault(&error))?))
    }

    fn from_kernel(conv: DepthwiseConv1d) -> Self {
        let size = [conv.channels() as i64, 1, conv.config().kernel as i64];
        let weight = Tensor::from_slice(conv.weight()).view(size);
        let bias = Tensor::from_slice(conv.bias());
        Self { conv, weight, bias }
    }

    /// Convolves `x`, whose axes are `axes`, and adds `residual`, which has the output's shape.
    /// The output's axes are the same.
    ///
    /// # Panics
    /// When shapes do not fit, as libtorch's operations do.
    #[must_use]
    pub fn forward(&self, x: &Tensor, residual: Option<&Tensor>, axes: Axes) -> Tensor {
        let run = |x: &Tensor, residual: Option<&Tensor>| {
            let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1);
            depthwise_conv1d(&self.conv, x, residual, axes, threads).ok().flatten()
        };
        if let Some(y) = run(x, residual) {
            return y;
        }
        if is_plain(x) && residual.is_none_or(is_plain) {
            let dense = residual.map(Tensor::contiguous);
            if let Some(y) = run(&x.contiguous(), dense.as_ref()) {
                return y;
            }
        }
        self.with_libtorch(x, residual, axes)
    }

    fn with_libtorch(&self, x: &Tensor, residual: Option<&Tensor>, axes: Axes) -> Tensor {
        let config = self.conv.config();
        let like = |tensor: &Tensor| tensor.to_device(x.device()).to_kind(x.kind());
        let turn = |tensor: &Tensor| match axes {
            Axes::ChannelsFirst => tensor.shallow_clone(),
            Axes::ChannelsLast => tensor.transpose(1, 2),
        };
        let (before, behind) = config.padding;
        let (weight, bias) = (like(&self.weight), like(&self.bias));
        let y = turn(x) // [batch, channels, frames]
            .constant_pad_nd([before as i64, behind as i64])
            .conv1d(&weight, Some(&bias), 1, 0, config.dilation as i64, weight.size()[0]);
        let y = match config.activation {
            Activation::Identity => y,
            Activation::Relu => y.relu(),
            Activation::Silu => y.silu(),
            Activation::SquaredRelu => y.relu().square(),
        };
        let y = turn(&y);
        match residual {
            Some(residual) => y + residual,
            None => y,
        }
    }
}

/// Whether a copy with dense strides can be given to the kernel.
fn is_plain(tensor: &Tensor) -> bool {
    tensor.device() == Device::Cpu && tensor.kind() == Kind::Float && !tensor.requires_grad()
}

fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view([-1]);
    Vec::try_from(&flat).map_err(|error| fault(&error))
}

fn fault(error: &dyn std::error::Error) -> Error {
    Error::Config { setting: "depth-wise convolution".to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::{ModuleT, VarStore};

    fn worst(a: &Tensor, b: &Tensor) -> f64 {
        assert_eq!(a.size(), b.size());
        (a - b).abs().max().double_value(&[])
    }

    /// A convolution with normalisation and activation as layers of libtorch, and fused.
    fn layers() -> (impl Fn(&Tensor) -> Tensor, FusedDepthwise) {
        tch::manual_seed(11);
        let vs = VarStore::new(Device::Cpu);
        let path = vs.root();
        let conv_config = nn::ConvConfig { padding: 15, groups: 36, ..Default::default() };
        let conv = nn::conv1d(&path / "conv", 36, 36, 31, conv_config);
        let norm = nn::batch_norm1d(&path / "norm", 36, Default::default());
        tch::no_grad(|| {
            for _ in 0..20 {
                let x = Tensor::randn([4, 36, 50], tch::kind::FLOAT_CPU) * 2.0 + 0.5;
                let _ = norm.forward_t(&x, true);
            }
        });
        let config = DepthwiseConfig::same(31).activation(Activation::Silu);
        let fused = FusedDepthwise::new(config, &conv.ws, conv.bs.as_ref())
            .and_then(|fused| fused.batch_norm(&norm, 1e-5))
            .expect("sizes fit");
        let layers =
            move |x: &Tensor| tch::no_grad(|| norm.forward_t(&x.apply(&conv), false).silu());
        (layers, fused)
    }

    #[test]
    fn equals_the_layers_one_by_one() {
        let (layers, fused) = layers();
        let x = Tensor::randn([3, 36, 77], tch::kind::FLOAT_CPU);
        let residual = Tensor::randn([3, 77, 36], tch::kind::FLOAT_CPU).transpose(1, 2);
        let wanted = layers(&x);
        assert!(worst(&fused.forward(&x, None, Axes::ChannelsFirst), &wanted) < 2e-6);
        let wanted = wanted + &residual;
        // With residuals of the same, of the other, and of no order of the axes in memory.
        for residual in [residual.contiguous(), residual, wanted.zeros_like()] {
            let found = fused.forward(&x, Some(&residual), Axes::ChannelsFirst);
            assert!(worst(&found, &(layers(&x) + residual)) < 2e-6);
        }
    }

    #[test]
    fn libtorch_takes_what_the_kernel_cannot() {
        let (layers, fused) = layers();
        let x = Tensor::randn([2, 36, 40], tch::kind::FLOAT_CPU);
        let wanted = layers(&x);
        let double = fused.forward(&x.to_kind(Kind::Double), None, Axes::ChannelsFirst);
        assert_eq!(double.kind(), Kind::Double);
        assert!(worst(&double.to_kind(Kind::Float), &wanted) < 2e-6);

        let input = x.transpose(1, 2).contiguous().set_requires_grad(true);
        let y = fused.forward(&input, None, Axes::ChannelsLast);
        assert!(worst(&y.transpose(1, 2), &wanted) < 2e-6);
        y.sum(Kind::Float).backward();
        assert!(input.grad().abs().max().double_value(&[]) > 0.0);

        let wide = Tensor::zeros([2, 36, 80], tch::kind::FLOAT_CPU);
        let strided = wide.slice(2, 0, 80, 2);
        strided.shallow_clone().copy_(&x);
        assert!(worst(&fused.forward(&strided, None, Axes::ChannelsFirst), &wanted) < 2e-6);
    }

    #[test]
    fn adds_its_input() {
        let weight = Tensor::randn([5, 1, 39, 1], tch::kind::FLOAT_CPU) * 0.1;
        let fused = FusedDepthwise::new(DepthwiseConfig::same(39), &weight, None)
            .and_then(FusedDepthwise::plus_input)
            .expect("sizes fit");
        let x = Tensor::randn([2, 5, 60], tch::kind::FLOAT_CPU);
        let wanted = &x + x.conv1d(&weight.squeeze_dim(3), None::<&Tensor>, 1, 19, 1, 5);
        assert!(worst(&fused.forward(&x, None, Axes::ChannelsFirst), &wanted) < 2e-6);
    }

    #[test]
    fn sizes_that_contradict_are_refused() {
        let weight = Tensor::zeros([4, 1, 3], tch::kind::FLOAT_CPU);
        let bias = Tensor::zeros([5], tch::kind::FLOAT_CPU);
        assert!(FusedDepthwise::new(DepthwiseConfig::same(3), &weight, Some(&bias)).is_err());
        assert!(FusedDepthwise::new(DepthwiseConfig::same(5), &weight, None).is_err());
    }
}
