//! Functions that are applied to every element behind a kernel's sum.

use crate::simd::{Lanes, math};

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// The number itself.
    #[default]
    Identity,
    /// `max(x, 0)`, NaN for NaN.
    Relu,
    /// `x / (1 + exp(-x))`, also called swish.
    Silu,
    /// `max(x, 0)^2`, NaN for NaN.
    SquaredRelu,
}

impl Activation {
    /// The definition.
    #[must_use]
    pub fn of(self, x: f32) -> f32 {
        match self {
            Self::Identity => x,
            Self::Relu => relu(x),
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::SquaredRelu => relu(x) * relu(x),
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
                Self::Relu => V::splat(0.0).max(x),
                Self::Silu => math::silu(x),
                Self::SquaredRelu => {
                    let x = V::splat(0.0).max(x);
                    x.mul(x)
                }
            }
        }
    }
}

/// Unlike `f32::max`, which would hide a NaN.
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Kernel, Level, dispatch};

    struct Map<'a> {
        activation: Activation,
        x: &'a [f32],
        y: &'a mut [f32],
    }

    impl Kernel for Map<'_> {
        #[inline(always)]
        unsafe fn run<V: Lanes>(self) {
            for (x, y) in self.x.chunks(V::N).zip(self.y.chunks_mut(V::N)) {
                // SAFETY: both chunks have as many elements as are loaded and stored.
                unsafe {
                    let values = self.activation.of_lanes(V::load_part(x.as_ptr(), x.len()));
                    values.store_part(y.as_mut_ptr(), y.len());
                }
            }
        }
    }

    #[test]
    fn all_instructions_give_the_definition_of_any_number() {
        let x =
            [f32::NAN, -f32::NAN, 1.5, -1.5, 0.0, -0.0, f32::INFINITY, -80.0, 3e-5, 80.0, -100.0];
        let all =
            [Activation::Identity, Activation::Relu, Activation::Silu, Activation::SquaredRelu];
        for (level, activation) in Level::available().flat_map(|level| all.map(|one| (level, one)))
        {
            let mut y = [7.0; 11];
            dispatch(level, Map { activation, x: &x, y: &mut y });
            for (x, y) in x.into_iter().zip(y) {
                let wanted = activation.of(x);
                let same = y == wanted || (y - wanted).abs() <= 1e-6 * wanted.abs().max(1e-3);
                let same = same || y.is_nan() && wanted.is_nan();
                assert!(same, "{level:?}, {activation:?} of {x}: {y}, not {wanted}");
                assert!(y.is_nan() == x.is_nan(), "{level:?}, {activation:?} of {x}: {y}");
            }
        }
    }
}
