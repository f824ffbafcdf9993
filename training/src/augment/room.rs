//! Reverberation by convolution with a measured or simulated room response.

use std::sync::Arc;

use rand::{Rng, RngExt};
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use crate::examples::pick;

/// A room response, prepared for signals of up to some length.
pub struct Room {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    spectrum: Vec<Complex<f32>>,
    longest: usize,
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("longest", &self.longest).finish_non_exhaustive()
    }
}

impl Room {
    /// Prepares `response` (at the signal's rate) for signals of up to `longest` samples.
    ///
    /// The response is cut to start at its direct sound, so that the signal stays where it is,
    /// and scaled to unit energy. `None` for a silent response.
    #[must_use]
    pub fn new(response: &[f32], longest: usize) -> Option<Self> {
        let direct =
            (0..response.len()).max_by(|&a, &b| response[a].abs().total_cmp(&response[b].abs()))?;
        let response = &response[direct..];
        let energy: f32 = response.iter().map(|x| x * x).sum();
        if energy <= 0.0 {
            return None;
        }
        let length = (longest + response.len()).next_power_of_two();
        let mut planner = RealFftPlanner::<f32>::new();
        let (forward, inverse) =
            (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
        let mut time = forward.make_input_vec();
        let scale = 1.0 / (energy.sqrt() * length as f32);
        for (out, x) in time.iter_mut().zip(response) {
            *out = x * scale;
        }
        let mut spectrum = forward.make_output_vec();
        forward.process(&mut time, &mut spectrum).expect("buffers were made by the plan");
        Some(Self { forward, inverse, spectrum, longest })
    }

    /// Puts `samples` into the room; the tail beyond their end is cut off.
    ///
    /// # Panics
    /// When there are more samples than the room was prepared for.
    pub fn apply(&self, samples: &mut [f32]) {
        assert!(samples.len() <= self.longest, "{} of {} samples", samples.len(), self.longest);
        let mut time = self.forward.make_input_vec();
        time[..samples.len()].copy_from_slice(samples);
        let mut bins = self.forward.make_output_vec();
        self.forward.process(&mut time, &mut bins).expect("buffers were made by the plan");
        for (bin, room) in bins.iter_mut().zip(&self.spectrum) {
            *bin *= room;
        }
        // Rounding leaves the two bins that must be real with a trace of an imaginary part.
        bins[0].im = 0.0;
        let last = bins.len() - 1;
        bins[last].im = 0.0;
        self.inverse.process(&mut bins, &mut time).expect("buffers were made by the plan");
        samples.copy_from_slice(&time[..samples.len()]);
    }
}

/// Puts samples into one of the rooms, if there are any, in a `share` of all cases.
pub(crate) fn put_in_room(rng: &mut impl Rng, rooms: &[Room], share: f32, samples: &mut [f32]) {
    if !rooms.is_empty() && rng.random_bool(f64::from(share)) {
        pick(rng, rooms).apply(samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convolves_and_stays_in_place() {
        // Direct sound after 3 samples, one echo 2 samples later: unit energy needs 1/sqrt(1.25).
        let room = Room::new(&[0.0, 0.0, 0.0, 1.0, 0.0, 0.5], 8).expect("not silent");
        let mut x = [1.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0];
        room.apply(&mut x);
        let k = 1.25f32.sqrt();
        for (found, wanted) in x.iter().zip([1.0, 0.0, 0.5, -1.0, 0.0, -0.5, 0.0, 0.0]) {
            assert!((found * k - wanted).abs() < 1e-6);
        }
        assert!(Room::new(&[0.0; 4], 8).is_none());
    }
}
