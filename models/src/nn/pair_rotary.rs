//! Rotary positions on neighbouring pairs: channels `2i` and `2i + 1` turn together.
//!
//! Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding" (arXiv
//! 2104.09864), section 3.2; rates are a part of the weights, as in rotary-embedding-torch.

use crate::error::Result;
use crate::params::{Params, Weight};
use tch::{Device, Kind, Tensor};

/// The rates at which pairs turn.
#[derive(Debug, Clone)]
pub struct PairRotary {
    /// Radians a position, `[width / 2]`; not learnt.
    pub freqs: Weight,
}

impl PairRotary {
    /// `freqs` under `params`: `10000^(-2i / width)` until weights are loaded.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, width: i64) -> Result<Self> {
        let rates = || {
            let pair = Tensor::arange(width / 2, (Kind::Double, Device::Cpu));
            (pair * (-2.0 / width as f64 * 1e4f64.ln())).exp()
        };
        Ok(Self { freqs: params.buffer("freqs", &[width / 2], rates)? })
    }

    /// The turns of positions 0 to `count - 1` as complex numbers, `[count, width / 2]`.
    pub fn turns(&self, count: i64) -> Tensor {
        let positions = Tensor::arange(count, (Kind::Float, self.freqs.device()));
        let angles = positions.unsqueeze(1) * self.freqs.to_kind(Kind::Float).unsqueeze(0);
        Tensor::complex(&angles.cos(), &angles.sin())
    }
}

/// Turns the last axis of `x [..., width]`; `turns` broadcasts to `[..., width / 2]`.
pub fn rotate(x: &Tensor, turns: &Tensor) -> Tensor {
    let size = x.size();
    let (lead, width) = size.split_at(size.len() - 1);
    let pairs: Vec<i64> = lead.iter().copied().chain([width[0] / 2, 2]).collect();
    (x.reshape(pairs).view_as_complex() * turns).view_as_real().flatten(-2, -1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;
    use tch::nn::VarStore;

    #[test]
    fn neighbouring_channels_turn_by_position_times_rate() {
        let vs = VarStore::new(Device::Cpu);
        let rotary = PairRotary::new(&Params::random(&vs.root()), 6).expect("sound sizes");
        let x = Tensor::randn([5, 6], tch::kind::FLOAT_CPU);
        let found = rotate(&x, &rotary.turns(5));
        for position in 0..5 {
            for pair in 0..3 {
                let angle = position as f64 * 1e4f64.powf(-2.0 * pair as f64 / 6.0);
                let at = |i: i64| x.double_value(&[position, 2 * pair + i]);
                let (a, b) = (at(0), at(1));
                let wanted = [a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()];
                for (i, wanted) in wanted.iter().enumerate() {
                    let found = found.double_value(&[position, 2 * pair + i as i64]);
                    assert!((found - wanted).abs() < 1e-5, "{found} for {wanted}");
                }
            }
        }
    }
}
