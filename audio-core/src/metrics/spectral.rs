//! Distances between spectra: log-spectral distance, and the distance of log-mel features.

use ndarray::ArrayView2;
use realfft::RealFftPlanner;
use serde::{Deserialize, Serialize};

use super::check_pair;
use crate::error::{Error, Result};

/// Powers below this are taken for it, so that digital silence has a logarithm.
const POWER_FLOOR: f64 = 1e-10;

/// The transform under [`lsd`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LsdOptions {
    /// Length of window and transform.
    pub n_fft: usize,
    /// Samples from frame to frame.
    pub hop_length: usize,
}

impl Default for LsdOptions {
    fn default() -> Self {
        Self { n_fft: 2048, hop_length: 512 }
    }
}

/// Log-spectral distance as in work on super-resolution: with the powers P of the reference and Q
/// of the estimate, the mean over frames of the root of the mean over bins of
/// `log10((P + 1e-10) / (Q + 1e-10))^2`.
///
/// Frames are centred (zeros around the signal), the window is a periodic Hann window, powers are
/// squared magnitudes without any scaling. 0 for equal signals; no unit (a distance of 1 is an
/// error of 10 dB in every bin).
///
/// # Errors
/// [`Error::Shape`] for different lengths, [`Error::Empty`] without samples, [`Error::Config`]
/// for samples that are not finite or a transform of no length.
pub fn lsd(reference: &[f32], estimate: &[f32], options: &LsdOptions) -> Result<f64> {
    check_pair(reference, estimate)?;
    let LsdOptions { n_fft, hop_length } = *options;
    if !(2..=1 << 20).contains(&n_fft) || hop_length == 0 {
        return Err(Error::config("n_fft, hop_length", "use 2 to 1048576 and at least 1"));
    }
    let fft = RealFftPlanner::<f64>::new().plan_fft_forward(n_fft);
    let step = std::f64::consts::TAU / n_fft as f64;
    let window: Vec<f64> = (0..n_fft).map(|n| 0.5 - 0.5 * (step * n as f64).cos()).collect();
    let mut frame = fft.make_input_vec();
    let mut powers = |samples: &[f32], centre: usize| {
        for (n, (out, weight)) in frame.iter_mut().zip(&window).enumerate() {
            let at = (centre + n).checked_sub(n_fft / 2);
            let sample = at.and_then(|at| samples.get(at)).copied().unwrap_or(0.0);
            *out = f64::from(sample) * weight;
        }
        let mut spectrum = fft.make_output_vec();
        // All buffers come from the plan, so lengths agree.
        let _ = fft.process(&mut frame, &mut spectrum);
        spectrum.into_iter().map(|value| value.norm_sqr() + POWER_FLOOR).collect::<Vec<f64>>()
    };
    let frames = reference.len() / hop_length + 1;
    let total: f64 = (0..frames)
        .map(|index| {
            let (p, q) =
                (powers(reference, index * hop_length), powers(estimate, index * hop_length));
            let squares: f64 = p.iter().zip(&q).map(|(p, q)| (p / q).log10().powi(2)).sum();
            (squares / p.len() as f64).sqrt()
        })
        .sum();
    Ok(total / frames as f64)
}

/// Mean absolute difference of two log-mel matrices `[frames, bins]` of one preset.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ, [`Error::Empty`] without values.
pub fn mel_distance(reference: ArrayView2<'_, f32>, estimate: ArrayView2<'_, f32>) -> Result<f64> {
    if reference.dim() != estimate.dim() {
        return Err(Error::Shape {
            what: "log-mel features to compare",
            expected: format!("{:?}", reference.dim()),
            found: format!("{:?}", estimate.dim()),
        });
    }
    if reference.is_empty() {
        return Err(Error::Empty);
    }
    let pairs = reference.iter().zip(estimate.iter());
    let sum: f64 = pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs()).sum();
    Ok(sum / reference.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::super::signals::sources;
    use super::*;
    use ndarray::array;

    /// The definition on top of librosa 0.11.0's stft (numpy 2.4.6).
    #[test]
    fn lsd_equals_its_definition_in_librosa() {
        let [r1, r2, e1, e2] = sources();
        let options = LsdOptions::default();
        let first = lsd(&r1, &e1, &options).expect("comparable");
        let second = lsd(&r2, &e2, &options).expect("comparable");
        assert!((first - 0.292_221_240_5).abs() < 1e-5, "{first}");
        assert!((second - 0.547_126_834_2).abs() < 1e-5, "{second}");
    }

    #[test]
    fn a_gain_of_ten_db_is_a_distance_of_one() {
        let [r1, ..] = sources();
        let louder: Vec<f32> = r1.iter().map(|s| s * 10f32.sqrt()).collect();
        let distance = lsd(&r1, &louder, &LsdOptions::default()).expect("comparable");
        assert!((distance - 1.0).abs() < 1e-3, "{distance}");
        assert_eq!(lsd(&[0.0], &[0.0], &LsdOptions::default()).expect("one sample"), 0.0);
        assert!(lsd(&[], &[], &LsdOptions::default()).is_err());
        let bad = LsdOptions { n_fft: 0, hop_length: 0 };
        assert!(lsd(&[0.0], &[0.0], &bad).is_err());
    }

    #[test]
    fn mel_distance_is_the_mean_absolute_difference() {
        let (a, b) = (array![[1.0f32, 2.0], [3.0, 4.0]], array![[1.5f32, 2.0], [2.0, 4.5]]);
        assert_eq!(mel_distance(a.view(), b.view()).expect("same shape"), 0.5);
        assert!(mel_distance(a.view(), b.t().slice_axis(ndarray::Axis(0), (0..1).into())).is_err());
    }
}
