//! Another speaker's vocal tract: formants are moved, the pitch stays.

use std::sync::Arc;

use formant_audio_core::stft::{Complex32, StftConfig, StftPlan};
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Seconds of a window: two periods of a low voice and more.
const WINDOW_SECONDS: f64 = 0.04;
/// Noise that every frame is taken to hold, relative to it: keeps resonances from growing sharper
/// than speech has them.
const FLOOR: f32 = 1e-4;
/// Largest change of a bin, as a natural logarithm: 26 dB.
const MOST: f32 = 3.0;

/// Moves the formants of a voice up by `factor` and keeps its pitch, as a shorter vocal tract
/// would: every spectrum is given its own envelope, stretched. The envelope is that of linear
/// prediction (Makhoul, "Linear prediction: a tutorial review", Proc. IEEE 63(4), 1975) with a pole
/// a kHz and two more. `rate` is in Hz; meant for factors near one.
pub fn move_formants(samples: &mut [f32], rate: u32, factor: f32) {
    let n_fft = ((f64::from(rate) * WINDOW_SECONDS) as usize).next_power_of_two().max(64);
    let sound = (0.25..=4.0).contains(&factor) && factor != 1.0;
    if !sound || samples.len() <= n_fft {
        return;
    }
    let config =
        StftConfig { n_fft, win_length: n_fft, hop_length: n_fft / 4, ..StftConfig::default() };
    let plan = StftPlan::new(&config).expect("lengths are sound");
    let mut spectrum = plan.forward(samples);
    let mut envelope = Envelope::new(n_fft, rate as usize / 1_000 + 2);
    for mut frame in spectrum.rows_mut() {
        let bins = frame.as_slice_mut().expect("rows of a new array are contiguous");
        envelope.stretch(bins, factor);
    }
    let moved = plan.inverse(spectrum.view(), Some(samples.len())).expect("the plan's own shape");
    samples.copy_from_slice(&moved);
}

/// Finds the envelopes of spectra.
struct Envelope {
    to_spectrum: Arc<dyn RealToComplex<f32>>,
    to_correlation: Arc<dyn ComplexToReal<f32>>,
    bins: Vec<Complex32>,
    time: Vec<f32>,
    order: usize,
}

impl Envelope {
    fn new(n_fft: usize, order: usize) -> Self {
        let mut planner = RealFftPlanner::new();
        let to_spectrum = planner.plan_fft_forward(n_fft);
        let to_correlation = planner.plan_fft_inverse(n_fft);
        let (bins, time) = (to_spectrum.make_output_vec(), to_spectrum.make_input_vec());
        Self { to_spectrum, to_correlation, bins, time, order }
    }

    /// Gives `bins` their envelope at `factor` times its frequencies.
    fn stretch(&mut self, bins: &mut [Complex32], factor: f32) {
        let made = "buffers were made by the plan";
        for (power, bin) in self.bins.iter_mut().zip(bins.iter()) {
            *power = Complex32::new(bin.norm_sqr(), 0.0);
        }
        self.to_correlation.process(&mut self.bins, &mut self.time).expect(made);
        let filter = predictor(&self.time[..=self.order]);
        self.time.fill(0.0);
        self.time[..filter.len()].copy_from_slice(&filter);
        self.to_spectrum.process(&mut self.time, &mut self.bins).expect(made);
        // The envelope, here as its logarithm, is the inverse of the filter's response.
        let envelope = &mut self.time[..self.bins.len()];
        for (log, bin) in envelope.iter_mut().zip(&self.bins) {
            *log = -0.5 * bin.norm_sqr().max(1e-20).ln();
        }
        let last = envelope.len() - 1;
        for (k, bin) in bins.iter_mut().enumerate() {
            let position = (k as f32 / factor).min(last as f32);
            let (below, part) = (position as usize, position.fract());
            let above = (below + 1).min(last);
            let wanted = envelope[below] * (1.0 - part) + envelope[above] * part;
            *bin *= (wanted - envelope[k]).clamp(-MOST, MOST).exp();
        }
    }
}

/// The filter `1, a1, a2, ...` that whitens a signal with this autocorrelation (Levinson and
/// Durbin); `1, 0, 0, ...` for silence.
fn predictor(correlation: &[f32]) -> Vec<f32> {
    let mut filter = vec![0.0; correlation.len()];
    filter[0] = 1.0;
    let mut error = correlation[0] * (1.0 + FLOOR);
    for order in 1..correlation.len() {
        if error <= 0.0 {
            return filter;
        }
        let sum: f32 = (0..order).map(|i| filter[i] * correlation[order - i]).sum();
        let reflection = -sum / error;
        let before = filter.clone();
        for i in 1..=order {
            filter[i] = before[i] + reflection * before[order - i];
        }
        error *= 1.0 - reflection * reflection;
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pulse train of 125 Hz through a resonance at `formant` Hz, at 8 kHz.
    fn vowel(formant: f32) -> Vec<f32> {
        let (mut y1, mut y2) = (0.0f32, 0.0f32);
        let (radius, angle) = (0.95f32, std::f32::consts::TAU * formant / 8_000.0);
        (0..16_000)
            .map(|i| {
                let pulse = if i % 64 == 0 { 1.0 } else { 0.0 };
                let y = pulse + 2.0 * radius * angle.cos() * y1 - radius * radius * y2;
                (y2, y1) = (y1, y);
                y
            })
            .collect()
    }

    /// Magnitudes of the harmonics of 125 Hz, and of what is between them.
    fn harmonics(samples: &[f32]) -> (Vec<f32>, f32) {
        let at = |hz: f32| {
            let (mut re, mut im) = (0.0f64, 0.0f64);
            for (i, x) in samples[4_000..12_000].iter().enumerate() {
                let phase = f64::from(hz) * i as f64 / 8_000.0 * std::f64::consts::TAU;
                re += f64::from(*x) * phase.cos();
                im += f64::from(*x) * phase.sin();
            }
            re.hypot(im) as f32
        };
        let peaks = (1..30).map(|n| at(125.0 * n as f32)).collect();
        let between = (1..30).map(|n| at(125.0 * n as f32 + 62.0)).fold(0.0, f32::max);
        (peaks, between)
    }

    fn loudest(peaks: &[f32]) -> usize {
        let (at, _) = peaks.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).expect("some");
        at + 1
    }

    #[test]
    fn the_formant_moves_and_the_pitch_stays() {
        let mut samples = vowel(1_000.0);
        let (before, _) = harmonics(&samples);
        assert_eq!(loudest(&before), 8);
        move_formants(&mut samples, 8_000, 1.25);
        let (after, between) = harmonics(&samples);
        assert_eq!(loudest(&after), 10, "{after:?}");
        assert!(between < 0.05 * after[9], "{between} of {}", after[9]);
    }

    #[test]
    fn the_predictor_of_a_resonance_is_its_denominator() {
        let mut impulse = vowel(1_000.0)[..64].to_vec();
        impulse.resize(256, 0.0);
        let correlation: Vec<f32> = (0..3)
            .map(|lag| impulse.iter().zip(&impulse[lag..]).map(|(a, b)| a * b).sum())
            .collect();
        let found = predictor(&correlation);
        let angle = std::f32::consts::TAU / 8.0;
        let wanted = [1.0, -2.0 * 0.95 * angle.cos(), 0.95 * 0.95];
        assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 0.02), "{found:?}");
        assert_eq!(predictor(&[0.0; 3]), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn silence_short_clips_and_a_factor_of_one_stay() {
        let mut silence = vec![0.0; 4_000];
        move_formants(&mut silence, 8_000, 0.9);
        assert!(silence.iter().all(|&x| x == 0.0));
        let voice = vowel(700.0);
        let mut same = voice.clone();
        move_formants(&mut same, 8_000, 1.0);
        assert_eq!(same, voice);
        let mut short = voice[..100].to_vec();
        move_formants(&mut short, 8_000, 1.1);
        assert_eq!(short, voice[..100]);
    }
}
