//! The recurrent block of MossFormer2, whose memory is a convolution over 39 frames instead of a
//! recurrence.
//!
//! Source: Zhao et al., "MossFormer2" (arXiv 2312.11825), section 2.2, and Zhang et al., "Deep-FSMN"
//! (arXiv 1803.05030), in both forms that are released: one convolution, or two that are densely
//! connected and dilated.

use formant_kernels::activation::Activation;
use tch::nn::{Init, Module};
use tch::{Kind, Tensor};

use super::ffconvm::{FfConvM, FfSizes, FrozenFfConvM, NormKind};
use super::frame_norm::FrameNorm;
use super::frozen_linear::FrozenLinear;
use super::linear::{Linear, uniform};
use super::residual_conv::{FrozenConv, FrozenGroups, GroupedConv, ResidualConv};
use super::sequence_norm::{ChannelNorm, FrozenChannelNorm};
use super::tape::cut;
use crate::error::Result;
use crate::params::{Params, Weight};

/// How far a memory sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryKind {
    /// One convolution.
    Plain,
    /// As many convolutions as this, each of which sees the results of all before it and reaches
    /// twice as far.
    Dense(i64),
}

/// Sizes of an [`Fsmn`].
#[derive(Debug, Clone, Copy)]
pub struct FsmnSizes {
    /// Channels.
    pub dim: i64,
    /// Channels inside.
    pub inner: i64,
    /// Frames that the memory sees to either side, and the present one.
    pub order: i64,
    /// Frames that the other convolutions see, odd.
    pub kernel: i64,
    /// Form of the memory.
    pub memory: MemoryKind,
}

/// The block, `[batch, frames, dim]` to the same shape.
#[derive(Debug, Clone)]
pub struct Fsmn {
    conv1: Pointwise,
    slope: Weight, // [1]
    norm1: FrameNorm,
    to_u: FfConvM,
    to_v: FfConvM,
    memory: Memory,
    norm2: FrameNorm,
    conv2: Pointwise,
}

/// A convolution over one frame, stored as `[out, in, 1]`.
#[derive(Debug, Clone)]
pub struct Pointwise {
    weight: Weight,
    bias: Option<Weight>,
}

impl Pointwise {
    /// `weight` and `bias` under `params`.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, inputs: i64, outputs: i64) -> Result<Self> {
        let bias = params.get("bias", &[outputs], uniform(inputs, 1.0))?;
        Ok(Self { bias: Some(bias), ..Self::without_bias(params, inputs, outputs)? })
    }

    /// `weight` under `params`.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn without_bias(params: &Params<'_>, inputs: i64, outputs: i64) -> Result<Self> {
        let weight = params.get("weight", &[outputs, inputs, 1], uniform(inputs, 1.0))?;
        Ok(Self { weight, bias: None })
    }

    /// `[batch, frames, in]` to `[batch, frames, out]`, numbers of the input's kind.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let y = x.to_kind(self.weight.kind());
        y.linear(&self.weight.squeeze_dim(2), self.bias.as_ref()).to_kind(x.kind())
    }

    /// Makes the product in numbers of `kind`.
    pub fn set_kind(&mut self, kind: Kind) {
        self.weight = self.weight.to_kind(kind).into();
        self.bias = self.bias.as_ref().map(|bias| bias.to_kind(kind).into());
    }

    /// Its first `outputs` channels alone.
    #[must_use]
    pub fn narrowed(&self, outputs: i64) -> Self {
        let first = |tensor: &Weight| Weight::from(tensor.narrow(0, 0, outputs));
        Self { weight: first(&self.weight), bias: self.bias.as_ref().map(first) }
    }

    /// The same without a gradient, which computes the same faster.
    #[must_use]
    pub fn freeze(&self) -> FrozenLinear {
        FrozenLinear::new(&self.weight.squeeze_dim(2), self.bias.as_deref(), Activation::Identity)
    }

    /// The same without a gradient.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { weight: self.weight.detach(), bias: self.bias.as_ref().map(Weight::detach) }
    }
}

#[derive(Debug, Clone)]
struct Memory {
    linear: Linear,
    project: Weight, // [inner, inner]
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Plain(ResidualConv),
    Dense(Vec<Step>),
}

/// One convolution of a dense memory.
#[derive(Debug, Clone)]
struct Step {
    conv: GroupedConv,
    norm: ChannelNorm,
    slopes: Weight, // [inner]
}

impl Memory {
    fn new(params: &Params<'_>, sizes: FsmnSizes) -> Result<Self> {
        let (inner, kernel) = (sizes.inner, 2 * sizes.order - 1);
        let form = match sizes.memory {
            MemoryKind::Plain => {
                Form::Plain(ResidualConv::new(&(params / "conv1"), &[inner, 1, kernel, 1])?)
            }
            MemoryKind::Dense(depth) => {
                let params = params / "conv";
                let step = |k: i64| -> Result<Step> {
                    Ok(Step {
                        conv: GroupedConv::new(
                            &(&params / format!("conv{k}")),
                            [inner, k, kernel],
                            1 << (k - 1),
                        )?,
                        norm: ChannelNorm::new(&(&params / format!("norm{k}")), inner, 1e-5)?,
                        slopes: (&params / format!("prelu{k}")).get(
                            "weight",
                            &[inner],
                            Init::Const(0.25),
                        )?,
                    })
                };
                Form::Dense((1..=depth).map(step).collect::<Result<_>>()?)
            }
        };
        Ok(Self {
            linear: Linear::new(&(params / "linear"), inner, inner)?,
            project: (params / "project").get("weight", &[inner, inner], uniform(inner, 1.0))?,
            form,
        })
    }

    fn forward(&self, u: &Tensor, seen: &mut dyn FnMut(&str, &Tensor)) -> Tensor {
        let p = cut(&self.linear.forward(u).relu().linear::<Tensor>(&self.project, None));
        seen("fsmn.project", &p);
        let tap = |x: &Tensor| x.transpose(1, 2).unsqueeze(3); // [batch, inner, frames, 1]
        let m = match &self.form {
            Form::Plain(conv) => {
                let m = conv.forward(&p);
                seen("fsmn.conv1", &tap(&(&m - &p)));
                m
            }
            Form::Dense(steps) => {
                let (mut skip, mut last) = (p.shallow_clone(), p);
                for (step, k) in steps.iter().zip(1..) {
                    let y = step.conv.forward(&skip);
                    seen(&format!("fsmn.dense.conv{k}"), &tap(&y));
                    let y = step.norm.forward(&y);
                    seen(&format!("fsmn.dense.norm{k}"), &tap(&y));
                    last = prelu(&y, &step.slopes);
                    seen(&format!("fsmn.dense.prelu{k}"), &tap(&last));
                    if k < steps.len() {
                        skip = cut(&Tensor::cat(&[&last, &skip], 2));
                    }
                }
                last
            }
        };
        u + m
    }
}

/// PReLU over the channels of `[batch, frames, channels]`.
fn prelu(x: &Tensor, slopes: &Tensor) -> Tensor {
    x.transpose(1, 2).prelu(slopes).transpose(1, 2)
}

impl Fsmn {
    /// All parameters under `params`.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, sizes: FsmnSizes) -> Result<Self> {
        let FsmnSizes { dim, inner, kernel, .. } = sizes;
        let gated = params / "gated_fsmn";
        let ff = |name: &str| {
            let sizes = FfSizes { inputs: inner, outputs: inner, kernel };
            FfConvM::new(&(&gated / name), sizes, NormKind::Layer)
        };
        let norm = |name: &str| FrameNorm::new(&(params / name), inner, 1e-5);
        Ok(Self {
            conv1: Pointwise::new(&params.sub("conv1.0"), dim, inner)?,
            slope: params.sub("conv1.1").get("weight", &[1], Init::Const(0.25))?,
            norm1: norm("norm1")?,
            to_u: ff("to_u")?,
            to_v: ff("to_v")?,
            memory: Memory::new(&(&gated / "fsmn"), sizes)?,
            norm2: norm("norm2")?,
            conv2: Pointwise::new(&(params / "conv2"), inner, dim)?,
        })
    }

    /// The block; `seen` is told about what is computed on the way.
    pub fn forward(&self, x: &Tensor, seen: &mut dyn FnMut(&str, &Tensor)) -> Tensor {
        let first = |x: &Tensor| x.transpose(1, 2);
        let x = &cut(x);
        let y = self.conv1.forward(x).prelu(&self.slope);
        seen("conv1", &first(&y));
        let y = cut(&self.norm1.forward(&y)); // [batch, frames, inner]
        seen("norm1", &first(&y));
        let (u, v) = (self.to_u.forward(&y), self.to_v.forward(&y));
        seen("to_u", &u);
        seen("to_v", &v);
        let f = self.memory.forward(&u, seen);
        seen("fsmn", &f);
        let z = y.addcmul(&v, &f);
        seen("gated_fsmn", &z);
        let z = self.norm2.forward(&z);
        seen("norm2", &first(&z));
        let z = self.conv2.forward(&z);
        seen("conv2", &first(&z));
        let out = x + z;
        seen("out", &out);
        out
    }

    /// The same without a gradient.
    #[must_use]
    pub fn freeze(&self) -> FrozenFsmn {
        let form = match &self.memory.form {
            Form::Plain(conv) => FrozenForm::Plain(Box::new(conv.freeze())),
            Form::Dense(steps) => FrozenForm::Dense(steps.iter().map(FrozenStep::new).collect()),
        };
        FrozenFsmn {
            conv1: self.conv1.freeze(),
            slope: self.slope.detach(),
            norm1: self.norm1.detached(),
            to_uv: FfConvM::freeze_all(&[&self.to_u, &self.to_v]),
            linear: FrozenLinear::new(
                &self.memory.linear.weight,
                self.memory.linear.bias.as_deref(),
                Activation::Relu,
            ),
            project: FrozenLinear::new(&self.memory.project, None, Activation::Identity),
            form,
            norm2: self.norm2.detached(),
            conv2: self.conv2.freeze(),
        }
    }
}

/// An [`Fsmn`] without a gradient.
#[derive(Debug, Clone)]
pub struct FrozenFsmn {
    conv1: FrozenLinear,
    slope: Weight,
    norm1: FrameNorm,
    to_uv: FrozenFfConvM,
    linear: FrozenLinear,
    project: FrozenLinear,
    form: FrozenForm,
    norm2: FrameNorm,
    conv2: FrozenLinear,
}

#[derive(Debug, Clone)]
enum FrozenForm {
    Plain(Box<FrozenConv>),
    Dense(Vec<FrozenStep>),
}

#[derive(Debug, Clone)]
struct FrozenStep {
    conv: FrozenGroups,
    norm: FrozenChannelNorm,
}

impl FrozenStep {
    fn new(step: &Step) -> Self {
        Self { conv: step.conv.freeze(), norm: step.norm.freeze(&step.slopes) }
    }
}

impl FrozenFsmn {
    /// Makes the matrix products in numbers of `kind`; all else stays as it is.
    pub fn set_kind(&mut self, kind: Kind) {
        self.conv1.set_kind(kind);
        self.to_uv.set_kind(kind);
        self.linear.set_kind(kind);
        self.project.set_kind(kind);
        self.conv2.set_kind(kind);
    }

    /// As [`Fsmn::forward`].
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.norm1.forward(&self.conv1.forward(x).prelu(&self.slope));
        let inner = y.size()[2];
        let uv = self.to_uv.forward(&y, None);
        let (u, v) = (uv.narrow(2, 0, inner), uv.narrow(2, inner, inner));
        let p = self.project.forward(&self.linear.forward(&u));
        let f = match &self.form {
            FrozenForm::Plain(conv) => conv.forward(&p, Some(&u)),
            FrozenForm::Dense(steps) => {
                let (mut skip, mut last) = (p.shallow_clone(), p);
                for (step, k) in steps.iter().zip(1..) {
                    let y = step.conv.forward(&skip);
                    let is_last = k == steps.len();
                    last = step.norm.forward(&y, is_last.then_some(&u));
                    if !is_last {
                        skip = Tensor::cat(&[&last, &skip], 2);
                    }
                }
                last
            }
        };
        let z = self.norm2.forward(&y.addcmul(&v, &f));
        self.conv2.forward(&z).g_add_(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;
    use tch::nn::VarStore;

    #[test]
    fn the_frozen_block_equals_the_block() {
        for memory in [MemoryKind::Plain, MemoryKind::Dense(2), MemoryKind::Dense(3)] {
            let vs = VarStore::new(Device::Cpu);
            let sizes = FsmnSizes { dim: 12, inner: 8, order: 4, kernel: 5, memory };
            let block = Fsmn::new(&Params::random(&vs.root()), sizes).expect("sound sizes");
            tch::no_grad(|| {
                for mut variable in vs.trainable_variables() {
                    let _ = variable.g_add_(&(Tensor::randn_like(&variable) * 0.2));
                }
                let frozen = block.freeze();
                for frames in [1, 2, 31, 64] {
                    let x = Tensor::randn([2, frames, 12], tch::kind::FLOAT_CPU);
                    let wanted = block.forward(&x, &mut |_, _| {});
                    let worst = (frozen.forward(&x) - wanted).abs().max().double_value(&[]);
                    assert!(worst < 2e-5, "{memory:?}, {frames}: {worst}");
                }
            });
        }
    }
}
