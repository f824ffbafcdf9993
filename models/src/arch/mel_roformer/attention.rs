//! The two kinds of attention: full with rotary positions and gated heads, and linear over
//! channels (cross-covariance).
//!
//! Source of the linear kind: El-Nouby et al., "XCiT: Cross-Covariance Image Transformers"
//! (arXiv 2106.09681).

use tch::nn::{self, Module};
use tch::{Kind, Tensor};

use super::config::MelRoformerConfig;
use crate::error::Result;
use crate::nn::l2_norm::{L2Norm, unit_length};
use crate::nn::linear::Linear;
use crate::nn::linear::uniform;
use crate::nn::pair_rotary::{PairRotary, rotate};
use crate::params::{Params, Weight};

/// Where the two kinds differ.
#[derive(Debug, Clone)]
enum Kernel {
    Full { rotary: PairRotary, to_gates: Linear },
    Linear { temperature: Weight },
}

/// Which kind of attention a block has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attending {
    /// Every position to every other.
    Full,
    /// Channels to channels, over all positions.
    Linear,
}

/// Multi-head self-attention behind a normalisation.
#[derive(Debug, Clone)]
pub(super) struct Attention {
    norm: L2Norm,
    to_qkv: Weight, // [3 * heads * width, dim]
    to_out: Weight, // [dim, heads * width]
    kernel: Kernel,
    value_mix: Option<Linear>,
    heads: i64,
}

fn matrix(params: &Params<'_>, inputs: i64, outputs: i64) -> Result<Weight> {
    params.get("weight", &[outputs, inputs], uniform(inputs, 1.0))
}

impl Attention {
    /// `mixes` where the values are mixed with those of the first layer.
    pub(super) fn new(
        params: &Params<'_>,
        config: &MelRoformerConfig,
        kind: Attending,
        mixes: bool,
    ) -> Result<Self> {
        let (dim, heads, width) = (config.dim, config.heads, config.dim_head);
        let inner = heads * width;
        // The linear kind's matrices stand beside members that only reshape.
        let (qkv, out) = match kind {
            Attending::Full => (params / "to_qkv", params / "to_out" / "0"),
            Attending::Linear => (params / "to_qkv" / "0", params / "to_out" / "1"),
        };
        Ok(Self {
            norm: L2Norm::new(&(params / "norm"), dim)?,
            to_qkv: matrix(&qkv, dim, 3 * inner)?,
            to_out: matrix(&out, inner, dim)?,
            kernel: match kind {
                Attending::Full => Kernel::Full {
                    rotary: PairRotary::new(&(params / "rotary_embed"), width)?,
                    to_gates: Linear::new(&(params / "to_gates"), dim, heads)?,
                },
                Attending::Linear => Kernel::Linear {
                    temperature: params.get("temperature", &[heads, 1, 1], nn::Init::Const(0.0))?,
                },
            },
            value_mix: mixes
                .then(|| Linear::new(&(params / "learned_value_residual_mix" / "0"), dim, heads))
                .transpose()?,
            heads,
        })
    }

    /// Makes the matrix products in numbers of `kind`; the gates stay as they are.
    pub(super) fn set_kind(&mut self, kind: Kind) {
        self.to_qkv = self.to_qkv.detach().to_kind(kind).into();
        self.to_out = self.to_out.detach().to_kind(kind).into();
    }

    /// The turns of `count` positions, where the kind has positions.
    pub(super) fn turns(&self, count: i64) -> Option<Tensor> {
        match &self.kernel {
            Kernel::Full { rotary, .. } => Some(rotary.turns(count)),
            Kernel::Linear { .. } => None,
        }
    }

    /// `x [sequences, positions, dim]` to the same shape, and the values before any mixing.
    /// `turns` are those of all positions, `first` the values of the first layer.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        turns: Option<&Tensor>,
        first: Option<&Tensor>,
    ) -> (Tensor, Tensor) {
        let (sequences, positions) = (x.size()[0], x.size()[1]);
        let u = self.norm.forward(x);
        let (own, kind) = (x.kind(), self.to_qkv.kind());
        let qkv = u.to_kind(kind).linear::<&Tensor>(&self.to_qkv, None);
        let qkv = qkv.view([sequences, positions, 3, self.heads, -1]);
        let mix = first.zip(self.value_mix.as_ref()).map(|(first, layer)| {
            (first, layer.forward(&u).sigmoid()) // [sequences, positions, heads]
        });
        let (mixed, values) = match &self.kernel {
            Kernel::Full { to_gates, .. } => {
                let turned = qkv.narrow(2, 0, 2);
                let turned = match turns {
                    Some(turns) => {
                        let turns = turns.unsqueeze(1).unsqueeze(1);
                        rotate(&turned.to_kind(own), &turns).to_kind(kind)
                    }
                    None => turned,
                }
                .transpose(1, 3); // [sequences, heads, 2, positions, width]
                let values = qkv.select(2, 2).transpose(1, 2); // [sequences, heads, positions, width]
                let v = match &mix {
                    // The arguments stand the other way round than in the linear kind, as there.
                    Some((first, mix)) => {
                        let v = &values + *first * (mix.transpose(1, 2).unsqueeze(3) - &values);
                        v.to_kind(kind)
                    }
                    None => values.shallow_clone(),
                };
                let (q, k) = (turned.select(2, 0), turned.select(2, 1));
                let none = None::<&Tensor>;
                let y =
                    Tensor::scaled_dot_product_attention(&q, &k, &v, none, 0.0, false, None, false);
                let gates = to_gates.forward(&u).sigmoid().unsqueeze(3);
                ((y.transpose(1, 2) * gates).flatten(2, 3), values)
            }
            Kernel::Linear { temperature } => {
                let part = |i: i64| qkv.select(2, i).permute([0, 2, 3, 1]).to_kind(own); // [sequences, heads, width, positions]
                let q = unit_length(&part(0), -1) * temperature.exp();
                let k = unit_length(&part(1), -1);
                let values = part(2);
                let v = match &mix {
                    Some((first, mix)) => {
                        &values + mix.transpose(1, 2).unsqueeze(2) * (*first - &values)
                    }
                    None => values.shallow_clone(),
                };
                let scores = q.matmul(&k.transpose(2, 3)) * LINEAR_SCALE;
                let y = scores.softmax(-1, Kind::Float).matmul(&v);
                (y.permute([0, 3, 1, 2]).flatten(2, 3), values)
            }
        };
        (mixed.to_kind(kind).linear::<&Tensor>(&self.to_out, None).to_kind(own), values)
    }
}

/// Scale of the scores of linear attention, a constant in the reference.
const LINEAR_SCALE: f64 = 8.0;
