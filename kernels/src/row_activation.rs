//! Functions of rows of channels whose parameters differ from channel to channel.

use crate::error::{Result, check_length};
use crate::simd::{Kernel, Lanes, Level, dispatch, math};

/// Channels for whose parameters there is room behind the last, so that vectors of them are whole.
const SPARE: usize = 16;

/// A function of every element of rows of channels.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum RowActivation {
    /// The number itself.
    #[default]
    Identity,
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `x` where it is positive, and this multiple of it elsewhere.
    LeakyRelu(f32),
    /// [`Snake`].
    Snake(Snake),
}

/// `x + sin(alpha x)^2 / alpha`, an `alpha` a channel.
///
/// The square of the sine is exact to 5e-7 for `alpha x` within 30,000, and about 0 to 1 for any
/// number.
///
/// Source: Ziyin et al., "Neural Networks Fail to Learn Periodic Functions" (arXiv 2006.08195).
#[derive(Debug, Clone, PartialEq)]
pub struct Snake {
    channels: usize,
    alpha: Vec<f32>,
    inverse: Vec<f32>,
}

impl Snake {
    /// The function with `alpha` of every channel, which it multiplies by, and `inverse`, which is
    /// that of `alpha` but for what keeps it finite.
    ///
    /// # Errors
    /// When the lists differ in length.
    pub fn new(alpha: &[f32], inverse: &[f32]) -> Result<Self> {
        check_length("the inverse", inverse.len(), alpha.len())?;
        let padded = |values: &[f32]| [values, &[0.0; SPARE]].concat();
        Ok(Self { channels: alpha.len(), alpha: padded(alpha), inverse: padded(inverse) })
    }

    /// The definition, for an element of channel `channel`.
    #[must_use]
    pub fn of(&self, x: f32, channel: usize) -> f32 {
        let sine = (self.alpha[channel] * x).sin();
        x + sine * sine * self.inverse[channel]
    }
}

impl RowActivation {
    /// Refuses parameters of another number of channels.
    ///
    /// # Errors
    /// When there are others.
    pub fn check(&self, channels: usize) -> Result<()> {
        match self {
            Self::Snake(snake) => check_length("the channels", snake.channels, channels),
            _ => Ok(()),
        }
    }

    /// Writes the function of `scale x` to `out`, for rows of `channels`.
    ///
    /// # Errors
    /// When lengths differ, and as [`RowActivation::check`].
    pub fn run(&self, x: &[f32], scale: f32, channels: usize, out: &mut [f32]) -> Result<()> {
        self.run_with(Level::best(), x, scale, channels, out)
    }

    fn run_with(
        &self,
        level: Level,
        x: &[f32],
        scale: f32,
        channels: usize,
        out: &mut [f32],
    ) -> Result<()> {
        self.check(channels)?;
        check_length("the output", out.len(), x.len())?;
        if channels > 0 {
            dispatch(level, Rows { activation: self, x, scale, channels, out });
        }
        Ok(())
    }

    /// The function of a vector whose first element is of channel `channel`.
    ///
    /// # Safety
    /// The processor must have the instructions of `V`, and `channel` must be one of those that the
    /// function was [checked](RowActivation::check) for.
    #[inline(always)]
    pub(crate) unsafe fn of_lanes<V: Lanes>(&self, x: V, channel: usize) -> V {
        // SAFETY: the caller promises the instructions and a channel, behind which is room for a
        // vector.
        unsafe {
            match self {
                Self::Identity => x,
                Self::Silu => math::silu(x),
                Self::LeakyRelu(slope) => {
                    let zero = V::splat(0.0);
                    x.where_at_least(zero, x, x.mul(V::splat(*slope)))
                }
                Self::Snake(snake) => {
                    debug_assert!(channel < snake.channels && V::N <= SPARE);
                    let alpha = V::load(snake.alpha.as_ptr().add(channel));
                    let inverse = V::load(snake.inverse.as_ptr().add(channel));
                    math::sine_squared(x.mul(alpha)).mul_add(inverse, x)
                }
            }
        }
    }
}

struct Rows<'a> {
    activation: &'a RowActivation,
    x: &'a [f32],
    scale: f32,
    channels: usize,
    out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let rows = self.x.chunks(self.channels).zip(self.out.chunks_mut(self.channels));
        for (x, out) in rows {
            for ((x, out), at) in x.chunks(V::N).zip(out.chunks_mut(V::N)).zip(0..) {
                // SAFETY: both chunks have as many elements as are loaded and stored, and channels
                // are those of the activation.
                unsafe {
                    let scale = V::splat(self.scale);
                    match x.len() == V::N {
                        true => {
                            let x = V::load(x.as_ptr()).mul(scale);
                            self.activation.of_lanes(x, at * V::N).store(out.as_mut_ptr());
                        }
                        false => {
                            let n = x.len();
                            let x = V::load_part(x.as_ptr(), n).mul(scale);
                            let y = self.activation.of_lanes(x, at * V::N);
                            y.store_part(out.as_mut_ptr(), n);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_instructions_give_the_definition() {
        let channels = 21;
        let alpha: Vec<f32> = (0..channels).map(|c| 0.05 + c as f32 * c as f32).collect();
        let inverse: Vec<f32> = alpha.iter().map(|alpha| 1.0 / (alpha + 1e-9)).collect();
        let snake = Snake::new(&alpha, &inverse).expect("fits");
        let x: Vec<f32> = (0..40 * channels).map(|i| (i as f32 * 0.613).sin() * 70.0).collect();
        type Definition<'a> = &'a dyn Fn(f32, usize) -> f32;
        let cases: [(RowActivation, Definition<'_>); 4] = [
            (RowActivation::Identity, &|x, _| x),
            (RowActivation::Silu, &|x, _| x / (1.0 + (-x).exp())),
            (RowActivation::LeakyRelu(0.1), &|x, _| if x < 0.0 { 0.1 * x } else { x }),
            (RowActivation::Snake(snake.clone()), &|x, c| snake.of(x, c)),
        ];
        for level in Level::available() {
            for (activation, definition) in &cases {
                let mut y = vec![0.0; x.len()];
                activation.run_with(level, &x, 0.5, channels, &mut y).expect("fits");
                for (at, (x, y)) in x.iter().zip(y).enumerate() {
                    let wanted = definition(0.5 * x, at % channels);
                    let bound = 1e-6 * wanted.abs().max(1.0) + 5e-7 * inverse[at % channels];
                    assert!((y - wanted).abs() < bound, "{level:?}, {activation:?} of {x}: {y}");
                }
            }
        }
        assert!(RowActivation::Snake(snake).run(&x, 1.0, 20, &mut vec![0.0; x.len()]).is_err());
        assert!(RowActivation::Silu.run(&x, 1.0, 21, &mut [0.0]).is_err());
    }

    #[test]
    fn numbers_that_are_none_stay_so() {
        let snake = RowActivation::Snake(Snake::new(&[1.0], &[1.0]).expect("fits"));
        for level in Level::available() {
            let mut y = [0.0; 3];
            snake.run_with(level, &[f32::NAN, 1e30, -3e9], 1.0, 1, &mut y).expect("fits");
            assert!(y[0].is_nan(), "{level:?}");
            assert!((1e30..1.1e30).contains(&y[1]) && (y[2] + 3e9).abs() < 1e3, "{level:?}: {y:?}");
        }
    }
}
