//! Bands that end: of low sample rates, telephone lines, codecs and slopes of any kind; and the band
//! above the end of a recording's own, continued.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

use super::recipe::SuperresRecipe;
use crate::examples::pick;

/// Lower and upper end of a telephone line, Hz.
const TELEPHONE: [f64; 2] = [300.0, 3_400.0];
/// Ends of bands with slopes, Hz, between these.
const SLOPES: [f64; 2] = [3_000.0, 16_000.0];
/// Width of such a slope, Hz, between these.
const SLOPE_WIDTHS: [f64; 2] = [50.0, 1_500.0];
/// Width of the slope at the lower end of a telephone line, Hz.
const LOW_SLOPE: f64 = 100.0;
/// Share of the Nyquist frequency up to which resampling keeps a band.
const KEPT: f64 = 0.97;

/// A band that a recording was limited to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Band {
    /// Hz up to which there is sound, as the task would say.
    pub(super) edge: f64,
    /// Hz at which the upper slope begins and ends.
    upper: [f64; 2],
    /// Hz below which there is nothing.
    lower: f64,
}

impl Band {
    /// Draws a band.
    pub(super) fn draw(rng: &mut ChaCha8Rng, recipe: &SuperresRecipe) -> Self {
        let kind = rng.random::<f32>();
        if kind < recipe.telephone_share {
            let [lower, end] = TELEPHONE;
            return Self { edge: end, upper: [end, end + 200.0], lower };
        }
        if kind < recipe.telephone_share + recipe.slope_share {
            let edge = rng.random_range(SLOPES[0]..SLOPES[1]);
            let [least, most] = SLOPE_WIDTHS;
            let width = least * (most / least).powf(rng.random());
            // The slope is 10 dB down at the edge.
            return Self { edge, upper: [edge - 0.7 * width, edge + 0.3 * width], lower: 0.0 };
        }
        let nyquist = f64::from(*pick(rng, &recipe.rates)) / 2.0;
        let edge = nyquist * rng.random_range(KEPT - 0.01..KEPT + 0.02);
        Self { edge, upper: [0.955 * nyquist, nyquist], lower: 0.0 }
    }

    fn gain(&self, hz: f64) -> f64 {
        let [from, to] = self.upper;
        let above = ((to - hz) / (to - from)).clamp(0.0, 1.0);
        let below = if self.lower > 0.0 { (hz - self.lower) / LOW_SLOPE + 0.5 } else { 1.0 };
        above * below.clamp(0.0, 1.0)
    }
}

/// `samples` at `rate`, whose own band ends at `own` Hz, with the band above continued.
pub(super) fn continued(samples: &[f32], rate: f64, own: f64) -> Vec<f32> {
    let all = Band { edge: rate, upper: [rate, 2.0 * rate], lower: 0.0 };
    full_and_narrow(samples, rate, own, &all).0
}

/// `samples` at `rate`, whose own band ends at `own` Hz, with the band above continued as the mirror
/// image of that below; and the same limited to `band`.
pub(super) fn full_and_narrow(
    samples: &[f32],
    rate: f64,
    own: f64,
    band: &Band,
) -> (Vec<f32>, Vec<f32>) {
    let length = samples.len().next_power_of_two().max(2);
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, inverse) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
    let mut time = forward.make_input_vec();
    time[..samples.len()].copy_from_slice(samples);
    let mut spectrum = forward.make_output_vec();
    forward.process(&mut time, &mut spectrum).expect("buffers were made by the plan");
    let width = rate / length as f64;
    let fold = (own / width) as usize;
    for k in fold + 1..spectrum.len() {
        spectrum[k] = (2 * fold).checked_sub(k).map_or(Complex::default(), |k| spectrum[k].conj());
    }
    let mut back = |gain: &dyn Fn(f64) -> f64| {
        let scaled = |(k, x): (usize, &Complex<f32>)| {
            // The ends of a spectrum of real samples are real.
            let x = if k == 0 || k == length / 2 { Complex::new(x.re, 0.0) } else { *x };
            x * (gain(k as f64 * width) / length as f64) as f32
        };
        let mut scaled: Vec<Complex<f32>> = spectrum.iter().enumerate().map(scaled).collect();
        inverse.process(&mut scaled, &mut time).expect("buffers were made by the plan");
        time[..samples.len()].to_vec()
    };
    (back(&|_| 1.0), back(&|hz| band.gain(hz)))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::augment::power;

    fn tone(hz: f32) -> Vec<f32> {
        (0..16_384).map(|n| (std::f32::consts::TAU * hz * n as f32 / 48e3).sin()).collect()
    }

    #[test]
    fn bands_end_and_are_continued() {
        let band = Band { edge: 4_000.0, upper: [3_900.0, 4_100.0], lower: 0.0 };
        let level = |x: &[f32]| power(&x[2_000..14_000]);
        for (hz, low) in [(1_500.0, 0.5), (6_000.0, 0.0)] {
            let (full, narrow) = full_and_narrow(&tone(hz), 48e3, 24e3, &band);
            assert!((level(&full) - 0.5).abs() < 1e-3);
            assert!((level(&narrow) - low).abs() < 1e-3, "{hz}: {}", level(&narrow));
        }
        // 18 kHz comes again at 22 kHz.
        let full = continued(&tone(18_000.0), 48e3, 20e3);
        let image = full.iter().zip(tone(18_000.0)).map(|(y, x)| y - x).collect::<Vec<_>>();
        assert!((level(&image) - 0.5).abs() < 1e-2, "{}", level(&image));
    }

    #[test]
    fn drawn_bands_end_within_their_slopes() {
        let recipe = SuperresRecipe::default();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for _ in 0..200 {
            let band = Band::draw(&mut rng, &recipe);
            assert!((2_000.0..17_000.0).contains(&band.edge), "{band:?}");
            assert!(band.gain(band.edge) > 0.2 || band.edge > 0.97 * band.upper[1], "{band:?}");
            assert_eq!(band.gain(band.upper[1] + 1.0), 0.0);
        }
    }
}
