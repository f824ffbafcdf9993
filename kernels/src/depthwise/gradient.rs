//! The gradient of a depth-wise convolution with respect to its filters, for `[batch, frames,
//! channels]`. That with respect to its input is the convolution with the filters reversed.

use super::{BLOCK, DepthwiseConfig};
use crate::error::{Error, Result, check_shape};
use crate::simd::{Kernel, Lanes, Level, dispatch};
use crate::view::{Shape, View};

/// Taps whose sums stay in registers.
const TAPS: usize = 8;

/// For every filter, the sums over all signals and frames of
/// `x[b, c, t + k dilation - padding] gradient[b, c, t]`, where `gradient` is that of the
/// convolution's output before its activation: `[channels, kernel]`.
///
/// # Errors
/// [`Error::Shape`] when the shapes are not those of a convolution's input and output,
/// [`Error::Setting`] when channels are no neighbours in memory.
pub fn filter_gradient(
    config: DepthwiseConfig,
    x: View<'_>,
    gradient: View<'_>,
) -> Result<Vec<f32>> {
    filter_gradient_with(Level::best(), config, x, gradient)
}

/// Like [`filter_gradient`] with given instructions, for tests and comparisons.
///
/// # Errors
/// As [`filter_gradient`].
pub fn filter_gradient_with(
    level: Level,
    config: DepthwiseConfig,
    x: View<'_>,
    gradient: View<'_>,
) -> Result<Vec<f32>> {
    config.check()?;
    let frames = config.output_frames(x.shape.frames);
    check_shape("the gradient", gradient.shape, Shape { frames, ..x.shape })?;
    if [x, gradient].iter().any(|view| view.shape.channels > 1 && view.strides.channel != 1) {
        let reason = "channels must be neighbours in memory";
        return Err(Error::Setting { setting: "strides", reason });
    }
    let mut sums = vec![0.0; x.shape.channels * config.kernel];
    if !gradient.shape.is_empty() {
        dispatch(level, Gradient { config, x, gradient, sums: &mut sums });
    }
    Ok(sums)
}

struct Gradient<'a> {
    config: DepthwiseConfig,
    x: View<'a>,
    gradient: View<'a>,
    sums: &'a mut [f32], // [channels, kernel]
}

impl Kernel for Gradient<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let DepthwiseConfig { kernel, dilation, padding: (before, _), .. } = self.config;
        let Shape { batch, channels, frames } = self.gradient.shape;
        // Zeros around the input spare the loops the ends.
        let padded = frames + self.config.reach();
        let mut x = vec![0.0f32; padded * BLOCK];
        let mut gradient = vec![0.0f32; frames * BLOCK];
        let mut sums = vec![0.0f32; kernel * BLOCK];
        let inside = self.x.shape.frames;
        for c in (0..channels).step_by(BLOCK) {
            let n = BLOCK.min(channels - c);
            if n < BLOCK {
                x.fill(0.0);
                gradient.fill(0.0);
            }
            sums.fill(0.0);
            for b in 0..batch {
                // Rows that are as far apart as a power of two push each other out of the cache.
                // SAFETY: the frames and channels are in the views, and the buffers have a block
                // for every frame: `padded` is `before + inside` and the zeros behind.
                unsafe {
                    pack(self.x, (b, c, n), inside, &mut x[before * BLOCK..]);
                    pack(self.gradient, (b, c, n), frames, &mut gradient);
                }
                for lane in (0..BLOCK).step_by(V::N) {
                    let mut k = 0;
                    while k < kernel {
                        let at = k * dilation * BLOCK + lane;
                        let rows = Rows {
                            x: &x[at..],
                            gradient: &gradient[lane..],
                            frames,
                            step: dilation * BLOCK,
                        };
                        let sums = &mut sums[k * BLOCK + lane..];
                        // SAFETY: the caller promises the instructions. `x` holds the frames of the
                        // furthest tap, `padded` of them, and `sums` a block for every tap.
                        k += unsafe {
                            match kernel - k {
                                TAPS.. => taps::<V, TAPS>(&rows, sums),
                                4.. => taps::<V, 4>(&rows, sums),
                                2.. => taps::<V, 2>(&rows, sums),
                                _ => taps::<V, 1>(&rows, sums),
                            }
                        };
                    }
                }
            }
            for (lane, filter) in self.sums[c * kernel..].chunks_mut(kernel).take(n).enumerate() {
                for (k, sum) in filter.iter_mut().enumerate() {
                    *sum = sums[k * BLOCK + lane];
                }
            }
        }
    }
}

/// Copies `n` channels of the first `frames` frames of a signal, a block a frame.
///
/// # Safety
/// They must be in the view, and `to` must have as many blocks.
#[inline(always)]
unsafe fn pack(view: View<'_>, (b, c, n): (usize, usize, usize), frames: usize, to: &mut [f32]) {
    for (t, block) in to.chunks_exact_mut(BLOCK).take(frames).enumerate() {
        // SAFETY: the caller promises that the view has these channels, which are neighbours.
        let row = unsafe { std::slice::from_raw_parts(view.ptr.add(view.strides.at(b, c, t)), n) };
        block[..n].copy_from_slice(row);
    }
}

/// A vector of channels of a signal, from some tap on.
struct Rows<'a> {
    x: &'a [f32],
    gradient: &'a [f32],
    frames: usize,
    step: usize, // elements of `x` from tap to tap
}

/// Adds to the sums of `T` taps, and returns `T`.
///
/// # Safety
/// The processor must have the instructions of `V`; the rows must have a block for every frame,
/// and `x` `T - 1` steps more; `sums` must have a block for every tap.
#[inline(always)]
unsafe fn taps<V: Lanes, const T: usize>(rows: &Rows<'_>, sums: &mut [f32]) -> usize {
    // SAFETY: the caller promises it.
    unsafe {
        let mut total = [V::splat(0.0); T];
        let (x, gradient) = (rows.x.as_ptr(), rows.gradient.as_ptr());
        for t in 0..rows.frames {
            let g = V::load(gradient.add(t * BLOCK));
            let x = x.add(t * BLOCK);
            for (i, total) in total.iter_mut().enumerate() {
                *total = V::load(x.add(i * rows.step)).mul_add(g, *total);
            }
        }
        for (i, total) in total.into_iter().enumerate() {
            let sum = sums.as_mut_ptr().add(i * BLOCK);
            total.add(V::load(sum)).store(sum);
        }
    }
    T
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depthwise::DepthwiseConv1d;
    use crate::view::Strides;
    use proptest::prelude::*;

    /// Small whole numbers: sums of their products are exact.
    fn whole(seed: u32, count: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 29) as f32 - 4.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn rows(shape: Shape, gap: usize) -> Strides {
        let frame = shape.channels + gap;
        Strides { batch: shape.frames * frame, channel: 1, frame }
    }

    proptest! {
        /// What is linear in the filters is their product with its gradient.
        #[test]
        fn is_that_of_the_convolution(
            channels in 1usize..40, frames in 1usize..50, batch in 1usize..3, kernel in 1usize..24,
            dilation in 1usize..4, padding in (0usize..30, 0usize..30), gap in 0usize..3, seed: u32,
        ) {
            let config = DepthwiseConfig { dilation, padding, ..DepthwiseConfig::same(kernel) };
            let shape = Shape::new(batch, channels, frames);
            let out = Shape { frames: config.output_frames(frames), ..shape };
            let (wide, narrow) = (rows(shape, gap), rows(out, 0));
            let x = whole(seed, batch * frames * (channels + gap));
            let gradient = whole(seed ^ 1, batch * out.frames * channels);
            let x = View::new(&x, shape, wide).expect("fits");
            let view = View::new(&gradient, out, narrow).expect("fits");
            for level in Level::available() {
                let found = filter_gradient_with(level, config, x, view).expect("fits");
                prop_assert_eq!(found.len(), channels * kernel);
                // A convolution with a filter that is one at tap `k` and zero elsewhere.
                for k in 0..kernel {
                    let mut weight = vec![0.0; channels * kernel];
                    weight.iter_mut().skip(k).step_by(kernel).for_each(|w| *w = 1.0);
                    let conv = DepthwiseConv1d::new(config, &weight, &[]).expect("fits");
                    let mut y = vec![0.0; gradient.len()];
                    let mut to = crate::view::ViewMut::new(&mut y, out, narrow).expect("fits");
                    conv.run_scalar(x, None, &mut to).expect("fits");
                    for c in 0..channels {
                        let column = |values: &[f32]| -> Vec<f32> {
                            values.iter().skip(c).step_by(channels).copied().collect()
                        };
                        let products = column(&y).into_iter().zip(column(&gradient));
                        let wanted: f32 = products.map(|(y, g)| y * g).sum();
                        prop_assert_eq!(found[c * kernel + k], wanted, "{:?}", level);
                    }
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let config = DepthwiseConfig::same(3);
        let values = [0.0; 24];
        let shape = Shape::new(1, 4, 6);
        let view = |shape: Shape| View::new(&values, shape, shape.channels_last()).expect("fits");
        assert!(filter_gradient(config, view(shape), view(shape)).is_ok());
        let shorter = view(Shape { frames: 5, ..shape });
        assert!(filter_gradient(config, view(shape), shorter).is_err());
        let turned = View::new(&values, shape, shape.channels_first()).expect("fits");
        assert!(filter_gradient(config, turned, view(shape)).is_err());
        assert!(filter_gradient(DepthwiseConfig::same(0), view(shape), view(shape)).is_err());
    }
}
