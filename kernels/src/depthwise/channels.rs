//! Convolution with neighbouring channels in a vector, for `[batch, frames, channels]`.
//!
//! Outputs that are `dilation` frames apart share most of their inputs. Tiles of them are summed
//! up in registers; where taps see zeros, at the ends of the signal, outputs go one by one.

use std::ops::Range;

use super::{BLOCK, DepthwiseConfig, Job};
use crate::simd::{Kernel, Lanes};

/// Computes `rows` of the job, where row `r` is frame `r % frames` of signal `r / frames`.
pub(super) struct Channels<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) rows: Range<usize>,
}

impl Kernel for Channels<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let frames = self.job.out_shape.frames;
        let mut row = self.rows.start;
        while row < self.rows.end {
            let (b, t) = (row / frames, row % frames);
            let end = frames.min(t + self.rows.end - row);
            // Portable code has registers for shorter tiles only.
            // SAFETY: the caller promises the instructions; the frames are in the output.
            unsafe {
                if V::NATIVE {
                    signal::<V, 8>(self.job, b, t..end);
                } else {
                    signal::<V, 6>(self.job, b, t..end);
                }
            }
            row += end - t;
        }
    }
}

/// Computes some frames of a signal, in tiles of `T` outputs.
///
/// # Safety
/// The processor must have the instructions of `V`; the frames must be in the output.
#[inline(always)]
unsafe fn signal<V: Lanes, const T: usize>(job: &Job<'_>, b: usize, frames: Range<usize>) {
    let DepthwiseConfig { dilation, padding: (before, _), .. } = job.conv.config;
    let reach = job.conv.config.reach();
    // Outputs from `first` to `last` see no zeros.
    let first = before.clamp(frames.start, frames.end);
    let last = (job.x.shape.frames + before).saturating_sub(reach).clamp(first, frames.end);
    // SAFETY: the caller promises the instructions, and all outputs are inside `frames`; tiles are
    // among those that see no zeros.
    unsafe {
        for t in (frames.start..first).chain(last..frames.end) {
            tile::<V, 1>(job, b, t);
        }
        let block = T * dilation;
        let mut t = first;
        while t + block <= last {
            for phase in 0..dilation {
                tile::<V, T>(job, b, t + phase);
            }
            t += block;
        }
        for t in t..last {
            tile::<V, 1>(job, b, t);
        }
    }
}

/// Computes all channels of the outputs `t`, `t + dilation`, ..., `T` of them.
///
/// # Safety
/// The processor must have the instructions of `V`; the outputs must exist and, unless `T` is 1,
/// see no zeros.
#[inline(always)]
unsafe fn tile<V: Lanes, const T: usize>(job: &Job<'_>, b: usize, t: usize) {
    let channels = job.conv.channels;
    let whole = channels - channels % V::N;
    let taps = job.taps(t);
    // SAFETY: the caller promises instructions and outputs; channels are in range. `taps` are
    // those that see the input when `t` is computed, and for the other outputs those are all.
    unsafe {
        for c in (0..whole).step_by(V::N) {
            block::<V, T, false>(job, b, t, taps.clone(), c, V::N);
        }
        if whole < channels {
            block::<V, T, true>(job, b, t, taps, whole, channels - whole);
        }
    }
}

/// Computes `n` channels from `c` on, fewer than a vector has if `PART`.
///
/// # Safety
/// As of [`tile`]; there must be `n` channels from `c` on, and input for all `taps`.
#[inline(always)]
unsafe fn block<V: Lanes, const T: usize, const PART: bool>(
    job: &Job<'_>,
    b: usize,
    t: usize,
    taps: Range<usize>,
    c: usize,
    n: usize,
) {
    let conv = job.conv;
    let dilation = conv.config.dilation;
    // SAFETY: the caller promises the instructions, and that `taps` see the input. Channels are
    // neighbours in memory, and only `n` are touched.
    unsafe {
        let load = |from: *const f32| load::<V, PART>(from, n);
        let mut sums = [V::load(conv.packed.bias.as_ptr().add(c)); T];
        let row = dilation * job.x.strides.frame;
        let mut k = taps.start;
        if k < taps.end {
            let frame = t + k * dilation - conv.config.padding.0;
            let mut x = job.x.ptr.add(job.x.strides.at(b, c, frame));
            let block = c / BLOCK * conv.config.kernel;
            let mut w = conv.packed.weight.as_ptr().add((block + k) * BLOCK + c % BLOCK);
            if T > 1 {
                while k + 4 <= taps.end {
                    let taps = [0, 1, 2, 3].map(|i| V::load(w.add(i * BLOCK)));
                    let mut x0 = load(x);
                    let mut x1 = load(x.add(row));
                    let mut x2 = load(x.add(2 * row));
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let x3 = load(x.add((i + 3) * row));
                        *sum = x0.mul_add(taps[0], *sum);
                        *sum = x1.mul_add(taps[1], *sum);
                        *sum = x2.mul_add(taps[2], *sum);
                        *sum = x3.mul_add(taps[3], *sum);
                        (x0, x1, x2) = (x1, x2, x3);
                    }
                    k += 4;
                    x = x.wrapping_add(4 * row);
                    w = w.wrapping_add(4 * BLOCK);
                }
            }
            while k < taps.end {
                let tap = V::load(w);
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = load(x.add(i * row)).mul_add(tap, *sum);
                }
                k += 1;
                x = x.wrapping_add(row);
                w = w.wrapping_add(BLOCK);
            }
        }
        for (i, sum) in sums.into_iter().enumerate() {
            let t = t + i * dilation;
            let mut y = conv.config.activation.of_lanes(sum);
            if let Some(residual) = job.residual {
                y = y.add(load(residual.ptr.add(residual.strides.at(b, c, t))));
            }
            let out = job.out.add(job.out_strides.at(b, c, t));
            if PART { y.store_part(out, n) } else { y.store(out) }
        }
    }
}

/// Loads a vector, or the first `n` elements of one if `PART`.
///
/// # Safety
/// The processor must have the instructions of `V`; the elements must exist.
#[inline(always)]
unsafe fn load<V: Lanes, const PART: bool>(from: *const f32, n: usize) -> V {
    // SAFETY: the caller's.
    unsafe { if PART { V::load_part(from, n) } else { V::load(from) } }
}
