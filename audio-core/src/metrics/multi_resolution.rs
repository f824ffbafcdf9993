//! The distance of two signals by spectra of several resolutions, as papers on vocoders quote it.

use ndarray::Array2;

use super::check_pair;
use crate::error::Result;
use crate::stft::{StftConfig, StftPlan};

/// Transform length, hop and window of each resolution, in samples: those of Yamamoto et al.,
/// "Parallel WaveGAN", 2020.
const RESOLUTIONS: [(usize, usize, usize); 3] =
    [(1024, 120, 600), (2048, 240, 1200), (512, 50, 240)];

/// Powers below this are taken for it.
const POWER_FLOOR: f64 = 1e-8;

/// The mean over resolutions of two terms: the spectral convergence, which is the norm of the
/// difference of magnitudes by that of the reference, and the mean absolute difference of their
/// natural logarithms. The numbers are those of auraloss 0.4's `MultiResolutionSTFTLoss`.
///
/// # Errors
/// [`crate::Error::Shape`] for different lengths, [`crate::Error::Empty`] without samples,
/// [`crate::Error::Config`] for samples that are not finite.
pub fn multi_resolution_distance(reference: &[f32], estimate: &[f32]) -> Result<f64> {
    check_pair(reference, estimate)?;
    let mut total = 0.0;
    for (n_fft, hop_length, win_length) in RESOLUTIONS {
        let config = StftConfig { n_fft, hop_length, win_length, ..StftConfig::default() };
        let plan = StftPlan::new(&config)?;
        let [wanted, found] = [reference, estimate].map(|samples| magnitudes(&plan, samples));
        let (mut difference, mut norm, mut logarithms) = (0.0, 0.0, 0.0);
        for (wanted, found) in wanted.iter().zip(&found) {
            difference += (wanted - found).powi(2);
            norm += wanted.powi(2);
            logarithms += (wanted / found).ln().abs();
        }
        total += (difference / norm).sqrt() + logarithms / wanted.len() as f64;
    }
    Ok(total / RESOLUTIONS.len() as f64)
}

fn magnitudes(plan: &StftPlan, samples: &[f32]) -> Array2<f64> {
    let power = |re: f32, im: f32| f64::from(re).powi(2) + f64::from(im).powi(2);
    plan.forward(samples).mapv(|bin| power(bin.re, bin.im).max(POWER_FLOOR).sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::signals::{sources, voices};
    use super::*;

    /// auraloss 0.4.0 on torch 2.
    #[test]
    fn distances_are_those_of_auraloss() {
        let [r1, _, e1, _] = sources();
        let (voice, other) = voices();
        for (a, b, wanted) in [(&r1, &e1, 0.345_772_1), (&voice, &other, 2.825_078_2)] {
            let found = multi_resolution_distance(a, b).expect("comparable");
            assert!((found - wanted).abs() < 2e-5, "{found} {wanted}");
        }
    }

    #[test]
    fn equal_signals_have_no_distance() {
        let [r1, ..] = sources();
        assert_eq!(multi_resolution_distance(&r1, &r1).expect("comparable"), 0.0);
        assert_eq!(multi_resolution_distance(&[0.0], &[0.0]).expect("comparable"), 0.0);
        assert!(multi_resolution_distance(&[], &[]).is_err());
    }
}
