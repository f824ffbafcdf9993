//! A waveform whose mel spectrogram is brought nearer to a wanted one, with the phases that it has.
//!
//! A vocoder's waveform has the right phases and nearly the right envelope. A pass compares its log-mel
//! values with the wanted ones, frame by frame and band by band, and scales the bins of its transform by
//! the difference. Passes are streams one behind the other, each as far behind the one before it as a
//! frame is long, so that memory is bounded and pieces of any size make the same waveform.

use std::collections::VecDeque;

use ndarray::{Array2, ArrayView2, ArrayViewMut1};

use crate::error::{Error, Result};
use crate::features::{FeatureConfig, Log, LogBase, Spectrum};
use crate::griffin_lim::refuse_lost;
use crate::mel::MelPlan;
use crate::stft::{Complex32, IstftStream, Scaling, StftConfig, StftPlan, StftStream};

/// The largest difference of a band that counts in a pass: 12 dB of amplitude, in nepers.
const MOST: f32 = 12.0 / 20.0 * std::f32::consts::LN_10;

/// What a difference is multiplied by: a step beyond it gets nearer in fewer passes, as neighbouring
/// frames undo a part of each other's.
const STEP: f32 = 1.5;

/// How much of the step of the pass before goes into a step, as in Polyak's heavy ball: directions that
/// many passes agree on are followed faster.
const MOMENTUM: f32 = 0.5;

/// Passes at most; the first thirty find most of what there is to find.
pub const MOST_PASSES: usize = 1000;

/// Corrects waveforms for one front end.
///
/// ```
/// use formant_audio_core::features::{FeaturePlan, presets};
/// use formant_audio_core::mel_correction::MelCorrection;
///
/// let config = presets::vocoder(24_000, 100, 12_000.0);
/// let wave: Vec<f32> = (0..10_240).map(|n| (n as f32 * 0.05).sin() * 0.5).collect();
/// let wanted = FeaturePlan::new(&config)?.compute(&wave)?;
/// let soft: Vec<f32> = wave.iter().map(|x| x * 0.4).collect();
/// let again = MelCorrection::new(&config, 8)?.process(&soft, wanted.view())?;
/// assert!(again.iter().zip(&wave).all(|(a, b)| (a - b).abs() < 0.05));
/// # Ok::<(), formant_audio_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MelCorrection {
    stft: StftPlan,
    mel: MelPlan,
    log: Log,
    spectrum: Spectrum,
    input_scale: f32,
    /// For every bin its bands, and their weights, whose sum is one.
    bands_of: Vec<Vec<(usize, f32)>>,
    passes: usize,
}

impl MelCorrection {
    /// For log-mel spectrograms of this front end, and so many passes.
    ///
    /// # Errors
    /// [`Error::Config`] for a front end without filter bank or logarithm, or with steps that can't be
    /// undone, and for too many passes.
    pub fn new(front_end: &FeatureConfig, passes: usize) -> Result<Self> {
        refuse_lost(front_end)?;
        let (Some(mel), Some(log)) = (&front_end.mel, front_end.log) else {
            return Err(Error::config("features", "are no logarithms of mel bands"));
        };
        if passes > MOST_PASSES {
            return Err(Error::config("passes", format!("{passes} is over {MOST_PASSES}")));
        }
        let stft = StftPlan::new(&StftConfig {
            n_fft: front_end.n_fft,
            win_length: front_end.win_length,
            hop_length: front_end.hop_length,
            window: front_end.window,
            symmetry: front_end.symmetry,
            edges: front_end.edges,
            scaling: Scaling::None,
        })?;
        let mel = MelPlan::new(mel, front_end.sample_rate, front_end.n_fft)?;
        let matrix = mel.to_matrix();
        let bands_of = matrix.columns().into_iter().map(|weights| {
            let sum: f32 = weights.sum();
            let is_there = |(_, weight): &(usize, &f32)| **weight > 0.0;
            let share = |(band, weight): (usize, &f32)| (band, weight / sum);
            weights.iter().enumerate().filter(is_there).map(share).collect()
        });
        Ok(Self {
            bands_of: bands_of.collect(),
            stft,
            mel,
            log,
            spectrum: front_end.spectrum,
            input_scale: front_end.input_scale,
            passes,
        })
    }

    /// The corrected waveform, as long as the given one.
    ///
    /// # Errors
    /// As [`MelCorrectionSession::push`].
    pub fn process(&self, samples: &[f32], wanted: ArrayView2<'_, f32>) -> Result<Vec<f32>> {
        let mut session = self.start();
        session.want(&wanted.iter().copied().collect::<Vec<_>>());
        let mut out = session.push(samples)?;
        out.extend(session.finish()?);
        Ok(out)
    }

    /// Begins a waveform that arrives in pieces.
    #[must_use]
    pub fn start(&self) -> MelCorrectionSession {
        let pass = || Pass {
            analysis: self.stft.stream(),
            synthesis: self.stft.inverse_stream(),
            next: 0,
            steps: VecDeque::new(),
        };
        MelCorrectionSession {
            passes: (0..self.passes).map(|_| pass()).collect(),
            plan: self.clone(),
            wanted: VecDeque::new(),
            first: 0,
            received: 0,
        }
    }

    /// The change of amplitude, in nepers, that a change of a value by one stands for.
    fn nepers(&self) -> f32 {
        let base = match self.log.base {
            LogBase::E => 1.0,
            LogBase::Ten => std::f32::consts::LN_10,
        };
        let exponent = if self.spectrum == Spectrum::Power { 0.5 } else { 1.0 };
        base * exponent / self.log.factor
    }

    /// Scales the bins of a frame by what its bands lack. `steps` are the steps of its bands, in nepers:
    /// those of the pass before come in, those of this pass go out.
    fn correct(&self, wanted: &[f32], steps: &mut [f32], mut frame: ArrayViewMut1<'_, Complex32>) {
        let power = |bin: &Complex32| bin.norm_sqr() * self.input_scale * self.input_scale;
        let spectrum: Vec<f32> = match self.spectrum {
            Spectrum::Power => frame.iter().map(power).collect(),
            Spectrum::Magnitude { epsilon } => {
                frame.iter().map(|bin| (power(bin) + epsilon).sqrt()).collect()
            }
        };
        let mut found = vec![0.0; self.mel.n_mels()];
        self.mel.apply(&spectrum, &mut found);
        self.log.apply(&mut found);
        let nepers = self.nepers();
        let lack = |(wanted, found): (&f32, &f32)| {
            let lack = (wanted - found) * nepers;
            if lack.is_finite() { lack.clamp(-MOST, MOST) } else { 0.0 }
        };
        for (step, lack) in steps.iter_mut().zip(wanted.iter().zip(&found).map(lack)) {
            *step = STEP * lack + MOMENTUM * *step;
        }
        for (bin, bands) in frame.iter_mut().zip(&self.bands_of) {
            let step: f32 = bands.iter().map(|&(band, share)| share * steps[band]).sum();
            *bin *= step.exp();
        }
    }
}

/// A pass on its way.
struct Pass {
    analysis: StftStream,
    synthesis: IstftStream,
    /// The frame that comes next.
    next: usize,
    /// The steps that it took, of the bands of the frames that the next pass has not seen.
    steps: VecDeque<f32>,
}

/// A waveform that arrives in pieces.
pub struct MelCorrectionSession {
    plan: MelCorrection,
    passes: Vec<Pass>,
    /// Values of the wanted frames from `first` on.
    wanted: VecDeque<f32>,
    first: usize,
    received: usize,
}

impl MelCorrectionSession {
    /// Takes further frames of the wanted spectrogram, `[frames, bands]`. They have to be there before
    /// the samples that lie in them; frames behind the last one stay as they are.
    pub fn want(&mut self, rows: &[f32]) {
        self.wanted.extend(rows);
    }

    /// Takes samples, and returns those that are settled: about a frame a pass later.
    ///
    /// # Errors
    /// None but those of a fault: spectra have the width of their own plan.
    pub fn push(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        self.received += samples.len();
        let mut samples = samples.to_vec();
        for at in 0..self.passes.len() {
            let frames = self.passes[at].analysis.push(&samples);
            samples = self.synthesize(at, frames)?;
        }
        self.forget();
        Ok(samples)
    }

    /// Ends: the rest of the samples.
    ///
    /// # Errors
    /// As [`MelCorrectionSession::push`].
    pub fn finish(mut self) -> Result<Vec<f32>> {
        let mut samples = Vec::new();
        for at in 0..self.passes.len() {
            let frames = self.passes[at].analysis.push(&samples);
            samples = self.synthesize(at, frames)?;
            let frames = self.passes[at].analysis.finish();
            samples.extend(self.synthesize(at, frames)?);
            samples.extend(self.passes[at].synthesis.finish(self.received));
        }
        Ok(samples)
    }

    fn synthesize(&mut self, at: usize, mut frames: Array2<Complex32>) -> Result<Vec<f32>> {
        let bands = self.plan.mel.n_mels();
        let (before, rest) = self.passes.split_at_mut(at);
        let is_last = rest.len() == 1;
        let pass = &mut rest[0];
        for frame in frames.rows_mut() {
            let mut steps: Vec<f32> = match before.last_mut() {
                Some(before) => before.steps.drain(..bands).collect(),
                None => vec![0.0; bands],
            };
            let from = (pass.next - self.first) * bands;
            if from + bands <= self.wanted.len() {
                let wanted: Vec<f32> = self.wanted.range(from..from + bands).copied().collect();
                self.plan.correct(&wanted, &mut steps, frame);
            }
            if !is_last {
                pass.steps.extend(steps);
            }
            pass.next += 1;
        }
        pass.synthesis.push(frames.view())
    }

    /// Drops the frames that all passes are done with.
    fn forget(&mut self) {
        let bands = self.plan.mel.n_mels();
        let done = self.passes.last().map_or(usize::MAX, |pass| pass.next);
        let frames = (done - self.first).min(self.wanted.len() / bands);
        self.wanted.drain(..frames * bands);
        self.first += frames;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{FeaturePlan, presets};
    use crate::metrics::spectral::mel_distance;

    fn config() -> FeatureConfig {
        presets::vocoder(24_000, 100, 12_000.0)
    }

    fn mel(wave: &[f32]) -> Array2<f32> {
        FeaturePlan::new(&config()).expect("valid").compute(wave).expect("features")
    }

    fn distance(a: &[f32], b: &[f32]) -> f64 {
        mel_distance(mel(a).view(), mel(b).view()).expect("as long")
    }

    /// Harmonics and some noise.
    fn voice(samples: usize) -> Vec<f32> {
        let mut phase = 0.0f32;
        let sample = |n: usize| {
            let seconds = n as f32 / 24_000.0;
            phase += (140.0 + 40.0 * (seconds * 3.0).sin()) * std::f32::consts::TAU / 24_000.0;
            let noise = (n * 7919 % 1009) as f32 / 504.5 - 1.0;
            let tone: f32 = (1..40).map(|k| (phase * k as f32).sin() / k as f32).sum();
            0.1 * tone * (1.1 + (seconds * 7.0).sin()) + 0.01 * noise
        };
        (0..samples).map(sample).collect()
    }

    /// The same with another envelope: a filter with one pole and one zero.
    fn muffled(wave: &[f32]) -> Vec<f32> {
        let (mut before, mut out) = (0.0, 0.0);
        let filter = |x: &f32| {
            out = 0.6 * out + 0.5 * x + 0.2 * before;
            before = *x;
            out
        };
        wave.iter().map(filter).collect()
    }

    fn decibels(found: &[f32], wanted: &[f32]) -> f64 {
        let energy = |x: f32| f64::from(x) * f64::from(x);
        let change: f64 = found.iter().zip(wanted).map(|(a, b)| energy(a - b)).sum();
        let all: f64 = wanted.iter().map(|x| energy(*x)).sum();
        10.0 * (change / all).max(1e-30).log10()
    }

    #[test]
    fn wrong_envelopes_get_nearer_and_right_ones_stay() {
        let wave = voice(120 * 256);
        let wanted = mel(&wave);
        let by = |passes: usize, samples: &[f32]| {
            let method = MelCorrection::new(&config(), passes).expect("sound");
            let out = method.process(samples, wanted.view()).expect("corrected");
            assert_eq!(out.len(), samples.len());
            out
        };
        let other = muffled(&wave);
        let [none, one, four] = [0, 1, 4].map(|passes| distance(&wave, &by(passes, &other)));
        assert!(one < 0.8 * none && four < 0.3 * none, "{none} {one} {four}");
        assert!(by(0, &other) == other);
        let level = decibels(&by(3, &wave), &wave);
        assert!(level < -60.0, "{level:.1} dB");
    }

    #[test]
    fn pieces_of_any_size_make_the_same_waveform() {
        let wave = voice(90 * 256);
        let wanted = mel(&wave);
        let other = muffled(&wave);
        let method = MelCorrection::new(&config(), 2).expect("sound");
        let whole = method.process(&other, wanted.view()).expect("corrected");
        for frames in [1, 7, 200] {
            let mut session = method.start();
            let mut out = Vec::new();
            let rows = wanted.as_slice().expect("whole rows").chunks(frames * 100);
            rows.for_each(|rows| session.want(rows));
            for samples in other.chunks(frames * 100) {
                out.extend(session.push(samples).expect("corrected"));
            }
            let delay = other.len() - out.len();
            assert!(frames > 90 || delay <= 2 * (1024 + 256), "{delay}");
            out.extend(session.finish().expect("corrected"));
            assert!(out == whole, "{frames}");
        }
    }

    #[test]
    fn odd_values_do_no_harm() {
        let wave = voice(20 * 256);
        let mut wanted = mel(&wave);
        wanted[[3, 5]] = f32::NAN;
        wanted[[4, 6]] = f32::INFINITY;
        wanted[[5, 7]] = 1e9;
        let method = MelCorrection::new(&config(), 2).expect("sound");
        let out = method.process(&wave, wanted.view()).expect("corrected");
        assert!(out.iter().all(|x| x.is_finite() && x.abs() < 10.0));
        for length in [0, 1, 255, 256, 700] {
            let out = method.process(&wave[..length], wanted.view()).expect("short");
            assert_eq!(out.len(), length);
        }
        let silent = method.process(&vec![0.0; 2560], mel(&wave[..2560]).view()).expect("silence");
        assert!(silent.iter().all(|x| *x == 0.0));
        assert!(MelCorrection::new(&config(), MOST_PASSES + 1).is_err());
        let plain = FeatureConfig { log: None, ..config() };
        assert!(MelCorrection::new(&plain, 1).is_err());
        let lost = presets::by_name("nemo").expect("a preset");
        assert!(MelCorrection::new(&lost, 1).is_err());
    }
}
