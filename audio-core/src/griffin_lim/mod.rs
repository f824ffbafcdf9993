//! Sound from mel spectrograms without a network: fast Griffin-Lim.
//!
//! Perraudin, Balazs and Soendergaard, "A fast Griffin-Lim algorithm", 2013: phases are sought for
//! which the spectrum is that of a signal, with a step beyond each projection. It is what users have
//! who have no vocoder, and what vocoders are compared with.

mod spectrum;

use ndarray::{Array2, ArrayView2, Axis};

use self::spectrum::Magnitudes;
pub(crate) use self::spectrum::refuse_lost;
use crate::error::{Error, Result};
use crate::features::FeatureConfig;
use crate::random::{fraction, mix};
use crate::stft::{Complex32, Scaling, StftConfig, StftPlan};

/// Frames that are worked on together; longer features are done in pieces of this length.
const WINDOW: usize = 512;

/// The axis of frames.
const FRAMES: Axis = Axis(0);

/// How phases are sought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GriffinLimOptions {
    /// Projections.
    pub iterations: usize,
    /// The step beyond each projection: 0 for the algorithm of Griffin and Lim (1984), 0.99 as the
    /// paper recommends and librosa does.
    pub momentum: f32,
    /// Seed of the phases to begin with.
    pub seed: u64,
}

impl Default for GriffinLimOptions {
    fn default() -> Self {
        Self { iterations: 32, momentum: 0.99, seed: 0 }
    }
}

/// Makes sound of the features of one front end.
///
/// ```
/// use formant_audio_core::features::{FeaturePlan, presets};
/// use formant_audio_core::griffin_lim::{GriffinLim, GriffinLimOptions};
///
/// let config = presets::vocoder(24_000, 100, 12_000.0);
/// let wave: Vec<f32> = (0..24_000).map(|n| (n as f32 * 0.05).sin() * 0.5).collect();
/// let features = FeaturePlan::new(&config)?.compute(&wave)?;
/// let again = GriffinLim::new(&config, GriffinLimOptions::default())?.process(features.view())?;
/// assert_eq!(again.len(), 24_000 / 256 * 256);
/// # Ok::<(), formant_audio_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GriffinLim {
    magnitudes: Magnitudes,
    stft: StftPlan,
    options: GriffinLimOptions,
    /// Frames that a sample lies in.
    overlap: usize,
}

impl GriffinLim {
    /// For features of this front end. What it does to the level of the whole signal is not undone.
    ///
    /// # Errors
    /// [`Error::Config`] for a front end that keeps too little (normalised features, cepstra), and
    /// for frames so short that pieces can't be joined.
    pub fn new(config: &FeatureConfig, options: GriffinLimOptions) -> Result<Self> {
        let magnitudes = Magnitudes::new(config)?;
        let stft = StftPlan::new(&StftConfig {
            n_fft: config.n_fft,
            win_length: config.win_length,
            hop_length: config.hop_length,
            window: config.window,
            symmetry: config.symmetry,
            edges: config.edges,
            scaling: Scaling::None,
        })?;
        let overlap = config.n_fft.div_ceil(config.hop_length);
        if overlap * 16 > WINDOW {
            let reason = format!("{} is less than a thirty-second of n_fft", config.hop_length);
            return Err(Error::config("hop_length", reason));
        }
        if !(0.0..1.0).contains(&options.momentum) {
            return Err(Error::config("momentum", "is not between 0 and 1"));
        }
        Ok(Self { magnitudes, stft, options, overlap })
    }

    /// Values of a frame.
    #[must_use]
    pub fn width(&self) -> usize {
        self.magnitudes.width()
    }

    /// Samples of the sound of so many frames.
    #[must_use]
    pub fn num_samples(&self, frames: usize) -> usize {
        self.stft.num_samples(frames)
    }

    /// The sound of whole features `[frames, bands]`; as many samples as the frames cover.
    ///
    /// # Errors
    /// As [`GriffinLimSession::push`].
    pub fn process(&self, features: ArrayView2<'_, f32>) -> Result<Vec<f32>> {
        let mut samples = Vec::with_capacity(self.num_samples(features.nrows()));
        let mut session = self.start();
        session.push(features, &mut samples)?;
        session.finish(&mut samples);
        Ok(samples)
    }

    /// Begins with features that arrive in pieces. However they are cut, the sound is the same.
    #[must_use]
    pub fn start(&self) -> GriffinLimSession {
        let bins = self.stft.bins();
        GriffinLimSession {
            method: self.clone(),
            waiting: Array2::zeros((0, bins)),
            first: 0,
            settled: Array2::zeros((0, bins)),
            written: 0,
        }
    }

    /// Spectra with these magnitudes that are nearly those of a signal. The first of them, `settled`,
    /// are known. Frame number `first` is the first one.
    fn phases(
        &self,
        magnitudes: &Array2<f32>,
        settled: &Array2<Complex32>,
        first: usize,
    ) -> Result<Array2<Complex32>> {
        let bins = self.stft.bins();
        let known = settled.nrows();
        let mut spectra = Array2::from_shape_fn(magnitudes.dim(), |(frame, bin)| {
            let place = ((first + frame) * bins + bin) as u64;
            let angle = std::f64::consts::TAU * fraction(mix(self.options.seed ^ mix(place)));
            Complex32::from_polar(magnitudes[[frame, bin]], angle as f32)
        });
        spectra.slice_axis_mut(FRAMES, (..known).into()).assign(settled);
        let mut former: Option<Array2<Complex32>> = None;
        let beyond = self.options.momentum / (1.0 + self.options.momentum);
        for _ in 0..self.options.iterations {
            let signal = self.stft.inverse(spectra.view(), None)?;
            let projected = self.stft.forward(&signal);
            for frame in known..spectra.nrows().min(projected.nrows()) {
                for bin in 0..bins {
                    let mut phase = projected[[frame, bin]];
                    if let Some(former) = &former {
                        phase -= former[[frame, bin]] * beyond;
                    }
                    let length = phase.norm().max(f32::MIN_POSITIVE);
                    spectra[[frame, bin]] = phase * (magnitudes[[frame, bin]] / length);
                }
            }
            former = Some(projected);
        }
        Ok(spectra)
    }
}

/// Features that arrive in pieces, with the memory of one window.
///
/// Each window begins with frames whose spectra are settled, more of them than a sample lies in, so
/// that its samples go on from the last ones exactly; the phases of its last frames, which know
/// nothing of the frames behind them, are sought again in the next window.
#[derive(Debug)]
pub struct GriffinLimSession {
    method: GriffinLim,
    /// Magnitudes of frames from `first` on.
    waiting: Array2<f32>,
    first: usize,
    /// Spectra of the first of them.
    settled: Array2<Complex32>,
    /// Samples so far.
    written: usize,
}

impl GriffinLimSession {
    /// Takes features `[frames, bands]` and appends the samples that are ready to `out`.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of bands, [`Error::Config`] for values that are not finite.
    pub fn push(&mut self, features: ArrayView2<'_, f32>, out: &mut Vec<f32>) -> Result<()> {
        let width = self.method.width();
        if features.ncols() != width {
            return Err(Error::Shape {
                what: "features",
                expected: format!("{width} bands"),
                found: format!("{}", features.ncols()),
            });
        }
        if features.iter().any(|value| !value.is_finite()) {
            return Err(Error::config("features", "hold NaN or infinite values"));
        }
        for row in features.rows() {
            let row = self.method.magnitudes.of_row(&row.to_vec());
            self.waiting.push_row(ndarray::aview1(&row)).expect("a row has a value a bin");
            if self.waiting.nrows() == WINDOW {
                self.step(out)?;
            }
        }
        Ok(())
    }

    /// Ends, and appends the last samples.
    pub fn finish(mut self, out: &mut Vec<f32>) {
        let frames = self.waiting.nrows();
        if frames == 0 {
            return;
        }
        let method = &self.method;
        let spectra = method.phases(&self.waiting, &self.settled, self.first);
        let length = method.stft.num_samples(self.first + frames) - self.offset();
        let signal = spectra.and_then(|spectra| method.stft.inverse(spectra.view(), Some(length)));
        let signal = signal.expect("spectra have the width of their own plan");
        out.extend_from_slice(&signal[self.written - self.offset()..]);
        self.waiting = Array2::zeros((0, 0));
    }

    /// The sample that frame `first` counts from.
    fn offset(&self) -> usize {
        self.first * self.method.stft.config().hop_length
    }

    /// Works on a full window, all but its end.
    fn step(&mut self, out: &mut Vec<f32>) -> Result<()> {
        let (method, overlap) = (&self.method, self.method.overlap);
        let spectra = method.phases(&self.waiting, &self.settled, self.first)?;
        let signal = method.stft.inverse(spectra.view(), None)?;
        // Samples up to this frame's first one are settled, and with them the frames that they lie in.
        let ready = WINDOW - 5 * overlap;
        let end = self.offset() + ready * method.stft.config().hop_length;
        out.extend_from_slice(&signal[self.written - self.offset()..end - self.offset()]);
        self.written = end;
        let keep = ready - 2 * overlap;
        self.settled = spectra.slice_axis(FRAMES, (keep..ready + overlap).into()).to_owned();
        self.waiting = self.waiting.slice_axis(FRAMES, (keep..).into()).to_owned();
        self.first += keep;
        Ok(())
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

    /// Harmonics that glide and swell, as a voice does.
    fn voice(samples: usize) -> Vec<f32> {
        let mut phase = 0.0f32;
        (0..samples)
            .map(|n| {
                let seconds = n as f32 / 24_000.0;
                phase += (140.0 + 40.0 * (seconds * 3.0).sin()) * std::f32::consts::TAU / 24_000.0;
                let loudness = 0.1 + 0.1 * (seconds * 7.0).sin();
                (1..20).map(|k| (phase * k as f32).sin() / k as f32).sum::<f32>() * loudness
            })
            .collect()
    }

    fn distance(wave: &[f32], again: &[f32]) -> f64 {
        let plan = FeaturePlan::new(&config()).expect("valid");
        let [a, b] = [wave, again].map(|wave| plan.compute(wave).expect("features"));
        mel_distance(a.view(), b.view()).expect("same shape")
    }

    fn with(options: GriffinLimOptions) -> GriffinLim {
        GriffinLim::new(&config(), options).expect("a vocoder's features")
    }

    #[test]
    fn phases_are_found_and_more_steps_find_better_ones() {
        let wave = voice(100 * 256);
        let features = FeaturePlan::new(&config()).expect("valid").compute(&wave).expect("mel");
        let by = |iterations| {
            let options = GriffinLimOptions { iterations, ..Default::default() };
            let again = with(options).process(features.view()).expect("sound");
            assert_eq!(again.len(), wave.len());
            distance(&wave, &again)
        };
        let [none, few, usual] = [0, 4, 32].map(by);
        assert!(usual < few && few < none && usual < 0.5 * none, "{none} {few} {usual}");
    }

    #[test]
    fn pieces_of_any_size_make_the_same_sound_without_seams() {
        let wave = voice(1200 * 256);
        let features = FeaturePlan::new(&config()).expect("valid").compute(&wave).expect("mel");
        let method = with(GriffinLimOptions { iterations: 8, ..Default::default() });
        let whole = method.process(features.view()).expect("sound");
        assert_eq!(whole.len(), wave.len());
        for size in [1, 37, 700] {
            let mut session = method.start();
            let mut samples = Vec::new();
            for piece in features.axis_chunks_iter(Axis(0), size) {
                session.push(piece, &mut samples).expect("features");
            }
            session.finish(&mut samples);
            assert_eq!(samples, whole, "{size}");
        }
        // Around the joint of two windows no sample jumps further than elsewhere.
        let jump = |range: std::ops::Range<usize>| {
            whole[range].windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
        };
        let joint = (WINDOW - 20) * 256;
        assert!(jump(joint - 2..joint + 2) <= jump(joint - 12_000..joint + 12_000));
        let mel = |range: std::ops::Range<usize>| distance(&wave[range.clone()], &whole[range]);
        let (near, away) = (mel(joint - 2048..joint + 2048), mel(joint - 60_000..joint - 4_000));
        assert!(near < 1.5 * away, "{near} beside {away}");
    }

    #[test]
    fn seeds_count_and_silence_stays_silent() {
        let wave = voice(20 * 256);
        let features = FeaturePlan::new(&config()).expect("valid").compute(&wave).expect("mel");
        let by = |seed| {
            let method = with(GriffinLimOptions { seed, ..Default::default() });
            method.process(features.view()).expect("sound")
        };
        assert_eq!(by(3), by(3));
        assert_ne!(by(3), by(4));
        let silence = Array2::from_elem((20, 100), 1e-5f32.ln());
        let found = with(GriffinLimOptions::default()).process(silence.view()).expect("silence");
        assert!(found.len() == 20 * 256 && found.iter().all(|sample| *sample == 0.0));
        assert!(by(0).iter().all(|sample| sample.is_finite()));
    }

    #[test]
    fn wrong_features_are_refused() {
        let method = with(GriffinLimOptions::default());
        assert!(method.process(Array2::zeros((4, 80)).view()).is_err());
        assert!(method.process(Array2::from_elem((4, 100), f32::NAN).view()).is_err());
        assert_eq!(method.process(Array2::zeros((0, 100)).view()).expect("nothing").len(), 0);
        let one = method.process(Array2::zeros((1, 100)).view()).expect("one frame");
        assert_eq!(one.len(), 256);
        let options = GriffinLimOptions { momentum: f32::NAN, ..Default::default() };
        assert!(GriffinLim::new(&config(), options).is_err());
    }
}
