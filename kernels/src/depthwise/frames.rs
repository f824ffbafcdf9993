//! Convolution with neighbouring frames in a vector, for `[batch, channels, frames]`.
//!
//! A stretch of one channel is copied between zeros, which fits into the first cache, so that
//! the loop over the taps has no special cases at the ends of the signal.

use std::ops::Range;

use super::Job;
use crate::simd::{Kernel, Lanes};

/// Outputs for which input is copied at a time.
const STRETCH: usize = 2048;

/// Vectors of outputs that are summed up together.
const TILE: usize = 8;

/// Computes `rows` of the job, where row `r` is channel `r % channels` of signal `r / channels`.
pub(super) struct Frames<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) rows: Range<usize>,
}

impl Kernel for Frames<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let job = self.job;
        let config = job.conv.config;
        let frames = job.out_shape.frames;
        // Whole vectors are summed up, of which only the outputs that exist are stored.
        let stretch = STRETCH.min(frames).next_multiple_of(V::N);
        let mut input = vec![0.0f32; stretch + config.reach()];
        for row in self.rows {
            let (b, c) = (row / job.out_shape.channels, row % job.out_shape.channels);
            let bias = job.conv.bias[c];
            let taps = &job.conv.weight[c * config.kernel..(c + 1) * config.kernel];
            for start in (0..frames).step_by(stretch) {
                let count = stretch.min(frames - start);
                copy(job, b, c, start, &mut input[..count + config.reach()]);
                let tiled = count - count % (TILE * V::N);
                // SAFETY: `input` has whole vectors and what the taps reach beyond; outputs from
                // `start + at` on exist, as many as are left.
                unsafe {
                    for at in (0..tiled).step_by(TILE * V::N) {
                        let sums = sum::<V, TILE>(&input[at..], taps, config.dilation, bias);
                        store(job, b, c, start + at, count - at, sums);
                    }
                    for at in (tiled..count).step_by(V::N) {
                        let sums = sum::<V, 1>(&input[at..], taps, config.dilation, bias);
                        store(job, b, c, start + at, count - at, sums);
                    }
                }
            }
        }
    }
}

/// Copies what the outputs from `start` on see, with zeros for what lies outside the signal.
#[inline(always)]
fn copy(job: &Job<'_>, b: usize, c: usize, start: usize, input: &mut [f32]) {
    let before = job.conv.config.padding.0;
    let frames = job.x.shape.frames;
    // `input[i]` is frame `start + i - before`.
    let first = before.saturating_sub(start).min(input.len());
    let last = (frames + before).saturating_sub(start).min(input.len()).max(first);
    input[..first].fill(0.0);
    input[last..].fill(0.0);
    if first < last {
        let from = job.x.strides.at(b, c, start + first - before);
        // SAFETY: frames from `start + first - before` to `start + last - before` are in the
        // input, whose frames are neighbours in memory.
        let source = unsafe { std::slice::from_raw_parts(job.x.ptr.add(from), last - first) };
        input[first..last].copy_from_slice(source);
    }
}

/// Sums of `T` vectors of outputs.
///
/// # Safety
/// The processor must have the instructions of `V`; `input` must have the tile and what the taps
/// reach beyond it.
#[inline(always)]
unsafe fn sum<V: Lanes, const T: usize>(
    input: &[f32],
    taps: &[f32],
    dilation: usize,
    bias: f32,
) -> [V; T] {
    debug_assert!(input.len() >= T * V::N + (taps.len() - 1) * dilation);
    // SAFETY: the caller promises instructions and elements.
    unsafe {
        let mut sums = [V::splat(bias); T];
        for (k, &tap) in taps.iter().enumerate() {
            let tap = V::splat(tap);
            let from = input.as_ptr().add(k * dilation);
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = V::load(from.add(i * V::N)).mul_add(tap, *sum);
            }
        }
        sums
    }
}

/// Finishes sums and stores those of the first `left` outputs from `t` on.
///
/// # Safety
/// The processor must have the instructions of `V`; there must be `left` outputs, at least one.
#[inline(always)]
unsafe fn store<V: Lanes, const T: usize>(
    job: &Job<'_>,
    b: usize,
    c: usize,
    t: usize,
    left: usize,
    sums: [V; T],
) {
    // SAFETY: the caller promises the instructions. Frames are neighbours in memory, and no more
    // than `left` of them are touched.
    unsafe {
        let out = job.out.add(job.out_strides.at(b, c, t));
        let residual = job.residual.map(|view| view.ptr.add(view.strides.at(b, c, t)));
        for (i, sum) in sums.into_iter().enumerate() {
            let at = i * V::N;
            if at >= left {
                break;
            }
            let n = left - at;
            let mut y = job.conv.config.activation.of_lanes(sum);
            if n >= V::N {
                if let Some(residual) = residual {
                    y = y.add(V::load(residual.add(at)));
                }
                y.store(out.add(at));
            } else {
                if let Some(residual) = residual {
                    y = y.add(V::load_part(residual.add(at), n));
                }
                y.store_part(out.add(at), n);
            }
        }
    }
}
