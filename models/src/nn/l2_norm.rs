//! Normalisation by length: the last axis is brought to unit Euclidean length, then scaled.
//!
//! Source: Zhang, Sennrich, "Root Mean Square Layer Normalization" (NeurIPS 2019), in the form
//! without epsilon inside the root that the RoFormer separators have.

use crate::error::Result;
use crate::params::{Params, Weight};
use tch::{Tensor, nn};

/// Lengths below it count as it, so that zeros stay zeros.
pub const SHORTEST: f64 = 1e-12;

/// `x / max(|x|, 1e-12) * sqrt(width) * gamma` over the last axis.
#[derive(Debug, Clone)]
pub struct L2Norm {
    /// `[width]`
    pub gamma: Weight,
    scale: f64,
}

impl L2Norm {
    /// `gamma` under `params`, ones at first.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn new(params: &Params<'_>, width: i64) -> Result<Self> {
        Ok(Self {
            gamma: params.get("gamma", &[width], nn::Init::Const(1.0))?,
            scale: (width as f64).sqrt(),
        })
    }

    /// `[..., width]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        unit_length(x, -1) * (&*self.gamma * self.scale)
    }
}

/// `x` with vectors along `axis` of unit length.
pub fn unit_length(x: &Tensor, axis: i64) -> Tensor {
    x / x.norm_scalaropt_dim(2, [axis].as_slice(), true).clamp_min(SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;
    use tch::nn::VarStore;

    #[test]
    fn lengths_are_the_root_of_the_width_and_zeros_stay() {
        let vs = VarStore::new(Device::Cpu);
        let norm = L2Norm::new(&Params::random(&vs.root()), 9).expect("sound sizes");
        let x = Tensor::randn([4, 9], tch::kind::FLOAT_CPU) * 50.0;
        let lengths = norm.forward(&x).norm_scalaropt_dim(2, [1i64].as_slice(), false);
        assert!((lengths - 3.0).abs().max().double_value(&[]) < 1e-5);
        assert_eq!(norm.forward(&x.zeros_like()).abs().max().double_value(&[]), 0.0);
    }
}
