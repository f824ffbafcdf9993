//! Normalisation of every channel over all frames of a signal whose frames lie one after the other,
//! followed by PReLU: two passes over memory for what takes separate operations eight.

use std::mem::MaybeUninit;

use crate::error::{Error, Result, check_length};
use crate::simd::{Kernel, Lanes, Level, dispatch};
use crate::threads::in_threads;
use crate::uninit::as_uninit;

/// Values that are worth a thread: some ten times what starting one costs.
const WORTH_A_THREAD: usize = 1 << 17;

/// Frames whose sums are made in 32 bits before they are added to those of all frames in 64.
const BLOCK: usize = 64;

/// What is learnt of a normalisation, an element a channel each.
#[derive(Debug, Clone, Copy)]
pub struct ChannelNorm<'a> {
    /// Scales.
    pub weight: &'a [f32],
    /// Offsets.
    pub bias: &'a [f32],
    /// What negative results are multiplied by.
    pub slopes: &'a [f32],
    /// Added to the variance.
    pub eps: f32,
}

/// What is added behind the PReLU, `[frames, channels]`.
#[derive(Debug, Clone, Copy)]
pub struct Residual<'a> {
    /// Up to the last channel of the last frame.
    pub values: &'a [f32],
    /// Elements from one frame to the next, at least as many as there are channels.
    pub stride: usize,
}

impl ChannelNorm<'_> {
    /// Writes the normalised `x [frames, channels]`, plus `residual`, to every element of `out`.
    /// Means and biased variances are those of all frames. A channel with a NaN or an infinity is
    /// NaN in all frames.
    ///
    /// # Errors
    /// When the lengths do not fit each other.
    pub fn run(
        &self,
        x: &[f32],
        residual: Option<Residual<'_>>,
        out: &mut [MaybeUninit<f32>],
        threads: usize,
    ) -> Result<()> {
        self.write(Level::best(), x, residual, out, threads)
    }

    /// Like [`ChannelNorm::run`] with given instructions, for tests and comparisons.
    ///
    /// # Errors
    /// As [`ChannelNorm::run`].
    pub fn run_with(
        &self,
        level: Level,
        x: &[f32],
        residual: Option<Residual<'_>>,
        out: &mut [f32],
        threads: usize,
    ) -> Result<()> {
        // SAFETY: both passes write numbers.
        self.write(level, x, residual, unsafe { as_uninit(out) }, threads)
    }

    fn write(
        &self,
        level: Level,
        x: &[f32],
        residual: Option<Residual<'_>>,
        out: &mut [MaybeUninit<f32>],
        threads: usize,
    ) -> Result<()> {
        let channels = self.weight.len();
        check_length("the offsets", self.bias.len(), channels)?;
        check_length("the slopes", self.slopes.len(), channels)?;
        check_length("the output", out.len(), x.len())?;
        if channels == 0 || !x.len().is_multiple_of(channels) {
            let reason = "have as many values in every frame as there are scales";
            return Err(Error::Setting { setting: "signals", reason });
        }
        let frames = x.len() / channels;
        if frames == 0 {
            return Ok(());
        }
        if let Some(Residual { values, stride }) = residual {
            check_length("the residual", values.len(), (frames - 1) * stride + channels)?;
            if stride < channels {
                let reason = "is at least the number of channels";
                return Err(Error::Setting { setting: "residual's stride", reason });
            }
        }
        let threads = threads.min(x.len() / WORTH_A_THREAD).clamp(1, frames);
        let most = frames.div_ceil(threads);
        let share = most * channels;
        let (gains, offsets) = self.affine(&sums(level, x, channels, share), x, frames);
        let work = |x: &[f32], residual: Option<Residual<'_>>, out: &mut [MaybeUninit<f32>]| {
            let slopes = self.slopes;
            dispatch(level, Apply { gains: &gains, offsets: &offsets, slopes, x, residual, out });
        };
        let behind = |part: usize| {
            residual.map(|Residual { values, stride }| Residual {
                values: &values[part * most * stride..],
                stride,
            })
        };
        let parts = x.chunks(share).zip(out.chunks_mut(share)).enumerate();
        in_threads(threads, parts, |(part, (x, out))| work(x, behind(part), out));
        Ok(())
    }

    /// Factors and summands of every channel.
    fn affine(&self, sums: &Sums, x: &[f32], frames: usize) -> (Vec<f32>, Vec<f32>) {
        let count = frames as f64;
        let channel = |c: usize| {
            let mean = sums.first[c] / count;
            let variance = sums.second[c] / count - mean * mean;
            // Rounding may leave less than nothing; a NaN stays.
            let variance = if variance < 0.0 { 0.0 } else { variance };
            let gain = f64::from(self.weight[c]) / (variance + f64::from(self.eps)).sqrt();
            // Sums are those of distances from the first frame.
            let mean = mean + f64::from(x[c]);
            (gain as f32, (f64::from(self.bias[c]) - mean * gain) as f32)
        };
        (0..self.weight.len()).map(channel).unzip()
    }
}

/// Sums over all frames of the distances of every channel from its first frame, and of their
/// squares: near enough to the mean that nothing is lost where the squares are subtracted.
struct Sums {
    first: Vec<f64>,
    second: Vec<f64>,
}

fn sums(level: Level, x: &[f32], channels: usize, share: usize) -> Sums {
    let origin = &x[..channels];
    let parts = x.chunks(share).len();
    let none = || Sums { first: vec![0.0; channels], second: vec![0.0; channels] };
    let mut sums: Vec<Sums> = (0..parts).map(|_| none()).collect();
    in_threads(parts, x.chunks(share).zip(&mut sums), |(x, sums)| {
        dispatch(level, Gather { x, origin, sums });
    });
    // In order, so that the result is the same whichever thread is done first.
    sums.into_iter().fold(none(), |mut total, part| {
        total.first.iter_mut().zip(part.first).for_each(|(a, b)| *a += b);
        total.second.iter_mut().zip(part.second).for_each(|(a, b)| *a += b);
        total
    })
}

/// The first pass. Its loops are plain: the compiler makes vectors of them.
struct Gather<'a> {
    x: &'a [f32],
    origin: &'a [f32],
    sums: &'a mut Sums,
}

impl Kernel for Gather<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let channels = self.origin.len();
        let mut first = vec![0.0f32; channels];
        let mut second = vec![0.0f32; channels];
        for block in self.x.chunks(BLOCK * channels) {
            first.fill(0.0);
            second.fill(0.0);
            for frame in block.chunks_exact(channels) {
                let parts = frame.iter().zip(self.origin).zip(first.iter_mut().zip(&mut second));
                for ((x, origin), (first, second)) in parts {
                    let distance = x - origin;
                    *first += distance;
                    *second += distance * distance;
                }
            }
            self.sums.first.iter_mut().zip(&first).for_each(|(sum, &x)| *sum += f64::from(x));
            self.sums.second.iter_mut().zip(&second).for_each(|(sum, &x)| *sum += f64::from(x));
        }
    }
}

/// The second pass.
struct Apply<'a> {
    gains: &'a [f32],
    offsets: &'a [f32],
    slopes: &'a [f32],
    x: &'a [f32],
    residual: Option<Residual<'a>>,
    out: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Apply<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let channels = self.gains.len();
        let frames = self.x.chunks_exact(channels).zip(self.out.chunks_exact_mut(channels));
        for (at, (x, out)) in frames.enumerate() {
            let learnt = self.gains.iter().zip(self.offsets).zip(self.slopes);
            let values = x.iter().zip(learnt).map(|(x, ((gain, offset), slope))| {
                let y = x * gain + offset;
                if y < 0.0 { slope * y } else { y }
            });
            match self.residual {
                Some(Residual { values: added, stride }) => {
                    let added = &added[at * stride..][..channels];
                    for (out, (y, r)) in out.iter_mut().zip(values.zip(added)) {
                        out.write(y + r);
                    }
                }
                None => {
                    for (out, y) in out.iter_mut().zip(values) {
                        out.write(y);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(seed: u64, count: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2).wrapping_add(1);
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// The definition in 64 bits.
    fn defined(norm: &ChannelNorm<'_>, x: &[f32], residual: Option<Residual<'_>>) -> Vec<f64> {
        let channels = norm.weight.len();
        let count = (x.len() / channels) as f64;
        let column = |c: usize| x.iter().skip(c).step_by(channels).map(|&x| f64::from(x));
        let moments: Vec<(f64, f64)> = (0..channels)
            .map(|c| {
                let mean = column(c).sum::<f64>() / count;
                (mean, column(c).map(|x| (x - mean).powi(2)).sum::<f64>() / count)
            })
            .collect();
        let value = |(at, &x): (usize, &f32)| {
            let (c, (mean, variance)) = (at % channels, moments[at % channels]);
            let y = (f64::from(x) - mean) / (variance + f64::from(norm.eps)).sqrt();
            let y = y * f64::from(norm.weight[c]) + f64::from(norm.bias[c]);
            let y = if y < 0.0 { y * f64::from(norm.slopes[c]) } else { y };
            y + residual.map_or(0.0, |r| f64::from(r.values[at / channels * r.stride + c]))
        };
        x.iter().enumerate().map(value).collect()
    }

    proptest! {
        #[test]
        fn all_versions_equal_the_definition(
            channels in 1usize..40, frames in 1usize..200, offset in -5.0f32..5.0,
            added: bool, gap in 0usize..9, seed: u64,
        ) {
            let x: Vec<f32> = noise(seed, channels * frames).iter().map(|x| x + offset).collect();
            let (weight, bias) = (noise(seed ^ 1, channels), noise(seed ^ 2, channels));
            let slopes = noise(seed ^ 3, channels);
            let norm = ChannelNorm { weight: &weight, bias: &bias, slopes: &slopes, eps: 1e-5 };
            let stride = channels + gap;
            let values = noise(seed ^ 4, (frames - 1) * stride + channels);
            let residual = added.then_some(Residual { values: &values, stride });
            let wanted = defined(&norm, &x, residual);
            for level in Level::available() {
                let mut out = vec![0.0; x.len()];
                norm.run_with(level, &x, residual, &mut out, 2).expect("fits");
                for (a, b) in out.iter().zip(&wanted) {
                    // Values far from zero leave fewer digits for their distances.
                    prop_assert!((f64::from(*a) - b).abs() < 2e-4, "{:?}: {} and {}", level, a, b);
                }
            }
        }
    }

    #[test]
    fn threads_change_next_to_nothing() {
        let (channels, frames) = (96, 30_000);
        let x = noise(7, channels * frames);
        let ones = vec![1.0; channels];
        let norm = ChannelNorm { weight: &ones, bias: &ones, slopes: &ones, eps: 1e-5 };
        let mut outs = [1, 3].map(|threads| {
            let mut out = vec![0.0; x.len()];
            let residual = Some(Residual { values: &x, stride: channels });
            norm.run_with(Level::best(), &x, residual, &mut out, threads).expect("fits");
            out
        });
        let [one, three] = &mut outs;
        assert!(one.iter().zip(three).all(|(a, b)| (*a - *b).abs() < 1e-6));
    }

    #[test]
    fn channels_that_are_no_numbers_stay_so() {
        let (channels, frames) = (37, 90);
        let (ones, slopes) = (vec![1.0; channels], vec![0.25; channels]);
        let norm = ChannelNorm { weight: &ones, bias: &ones, slopes: &slopes, eps: 1e-5 };
        let mut x = noise(3, channels * frames);
        for (channel, (frame, odd)) in
            [(0, f32::NAN), (40, f32::NAN), (89, f32::INFINITY), (7, f32::NEG_INFINITY)]
                .into_iter()
                .enumerate()
        {
            x[frame * channels + 9 * channel] = odd;
        }
        let wanted = defined(&norm, &x, None);
        for level in Level::available() {
            let mut out = vec![0.0; x.len()];
            norm.run_with(level, &x, None, &mut out, 1).expect("fits");
            let same = out.iter().zip(&wanted).all(|(a, b)| a.is_nan() == b.is_nan());
            assert!(same && out.iter().filter(|y| y.is_nan()).count() == 4 * frames, "{level:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (two, three) = ([1.0; 2], [1.0; 3]);
        let norm = ChannelNorm { weight: &two, bias: &two, slopes: &two, eps: 0.0 };
        let mut out = [MaybeUninit::uninit(); 4];
        assert!(norm.run(&[1.0; 4], None, &mut out, 1).is_ok());
        for (values, stride) in [(&[1.0; 3][..], 2), (&[1.0; 3], 1), (&[1.0; 4], 3)] {
            assert!(norm.run(&[1.0; 4], Some(Residual { values, stride }), &mut out, 1).is_err());
        }
        assert!(norm.run(&[1.0; 3], None, &mut out[..3], 1).is_err());
        assert!(norm.run(&[1.0; 4], None, &mut out[..3], 1).is_err());
        let norm = ChannelNorm { slopes: &three, ..norm };
        assert!(norm.run(&[1.0; 4], None, &mut out, 1).is_err());
    }
}
