//! Rotary positions on neighbouring pairs: channels `2i` and `2i + 1` turn together.
//!
//! Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding" (arXiv
//! 2104.09864), section 3.2; rates are a part of the weights, as in rotary-embedding-torch.

use tch::{Kind, Tensor, nn};

/// The rates at which pairs turn.
#[derive(Debug)]
pub struct PairRotary {
    /// Radians a position, `[width / 2]`; not learnt.
    pub freqs: Tensor,
}

impl PairRotary {
    /// Registers `freqs` under `path`: `10000^(-2i / width)` until weights are loaded.
    #[must_use]
    pub fn new(path: &nn::Path<'_>, width: i64) -> Self {
        let mut freqs = path.zeros_no_train("freqs", &[width / 2]);
        let pair = Tensor::arange(width / 2, (Kind::Double, freqs.device()));
        let rates = (pair * (-2.0 / width as f64 * 1e4f64.ln())).exp();
        tch::no_grad(|| freqs.copy_(&rates));
        Self { freqs }
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
    use tch::{Device, nn::VarStore};

    #[test]
    fn neighbouring_channels_turn_by_position_times_rate() {
        let vs = VarStore::new(Device::Cpu);
        let rotary = PairRotary::new(&vs.root(), 6);
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
