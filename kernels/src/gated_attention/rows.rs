//! What gated attention does to single frames, between its products.

use crate::simd::{Kernel, Lanes, Level, dispatch, math};

/// Least length per element that a frame is divided by.
const EPS: f32 = 1e-5;

/// Brings every frame of `x [frames, channels]` to a mean square of one.
pub(super) fn normalise(level: Level, x: &mut [f32], channels: usize) {
    dispatch(level, Normalise { x, channels });
}

struct Normalise<'a> {
    x: &'a mut [f32],
    channels: usize,
}

impl Kernel for Normalise<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        for frame in self.x.chunks_exact_mut(self.channels.max(1)) {
            // SAFETY: the caller promises the instructions.
            unsafe { normalise_frame::<V>(frame) };
        }
    }
}

/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
unsafe fn normalise_frame<V: Lanes>(frame: &mut [f32]) {
    let channels = frame.len() as f32;
    // SAFETY: the caller promises the instructions; pieces are no longer than a vector.
    unsafe {
        let mut squares = V::splat(0.0);
        for piece in frame.chunks(V::N) {
            let x = V::load_part(piece.as_ptr(), piece.len());
            squares = x.mul_add(x, squares);
        }
        let mut lanes = [0.0f32; 16];
        squares.store_part(lanes.as_mut_ptr(), V::N);
        let length = (lanes.iter().sum::<f32>() / channels).sqrt();
        // A frame with a NaN is NaN everywhere, which `f32::max` would undo.
        let factor = V::splat(1.0 / if length < EPS { EPS } else { length });
        for piece in frame.chunks_mut(V::N) {
            let x = V::load_part(piece.as_ptr(), piece.len());
            x.mul(factor).store_part(piece.as_mut_ptr(), piece.len());
        }
    }
}

/// Writes `(attended_u v) sigmoid(attended_v u)` to `out [frames, half]` with a mean square of one
/// in every frame: `values [frames, stride]` begins with `v` and `u`, `attended [frames, 2 half]`
/// is what attention made of them.
pub(super) fn gate(
    level: Level,
    [values, attended]: [&[f32]; 2],
    stride: usize,
    out: &mut [f32],
    half: usize,
) {
    dispatch(level, Gate { values, attended, stride, out, half });
}

struct Gate<'a> {
    values: &'a [f32],
    attended: &'a [f32],
    stride: usize,
    out: &'a mut [f32],
    half: usize,
}

impl Kernel for Gate<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let half = self.half;
        let frames = self.values.chunks(self.stride).zip(self.attended.chunks_exact(2 * half));
        for ((values, attended), out) in frames.zip(self.out.chunks_exact_mut(half)) {
            let ([v, u], [att_v, att_u]) = (
                [&values[..half], &values[half..2 * half]],
                [&attended[..half], &attended[half..]],
            );
            for from in (0..half).step_by(V::N) {
                let n = V::N.min(half - from);
                // SAFETY: the caller promises the instructions; all five have `n` elements there.
                unsafe {
                    let load = |x: &[f32]| V::load_part(x[from..].as_ptr(), n);
                    let gate = load(att_v).mul(load(u));
                    let away = math::exp(V::splat(0.0).sub(gate));
                    let y = load(att_u).mul(load(v)).div(V::splat(1.0).add(away));
                    y.store_part(out[from..].as_mut_ptr(), n);
                }
            }
            // SAFETY: the caller promises the instructions.
            unsafe { normalise_frame::<V>(out) };
        }
    }
}
