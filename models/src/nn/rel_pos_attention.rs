//! Multi-head self-attention with relative positions, and its tables of positions.
//!
//! Source: Dai et al., "Transformer-XL" (ACL 2019), section 3.3, as in NeMo and WeNet, whose key
//! names the parameters have.

use tch::nn::{self, Module};
use tch::{Device, Kind, Tensor};

use super::linear::{Linear, RESIDUAL_GAIN, uniform};
use crate::error::Result;
use crate::network::Trace;
use crate::params::{Params, Weight};

/// How scores of positions become scores of pairs of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// The table goes from `frames - 1` down to `-(frames - 1)`; pair `(i, j)` takes `i - j`.
    Relative,
    /// The table goes from 0 to `frames - 1`, and the square of scores is shifted as WeNet does:
    /// part of each row takes the scores of the next.
    Square,
    /// The table goes from 0 to `frames - 1`; pair `(i, j)` takes `j`.
    None,
}

/// Sinusoids of the positions `first`, `first + step`, ...: `[count, dim]`, sine and cosine in turn.
pub fn sinusoids(first: i64, step: i64, count: i64, dim: i64, device: Device) -> Tensor {
    let options = (Kind::Float, device);
    let positions = Tensor::arange(count, options) * step as f64 + first as f64;
    let rates =
        (Tensor::arange_start_step(0, dim, 2, options) * (-(1e4f64.ln()) / dim as f64)).exp();
    let angles = positions.unsqueeze(1) * rates.unsqueeze(0); // [count, ceil(dim / 2)]
    Tensor::stack(&[angles.sin(), angles.cos()], 2).flatten(1, 2).narrow(1, 0, dim)
}

/// The table for [`Shift::Relative`]: `[2 * frames - 1, dim]`.
pub fn relative_positions(frames: i64, dim: i64, device: Device) -> Tensor {
    sinusoids(frames - 1, -1, 2 * frames - 1, dim, device)
}

/// Scores of positions `[batch, heads, frames, positions]` as scores of pairs
/// `[batch, heads, frames, frames]`; a view where it can be.
pub fn shift(scores: &Tensor, kind: Shift) -> Tensor {
    let size = scores.size();
    let frames = size[2];
    match kind {
        Shift::None => scores.shallow_clone(),
        // Entry (i, frames - 1 - i + j) of rows of 2 * frames - 1 lies at (frames - 1) + i *
        // (2 * frames - 2) + j: rows that are one shorter, from there on.
        Shift::Relative if frames > 1 => {
            let row = 2 * frames - 2;
            scores
                .view([size[0], size[1], frames * (2 * frames - 1)])
                .narrow(2, frames - 1, frames * row)
                .view([size[0], size[1], frames, row])
                .narrow(3, 0, frames)
        }
        Shift::Relative => scores.shallow_clone(),
        Shift::Square => scores
            .constant_pad_nd([1, 0])
            .view([size[0], size[1], frames * (frames + 1)])
            .narrow(2, frames, frames * frames)
            .view([size[0], size[1], frames, frames]),
    }
}

/// Multi-head self-attention with relative positions.
#[derive(Debug, Clone)]
pub struct RelPosAttention {
    /// Queries.
    pub linear_q: Linear,
    /// Keys.
    pub linear_k: Linear,
    /// Values.
    pub linear_v: Linear,
    /// Output.
    pub linear_out: Linear,
    /// Positions; without bias.
    pub linear_pos: Linear,
    /// Added to queries for the scores of content, `[heads, dim / heads]`.
    pub pos_bias_u: Weight,
    /// Added to queries for the scores of positions, `[heads, dim / heads]`.
    pub pos_bias_v: Weight,
    /// How positions become pairs.
    pub shift: Shift,
    /// Share of the weights that training drops.
    pub dropout: f64,
    heads: i64,
}

/// What the frames of a batch know about each other.
#[derive(Debug)]
pub struct Pairs {
    /// The table of positions, `[positions, dim]`.
    pub positions: Tensor,
    /// True for the pairs that see each other; broadcasts to `[batch, heads, frames, frames]`.
    pub mask: Option<Tensor>,
}

impl RelPosAttention {
    /// The parameters under `params`; `heads` divides `dim`.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, dim: i64, heads: i64, shift: Shift) -> Result<Self> {
        let bound = (6.0 / (heads + dim / heads) as f64).sqrt();
        let init = nn::Init::Uniform { lo: -bound, up: bound };
        Ok(Self {
            linear_q: Linear::new(&(params / "linear_q"), dim, dim)?,
            linear_k: Linear::new(&(params / "linear_k"), dim, dim)?,
            linear_v: Linear::new(&(params / "linear_v"), dim, dim)?,
            linear_out: Linear::with_gain(&(params / "linear_out"), dim, dim, RESIDUAL_GAIN)?,
            linear_pos: Linear::without_bias(
                &(params / "linear_pos"),
                dim,
                dim,
                uniform(dim, 1.0),
            )?,
            pos_bias_u: params.get("pos_bias_u", &[heads, dim / heads], init)?,
            pos_bias_v: params.get("pos_bias_v", &[heads, dim / heads], init)?,
            shift,
            dropout: 0.0,
            heads,
        })
    }

    /// Number of heads.
    #[must_use]
    pub fn heads(&self) -> i64 {
        self.heads
    }

    /// `x [batch, frames, dim]` to the same shape; `name` is the module's in the trace.
    pub fn forward_t(
        &self,
        x: &Tensor,
        pairs: &Pairs,
        train: bool,
        trace: &mut dyn Trace,
        name: &str,
    ) -> Tensor {
        let (batch, frames, dim) = (x.size()[0], x.size()[1], x.size()[2]);
        let width = dim / self.heads;
        let split = |t: &Tensor| t.view([batch, frames, self.heads, width]);
        let k = self.linear_k.forward(x);
        trace.record(&format!("{name}.linear_k"), &k);
        let q = split(&self.linear_q.forward(x));
        let scale = 1.0 / (width as f64).sqrt();
        let q_u = ((&q + &*self.pos_bias_u) * scale).transpose(1, 2);
        let q_v = ((&q + &*self.pos_bias_v) * scale).transpose(1, 2); // [batch, heads, frames, width]
        let p = self.linear_pos.forward(&pairs.positions).view([-1, self.heads, width]);
        let content = q_u.matmul(&split(&k).permute([0, 2, 3, 1])); // [batch, heads, frames, frames]
        let position = q_v.matmul(&p.permute([1, 2, 0])); // [batch, heads, frames, positions]
        let mut scores = content + shift(&position.contiguous(), self.shift);
        if let Some(mask) = &pairs.mask {
            // Finite, so that a row without any pair gives numbers.
            scores = scores.masked_fill(&mask.logical_not(), -1e4);
        }
        let weights = scores.softmax(-1, Kind::Float).dropout(self.dropout, train);
        let v = split(&self.linear_v.forward(x)).transpose(1, 2);
        let mixed = weights.matmul(&v).transpose(1, 2).reshape([batch, frames, dim]);
        self.linear_out.forward(&mixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_equal_their_definitions() {
        for frames in [1i64, 2, 3, 8] {
            let n = 2 * frames - 1;
            let scores = Tensor::randn([2, 3, frames, n], tch::kind::FLOAT_CPU);
            let shifted = shift(&scores, Shift::Relative);
            for i in 0..frames {
                for j in 0..frames {
                    let wanted = scores.double_value(&[1, 2, i, frames - 1 - i + j]);
                    assert_eq!(shifted.double_value(&[1, 2, i, j]), wanted);
                }
            }
            let square = scores.narrow(3, 0, frames);
            let shifted = shift(&square, Shift::Square);
            // A zero before each row; read on from the end of the first row.
            let list: Vec<f64> = (0..frames)
                .flat_map(|i| {
                    let row =
                        (0..frames).map(|j| square.double_value(&[0, 1, i, j])).collect::<Vec<_>>();
                    std::iter::once(0.0).chain(row)
                })
                .collect();
            for at in 0..frames * frames {
                let found = shifted.double_value(&[0, 1, at / frames, at % frames]);
                assert_eq!(found, list[(at + frames) as usize]);
            }
        }
    }

    #[test]
    fn tables_hold_sines_and_cosines() {
        let table = relative_positions(3, 5, Device::Cpu);
        assert_eq!(table.size(), [5, 5]);
        assert!((table.double_value(&[0, 0]) - 2f64.sin()).abs() < 1e-6);
        assert!((table.double_value(&[4, 1]) - (-2f64).cos()).abs() < 1e-6);
        assert_eq!(table.double_value(&[2, 4]), 0.0);
    }
}
