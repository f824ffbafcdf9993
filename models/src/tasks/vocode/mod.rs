//! Vocoding: spectrograms in, waveforms out; or recordings in, of which the network hears the
//! spectrogram alone (analysis and synthesis). [`OnePassVocoder`] does both with networks of one pass,
//! [`GriffinLimVocoder`] without a network.

mod correction;
mod fit;
mod flow;
mod griffin_lim;
mod level;
mod mel;
mod noise;
mod one_pass;
mod session;
mod survey;
mod synthesis;

use formant_audio_core::features::{FeatureConfig, FeaturePlan};
use formant_audio_core::{AudioBuf, AudioView};
use serde::{Deserialize, Serialize};
use tch::Device;

pub use fit::{mel_differences, mel_doubts};
pub use griffin_lim::{GriffinLimStream, GriffinLimVocoder, USUAL_PASSES, USUAL_PRESET};
pub use level::Level;
pub use mel::MelStream;
pub use one_pass::{OnePassStream, OnePassVocoder};
pub use session::{VocodeReport, VocodeSession};
pub use survey::Survey;

use flow::Flow;

use super::task::{Pieces, Task, seconds_of};
use crate::arch::periodwave::{
    FreeU, PeriodWave, PeriodWaveCard, PeriodWaveModel, Sampling, Solver,
};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::source::{LoadOptions, ModelSource, Precision};

/// Bounds of the seconds over which norms and levels are measured.
const MEASURED_SECONDS: std::ops::RangeInclusive<f64> = 1.0..=3600.0;

/// Channels at the rate of the samples from which on kernels are faster than libtorch's convolutions.
const FEWEST_CHANNELS: i64 = 16;

/// How waveforms are made. What is not given is as the model's card says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VocodeOptions {
    /// Steps from noise to waveform.
    pub steps: Option<usize>,
    /// How steps are made.
    pub solver: Option<Solver>,
    /// Factor of the noise.
    pub temperature: Option<f64>,
    /// Bend of the times of the steps.
    pub sway: Option<f64>,
    /// Weights of the ways up.
    pub free_u: Option<FreeU>,
    /// Passes that bring the mel values of the waveform nearer to those of the spectrogram, behind the
    /// network and with its phases. Each adds a delay of about a transform's length.
    pub refine: Option<usize>,
    /// Seed of the noise: the same seed gives the same samples.
    pub seed: u64,
    /// Threads that work on the network's paths, each with as many of libtorch's own as that is set to.
    /// Their number changes no byte, but that of libtorch's changes how sums are rounded.
    pub threads: usize,
    /// Level of the output.
    pub level: Level,
    /// Seconds at the beginning over which a session measures levels and the norms of the conditioning.
    /// What is not longer is seen as a whole; of what is longer, nothing comes out before, unless
    /// [`Vocoder::survey`] went through it.
    pub measured_seconds: f64,
}

impl Default for VocodeOptions {
    fn default() -> Self {
        Self {
            steps: None,
            solver: None,
            temperature: None,
            sway: None,
            free_u: None,
            refine: None,
            seed: 0,
            threads: 1,
            level: Level::Kept,
            measured_seconds: 120.0,
        }
    }
}

impl VocodeOptions {
    /// The card's sampling with what the options change.
    fn sampling(&self, card: &PeriodWaveCard) -> Result<Sampling> {
        let usual = card.sampling;
        let sampling = Sampling {
            steps: self.steps.unwrap_or(usual.steps),
            solver: self.solver.unwrap_or(usual.solver),
            temperature: self.temperature.unwrap_or(usual.temperature),
            sway: self.sway.unwrap_or(usual.sway),
            free_u: self.free_u.unwrap_or(usual.free_u),
            refine: self.refine.unwrap_or(usual.refine),
        };
        sampling.validate()?;
        if !MEASURED_SECONDS.contains(&self.measured_seconds) {
            let (low, high) = (MEASURED_SECONDS.start(), MEASURED_SECONDS.end());
            let reason = format!("{} s is not from {low} to {high}", self.measured_seconds);
            return Err(Error::config("measured_seconds", reason));
        }
        Ok(sampling)
    }
}

/// A loaded vocoder. One serves any number of signals at the same time; clones share its weights.
#[derive(Debug, Clone)]
pub struct Vocoder {
    card: PeriodWaveCard,
    network: PeriodWave,
    device: Device,
}

impl Vocoder {
    /// A vocoder with random weights, for timing sizes that have no weights.
    ///
    /// # Errors
    /// [`Error::Config`] for impossible sizes.
    pub fn random(card: PeriodWaveCard, device: Device) -> Result<Self> {
        Ok(Self::of(Model::random(card, device)?))
    }

    /// A vocoder of a model that is there already.
    #[must_use]
    pub fn of(model: PeriodWaveModel) -> Self {
        let device = model.device();
        let Model { card, network, .. } = model;
        let is_wide = network.config().final_dim >= FEWEST_CHANNELS;
        let network = if is_wide { network.freeze() } else { network };
        Self { card, network, device }
    }

    /// Makes the network's convolutions in numbers of this kind from now on.
    pub fn set_precision(&mut self, precision: Precision) {
        if precision != Precision::F32 {
            self.network.set_kind(precision.kind());
        }
    }

    /// What the model says about itself.
    #[must_use]
    pub fn card(&self) -> &PeriodWaveCard {
        &self.card
    }

    /// The rate of what comes out, in Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.card.sample_rate()
    }

    /// The spectrogram that the network takes.
    ///
    /// # Errors
    /// [`Error::Config`] for a model of a codec's embeddings, which takes none.
    pub fn front_end(&self) -> Result<&FeatureConfig> {
        self.card.frontend.as_ref().ok_or_else(|| {
            let reason = "this one takes EnCodec embeddings, [frames, 128], and no recordings";
            Error::config("model", reason)
        })
    }

    /// Begins a spectrogram, whose rows are given as they come.
    ///
    /// # Errors
    /// [`Error::Config`] for options out of range.
    pub fn start_mel(&self, options: &VocodeOptions) -> Result<MelStream> {
        MelStream::new(self, options, None)
    }

    /// Reads a recording twice, for the level and the norms of all of it. `read` goes through the
    /// recording, and calls what it is given with every block. Spectrograms are kept meanwhile, 400
    /// bytes for each frame of a channel at the published sizes.
    ///
    /// # Errors
    /// [`Error::Config`] for a model that takes no recordings; what libtorch and `read` say.
    pub fn survey<E: From<Error>>(
        &self,
        options: &VocodeOptions,
        mut read: impl FnMut(&mut dyn FnMut(&AudioView<'_>) -> Result<()>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Survey, E> {
        Survey::new(self, options, &mut read)
    }

    /// As [`Task::start`] of a recording that was read for a survey with the same options: nothing
    /// waits for what the survey found, and the result is that of the whole in one piece.
    ///
    /// # Errors
    /// As [`Task::start`].
    pub fn start_surveyed(&self, options: &VocodeOptions, survey: Survey) -> Result<VocodeSession> {
        VocodeSession::of_network(self, options, survey)
    }

    /// The waveform of a whole spectrogram, frame by frame in `rows`: a hop of samples for each.
    ///
    /// # Errors
    /// [`Error::Config`] for options out of range, and for values that are no whole frames; what
    /// libtorch says.
    pub fn process_mel(&self, rows: &[f32], options: &VocodeOptions) -> Result<Vec<f32>> {
        let mut leveler = level::Leveler::new(options.level, 1.0, usize::MAX);
        let norms = Flow::norms_of(self, options, rows)?;
        let mut stream = MelStream::new(self, options, norms)?;
        let mut out = leveler.push(stream.push(rows)?);
        out.extend(leveler.push(stream.finish()?));
        out.extend(leveler.finish());
        Ok(out)
    }

    /// The front end, without the steps that need the whole of a recording.
    fn plan(&self) -> Result<FeaturePlan> {
        Ok(FeaturePlan::new(&self.front_end()?.streamable())?)
    }
}

impl Task for Vocoder {
    const NAME: &'static str = "vocode";
    type Options = VocodeOptions;
    type Session = VocodeSession;
    /// The recording as the network makes it, every channel by itself, at the network's rate.
    type Output = AudioBuf;

    fn load(source: &ModelSource, options: &LoadOptions) -> Result<Self> {
        let mut vocoder = Self::of(Model::load(source, options.device.resolve()?)?);
        vocoder.set_precision(options.precision);
        Ok(vocoder)
    }

    fn start(&self, options: &VocodeOptions) -> Result<VocodeSession> {
        self.start_surveyed(options, Survey::default())
    }

    fn start_whole(&self, audio: &AudioView<'_>, options: &VocodeOptions) -> Result<VocodeSession> {
        let survey = match audio.duration() <= options.measured_seconds {
            true => Survey::default(),
            false => self.survey(options, |hear| seconds_of(audio).try_for_each(|x| hear(&x)))?,
        };
        self.start_surveyed(options, survey)
    }

    fn join(&self, pieces: Pieces<'_, Self>) -> Result<AudioBuf> {
        Ok(AudioBuf::concat(&pieces.parts)?)
    }
}
