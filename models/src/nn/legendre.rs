//! The Legendre memory: a linear system whose state holds the last `theta` frames of a scalar
//! signal as coefficients of Legendre polynomials.
//!
//! Source: Voelker, Kajic, Eliasmith, "Legendre Memory Units" (NeurIPS 2019), eq. 1-2; the
//! parallel form as in LMUFormer (ICLR 2024). Here are the discretisation and both forms of the
//! memory; the gates around it are the networks' business.

use std::cell::OnceCell;

use crate::error::Result;
use crate::params::{Params, Weight};
use tch::{Kind, Tensor};

/// State-space matrices `A [M, M]` and `B [M, 1]`, and the impulse response `H [M, seq_len]`.
#[derive(Debug, Clone)]
pub struct LegendreMemory {
    a: Weight,
    b: Weight,
    h: Weight,
    size: i64,
}

impl LegendreMemory {
    /// `A`, `B` and `H` as buffers under `params`, computed for `theta` frames.
    ///
    /// A checkpoint that is loaded later overwrites them with its own.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, size: i64, theta: f64, seq_len: i64) -> Result<Self> {
        // The three follow from one another, so that the first that is asked for makes all.
        let made = OnceCell::new();
        let made = || {
            made.get_or_init(|| {
                let (a, b) = discretize(size, theta);
                let h = impulse_response(&a, &b, seq_len);
                [a, b, h]
            })
        };
        Ok(Self {
            a: params.buffer("A", &[size, size], || made()[0].shallow_clone())?,
            b: params.buffer("B", &[size, 1], || made()[1].shallow_clone())?,
            h: params.buffer("H", &[size, seq_len], || made()[2].shallow_clone())?,
            size,
        })
    }

    /// Memory after every frame of `u [batch, frames]`, starting from an empty one:
    /// `[batch, frames, M]`.
    pub fn forward(&self, u: &Tensor) -> Tensor {
        let frames = u.size()[1];
        if frames > self.h.size()[1] {
            return self.advance(&mut self.empty(u.size()[0]), u);
        }
        // Row t of the Toeplitz matrix holds u[t], u[t-1], ..., u[0], 0, ...
        let toeplitz = u
            .constant_pad_nd([frames - 1, 0])
            .unfold(1, frames, 1) // [batch, frames, frames], oldest first
            .flip([2]);
        toeplitz.matmul(&self.h.narrow(1, 0, frames).transpose(0, 1)) // [batch, frames, M]
    }

    /// The memory of `batch` streams before the first frame, `[batch, M]`.
    pub fn empty(&self, batch: i64) -> Tensor {
        Tensor::zeros([batch, self.size], (self.a.kind(), self.a.device()))
    }

    /// Memory after every frame of `u [batch, frames]`, starting from `memory [batch, M]`, which
    /// is moved on: `[batch, frames, M]`. Any number of frames; the cost is linear in them.
    pub fn advance(&self, memory: &mut Tensor, u: &Tensor) -> Tensor {
        let a_transposed = self.a.transpose(0, 1);
        let driven = u.unsqueeze(-1) * self.b.view([1, 1, self.size]); // [batch, frames, M]
        let mut states = Vec::new();
        for t in 0..u.size()[1] {
            *memory = driven.select(1, t).addmm(memory, &a_transposed);
            states.push(memory.shallow_clone());
        }
        Tensor::stack(&states, 1)
    }
}

/// Zero-order hold of the continuous system at a step of one frame, computed in float64.
fn discretize(size: i64, theta: f64) -> (Tensor, Tensor) {
    let m = size as usize;
    let mut block = vec![0.0f64; (m + 1) * (m + 1)]; // [[A_c, B_c], [0, 0]]
    let sign = |exponent: usize| if exponent.is_multiple_of(2) { 1.0 } else { -1.0 };
    for i in 0..m {
        let rate = (2 * i + 1) as f64 / theta;
        for j in 0..m {
            block[i * (m + 1) + j] = rate * if i < j { -1.0 } else { sign(i - j + 1) };
        }
        block[i * (m + 1) + m] = rate * sign(i);
    }
    let held = Tensor::from_slice(&block).view([size + 1, size + 1]).matrix_exp();
    let a = held.narrow(0, 0, size).narrow(1, 0, size).to_kind(Kind::Float).contiguous();
    let b = held.narrow(0, 0, size).narrow(1, size, 1).to_kind(Kind::Float).contiguous();
    (a, b)
}

/// `H[:, t] = A^t B`, multiplied out in float32 as the reference does.
fn impulse_response(a: &Tensor, b: &Tensor, seq_len: i64) -> Tensor {
    let mut column = b.shallow_clone();
    let mut columns = Vec::new();
    for _ in 0..seq_len {
        columns.push(column.shallow_clone());
        column = a.matmul(&column);
    }
    Tensor::cat(&columns, 1) // [M, seq_len]
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;
    use tch::nn::VarStore;

    #[test]
    fn parallel_and_recurrent_forms_agree() {
        let vs = VarStore::new(Device::Cpu);
        let memory =
            LegendreMemory::new(&Params::random(&vs.root()), 24, 64.0, 64).expect("sound sizes");
        let u = Tensor::rand([3, 50], (Kind::Float, Device::Cpu));
        let parallel = memory.forward(&u);
        let recurrent = memory.advance(&mut memory.empty(3), &u);
        let worst = (&parallel - &recurrent).abs().max().double_value(&[]);
        assert!(worst <= 2e-5 * parallel.abs().max().double_value(&[]), "differ by {worst}");
    }

    #[test]
    fn memory_reconstructs_a_delayed_signal() {
        // The readout sum_i P_i(2r - 1) m_i returns the input r * theta frames ago (Voelker et al.
        // 2019, eq. 3); at the far end, r = 1, every polynomial is one.
        let vs = VarStore::new(Device::Cpu);
        let theta = 32.0;
        let memory =
            LegendreMemory::new(&Params::random(&vs.root()), 12, theta, 256).expect("sound sizes");
        let frames = 200usize;
        let u: Vec<f32> = (0..frames).map(|t| (t as f32 * 0.05).sin()).collect();
        let states = memory.forward(&Tensor::from_slice(&u).view([1, -1]));
        let delayed = states.sum_dim_intlist([-1i64].as_slice(), false, Kind::Float);
        let t = 150;
        let found = delayed.double_value(&[0, t]);
        let wanted = f64::from(u[t as usize - theta as usize]);
        assert!((found - wanted).abs() < 0.03, "found {found}, wanted {wanted}");
    }
}
