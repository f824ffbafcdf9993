//! The band that a recording really has: where its spectrum breaks off, whatever its sample rate
//! says. Telephone lines end at 3.4 kHz and MP3 at 16 kHz also inside of files at 48 kHz.

use formant_audio_core::stft::{Complex32, StftConfig, StftPlan};
use ndarray::Axis;

use crate::error::Result;

/// Transform of the measurement.
const N_FFT: usize = 2048;
/// Hz of a band whose median level counts: tones of music are narrower, and do not.
const BAND: f64 = 250.0;
/// No edge is looked for below, Hz: recordings of hum or of a bass have theirs there.
const LOWEST_EDGE: f64 = 2_000.0;
/// What the spectrum falls by at an edge at least, dB, within [`GAP`] bands; natural spectra fall by
/// a few dB there.
const LEAST_FALL: f64 = 15.0;
/// Bands in front of an edge that all are as loud at least: a tone is narrower.
const PLATEAU: usize = 4;
/// Bands of the fall between the level below and all levels above.
const GAP: usize = 2;
/// The edge is where the spectrum is this far below the level in front of it, dB.
const EDGE_FALL: f64 = 10.0;
/// Frames softer than this mean power tell nothing (-90 dBFS).
const LEAST_POWER: f64 = 1e-9;
/// Powers below this, relative to a full-scale sine, are as good as nothing (-135 dB).
const FLOOR: f64 = 3e-14;
/// Share of the Nyquist frequency of a recording up to which resampling keeps it.
const KEPT: f64 = 0.97;
/// Fewest frames from which an edge is believed.
const LEAST_FRAMES: u64 = 4;

/// The measurement of one channel: chunks in, the band so far out.
#[derive(Debug, Clone)]
pub(in crate::tasks) struct BandMeter {
    plan: StftPlan,
    rate: f64,
    limit: f64,
    /// Sum over frames of the level of each bin, dB: a click is in one frame and hardly counts.
    levels: Vec<f64>,
    frames: u64,
}

impl BandMeter {
    /// For samples at `rate` Hz that came from a recording at `source_rate`.
    pub(in crate::tasks) fn new(rate: u32, source_rate: u32) -> Result<Self> {
        let plan = StftPlan::new(&StftConfig {
            n_fft: N_FFT,
            win_length: N_FFT,
            hop_length: N_FFT / 2,
            ..StftConfig::default()
        })?;
        let nyquist = f64::from(source_rate) / 2.0;
        let limit = if source_rate < rate { KEPT * nyquist } else { f64::from(rate) / 2.0 };
        let levels = vec![0.0; plan.bins()];
        Ok(Self { plan, rate: f64::from(rate), limit, levels, frames: 0 })
    }

    pub(in crate::tasks) fn push(&mut self, samples: &[f32]) {
        // A sine of full scale has (n_fft / 4)^2 in its bin behind a Hann window.
        let scale = (N_FFT as f64 / 4.0).powi(-2);
        for frame in self.plan.forward(samples).axis_iter(Axis(0)) {
            let power = |x: &_| power(x) * scale;
            if frame.iter().map(power).sum::<f64>() < LEAST_POWER {
                continue;
            }
            self.frames += 1;
            for (level, x) in self.levels.iter_mut().zip(frame) {
                *level += 10.0 * (power(x) + FLOOR).log10();
            }
        }
    }

    /// Hz up to which the recording has sound, as far as was heard.
    pub(in crate::tasks) fn edge(&self) -> f64 {
        self.found_edge().map_or(self.limit, |edge| edge.min(self.limit))
    }

    /// The lowest frequency at which the spectrum breaks off for good.
    fn found_edge(&self) -> Option<f64> {
        if self.frames < LEAST_FRAMES {
            return None;
        }
        let width = self.rate / N_FFT as f64;
        let each = ((BAND / width).round() as usize).max(1);
        let medians: Vec<f64> =
            self.levels.chunks_exact(each).map(|band| median(band) / self.frames as f64).collect();
        // The loudest of a band and all above it.
        let mut above = medians.clone();
        for band in (1..above.len()).rev() {
            above[band - 1] = above[band - 1].max(above[band]);
        }
        let lowest = (LOWEST_EDGE / (each as f64 * width)).ceil() as usize;
        let below = |band: usize| {
            let plateau = &medians[(band + 1).saturating_sub(PLATEAU)..=band];
            plateau.iter().copied().fold(f64::MAX, f64::min)
        };
        // An edge is steeper than what is in front of it; the foot of a loud tone is not.
        let is_edge = |&band: &usize| {
            let fall = below(band) - above[band + GAP];
            fall >= LEAST_FALL && medians[band - GAP] - below(band) <= fall / 2.0
        };
        let band = (lowest.max(GAP)..above.len().saturating_sub(GAP)).find(is_edge)?;
        let edge_level = below(band) - EDGE_FALL;
        // Levels of five bins each: one bin alone is uneven.
        let smooth = |bin: usize| {
            let bins = &self.levels[bin.saturating_sub(2)..self.levels.len().min(bin + 3)];
            bins.iter().sum::<f64>() / bins.len() as f64 / self.frames as f64
        };
        let last =
            (band * each..(band + GAP + 1) * each).take_while(|&bin| smooth(bin) >= edge_level);
        Some(last.last().unwrap_or(band * each) as f64 * width)
    }
}

fn power(x: &Complex32) -> f64 {
    f64::from(x.re).powi(2) + f64::from(x.im).powi(2)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests {
    use formant_audio_core::AudioView;
    use formant_audio_core::resample::{Quality, resample};

    use super::*;

    const RATE: u32 = 48_000;

    /// Noise whose spectrum falls by 6 dB an octave, as that of speech does.
    fn noise(rate: u32, seconds: u32) -> Vec<f32> {
        let (mut state, mut last) = (1u32, 0.0);
        let samples = (0..rate * seconds).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            last = 0.9 * last + 0.2 * ((state >> 8) as f32 / (1 << 24) as f32 - 0.5);
            last
        });
        samples.collect()
    }

    fn at(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
        let view = AudioView::from_mono(from, samples);
        resample(&view, to, Quality::High).expect("sound rates").into_planar()
    }

    fn edge(samples: &[f32], source_rate: u32) -> f64 {
        let mut meter = BandMeter::new(RATE, source_rate).expect("a plan");
        meter.push(samples);
        meter.edge()
    }

    #[test]
    fn edges_are_found_whatever_the_rate_of_the_file_says() {
        for narrow in [7_000, 8_000, 16_000, 22_050, 32_000] {
            let wanted = f64::from(narrow) / 2.0;
            let wide = at(&noise(narrow, 2), narrow, RATE);
            for source_rate in [narrow, 44_100, RATE] {
                let found = edge(&wide, source_rate);
                assert!((0.95 * wanted..wanted + 50.0).contains(&found), "{narrow}: {found}");
            }
            // The same behind the dither of 16 bits, and with a click.
            let mut dithered = wide.clone();
            for (x, d) in dithered.iter_mut().zip(noise(RATE, 2)) {
                *x += d / 32_768.0;
            }
            dithered[50_000] += 0.5;
            let found = edge(&dithered, RATE);
            assert!((0.95 * wanted..wanted + 50.0).contains(&found), "dither, {narrow}: {found}");
        }
    }

    #[test]
    fn a_full_band_has_no_edge() {
        assert_eq!(edge(&noise(RATE, 2), RATE), 24_000.0);
        let compact_disc = at(&noise(44_100, 2), 44_100, RATE);
        assert!(edge(&compact_disc, 44_100) > 20_000.0);
        // Tones and hum break off, but they are no band.
        let tone = |hz: f32| (0..2 * RATE).map(move |n| (n as f32 * hz * 1.309e-4).sin() * 0.3);
        let tones: Vec<f32> = tone(220.0).zip(tone(3_100.0)).map(|(a, b)| a + b).collect();
        assert_eq!(edge(&tones, RATE), 24_000.0);
    }

    #[test]
    fn silence_and_moments_are_judged_by_their_rate() {
        assert_eq!(edge(&[0.0; 9_600], RATE), 24_000.0);
        assert_eq!(edge(&[0.1; 10], 16_000), 0.97 * 8_000.0);
        assert_eq!(edge(&[], 8_000), 0.97 * 4_000.0);
    }
}
