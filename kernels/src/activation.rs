//! Functions that are applied to every element behind a kernel's sum.

use crate::simd::{Lanes, math};

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// The number itself.
    #[default]
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `x / (1 + exp(-x))`, also called swish.
    Silu,
    /// `max(x, 0)^2`.
    SquaredRelu,
}

impl Activation {
    /// The definition.
    #[must_use]
    pub fn of(self, x: f32) -> f32 {
        match self {
            Self::Identity => x,
            Self::Relu => x.max(0.0),
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::SquaredRelu => x.max(0.0) * x.max(0.0),
        }
    }

    /// The function of a vector.
    ///
    /// # Safety
    /// The processor must have the instructions of `V`.
    #[inline(always)]
    pub(crate) unsafe fn of_lanes<V: Lanes>(self, x: V) -> V {
        // SAFETY: the caller promises the instructions.
        unsafe {
            match self {
                Self::Identity => x,
                Self::Relu => x.max(V::splat(0.0)),
                Self::Silu => math::silu(x),
                Self::SquaredRelu => {
                    let x = x.max(V::splat(0.0));
                    x.mul(x)
                }
            }
        }
    }
}
