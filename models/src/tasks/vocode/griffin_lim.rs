//! Vocoding without a network.

use formant_audio_core::features::{FeatureConfig, FeaturePlan, presets};
use formant_audio_core::griffin_lim::{GriffinLim, GriffinLimOptions, GriffinLimSession};
use formant_audio_core::mel_correction::MelCorrection;
use formant_audio_core::{AudioBuf, AudioView};
use ndarray::ArrayView2;

use super::correction::Correction;
use super::session::{VocodeReport, VocodeSession};
use crate::error::{Error, Result};
use crate::tasks::task::TaskSession;

/// The preset of the front end where none is named.
pub const USUAL_PRESET: &str = "periodwave";
/// Passes of the correction where nothing is said about the method.
pub const USUAL_PASSES: usize = 32;

/// Makes waveforms of spectrograms by fast Griffin-Lim, in the place of a [`Vocoder`](super::Vocoder).
///
/// The latency is that of [`GriffinLim::start`], about five seconds at the usual hops.
#[derive(Debug, Clone)]
pub struct GriffinLimVocoder {
    pub(super) front_end: FeaturePlan,
    pub(super) method: GriffinLim,
    correction: Option<MelCorrection>,
}

impl GriffinLimVocoder {
    /// A vocoder for spectrograms of this front end.
    ///
    /// # Errors
    /// As [`GriffinLim::new`].
    pub fn new(front_end: &FeatureConfig, options: GriffinLimOptions) -> Result<Self> {
        let method = GriffinLim::new(front_end, options)?;
        let front_end = FeaturePlan::new(&front_end.streamable())?;
        Ok(Self { front_end, method, correction: None })
    }

    /// What `formant vocode` uses where nothing is said about the method.
    ///
    /// # Errors
    /// None: its numbers are sound.
    pub fn usual(seed: u64) -> Result<Self> {
        let options = GriffinLimOptions { seed, ..GriffinLimOptions::default() };
        Self::new(&presets::by_name(USUAL_PRESET)?, options)?.refined(USUAL_PASSES)
    }

    /// The same with so many passes of [`MelCorrection`] behind it, each of which adds a delay of about a
    /// transform's length.
    ///
    /// # Errors
    /// As [`MelCorrection::new`], where there are passes.
    pub fn refined(mut self, passes: usize) -> Result<Self> {
        self.correction = match passes {
            0 => None,
            passes => Some(MelCorrection::new(self.front_end(), passes)?),
        };
        Ok(self)
    }

    /// The spectrogram, without the steps that need the whole of a recording.
    #[must_use]
    pub fn front_end(&self) -> &FeatureConfig {
        self.front_end.config()
    }

    /// The rate of what comes out, in Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.front_end().sample_rate
    }

    /// Values of a frame.
    #[must_use]
    pub fn bands(&self) -> usize {
        self.method.width()
    }

    /// Begins a spectrogram, whose rows are given as they come.
    #[must_use]
    pub fn start_mel(&self) -> GriffinLimStream {
        GriffinLimStream {
            session: self.method.start(),
            bands: self.bands(),
            correction: Correction::new(self.correction.as_ref()),
        }
    }

    /// Begins a recording, every channel by itself. Its level is kept.
    #[must_use]
    pub fn start(&self) -> VocodeSession {
        VocodeSession::of_griffin_lim(self)
    }

    /// A whole recording through its spectrogram.
    ///
    /// # Errors
    /// [`formant_audio_core::Error::Empty`] without samples.
    pub fn process(&self, audio: &AudioView<'_>) -> Result<(AudioBuf, VocodeReport)> {
        let mut session = self.start();
        let first = session.push(audio)?;
        let (rest, report) = session.finish()?;
        Ok((AudioBuf::concat(&[first, rest])?, report))
    }
}

/// One spectrogram on its way to a waveform: rows in, samples out.
pub struct GriffinLimStream {
    session: GriffinLimSession,
    bands: usize,
    correction: Correction,
}

impl GriffinLimStream {
    /// Takes frames, one after the other in `rows`, and returns the samples that are settled by now.
    ///
    /// # Errors
    /// [`Error::Config`] for values that are no whole frames or not finite.
    pub fn push(&mut self, rows: &[f32]) -> Result<Vec<f32>> {
        let frames = ArrayView2::from_shape((rows.len() / self.bands, self.bands), rows)
            .map_err(|_| Error::config("rows", "are no whole frames"))?;
        let mut samples = Vec::new();
        self.session.push(frames, &mut samples)?;
        self.correction.push(rows, samples)
    }

    /// Ends the spectrogram: the rest of the samples.
    ///
    /// # Errors
    /// None but those of a fault.
    pub fn finish(self) -> Result<Vec<f32>> {
        let mut samples = Vec::new();
        self.session.finish(&mut samples);
        self.correction.finish(samples)
    }
}
