//! Mean and variance of every channel over its frames, plain or weighted by attention.
//!
//! Written with one operation after another, attentive statistics read and write all frames of all
//! channels ten times over; here a channel stays in the nearest cache until it is done.

use crate::error::{Error, Result, check_length};
use crate::simd::{Kernel, Lanes, Level, dispatch, math};
use crate::threads::in_threads;

/// Values that are worth a thread: some ten times what starting one costs.
const WORTH_A_THREAD: usize = 1 << 20;

/// Signals whose channels lie one after the other, each with all its frames.
#[derive(Debug, Clone, Copy)]
pub struct Signals<'a> {
    /// `[batch, channels, frames]`.
    pub values: &'a [f32],
    /// Channels of a signal.
    pub channels: usize,
    /// Frames of a channel.
    pub frames: usize,
    /// Leading frames of each signal that count, `[batch]`; all of them if `None`.
    pub valid: Option<&'a [usize]>,
}

/// Means and biased variances, `[batch, channels]` each.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Statistics {
    /// Means over the frames that count.
    pub means: Vec<f32>,
    /// Mean squared distances from them.
    pub variances: Vec<f32>,
}

/// Statistics over the frames that count. With `scores`, of the shape of the values, each frame of
/// each channel has the weight that a softmax over the scores of the channel gives it. A signal
/// without frames that count has zeros.
///
/// Source: Okabe, Koshinaka, Shinoda, "Attentive Statistics Pooling for Deep Speaker Embedding"
/// (Interspeech 2018), section 2.2.
///
/// # Errors
/// When the lengths do not fit each other.
pub fn statistics(
    signals: Signals<'_>,
    scores: Option<&[f32]>,
    threads: usize,
) -> Result<Statistics> {
    statistics_with(Level::best(), signals, scores, threads)
}

/// Like [`statistics`] with given instructions, for tests and comparisons.
///
/// # Errors
/// As [`statistics`].
pub fn statistics_with(
    level: Level,
    signals: Signals<'_>,
    scores: Option<&[f32]>,
    threads: usize,
) -> Result<Statistics> {
    let rows = signals.check(scores)?;
    let mut found = Statistics { means: vec![0.0; rows], variances: vec![0.0; rows] };
    if rows == 0 || signals.frames == 0 {
        return Ok(found);
    }
    let threads = threads.min(signals.values.len() / WORTH_A_THREAD).clamp(1, rows);
    let share = rows.div_ceil(threads);
    let work = |first: usize, means: &mut [f32], variances: &mut [f32]| {
        dispatch(level, Rows { signals, scores, first, means, variances });
    };
    let means = found.means.chunks_mut(share);
    let parts = means.zip(found.variances.chunks_mut(share)).enumerate();
    in_threads(threads, parts, |(part, (means, variances))| work(part * share, means, variances));
    Ok(found)
}

impl<'a> Signals<'a> {
    /// The number of channels of all signals.
    fn check(&self, scores: Option<&[f32]>) -> Result<usize> {
        let len = self.values.len();
        let signal = self.channels.checked_mul(self.frames).unwrap_or(0);
        let batch = match signal {
            0 => 0,
            _ => len / signal,
        };
        check_length("the values", len, batch * signal)?;
        check_length("the scores", scores.map_or(len, <[f32]>::len), len)?;
        if let Some(valid) = self.valid {
            check_length("the valid frames", valid.len(), batch)?;
            if valid.iter().any(|&count| count > self.frames) {
                let reason = "are at most as many as there are frames";
                return Err(Error::Setting { setting: "valid frames", reason });
            }
        }
        Ok(batch * self.channels)
    }

    fn row<'b>(&self, of: &'b [f32], row: usize) -> &'b [f32] {
        let count = self.valid.map_or(self.frames, |valid| valid[row / self.channels]);
        &of[row * self.frames..][..count]
    }
}

struct Rows<'a, 'b> {
    signals: Signals<'a>,
    scores: Option<&'a [f32]>,
    /// Row that the first mean belongs to.
    first: usize,
    means: &'b mut [f32],
    variances: &'b mut [f32],
}

impl Kernel for Rows<'_, '_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let Self { signals, scores, first, means, variances } = self;
        let mut weights = vec![1.0f32; signals.frames];
        for (at, (mean, variance)) in means.iter_mut().zip(variances).enumerate() {
            let x = signals.row(signals.values, first + at);
            // SAFETY: the caller promises the instructions; the lists are equally long.
            unsafe {
                let weights = &mut weights[..x.len()];
                let total = match scores {
                    Some(scores) => soften::<V>(signals.row(scores, first + at), weights),
                    None => x.len() as f32,
                };
                if x.is_empty() {
                    continue;
                }
                *mean = sum::<V, 1>(x, weights, 0.0) / total;
                *variance = sum::<V, 2>(x, weights, *mean) / total;
            }
        }
    }
}

/// Turns scores into weights with a maximum of one, and returns their sum.
///
/// # Safety
/// The processor must have the instructions of `V`; both lists are equally long.
#[inline(always)]
unsafe fn soften<V: Lanes>(scores: &[f32], weights: &mut [f32]) -> f32 {
    let (len, whole) = (scores.len(), scores.len() / V::N * V::N);
    // SAFETY: all vectors lie within the `len` elements of both lists.
    unsafe {
        let mut highest = V::splat(f32::NEG_INFINITY);
        for i in (0..whole).step_by(V::N) {
            highest = highest.max(V::load(scores.as_ptr().add(i)));
        }
        let highest = scores[whole..].iter().fold(across(highest, f32::max), |a, &b| a.max(b));
        let mut total = V::splat(0.0);
        for i in (0..whole).step_by(V::N) {
            let weight = math::exp(V::load(scores.as_ptr().add(i)).sub(V::splat(highest)));
            weight.store(weights.as_mut_ptr().add(i));
            total = total.add(weight);
        }
        let mut total = across(total, |a, b| a + b);
        for i in whole..len {
            weights[i] = (scores[i] - highest).exp();
            total += weights[i];
        }
        total
    }
}

/// The sum of `weight * (x - centre)^POWER`.
///
/// # Safety
/// The processor must have the instructions of `V`; both lists are equally long.
#[inline(always)]
unsafe fn sum<V: Lanes, const POWER: usize>(x: &[f32], weights: &[f32], centre: f32) -> f32 {
    let (len, whole) = (x.len(), x.len() / V::N * V::N);
    // SAFETY: all vectors lie within the `len` elements of both lists.
    unsafe {
        let mut sum = V::splat(0.0);
        for i in (0..whole).step_by(V::N) {
            let x = V::load(x.as_ptr().add(i)).sub(V::splat(centre));
            let weight = V::load(weights.as_ptr().add(i));
            sum = if POWER == 2 { x.mul(x).mul_add(weight, sum) } else { x.mul_add(weight, sum) };
        }
        let mut sum = across(sum, |a, b| a + b);
        for i in whole..len {
            sum += weights[i] * (x[i] - centre).powi(POWER as i32);
        }
        sum
    }
}

/// All elements of a vector, put together pair by pair.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
unsafe fn across<V: Lanes>(vector: V, join: impl Fn(f32, f32) -> f32) -> f32 {
    const WIDEST: usize = 16;
    let mut elements = [0.0f32; WIDEST];
    // SAFETY: no vector is longer than `WIDEST`.
    unsafe { vector.store(elements.as_mut_ptr()) };
    let mut count = V::N;
    while count > 1 {
        count /= 2;
        for i in 0..count {
            elements[i] = join(elements[i], elements[i + count]);
        }
    }
    elements[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Signals<'_> {
        /// The definition of [`statistics`] in 64 bits.
        fn statistics_scalar(&self, scores: Option<&[f32]>) -> Result<Statistics> {
            let mut found = Statistics::default();
            for row in 0..self.check(scores)? {
                let x = self.row(self.values, row);
                let weights: Vec<f64> = match scores {
                    None => vec![1.0; x.len()],
                    Some(scores) => {
                        let scores = self.row(scores, row);
                        let highest = scores.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
                        scores.iter().map(|&s| (f64::from(s) - f64::from(highest)).exp()).collect()
                    }
                };
                let total = weights.iter().sum::<f64>();
                let weighted = |f: &dyn Fn(f64) -> f64| {
                    let sum: f64 = x.iter().zip(&weights).map(|(&x, w)| w * f(f64::from(x))).sum();
                    if x.is_empty() { 0.0 } else { sum / total }
                };
                let mean = weighted(&|x| x);
                found.means.push(mean as f32);
                found.variances.push(weighted(&|x| (x - mean).powi(2)) as f32);
            }
            Ok(found)
        }
    }

    fn noise(seed: u64, count: usize, scale: f32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2).wrapping_add(1);
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..count).map(|_| scale * next()).collect()
    }

    proptest! {
        #[test]
        fn all_versions_equal_the_definition(
            batch in 0usize..3, channels in 1usize..5, frames in 1usize..80,
            attentive: bool, padded: bool, seed: u64,
        ) {
            let count = batch * channels * frames;
            let (x, scores) = (noise(seed, count, 3.0), noise(seed ^ 5, count, 20.0));
            let valid: Vec<usize> = (0..batch).map(|b| frames - b.min(frames - 1)).collect();
            let signals = Signals {
                values: &x, channels, frames, valid: padded.then_some(&valid),
            };
            let scores = attentive.then_some(scores.as_slice());
            let wanted = signals.statistics_scalar(scores).expect("fits");
            for level in Level::available() {
                let found = statistics_with(level, signals, scores, 2).expect("fits");
                for (found, wanted) in [
                    (&found.means, &wanted.means), (&found.variances, &wanted.variances),
                ] {
                    prop_assert_eq!(found.len(), batch * channels);
                    for (a, b) in found.iter().zip(wanted) {
                        prop_assert!((a - b).abs() < 1e-5, "{:?}: {} and {}", level, a, b);
                    }
                }
            }
        }
    }

    #[test]
    fn values_that_are_no_numbers_are_in_the_statistics() {
        let (frames, plain) = (45, noise(1, 45, 1.0));
        for (at, odd) in [0, 17, 44].into_iter().zip([f32::NAN, f32::NAN, f32::INFINITY]) {
            let mut other = plain.clone();
            other[at] = odd;
            for (values, scores) in [(&plain, &other), (&other, &plain)] {
                let signals = Signals { values, channels: 1, frames, valid: None };
                for level in Level::available() {
                    let found = statistics_with(level, signals, Some(scores), 1).expect("fits");
                    let wanted = signals.statistics_scalar(Some(scores)).expect("fits");
                    assert_eq!(found.means[0].is_nan(), wanted.means[0].is_nan(), "{level:?}");
                    assert!(found.variances[0].is_nan() && wanted.variances[0].is_nan());
                }
            }
        }
    }

    #[test]
    fn threads_change_nothing() {
        let (channels, frames) = (37, 90_000);
        let x = noise(3, channels * frames, 1.0);
        let signals = Signals { values: &x, channels, frames, valid: None };
        let one = statistics(signals, Some(&x), 1).expect("fits");
        assert_eq!(one, statistics(signals, Some(&x), 3).expect("fits"));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let signals = Signals { values: &[1.0; 12], channels: 2, frames: 3, valid: None };
        assert!(statistics(signals, Some(&[1.0; 11]), 1).is_err());
        assert!(statistics(Signals { channels: 5, ..signals }, None, 1).is_err());
        assert!(statistics(Signals { valid: Some(&[3]), ..signals }, None, 1).is_err());
        assert!(statistics(Signals { valid: Some(&[3, 4]), ..signals }, None, 1).is_err());
        let none = statistics(Signals { valid: Some(&[3, 0]), ..signals }, None, 1).expect("fits");
        assert_eq!((none.means[3], none.variances[3]), (0.0, 0.0));
    }
}
