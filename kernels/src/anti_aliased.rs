//! A periodic function at twice the rate of its signal, so that the overtones it makes do not fold back:
//! a filter doubles the rate, the function follows, and a second filter halves the rate.
//!
//! Both filters and the function go over the rows of a channel together. What has twice the rate is
//! never more than the [`TAPS`] numbers that the second filter sees.
//!
//! Source: Lee et al., "BigVGAN" (ICLR 2023, arXiv 2206.04658).

use crate::error::{Result, check_length};
use crate::simd::{Kernel, Lanes, Level, dispatch, math};
use crate::threads::in_threads;

/// Taps of both filters.
pub const TAPS: usize = 12;
/// Taps that one number of twice the rate sees.
const HALF: usize = TAPS / 2;
/// Numbers of twice the rate in front of those of a row that the second filter sees.
const BEFORE: isize = HALF as isize - 1;
/// Channels for whose parameters there is room behind the last, so that vectors of them are whole.
const SPARE: usize = 16;
/// Elements of the rows that are computed together, and the fewest rows: the filters begin anew with each.
const PART: usize = 1 << 16;
const FEWEST_ROWS: usize = 128;

/// `x + sin(alpha x)^2 inverse` between two filters, parameters a channel. Rows outside of a signal are
/// those at its ends, in front of both filters.
#[derive(Debug, Clone, PartialEq)]
pub struct AntiAliased {
    channels: usize,
    alpha: Vec<f32>,
    inverse: Vec<f32>,
    up: [f32; TAPS],
    down: [f32; TAPS],
}

impl AntiAliased {
    /// Rows on each side that a row depends on.
    pub const REACH: usize = HALF;

    /// The function with the factor of every channel inside of the sine, and the factor of the sine's
    /// square; and the filters. That which doubles the rate has a gain of two besides.
    ///
    /// # Errors
    /// When lists differ in length, and filters are not of [`TAPS`].
    pub fn new(alpha: &[f32], inverse: &[f32], up: &[f32], down: &[f32]) -> Result<Self> {
        check_length("the inverse", inverse.len(), alpha.len())?;
        check_length("the first filter", up.len(), TAPS)?;
        check_length("the second filter", down.len(), TAPS)?;
        let padded = |values: &[f32]| [values, &[0.0; SPARE]].concat();
        Ok(Self {
            channels: alpha.len(),
            alpha: padded(alpha),
            inverse: padded(inverse),
            up: std::array::from_fn(|tap| 2.0 * up[tap]),
            down: std::array::from_fn(|tap| down[tap]),
        })
    }

    /// Channels of a row.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Writes rows for those of `scale x` from `first` on to `out`. At most `threads` threads work on it,
    /// with the same bytes in the result for any number of them.
    ///
    /// # Errors
    /// When lengths are not of whole rows, or `x` has fewer rows.
    pub fn run(
        &self,
        x: &[f32],
        scale: f32,
        first: usize,
        out: &mut [f32],
        threads: usize,
    ) -> Result<()> {
        self.run_with(Level::best(), x, scale, first, out, threads)
    }

    fn run_with(
        &self,
        level: Level,
        x: &[f32],
        scale: f32,
        first: usize,
        out: &mut [f32],
        threads: usize,
    ) -> Result<()> {
        let channels = self.channels.max(1);
        let (there, rows) = (x.len() / channels, out.len() / channels);
        check_length("the input", x.len(), there * self.channels)?;
        check_length("the output", out.len(), rows * self.channels)?;
        check_length("the rows", rows, rows.min(there.saturating_sub(first)))?;
        let step = (PART / channels).max(FEWEST_ROWS);
        in_threads(threads, out.chunks_mut(step * channels).enumerate(), |(part, out)| {
            let first = first + part * step;
            dispatch(level, Rows { function: self, x, there, scale, first, out });
        });
        Ok(())
    }
}

/// Rows that are computed on one thread.
struct Rows<'a> {
    function: &'a AntiAliased,
    x: &'a [f32],
    there: usize,
    scale: f32,
    first: usize,
    out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let Rows { function, x, there, scale, first, out } = self;
        let channels = function.channels;
        for channel in (0..channels).step_by(V::N) {
            let n = V::N.min(channels - channel);
            // SAFETY: the caller promises the instructions; `n` channels from this one on are there in
            // every row of the input and of the output, and room for a vector of parameters is behind.
            unsafe {
                let column = Column::<V> {
                    x: x.as_ptr().add(channel),
                    channels,
                    last: there as isize - 1,
                    n,
                    scale: V::splat(scale),
                    alpha: V::load(function.alpha.as_ptr().add(channel)),
                    inverse: V::load(function.inverse.as_ptr().add(channel)),
                    up: &function.up,
                };
                column.run(first as isize, &function.down, &mut out[channel..]);
            }
        }
    }
}

/// A vector of channels of all rows.
struct Column<'a, V> {
    x: *const f32,
    channels: usize,
    /// The last row.
    last: isize,
    /// Channels of the vector that are there.
    n: usize,
    scale: V,
    alpha: V,
    inverse: V,
    up: &'a [f32; TAPS],
}

impl<V: Lanes> Column<'_, V> {
    /// Writes rows from `first` on, as many as `out` has.
    ///
    /// # Safety
    /// The processor must have the instructions of `V`; input and output must have `n` channels of these
    /// rows.
    #[inline(always)]
    unsafe fn run(&self, first: isize, down: &[f32; TAPS], out: &mut [f32]) {
        // SAFETY: the caller's promises.
        unsafe {
            let zero = V::splat(0.0);
            // What the second filter sees of a row, two numbers behind.
            let mut doubled = [zero; TAPS];
            for (at, number) in (2 * first - BEFORE..).zip(&mut doubled[2..]) {
                *number = self.double(at);
            }
            let mut window = [zero; HALF];
            for (row, number) in (first..).zip(&mut window[1..]) {
                *number = self.load(row);
            }
            for (row, out) in (first..).zip(out.chunks_mut(self.channels)) {
                for at in 0..HALF - 1 {
                    window[at] = window[at + 1];
                }
                window[HALF - 1] = self.load(row + BEFORE);
                for at in 0..TAPS - 2 {
                    doubled[at] = doubled[at + 2];
                }
                let next = 2 * row + BEFORE;
                [doubled[TAPS - 2], doubled[TAPS - 1]] = match next < 2 * self.last + 1 {
                    true => self.pair(&window),
                    false => [self.double(next), self.double(next + 1)],
                };
                let mut sums = [zero; 2];
                for tap in 0..TAPS {
                    let sum = sums[tap % 2];
                    sums[tap % 2] = doubled[tap].mul_add(V::splat(down[tap]), sum);
                }
                let y = sums[0].add(sums[1]);
                match self.n == V::N {
                    true => y.store(out.as_mut_ptr()),
                    false => y.store_part(out.as_mut_ptr(), self.n),
                }
            }
        }
    }

    /// A row of the signal, or the one at its end.
    ///
    /// # Safety
    /// As [`Column::run`].
    #[inline(always)]
    unsafe fn load(&self, row: isize) -> V {
        let row = row.min(self.last).max(0);
        // SAFETY: the row is there; the caller's promises.
        unsafe {
            let from = self.x.offset(row * self.channels as isize);
            let value = match self.n == V::N {
                true => V::load(from),
                false => V::load_part(from, self.n),
            };
            value.mul(self.scale)
        }
    }

    /// The two numbers of twice the rate that depend on the same rows.
    ///
    /// # Safety
    /// As [`Column::run`].
    #[inline(always)]
    unsafe fn pair(&self, window: &[V; HALF]) -> [V; 2] {
        // SAFETY: the caller's promises.
        unsafe {
            let mut sums = [V::splat(0.0); 2];
            for (tap, x) in window.iter().rev().enumerate() {
                sums[0] = x.mul_add(V::splat(self.up[2 * tap]), sums[0]);
                sums[1] = x.mul_add(V::splat(self.up[2 * tap + 1]), sums[1]);
            }
            [self.function(sums[0]), self.function(sums[1])]
        }
    }

    /// # Safety
    /// As [`Column::run`].
    #[inline(always)]
    unsafe fn function(&self, x: V) -> V {
        // SAFETY: the caller's promises.
        unsafe { math::sine_squared(x.mul(self.alpha)).mul_add(self.inverse, x) }
    }

    /// The number `at` of twice the rate, or the one at the end.
    ///
    /// # Safety
    /// As [`Column::run`].
    #[inline(always)]
    unsafe fn double(&self, at: isize) -> V {
        let place = at.min(2 * self.last + 1).max(0) - BEFORE;
        let first = place.div_euclid(2);
        // SAFETY: the caller's promises.
        unsafe {
            let mut window = [V::splat(0.0); HALF];
            for (row, number) in (first..).zip(&mut window) {
                *number = self.load(row);
            }
            let [even, odd] = self.pair(&window);
            if place % 2 == 0 { even } else { odd }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: rows at twice the rate in full, in 64 bits.
    fn defined(function: &AntiAliased, x: &[f32], scale: f32) -> Vec<f64> {
        let (channels, rows) = (function.channels, x.len() / function.channels);
        let mut out = vec![0.0; x.len()];
        for channel in 0..channels {
            let at = |row: isize| {
                let row = row.clamp(0, rows as isize - 1) as usize;
                f64::from(scale) * f64::from(x[row * channels + channel])
            };
            // A transposed convolution of the signal with five rows more at its ends.
            let mut doubled = vec![0.0; 2 * (rows + 10) + TAPS];
            for row in 0..rows + 10 {
                for (tap, factor) in function.up.iter().enumerate() {
                    doubled[2 * row + tap] += at(row as isize - 5) * f64::from(*factor);
                }
            }
            let (alpha, inverse) = (function.alpha[channel], function.inverse[channel]);
            let bent: Vec<f64> = doubled[15..15 + 2 * rows]
                .iter()
                .map(|x| x + (x * f64::from(alpha)).sin().powi(2) * f64::from(inverse))
                .collect();
            for row in 0..rows {
                let taps = function.down.iter().enumerate();
                let term = |(tap, factor): (usize, &f32)| {
                    let place = (2 * row + tap) as isize - 5;
                    bent[place.clamp(0, 2 * rows as isize - 1) as usize] * f64::from(*factor)
                };
                out[row * channels + channel] = taps.map(term).sum();
            }
        }
        out
    }

    #[test]
    fn all_instructions_give_the_definition() {
        for (channels, rows) in [(1, 1), (3, 2), (16, 5), (21, 17), (24, 3), (40, 1001), (700, 150)]
        {
            let list = |count: usize, factor: f32| -> Vec<f32> {
                (0..count).map(|i| (i as f32 * factor).sin()).collect()
            };
            let alpha: Vec<f32> = list(channels, 0.3).iter().map(|x| 1.5 + x).collect();
            let inverse: Vec<f32> = list(channels, 0.7).iter().map(|x| 0.5 + 0.2 * x).collect();
            let (up, down) = (list(TAPS, 0.9), list(TAPS, 1.3));
            let function = AntiAliased::new(&alpha, &inverse, &up, &down).expect("fits");
            let x: Vec<f32> = list(rows * channels, 1.7);
            let wanted = defined(&function, &x, 0.5);
            for level in Level::available() {
                for first in [0, 1, rows / 2, rows - 1].into_iter().filter(|first| *first < rows) {
                    let count = (rows - first) * channels;
                    let [alone, several] = [1, 3].map(|threads| {
                        let mut out = vec![7.0; count];
                        let run = function.run_with(level, &x, 0.5, first, &mut out, threads);
                        run.expect("fits");
                        out
                    });
                    assert!(alone == several);
                    for (found, wanted) in alone.iter().zip(&wanted[first * channels..]) {
                        let error = (f64::from(*found) - wanted).abs();
                        assert!(error < 2e-5, "{level:?}, {channels} x {rows}, {first}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn other_sizes_are_refused() {
        let filter = [0.1; TAPS];
        assert!(AntiAliased::new(&[1.0], &[1.0; 2], &filter, &filter).is_err());
        assert!(AntiAliased::new(&[1.0], &[1.0], &filter[1..], &filter).is_err());
        let function = AntiAliased::new(&[1.0; 2], &[1.0; 2], &filter, &filter).expect("fits");
        for (x, first, out) in [(5, 0, 4), (4, 0, 3), (4, 1, 4), (4, 3, 2), (0, 0, 2)] {
            let (x, mut out) = (vec![0.0; x], vec![0.0; out]);
            assert!(function.run(&x, 1.0, first, &mut out, 1).is_err(), "{first}");
        }
        function.run(&[], 1.0, 0, &mut [], 1).expect("nothing to do");
    }
}
