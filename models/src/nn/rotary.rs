//! Rotary positions over interleaved pairs of channels.
//!
//! Source: Su et al., "RoFormer" (arXiv 2104.09864), section 3.2.2, as in the package
//! `rotary-embedding-torch`: channels `2i` and `2i + 1` are a pair, and the frequencies are stored.

use crate::error::Result;
use crate::params::{Params, Weight};
use tch::{Device, Kind, Tensor};

/// The frequencies of a rotary embedding, which are stored with the weights and not learnt.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// `[dim / 2]`, radians a frame.
    pub freqs: Weight,
}

impl Rotary {
    /// `freqs` under `params` with the usual values, `10000^(-2i/dim)`.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, dim: i64) -> Result<Self> {
        let usual = || {
            let exponents = Tensor::arange_start_step(0, dim, 2, (Kind::Float, Device::Cpu));
            (exponents * (-(1e4f64.ln()) / dim as f64)).exp()
        };
        Ok(Self { freqs: params.buffer("freqs", &[dim / 2], usual)? })
    }

    /// The angles of the first `frames` positions.
    pub fn table(&self, frames: i64) -> RotaryTable {
        let positions = Tensor::arange(frames, (self.freqs.kind(), self.freqs.device()));
        let angles = positions.unsqueeze(1) * self.freqs.unsqueeze(0); // [frames, dim / 2]
        let pairs = angles.repeat_interleave_self_int(2, -1, None); // [frames, dim]
        RotaryTable { cos: pairs.cos(), sin: pairs.sin() }
    }
}

/// Cosines and sines for every frame and channel, `[frames, dim]`.
#[derive(Debug)]
pub struct RotaryTable {
    cos: Tensor,
    sin: Tensor,
}

impl RotaryTable {
    /// Cosines and sines, `[frames, dim]` each.
    pub fn cos_sin(&self) -> [&Tensor; 2] {
        [&self.cos, &self.sin]
    }

    /// Channels that are rotated.
    #[must_use]
    pub fn dim(&self) -> i64 {
        self.cos.size()[1]
    }

    /// The table of `count` frames from `from` on.
    #[must_use]
    pub fn rows(&self, from: i64, count: i64) -> Self {
        Self { cos: self.cos.narrow(0, from, count), sin: self.sin.narrow(0, from, count) }
    }

    /// Rotates the first channels of `x [batch, frames, .., channels]`; the rest passes unchanged.
    pub fn rotate(&self, x: &Tensor) -> Tensor {
        let (dim, size) = (self.dim(), x.size());
        let mut shape = vec![1; size.len()];
        shape[1] = size[1];
        shape[size.len() - 1] = dim;
        let [cos, sin] = [&self.cos, &self.sin].map(|table| table.view(shape.as_slice()));
        let first = x.narrow(-1, 0, dim);
        // (a, b) to (-b, a) in every pair.
        let pairs = first.unflatten(-1, [dim / 2, 2]);
        let turned = Tensor::stack(&[-pairs.select(-1, 1), pairs.select(-1, 0)], -1);
        let rotated = &first * cos + turned.flatten(-2, -1) * sin;
        match size.last() {
            Some(&channels) if channels > dim => {
                Tensor::cat(&[rotated, x.narrow(-1, dim, channels - dim)], -1)
            }
            _ => rotated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::VarStore;

    #[test]
    fn products_depend_on_distance_alone() {
        let vs = VarStore::new(Device::Cpu);
        let table = Rotary::new(&Params::random(&vs.root()), 8).expect("sound sizes").table(20);
        let (q, k) = (
            Tensor::randn([1, 1, 12], tch::kind::FLOAT_CPU),
            Tensor::randn([1, 1, 12], tch::kind::FLOAT_CPU),
        );
        let everywhere = |x: &Tensor| table.rotate(&x.repeat([1, 20, 1]));
        let scores = everywhere(&q).matmul(&everywhere(&k).transpose(1, 2)); // [1, 20, 20]
        for distance in 0..5 {
            let along = scores.get(0).diagonal(distance, 0, 1);
            let spread = (along.max() - along.min()).double_value(&[]);
            assert!(spread < 1e-5, "{distance}: {spread}");
        }
    }
}
