//! Transposed convolution, which makes a whole number of frames of each, as one matrix product, or as
//! a convolution that makes them side by side.
//!
//! `factor` neighboring frames of the output depend on the same few frames of the input. Rows of
//! the left operand are those frames, and overlap in memory; rows of the result lie one behind
//! the other as the output does, so that nothing is added up or moved.

#[cfg(target_arch = "x86_64")]
use super::direct::{self, Direct};
#[cfg(target_arch = "x86_64")]
use super::{ConvolutionConfig, Group, Onto};
use crate::activation::Activation;
use crate::error::{Error, Result, check_length};
use crate::gemm::{Gemm, Matrix};
use crate::linear::Linear;
use crate::row_activation::RowActivation;
#[cfg(target_arch = "x86_64")]
use crate::threads::in_threads;
use crate::uninit::as_uninit;

/// Sizes of a transposed convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpsamplingConfig {
    /// Channels that go in.
    pub inputs: usize,
    /// Channels that come out.
    pub outputs: usize,
    /// Taps: as many as `factor`, or more by an even number.
    pub kernel: usize,
    /// Frames that come out for each that goes in.
    pub factor: usize,
}

/// `y[t] = bias + sum over s of weight[t + (kernel - factor) / 2 - factor s] f(x[s])`, ready to run.
#[derive(Debug, Clone)]
pub struct Upsampling {
    config: UpsamplingConfig,
    before: RowActivation,
    bias: Vec<f32>,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Product(Linear),
    #[cfg(target_arch = "x86_64")]
    Direct(Direct),
}

impl Form {
    /// Of `weight [taps, inputs, factor outputs]` and `bias [factor outputs]`.
    fn new(gemm: Gemm, config: UpsamplingConfig, weight: &[f32], bias: &[f32]) -> Result<Self> {
        #[cfg(target_arch = "x86_64")]
        if let Some(direct) = Direct::new(gemm, config.of_steps(), weight) {
            return Ok(Self::Direct(direct));
        }
        let size = [config.taps() * config.inputs, config.factor * config.outputs];
        let matrix = Matrix::dense(weight, size)?.transposed();
        Ok(Self::Product(Linear::new(gemm, matrix, bias, Activation::Identity)?))
    }
}

impl UpsamplingConfig {
    /// Frames of the input that one of the output depends on.
    fn taps(&self) -> usize {
        self.kernel.div_ceil(self.factor)
    }

    /// The same as a convolution that makes `factor` frames side by side of each.
    #[cfg(target_arch = "x86_64")]
    fn of_steps(&self) -> ConvolutionConfig {
        let (inputs, outputs) = (self.inputs, self.factor * self.outputs);
        ConvolutionConfig { inputs, outputs, kernel: self.taps(), dilation: 1 }
    }

    /// Its weights `[taps, inputs, factor outputs]`, from `weight [kernel, inputs, outputs]`.
    fn weight_of_steps(&self, weight: &[f32]) -> Vec<f32> {
        let Self { inputs, outputs, factor, .. } = *self;
        let mut steps = vec![0.0; self.taps() * inputs * factor * outputs];
        for (at, tap) in weight.chunks_exact(inputs * outputs).enumerate() {
            let (phase, first) = (at % factor, (self.taps() - 1 - at / factor) * inputs);
            for (input, weights) in tap.chunks_exact(outputs).enumerate() {
                let to = ((first + input) * factor + phase) * outputs;
                steps[to..to + outputs].copy_from_slice(weights);
            }
        }
        steps
    }
}

impl Upsampling {
    /// A convolution of `weight [kernel, inputs, outputs]` and `bias [outputs]`.
    ///
    /// # Errors
    /// When lengths do not fit, and when no whole number of frames can come out.
    pub fn new(
        gemm: Gemm,
        config: UpsamplingConfig,
        before: RowActivation,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<Self> {
        let UpsamplingConfig { inputs, outputs, kernel, factor } = config;
        if factor == 0 || kernel < factor || (kernel - factor) % 2 != 0 {
            let reason = "is the factor, or larger by an even number";
            return Err(Error::Setting { setting: "kernel", reason });
        }
        if inputs == 0 || outputs == 0 {
            return Err(Error::Setting { setting: "channels", reason: "there is one at least" });
        }
        let numbers = outputs.checked_mul(inputs).and_then(|n| n.checked_mul(kernel));
        check_length("the weight", weight.len(), numbers.unwrap_or(usize::MAX))?;
        check_length("the bias", bias.len(), outputs)?;
        before.check(inputs)?;
        let bias = bias.repeat(factor);
        let form = Form::new(gemm, config, &config.weight_of_steps(weight), &bias)?;
        Ok(Self { config, before, bias, form })
    }

    /// Rows for those of `scale x`, in memory that is `buffer`'s.
    ///
    /// # Errors
    /// When `x` has no whole number of rows.
    pub fn run<'a>(
        &self,
        x: &[f32],
        scale: f32,
        buffer: &'a mut Vec<f32>,
        threads: usize,
    ) -> Result<&'a [f32]> {
        let UpsamplingConfig { inputs, outputs, kernel, factor } = self.config;
        let (rows, taps) = (x.len() / inputs, self.config.taps());
        check_length("the input", x.len(), rows * inputs)?;
        if rows == 0 {
            return Ok(&[]);
        }
        let steps = rows + taps - 1;
        buffer.resize(steps * factor * outputs, 0.0);
        match &self.form {
            Form::Product(product) => {
                let around = (taps - 1) * inputs;
                let mut padded = vec![0.0; x.len() + 2 * around];
                self.before.run(x, scale, inputs, &mut padded[around..][..x.len()])?;
                let left = Matrix::new(&padded, [steps, taps * inputs], [inputs, 1])?;
                // SAFETY: a product writes numbers.
                product.run_rows(left, unsafe { as_uninit(buffer) }, threads)?;
            }
            #[cfg(target_arch = "x86_64")]
            Form::Direct(form) => {
                // The last tap of the first step is the first frame.
                let first = form.config().reach() as isize + 1 - taps as isize;
                let parts = buffer.chunks_mut(direct::ROWS * factor * outputs).enumerate();
                in_threads(threads, parts, |(part, out)| {
                    let first = first + (part * direct::ROWS) as isize;
                    let (before, bias, onto) = (&self.before, &self.bias, Onto::default());
                    form.group(Group { x, first, scale, before, bias, onto, out });
                });
            }
        }
        Ok(&buffer[(kernel - factor) / 2 * outputs..][..rows * factor * outputs])
    }

    /// Makes its products so from now on, of the weights as exact as they are kept.
    pub fn set_gemm(&mut self, gemm: Gemm) {
        match &mut self.form {
            Form::Product(product) => product.set_gemm(gemm),
            #[cfg(target_arch = "x86_64")]
            Form::Direct(direct) => {
                if direct.gemm() != gemm {
                    let form = Form::new(gemm, self.config, &direct.weight(), &self.bias);
                    self.form = form.expect("sizes that were taken before");
                }
            }
        }
    }

    /// Its sizes.
    #[must_use]
    pub fn config(&self) -> UpsamplingConfig {
        self.config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::Precision;

    #[test]
    fn equals_the_definition() {
        let gemm = Gemm::new(Precision::Single).expect("32 bits are always there");
        for [inputs, outputs, kernel, factor, rows] in
            [[5, 3, 16, 8, 9], [4, 6, 4, 2, 1], [3, 2, 7, 3, 5], [2, 2, 3, 3, 4], [3, 1, 9, 1, 6]]
        {
            let noise = |count: usize| (0..count).map(|i| (i as f32 * 1.7).sin()).collect();
            let (x, weight): (Vec<f32>, Vec<f32>) =
                (noise(rows * inputs), noise(kernel * inputs * outputs));
            let bias: Vec<f32> = noise(outputs);
            let config = UpsamplingConfig { inputs, outputs, kernel, factor };
            let layer =
                Upsampling::new(gemm, config, RowActivation::LeakyRelu(0.1), &weight, &bias);
            let (layer, mut buffer) = (layer.expect("fits"), vec![7.0; 3]);
            let found = layer.run(&x, 0.5, &mut buffer, 2).expect("fits");
            assert_eq!(found.len(), rows * factor * outputs);
            for (at, found) in found.iter().enumerate() {
                let (t, output) = (at / outputs + (kernel - factor) / 2, at % outputs);
                let mut wanted = bias[output];
                for s in 0..rows {
                    let Some(tap) = t.checked_sub(s * factor).filter(|&tap| tap < kernel) else {
                        continue;
                    };
                    for input in 0..inputs {
                        let x = 0.5 * x[s * inputs + input];
                        let x = if x < 0.0 { 0.1 * x } else { x };
                        wanted += x * weight[(tap * inputs + input) * outputs + output];
                    }
                }
                assert!((found - wanted).abs() < 1e-5, "{config:?}, {at}: {found}, not {wanted}");
            }
            assert!(layer.run(&[], 1.0, &mut buffer, 1).expect("fits").is_empty());
            assert!(layer.run(&x[1..], 1.0, &mut buffer, 1).is_err() || inputs == 1);
        }
        let config = UpsamplingConfig { inputs: 1, outputs: 1, kernel: 3, factor: 2 };
        let refused = Upsampling::new(gemm, config, RowActivation::Identity, &[0.0; 3], &[0.0]);
        assert!(refused.is_err());
    }
}
