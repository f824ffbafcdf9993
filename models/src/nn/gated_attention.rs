//! Gated attention with one head: exact inside of groups of frames, linear over all of them.
//!
//! Source: Hua et al., "Transformer Quality in Linear Time" (ICML 2022), section 3, in the form that
//! MossFormer (arXiv 2302.11824, section 2.2) gives it: FFConvM for its layers, and a triple gate.

use std::sync::Arc;

use formant_kernels::gated_attention as fused;
use formant_kernels::gated_attention::Scratch;
use formant_kernels::tensor;
use tch::{Device, Kind, Tensor};

use super::ffconvm::{FfConvM, FfSizes, FrozenFfConvM, NormKind};
use super::offset_scale::OffsetScale;
use super::rotary::RotaryTable;
use super::tape::cut;
use super::threads::threads;
use crate::error::Result;
use crate::params::{Params, Weight};

/// Queries and keys that are made of one projection: quadratic query, linear query, quadratic key,
/// linear key.
const HEADS: i64 = 4;

/// Sizes of a [`GatedAttention`].
#[derive(Debug, Clone, Copy)]
pub struct AttentionSizes {
    /// Channels.
    pub dim: i64,
    /// Hidden channels for every channel; half of them are values, half gates.
    pub expansion: i64,
    /// Channels of queries and keys.
    pub query_key_dim: i64,
    /// Frames that see each other exactly.
    pub group_size: i64,
    /// Frames that the convolutions see, odd.
    pub kernel: i64,
}

/// The block, `[batch, frames, dim]` to the same shape.
#[derive(Debug, Clone)]
pub struct GatedAttention {
    to_hidden: FfConvM,
    to_qk: FfConvM,
    offset_scale: OffsetScale,
    to_out: FfConvM,
    sizes: AttentionSizes,
}

impl GatedAttention {
    /// All parameters under `params`.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, sizes: AttentionSizes) -> Result<Self> {
        let AttentionSizes { dim, expansion, query_key_dim: q, kernel, .. } = sizes;
        let hidden = dim * expansion;
        let ff = |name: &str, inputs, outputs| {
            FfConvM::new(&(params / name), FfSizes { inputs, outputs, kernel }, NormKind::Scale)
        };
        Ok(Self {
            to_hidden: ff("to_hidden", dim, hidden)?,
            to_qk: ff("to_qk", dim, q)?,
            offset_scale: OffsetScale::new(&(params / "qk_offset_scale"), HEADS, q)?,
            to_out: ff("to_out", hidden / 2, dim)?,
            sizes,
        })
    }

    /// The block; `seen` is told about what is computed on the way.
    pub fn forward(
        &self,
        x: &Tensor,
        table: &RotaryTable,
        seen: &mut dyn FnMut(&str, &Tensor),
    ) -> Tensor {
        let x = &cut(x);
        let shifted = cut(&token_shift(x));
        let normed = self.to_hidden.normed(&shifted);
        seen("to_hidden.norm.in", &shifted);
        seen("to_hidden.norm", &normed);
        let values = self.to_hidden.forward_normed(&normed); // [batch, frames, 2 * half]
        let qk = self.to_qk.forward(&shifted);
        seen("to_hidden", &values);
        seen("to_qk", &qk);
        let heads = self.offset_scale.forward(&qk); // [batch, frames, 4, query_key_dim]
        for head in 0..HEADS {
            seen(&format!("qk_offset_scale.{head}"), &heads.select(2, head));
        }
        let heads = table.rotate(&heads);
        for (head, name) in ["quad_q", "lin_q", "quad_k", "lin_k"].into_iter().enumerate() {
            seen(&format!("rotated_{name}"), &heads.select(2, head as i64));
        }
        let attended = attend(&heads, &values, self.sizes.group_size);
        let half = values.size()[2] / 2;
        let [v, u] = [0, half].map(|from| values.narrow(2, from, half));
        let [att_v, att_u] = [0, half].map(|from| attended.narrow(2, from, half));
        seen("att_v", &att_v);
        seen("att_u", &att_u);
        let gated = (&att_u * v) * (&att_v * u).sigmoid();
        seen("to_out.in", &gated);
        let out = self.to_out.forward(&gated);
        seen("to_out", &out);
        let out = x + out;
        seen("out", &out);
        out
    }

    /// The same without a gradient.
    #[must_use]
    pub fn freeze(&self) -> FrozenAttention {
        tch::no_grad(|| {
            let group = self.sizes.group_size as f64;
            let OffsetScale { gamma, beta } = &self.offset_scale;
            // The quadratic query carries the division by the group's size.
            let scale = [1.0 / group, 1.0, 1.0, 1.0].map(|x| x as f32);
            let scale = Tensor::from_slice(&scale).unsqueeze(1).to_device(gamma.device());
            let (gamma, beta) = (&*gamma.detach() * &scale, &*beta.detach() * &scale);
            let values = |x: &Tensor| Vec::<f32>::try_from(x.reshape([-1])).unwrap_or_default();
            FrozenAttention {
                projection: FfConvM::freeze_all(&[&self.to_hidden, &self.to_qk]),
                values: Arc::new([values(&gamma), values(&beta)]),
                gamma: gamma.into(),
                beta: beta.into(),
                to_out: FfConvM::freeze_all(&[&self.to_out]),
                sizes: self.sizes,
                kind: self.offset_scale.gamma.kind(),
            }
        })
    }
}

/// A [`GatedAttention`] without a gradient.
#[derive(Debug, Clone)]
pub struct FrozenAttention {
    projection: FrozenFfConvM, // hidden channels, then those of queries and keys
    gamma: Weight,
    beta: Weight,
    values: Arc<[Vec<f32>; 2]>, // of gamma and beta
    to_out: FrozenFfConvM,
    sizes: AttentionSizes,
    kind: Kind,
}

impl FrozenAttention {
    /// Makes the matrix products in numbers of `kind`, and what lies between those of the attention;
    /// norms, convolutions and the sum over all frames stay as they are.
    pub fn set_kind(&mut self, kind: Kind) {
        self.kind = kind;
        self.projection.set_kind(kind);
        self.to_out.set_kind(kind);
    }

    /// As [`GatedAttention::forward`].
    pub fn forward(&self, x: &Tensor, table: &RotaryTable, scratch: &mut Scratch) -> Tensor {
        self.fused(x, table, scratch).unwrap_or_else(|| self.in_parts(x, table))
    }

    /// The block by one kernel, where there is one for such weights on this processor.
    fn fused(&self, x: &Tensor, table: &RotaryTable, scratch: &mut Scratch) -> Option<Tensor> {
        let [gamma, beta] = &*self.values;
        let block = fused::GatedAttention::new(fused::Layers {
            projection: self.projection.product().kernel()?,
            conv: self.projection.conv().inside_kernel()?,
            gamma,
            beta,
            to_out: self.to_out.product().kernel()?,
            out_conv: self.to_out.conv().kernel()?,
            group: usize::try_from(self.sizes.group_size).ok()?,
        })
        .ok()?;
        let x = x.contiguous();
        tensor::gated_attention(&block, &x, table.cos_sin(), scratch, threads()).ok().flatten()
    }

    /// The block by operations of libtorch.
    ///
    /// A few groups at a time go through everything but the convolution at the end, so that the
    /// wide hidden channels are written to memory once and read once.
    fn in_parts(&self, x: &Tensor, table: &RotaryTable) -> Tensor {
        let AttentionSizes { dim, expansion, query_key_dim, group_size, .. } = self.sizes;
        let (hidden, frames) = (dim * expansion, x.size()[1]);
        let normed = self.projection.normed(&token_shift(x));
        let mut summary: Option<Tensor> = None; // [batch, query_key_dim, hidden]
        let mut blocks = Vec::new();
        let step = block_frames(group_size, x.device());
        for from in (0..frames).step_by(usize::try_from(step).unwrap_or(1)) {
            let to = frames.min(from + step);
            let projected = self.projection.rows(&normed, from, to);
            let values = projected.narrow(2, 0, hidden).to_kind(self.kind);
            let qk = projected.narrow(2, hidden, query_key_dim);
            let heads = self.beta.addcmul(&qk.unsqueeze(2), &self.gamma);
            let heads = table.rows(from, to - from).rotate(&heads).to_kind(self.kind);
            let keys = heads.select(2, 3).transpose(1, 2);
            summary = Some(match summary {
                Some(mut sum) if sum.kind() == self.kind => sum.baddbmm_(&keys, &values),
                Some(mut sum) => sum.g_add_(&keys.bmm(&values)),
                None => keys.bmm(&values).to_kind(x.kind()),
            });
            blocks.push((heads, values));
        }
        let Some(mut summary) = summary else { return x.shallow_clone() };
        let summary = summary.g_div_scalar_(frames as f64).to_kind(self.kind);
        let parts: Vec<Tensor> = blocks
            .into_iter()
            .map(|(heads, values)| self.leave(&heads, &values, &summary))
            .collect();
        self.to_out.convolve(&Tensor::cat(&parts, 1), Some(x))
    }

    /// From what a few groups see to what they give, before the convolution.
    fn leave(&self, heads: &Tensor, values: &Tensor, summary: &Tensor) -> Tensor {
        let half = values.size()[2] / 2;
        let attended = attend_block(heads, values, summary, self.sizes.group_size);
        let [v, u] = [0, half].map(|from| values.narrow(2, from, half));
        let [mut att_v, mut att_u] = [0, half].map(|from| attended.narrow(2, from, half));
        let gate = att_v.g_mul_(&u).sigmoid_();
        let gated = att_u.g_mul_(&v).g_mul_(&gate);
        // The norm is made of 32-bit numbers, and so is what the convolution takes.
        let gated = gated.to_kind(Kind::Float);
        self.to_out.activated(&self.to_out.normed(&gated))
    }
}

/// Frames of a CPU's block, where groups are smaller.
const BLOCK: i64 = 256;

/// Frames that are computed together: whole groups, few on a CPU, all on other devices.
fn block_frames(group: i64, device: Device) -> i64 {
    match device {
        Device::Cpu => group * (BLOCK / group).max(1),
        _ => i64::MAX / 4,
    }
}

/// The first half of the channels comes a frame late.
fn token_shift(x: &Tensor) -> Tensor {
    let size = x.size();
    let (frames, half) = (size[1], size[2] / 2);
    let late = x.narrow(2, 0, half).constant_pad_nd([0, 0, 1, 0]).narrow(1, 0, frames);
    Tensor::cat(&[late, x.narrow(2, half, size[2] - half)], 2)
}

/// `values [batch, frames, channels]` seen by `heads [batch, frames, 4, query_key_dim]`: by squared
/// products inside of groups of `group` frames, and by linear attention over all frames.
fn attend(heads: &Tensor, values: &Tensor, group: i64) -> Tensor {
    let [quad_q, lin_q, quad_k, lin_k] = [0, 1, 2, 3].map(|head| heads.select(2, head));
    let (batch, frames) = (values.size()[0], values.size()[1]);
    let summary = lin_k.transpose(1, 2).matmul(values) / frames as f64; // [batch, query_key_dim, channels]
    let global = lin_q.matmul(&summary);
    let local = |from: i64, count: i64, size: i64| {
        let cut = |x: &Tensor| {
            let channels = x.size()[2];
            x.narrow(1, from, count).reshape([batch * (count / size), size, channels])
        };
        let scores = cut(&quad_q).bmm(&cut(&quad_k).transpose(1, 2)) / group as f64;
        let seen = scores.relu().square().bmm(&cut(values));
        seen.reshape([batch, count, values.size()[2]])
    };
    let whole = frames - frames % group;
    let mut parts = Vec::new();
    if whole > 0 {
        parts.push(local(0, whole, group));
    }
    if whole < frames {
        parts.push(local(whole, frames - whole, frames - whole));
    }
    global + Tensor::cat(&parts, 1)
}

/// As [`attend`] for a few whole groups and perhaps a shorter one at the end, where the quadratic
/// query is already divided by `group`, and linear attention has become `summary`.
fn attend_block(heads: &Tensor, values: &Tensor, summary: &Tensor, group: i64) -> Tensor {
    let [quad_q, lin_q, quad_k] = [0, 1, 2].map(|head| heads.select(2, head));
    let (batch, frames) = (values.size()[0], values.size()[1]);
    let attended = lin_q.bmm(summary); // [batch, frames, channels]
    let whole = frames - frames % group;
    for row in 0..batch {
        for (from, count, size) in [(0, whole, group), (whole, frames - whole, frames - whole)] {
            if count == 0 {
                continue;
            }
            let cut =
                |x: &Tensor| x.get(row).narrow(0, from, count).unflatten(0, [count / size, size]);
            let mut scores = cut(&quad_q).bmm(&cut(&quad_k).transpose(1, 2)).relu_();
            let scores = scores.square_();
            let _ = cut(&attended).baddbmm_(&scores, &cut(values));
        }
    }
    attended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::rotary::Rotary;
    use tch::nn::VarStore;

    #[test]
    fn the_frozen_block_equals_the_block() {
        tch::manual_seed(9);
        let vs = VarStore::new(Device::Cpu);
        let sizes =
            AttentionSizes { dim: 8, expansion: 4, query_key_dim: 6, group_size: 16, kernel: 5 };
        let block = GatedAttention::new(&Params::random(&vs.root()), sizes).expect("sound sizes");
        let rotary = Rotary::new(&Params::random(&(vs.root() / "r")), 4).expect("sound sizes");
        tch::no_grad(|| {
            for mut variable in vs.trainable_variables() {
                let _ = variable.g_add_(&(Tensor::randn_like(&variable) * 0.2));
            }
            let frozen = block.freeze();
            for frames in [1, 15, 16, 17, 50, 256, 300, 530] {
                let x = Tensor::randn([2, frames, 8], (Kind::Float, Device::Cpu));
                let table = rotary.table(frames);
                let wanted = block.forward(&x, &table, &mut |_, _| {});
                let largest = |x: &Tensor| x.abs().max().double_value(&[]);
                for found in [
                    frozen.forward(&x, &table, &mut Scratch::default()),
                    frozen.in_parts(&x, &table),
                ] {
                    let worst = largest(&(found - &wanted)) / largest(&wanted);
                    assert!(worst < 2e-5, "{frames}: {worst}");
                }
            }
        });
    }
}
