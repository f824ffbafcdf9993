//! ScaleNorm: vectors brought to one length, which is learnt.
//!
//! Source: Nguyen, Salazar, "Transformers without Tears" (IWSLT 2019), section 2.2, with the length
//! counted per element as in Hua et al., "Transformer Quality in Linear Time" (ICML 2022).

use crate::error::Result;
use crate::params::{Params, Weight};
use tch::Tensor;

/// Least length per element that a vector is divided by.
const EPS: f64 = 1e-5;

/// Divides vectors by the root of their mean square and multiplies them by one number.
#[derive(Debug, Clone)]
pub struct ScaleNorm {
    /// `[1]`
    pub g: Weight,
}

impl ScaleNorm {
    /// `g` under `params`.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>) -> Result<Self> {
        Ok(Self { g: params.ones("g", &[1])? })
    }

    /// `[.., channels]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        unit(x) * &*self.g
    }
}

/// `x [.., channels]` with a mean square of one along the channels.
pub fn unit(x: &Tensor) -> Tensor {
    x / length(x)
}

/// What [`unit()`] divides by, `[.., 1]`.
pub fn length(x: &Tensor) -> Tensor {
    let channels = x.size().last().copied().unwrap_or(1).max(1) as f64;
    let norm = x.norm_scalaropt_dim(2.0, [-1i64].as_slice(), true);
    (norm / channels.sqrt()).clamp_min(EPS)
}

/// Whether all numbers of `x` are finite; for tests of other modules.
#[cfg(test)]
pub(crate) fn finite(x: &Tensor) -> bool {
    x.isfinite().all().to_kind(tch::Kind::Int64).int64_value(&[]) == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::VarStore;

    #[test]
    fn silence_stays_silence_and_the_rest_has_one_length() {
        let vs = VarStore::new(tch::Device::Cpu);
        let norm = ScaleNorm::new(&Params::random(&vs.root())).expect("sound sizes");
        let x = Tensor::from_slice(&[0.0f32, 0.0, 3.0, 4.0]).view([2, 2]);
        let y = norm.forward(&x);
        assert!(finite(&y));
        assert_eq!(y.get(0).abs().max().double_value(&[]), 0.0);
        let mean_square = y.get(1).square().mean(tch::Kind::Float).double_value(&[]);
        assert!((mean_square - 1.0).abs() < 1e-6);
    }
}
