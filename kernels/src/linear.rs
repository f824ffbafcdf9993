//! Linear layers whose weights are packed once, with bias and activation in the same pass.

use std::mem::MaybeUninit;

use crate::activation::Activation;
use crate::error::{Result, check_length};
use crate::gemm::{Gemm, Matrix, MatrixMut, PackedMatrix, Right, Start, Workspace};
use crate::threads::try_in_threads;

/// Multiplications that are worth a thread: some ten times what starting one costs.
const WORTH_A_THREAD: usize = 1 << 24;

/// `y = activation(x weight^T + bias)`, ready to run.
#[derive(Debug, Clone)]
pub struct Linear {
    gemm: Gemm,
    weight: PackedMatrix,
    bias: Vec<f32>,
    activation: Activation,
}

impl Linear {
    /// A layer with `weight [outputs, inputs]` and, unless it is empty, `bias [outputs]`.
    ///
    /// # Errors
    /// When there are not as many elements of bias as outputs.
    pub fn new(
        gemm: Gemm,
        weight: Matrix<'_>,
        bias: &[f32],
        activation: Activation,
    ) -> Result<Self> {
        if !bias.is_empty() {
            check_length("the bias", bias.len(), weight.size()[0])?;
        }
        let (weight, bias) = (gemm.pack(weight.transposed()), bias.to_vec());
        Ok(Self { gemm, weight, bias, activation })
    }

    /// How its products are made.
    #[must_use]
    pub fn gemm(&self) -> Gemm {
        self.gemm
    }

    /// Makes its products so from now on, of the weights as exact as they are kept.
    pub fn set_gemm(&mut self, gemm: Gemm) {
        self.gemm = gemm;
        self.weight.set_gemm(gemm);
    }

    /// The weights, `[outputs, inputs]`, as exact as they are kept.
    #[must_use]
    pub fn weight(&self) -> Vec<f32> {
        self.weight.transposed()
    }

    /// What is added, `[outputs]`, or nothing.
    #[must_use]
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// Elements of a row that goes in.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.weight.size()[0]
    }

    /// Elements of a row that comes out.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.weight.size()[1]
    }

    /// Writes `[rows, outputs]` for `x [rows, inputs]`, on this thread.
    ///
    /// # Errors
    /// When the sizes are others.
    pub fn run(
        &self,
        x: Matrix<'_>,
        out: &mut MatrixMut<'_>,
        workspace: &mut Workspace,
    ) -> Result<()> {
        let start = match self.bias.as_slice() {
            [] => Start::Zero,
            bias => Start::Bias(bias),
        };
        self.gemm.multiply(x, Right::Packed(&self.weight), start, self.activation, out, workspace)
    }

    /// As [`Linear::run`] on at most `threads` threads, to every element of rows without gaps, with
    /// the same bytes in the result for any number of threads.
    ///
    /// # Errors
    /// As [`Linear::run`].
    pub fn run_rows(
        &self,
        x: Matrix<'_>,
        out: &mut [MaybeUninit<f32>],
        threads: usize,
    ) -> Result<()> {
        let ([rows, inputs], outputs) = (x.size(), self.outputs());
        check_length("the output", out.len(), rows * outputs)?;
        if out.is_empty() {
            return Ok(());
        }
        let threads = threads.min(rows * inputs * outputs / WORTH_A_THREAD).clamp(1, rows);
        let share = rows.div_ceil(threads);
        let parts = out.chunks_mut(share * outputs).enumerate();
        try_in_threads(threads, parts, |(part, out)| {
            let rows = [part * share, out.len() / outputs];
            let out = &mut MatrixMut::uninit(out, [rows[1], outputs])?;
            self.run(x.part(rows, [0, inputs]), out, &mut Workspace::default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::Precision;
    use crate::uninit::as_uninit;

    #[test]
    fn threads_change_nothing() {
        let gemm = Gemm::new(Precision::Single).expect("32 bits are always there");
        let weight: Vec<f32> = (0..300 * 257).map(|i| (i as f32 * 0.37).sin()).collect();
        let bias: Vec<f32> = (0..300).map(|i| i as f32 * 0.01).collect();
        let matrix = Matrix::dense(&weight, [300, 257]).expect("fits");
        let layer = Linear::new(gemm, matrix, &bias, Activation::Silu).expect("fits");
        let x: Vec<f32> = (0..1000 * 257).map(|i| (i as f32 * 0.11).cos()).collect();
        let run = |threads| {
            let mut out = vec![0.0; 1000 * 300];
            let x = Matrix::dense(&x, [1000, 257]).expect("fits");
            // SAFETY: the layer writes numbers.
            layer.run_rows(x, unsafe { as_uninit(&mut out) }, threads).expect("fits");
            out
        };
        let alone = run(1);
        assert_eq!(alone, run(3));
        let [row, output] = [777, 123];
        let products = x[row * 257..][..257].iter().zip(&weight[output * 257..]);
        let sum: f64 = products.map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
        let sum = sum + f64::from(bias[output]);
        let wanted = sum / (1.0 + (-sum).exp());
        assert!((f64::from(alone[row * 300 + output]) - wanted).abs() < 1e-4);
        let short = Matrix::dense(&x, [1000, 256]).expect("fits");
        assert!(layer.run_rows(short, &mut vec![MaybeUninit::uninit(); 1000 * 300], 1).is_err());
        assert_eq!(layer.weight(), weight);
    }
}
