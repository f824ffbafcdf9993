//! From rows to planes of frequencies, and back.
//!
//! A block is as many frames as are transformed together, `dilation` apart. Planes are
//! `[blocks, channels]` each: the first and the last frequency, then for every other one the three
//! factors, or products, of a complex product.

use super::Onto;
use super::fourier::{backward, forward, place};
use super::transformed::planes;
use crate::row_activation::RowActivation;
use crate::simd::{Kernel, Lanes};

/// How rows are made of blocks.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    /// Rows that come out.
    pub(super) rows: usize,
    /// Rows of `dilation` blocks, whose rows take turns.
    pub(super) step: usize,
    pub(super) dilation: usize,
}

impl Blocks {
    /// Their number.
    pub(super) fn count(self) -> usize {
        let rest = self.rows % self.step;
        self.rows / self.step * self.dilation + rest.min(self.dilation)
    }

    /// The first row of block `at`, and the one at which its step ends.
    fn rows(self, at: usize) -> [usize; 2] {
        let step = at / self.dilation * self.step;
        [step + at % self.dilation, (step + self.step).min(self.rows)]
    }
}

/// For the place of every number of a block, the first element of its row among `rows` rows of
/// `channels`; nothing where the row is outside.
#[inline(always)]
fn elements<const N: usize>(
    first: isize,
    dilation: usize,
    rows: usize,
    channels: usize,
) -> [Option<usize>; N] {
    std::array::from_fn(|slot| {
        // Reversing bits twice changes nothing.
        let row = first.checked_add_unsigned(place(slot, N) * dilation)?;
        usize::try_from(row).ok().filter(|&row| row < rows).map(|row| row * channels)
    })
}

/// Calls `$run::<V, N>` for the number of points.
macro_rules! for_points {
    ($points:expr, $work:expr, $run:ident) => {
        // SAFETY: the caller of `run` promises the instructions.
        unsafe {
            match $points {
                8 => $run::<V, 8>($work),
                16 => $run::<V, 16>($work),
                _ => $run::<V, 32>($work),
            }
        }
    };
}

/// Rows to planes.
pub(super) struct Forward<'a> {
    pub(super) x: &'a [f32],
    pub(super) channels: usize,
    /// The first row of the first block.
    pub(super) start: isize,
    pub(super) blocks: Blocks,
    pub(super) points: usize,
    pub(super) before: &'a RowActivation,
    pub(super) out: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        for_points!(self.points, self, to_planes);
    }
}

/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
unsafe fn to_planes<V: Lanes, const N: usize>(work: Forward<'_>) {
    let Forward { x, channels, start, blocks, before, out, .. } = work;
    let plane = blocks.count() * channels;
    assert!(out.len() == planes(N) * plane);
    for block in 0..blocks.count() {
        let first = start + blocks.rows(block)[0] as isize;
        let rows = elements::<N>(first, blocks.dilation, x.len() / channels, channels);
        for channel in (0..channels).step_by(V::N) {
            let n = V::N.min(channels - channel);
            // SAFETY: the caller promises the instructions; `x` has the rows that `elements` gives,
            // and every plane has room for the block's channels.
            unsafe {
                let mut numbers = [V::splat(0.0); N];
                for (number, row) in numbers.iter_mut().zip(rows) {
                    let Some(row) = row else { continue };
                    let from = x.as_ptr().add(row + channel);
                    let value = match n == V::N {
                        true => V::load(from),
                        false => V::load_part(from, n),
                    };
                    *number = before.of_lanes(value, channel);
                }
                forward(&mut numbers);
                let to = out.as_mut_ptr().add(block * channels + channel);
                let store = |at: usize, value: V| match n == V::N {
                    true => value.store(to.add(at * plane)),
                    false => value.store_part(to.add(at * plane), n),
                };
                store(0, numbers[0]);
                store(1, numbers[N / 2]);
                for k in 1..N / 2 {
                    let [re, im] = [numbers[k], numbers[N - k]];
                    store(3 * k - 1, re.add(im));
                    store(3 * k, re);
                    store(3 * k + 1, im);
                }
            }
        }
    }
}

/// Planes to rows.
pub(super) struct Backward<'a> {
    pub(super) products: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) blocks: Blocks,
    pub(super) points: usize,
    pub(super) onto: Onto<'a>,
    pub(super) out: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        for_points!(self.points, self, to_rows);
    }
}

/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
unsafe fn to_rows<V: Lanes, const N: usize>(work: Backward<'_>) {
    let Backward { products, bias, blocks, onto, out, .. } = work;
    let channels = bias.len();
    let plane = blocks.count() * channels;
    assert!(products.len() == planes(N) * plane && out.len() == blocks.rows * channels);
    assert!(onto.residual.is_none_or(|residual| residual.len() == out.len()));
    for block in 0..blocks.count() {
        let [first, end] = blocks.rows(block);
        let rows = elements::<N>(first as isize, blocks.dilation, end, channels);
        for channel in (0..channels).step_by(V::N) {
            let n = V::N.min(channels - channel);
            // SAFETY: the caller promises the instructions; every plane has the block's channels, and
            // output and residual the rows that `elements` gives, which end with the block's step.
            unsafe {
                let load_at = |from: *const f32| match n == V::N {
                    true => V::load(from),
                    false => V::load_part(from, n),
                };
                let from = products.as_ptr().add(block * channels + channel);
                let load = |at: usize| load_at(from.add(at * plane));
                let mut numbers = [V::splat(0.0); N];
                numbers[0] = load(0);
                numbers[N / 2] = load(1);
                for k in 1..N / 2 {
                    let common = load(3 * k - 1);
                    numbers[k] = common.sub(load(3 * k + 1));
                    numbers[N - k] = common.add(load(3 * k));
                }
                backward(&mut numbers);
                let bias = load_at(bias[channel..channel + n].as_ptr());
                for (number, row) in numbers.into_iter().zip(rows) {
                    let Some(row) = row else { continue };
                    let mut value = number.add(bias);
                    if let Some(residual) = onto.residual {
                        value = value.add(load_at(residual.as_ptr().add(row + channel)));
                    }
                    let to = out.as_mut_ptr().add(row + channel);
                    if onto.output {
                        value = value.add(load_at(to));
                    }
                    match n == V::N {
                        true => value.store(to),
                        false => value.store_part(to, n),
                    }
                }
            }
        }
    }
}
