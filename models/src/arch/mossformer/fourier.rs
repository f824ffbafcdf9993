//! Filters with which an encoder and its decoder can begin: a lapped Fourier or cosine transform
//! whose parts survive the encoder's rectification.
//!
//! Every filter is there with both signs, so that what the rectifier takes away of one the other
//! keeps. With four filters for every two samples of a kernel, cosines and sines are a Fourier
//! transform with sine windows; with two, cosines alone are the modified cosine transform (Princen,
//! Johnson, Bradley, ICASSP 1987), whose aliasing the overlap cancels. Encoder and decoder have the
//! same filters: with a mask of ones all samples but the ends come back as they were.

use std::f64::consts::PI;

/// Filters `[channels, kernel]` for kernels of `kernel` samples that overlap by half; `None` where
/// the channels are neither as many nor twice as many as a kernel's samples.
#[must_use]
pub(super) fn fourier_filters(channels: usize, kernel: usize) -> Option<Vec<f32>> {
    if kernel < 2 || !kernel.is_multiple_of(2) || !channels.is_multiple_of(kernel) {
        return None;
    }
    let phases: &[f64] = match channels / kernel {
        1 => &[0.0],
        2 => &[0.0, -0.5 * PI],
        _ => return None,
    };
    let hop = kernel / 2;
    let scale = (2.0 / (hop * phases.len()) as f64).sqrt();
    let mut filters = Vec::with_capacity(channels * kernel);
    for bin in 0..hop {
        let frequency = PI / hop as f64 * (bin as f64 + 0.5);
        for (phase, sign) in phases.iter().flat_map(|&phase| [(phase, 1.0), (phase, -1.0)]) {
            filters.extend((0..kernel).map(|n| {
                let window = (PI * (n as f64 + 0.5) / kernel as f64).sin();
                let at = n as f64 + 0.5 + 0.5 * hop as f64;
                (sign * scale * window * (frequency * at + phase).cos()) as f32
            }));
        }
    }
    Some(filters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_ends_comes_back() {
        for (channels, kernel) in [(16, 16), (32, 16), (128, 64)] {
            let filters = fourier_filters(channels, kernel).expect("sizes that fit");
            let hop = kernel / 2;
            let x: Vec<f32> = (0..6 * kernel).map(|n| ((n * n) as f32 * 0.37).sin()).collect();
            let mut y = vec![0.0f32; x.len()];
            for from in (0..=x.len() - kernel).step_by(hop) {
                for filter in filters.chunks(kernel) {
                    let product: f32 = x[from..].iter().zip(filter).map(|(x, f)| x * f).sum();
                    let code = product.max(0.0);
                    y[from..].iter_mut().zip(filter).for_each(|(y, f)| *y += code * f);
                }
            }
            for at in hop..x.len() - hop {
                assert!((x[at] - y[at]).abs() < 1e-4, "{channels} {kernel} {at}");
            }
        }
    }

    #[test]
    fn other_sizes_have_no_such_filters() {
        for (channels, kernel) in [(48, 16), (24, 16), (64, 16), (15, 15)] {
            assert_eq!(fourier_filters(channels, kernel), None);
        }
    }
}
