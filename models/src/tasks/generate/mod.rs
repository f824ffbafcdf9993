//! Generation: sounds of any length from descriptions. A transformer fills a grid of tokens, window by
//! window, a tokenizer makes a spectrogram of them, and a vocoder makes samples of that. The same
//! tokens widen the band of a recording, fill a gap in it, and continue it.

mod describe;
mod edit;
mod fault;
mod grid;
mod parts;
mod session;
mod synonyms;
mod vocabulary;
mod waves;

use std::ops::ControlFlow;

use formant_audio_core::AudioBuf;
use formant_audio_core::chunk::Edges;
use formant_audio_core::features::FeaturePlan;
use tch::{Device, Kind, Tensor};

pub use describe::Described;
pub use edit::{Edit, Edited};
pub use fault::Fault;
pub use parts::{PartSources, Parts, VocoderPart};
pub use session::{GenerateReport, GenerateSession};

use super::task::{Pieces, Task};
use crate::arch::specmaskgit::{Conditions, Sampling, SeededNoise, SpecMaskGit, Step};
use crate::arch::specvqgan::SpecVqgan;
use crate::compute::compute;
use crate::error::{Error, Result};
use crate::source::{LoadOptions, ModelSource, Precision};
use describe::Describer;
use fault::faults;
use grid::{Grid, windows};
use waves::Waves;

/// Longest sound, in seconds.
const LONGEST: f64 = 3600.0;
/// Fewest frames that a vocoder is given: more than any needs around its first sample.
const FEWEST_FRAMES: i64 = 32;

/// How a sound is made.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateOptions {
    /// What it is; any sound where this is empty.
    pub text: String,
    /// What it is not, from which guidance leads away.
    pub negative: String,
    /// Its length.
    pub seconds: f64,
    /// Seed of the noise: the same seed gives the same samples.
    pub seed: u64,
    /// Steps of a window; as the transformer's card says if not given.
    pub steps: Option<usize>,
    /// How much more than the text says is done; as the card says if not given.
    pub guidance: Option<f64>,
    /// Factor of the noise in the choice of tokens; as the card says if not given.
    pub temperature: Option<f64>,
    /// Columns of tokens that a window takes over from the one before it; a quarter of the window if not
    /// given.
    pub overlap: Option<usize>,
    /// What is done with recordings.
    pub edit: Edit,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            text: String::new(),
            negative: String::new(),
            seconds: 10.0,
            seed: 0,
            steps: None,
            guidance: None,
            temperature: None,
            overlap: None,
            edit: Edit::default(),
        }
    }
}

/// How far a sound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Steps of all windows that are done.
    pub steps: usize,
    /// Steps of all windows.
    pub of: usize,
}

/// Sees every step, and may end the work.
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// A sound that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// Mono samples at the generator's rate, exactly as many as were asked for.
    pub samples: Vec<f32>,
    /// What is wrong with them.
    pub faults: Vec<Fault>,
}

/// The networks that make sounds, without gradients. Clones share their weights.
///
/// Noise depends on the seed and on the place in the sound alone, so that sounds that are made at the
/// same time, in any number of threads of their own, do not change each other.
#[derive(Debug, Clone)]
pub struct Generator {
    transformer: SpecMaskGit,
    tokenizer: SpecVqgan,
    describer: Describer,
    waves: Waves,
    sampling: Sampling,
    front_end: FeaturePlan,
    /// Frames of a column.
    factor: usize,
    device: Device,
}

impl Generator {
    /// A generator of parts that fit each other.
    ///
    /// # Errors
    /// [`Error::Config`] naming what does not fit.
    pub fn new(parts: Parts, precision: Precision) -> Result<Self> {
        parts.check()?;
        let describer = Describer::new(&parts)?;
        let device = parts.transformer.device();
        let Parts { transformer, tokenizer, vocoder, .. } = parts;
        let mut network = transformer.network.freeze();
        if precision != Precision::F32 {
            network.set_kind(precision.kind());
        }
        let generator = Self {
            transformer: network,
            describer,
            waves: Waves::new(vocoder, &tokenizer.card.frontend, precision)?,
            sampling: transformer.card.sampling,
            front_end: FeaturePlan::new(&tokenizer.card.frontend)?,
            factor: tokenizer.card.config.factor() as usize,
            tokenizer: tokenizer.network.freeze(),
            device,
        };
        Ok(generator)
    }

    /// Loads the networks of a generator.
    ///
    /// # Errors
    /// What reading the checkpoints says; [`Error::Config`] naming what does not fit;
    /// [`Error::Device`] when the device is not there.
    pub fn load_parts(sources: &PartSources, options: &LoadOptions) -> Result<Self> {
        Self::new(sources.load(options.device.resolve()?)?, options.precision)
    }

    /// The rate of the samples, in Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.front_end.sample_rate()
    }

    /// The words that texts may have, where the model knows no others.
    #[must_use]
    pub fn words(&self) -> Option<&[String]> {
        self.describer.words()
    }

    /// What makes waveforms: the name of a network, or `griffin-lim`.
    #[must_use]
    pub fn vocoder(&self) -> &str {
        self.waves.name()
    }

    /// The sampling with what the options change.
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting that is out of range.
    pub fn sampling(&self, options: &GenerateOptions) -> Result<Sampling> {
        let sampling = Sampling {
            steps: options.steps.unwrap_or(self.sampling.steps),
            guidance: options.guidance.unwrap_or(self.sampling.guidance),
            temperature: options.temperature.unwrap_or(self.sampling.temperature),
            ..self.sampling
        };
        sampling.validate()?;
        Ok(sampling)
    }

    /// What a text means to the transformer.
    ///
    /// # Errors
    /// [`Error::Config`] for a text that it cannot read.
    pub fn describe(&self, text: &str) -> Result<Described> {
        self.describer.describe(text)
    }

    /// Makes a sound of exactly the length that is asked for. `watch` sees every step; where it breaks,
    /// there is no result.
    ///
    /// # Errors
    /// [`Error::Config`] for options out of range and texts that cannot be read; what libtorch says.
    pub fn generate(
        &self,
        options: &GenerateOptions,
        watch: Watch<'_>,
    ) -> Result<Option<Generated>> {
        if !(options.seconds > 0.0 && options.seconds <= LONGEST) {
            let reason = format!("{} s is not above 0 and up to {LONGEST}", options.seconds);
            return Err(Error::config("seconds", reason));
        }
        let rate = self.sample_rate();
        let samples = ((options.seconds * f64::from(rate)).round() as usize).max(1);
        let frames = samples.div_ceil(self.hop()) + usize::from(self.is_centred());
        let columns = frames.div_ceil(self.factor).max(self.width());
        let masked = Grid::of(self.transformer.config().mask(), self.rows(), columns);
        let Some(grid) = self.fill(masked, options, watch)? else { return Ok(None) };
        let mel = self.spectrogram(&grid, options)?;
        let frames = (frames as i64).max(FEWEST_FRAMES).min(mel.size()[3]);
        let mut samples_made = self.waves.make(&mel.narrow(3, 0, frames), options.seed)?;
        samples_made.resize(samples, 0.0);
        let faults = faults(&samples_made, rate)?;
        Ok(Some(Generated { samples: samples_made, faults }))
    }

    /// Fills the masked places of a grid, window by window.
    fn fill(
        &self,
        mut grid: Grid,
        options: &GenerateOptions,
        watch: Watch<'_>,
    ) -> Result<Option<Grid>> {
        let (width, sampling) = (self.width(), self.sampling(options)?);
        let conditions = Conditions {
            wanted: self.describe(&options.text)?.embedding,
            unwanted: self.describe(&options.negative)?.embedding,
        };
        let starts = windows(grid.columns(), width, self.overlap(options))?;
        let of = starts.len() * sampling.steps;
        for (index, first) in starts.into_iter().enumerate() {
            let window = grid.window(first, width);
            let noise =
                SeededNoise { seed: options.seed, columns: width, first_column: first as u64 };
            let step = |step: &Step<'_>| {
                watch(Progress { steps: index * sampling.steps + step.index + 1, of })
            };
            let size = [1, window.len() as i64];
            let found = compute("the transformer", &size, || {
                self.transformer.sample(&window, &conditions, &sampling, &noise, step)
            })??;
            let Some(found) = found else { return Ok(None) };
            grid.put(first, 0, &found);
        }
        Ok(Some(grid))
    }

    /// The spectrogram `[1, 1, bands, frames]` of tokens. Windows fade into each other where they
    /// overlap.
    fn spectrogram(&self, grid: &Grid, options: &GenerateOptions) -> Result<Tensor> {
        let mut whole: Option<Tensor> = None;
        for first in windows(grid.columns(), self.width(), self.overlap(options))? {
            let window = grid.tensor(first, self.width()).to_device(self.device);
            let mel = compute("the tokenizer", &window.size(), || self.tokenizer.decode(&window))?;
            let mel = mel.to_device(Device::Cpu);
            whole = Some(match whole {
                None => mel,
                Some(before) => fade(&before, &mel, (first * self.factor) as i64),
            });
        }
        let whole = whole.ok_or_else(|| Error::config("seconds", "no window"))?;
        Ok(whole.to_device(self.device))
    }

    fn overlap(&self, options: &GenerateOptions) -> usize {
        options.overlap.unwrap_or(self.width() / 4)
    }

    fn rows(&self) -> usize {
        self.transformer.config().grid_h as usize
    }

    /// Columns of a window.
    fn width(&self) -> usize {
        self.transformer.config().grid_w as usize
    }

    /// Samples of a frame.
    fn hop(&self) -> usize {
        self.front_end.config().hop_length
    }

    /// Samples of a column.
    fn column(&self) -> usize {
        self.hop() * self.factor
    }

    /// Whether there is a frame more than hops.
    fn is_centred(&self) -> bool {
        matches!(self.front_end.config().edges, Edges::Center { .. })
    }
}

/// `before`, and `next` from frame `at` on; what both have goes over from one to the other.
fn fade(before: &Tensor, next: &Tensor, at: i64) -> Tensor {
    let both = before.size()[3] - at;
    let share = (Tensor::arange(both, (Kind::Float, next.device())) + 0.5) / both.max(1) as f64;
    let mixed = before.narrow(3, at, both) * (1.0 - &share) + next.narrow(3, 0, both) * share;
    Tensor::cat(&[before.narrow(3, 0, at), mixed, next.narrow(3, both, next.size()[3] - both)], 3)
}

/// With recordings: [`Edit`] says what is done with them.
impl Task for Generator {
    const NAME: &'static str = "generate";
    type Options = GenerateOptions;
    type Session = GenerateSession;
    type Output = AudioBuf;

    /// A transformer with the tokenizer beside it, and without a vocoder.
    fn load(source: &ModelSource, options: &LoadOptions) -> Result<Self> {
        Self::load_parts(&PartSources::of(source.clone()), options)
    }

    fn start(&self, options: &GenerateOptions) -> Result<GenerateSession> {
        self.sampling(options)?;
        Ok(GenerateSession::new(self, options))
    }

    fn join(&self, pieces: Pieces<'_, Self>) -> Result<AudioBuf> {
        let parts: Vec<AudioBuf> = pieces.parts.into_iter().flatten().collect();
        Ok(AudioBuf::concat(&parts)?)
    }
}

#[cfg(test)]
mod tests;
