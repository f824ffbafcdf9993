//! The recogniser: a network with its vocabulary, on whole signals, files and streams.

use std::sync::Arc;

use formant_audio_core::decode::BlockReader;
use formant_audio_core::vad::VadOptions;
use ndarray::Array2;

use super::aligned::{self, Aligned};
use super::cutter::Lengths;
use super::decoder::Decoder;
use super::network::CtcNetwork;
use super::session::{TranscribeSession, TranscriptEvent};
use super::transcript::Transcript;
use crate::arch::squeezeformer::NemoRelease;
use crate::decoding::{Fusion, Hotwords};
use crate::error::{Error, Result};
use crate::source::{LoadOptions, ModelSource};
use crate::tasks::task::{Pieces, Task};
use crate::text::Tokenizer;

/// Width of the search where none is given.
const DEFAULT_BEAM: usize = 16;

/// Where long audio is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Segmentation {
    /// At pauses; what is no speech is not transcribed.
    Pauses(VadOptions),
    /// By length alone; everything is transcribed.
    Length,
}

impl Segmentation {
    pub(super) fn vad(&self) -> Option<&VadOptions> {
        match self {
            Self::Pauses(options) => Some(options),
            Self::Length => None,
        }
    }
}

impl Default for Segmentation {
    /// Pauses of half a second, and half a second around what is said: words at the edges suffer
    /// from tight cuts.
    fn default() -> Self {
        Self::Pauses(VadOptions { min_silence: 0.5, padding: 0.5, ..VadOptions::default() })
    }
}

/// How a recogniser works.
#[derive(Debug, Clone)]
pub struct TranscribeOptions {
    /// Where long audio is cut.
    pub segmentation: Segmentation,
    /// Longest stretch that the network hears at once, in seconds, at least 2. Longer speech is cut
    /// into stretches that overlap by a fifth.
    pub window: f64,
    /// Stretches that the network hears side by side: 1 suits CPUs.
    pub batch: usize,
    /// Prefixes that the search keeps. Without it the search is greedy, unless something needs a
    /// search.
    pub beam: Option<usize>,
    /// Readings that are returned.
    pub nbest: usize,
    /// A language model.
    pub fusion: Option<Arc<Fusion>>,
    /// Expected phrases.
    pub hotwords: Option<Arc<Hotwords>>,
    /// Seconds of audio from one partial result of a stream to the next.
    pub partials: Option<f64>,
}

impl Default for TranscribeOptions {
    fn default() -> Self {
        Self {
            segmentation: Segmentation::default(),
            window: 20.0,
            batch: 1,
            beam: None,
            nbest: 1,
            fusion: None,
            hotwords: None,
            partials: None,
        }
    }
}

impl TranscribeOptions {
    fn check(&self) -> Result<()> {
        let out_of_range = |name: &str, low: usize, high: usize| {
            Err(Error::config(name, format!("use {low} to {high}")))
        };
        if !(2.0..=600.0).contains(&self.window) {
            return Err(Error::config("window", "use 2 to 600 seconds"));
        }
        if !(1..=1024).contains(&self.batch) {
            return out_of_range("batch", 1, 1024);
        }
        if !(1..=1000).contains(&self.nbest) {
            return out_of_range("nbest", 1, 1000);
        }
        if self.beam.is_some_and(|beam| !(1..=10_000).contains(&beam)) {
            return out_of_range("beam", 1, 10_000);
        }
        if self.partials.is_some_and(|seconds| !(0.01..=3600.0).contains(&seconds)) {
            return Err(Error::config("partials", "use 0.01 to 3600 seconds"));
        }
        Ok(())
    }

    fn search(&self) -> Option<usize> {
        let needed = self.fusion.is_some() || self.hotwords.is_some() || self.nbest > 1;
        let beam = self.beam.or(needed.then_some(DEFAULT_BEAM))?;
        Some(beam.max(self.nbest))
    }
}

/// A loaded recognizer. One serves any number of clips and streams of its thread; clones, which share
/// the weights, serve other threads.
#[derive(Debug)]
pub struct Transcriber {
    network: Box<dyn CtcNetwork + Send>,
    tokenizer: Arc<Tokenizer>,
    provenance: serde_json::Value,
}

impl Clone for Transcriber {
    fn clone(&self) -> Self {
        Self {
            network: self.network.share(),
            tokenizer: Arc::clone(&self.tokenizer),
            provenance: self.provenance.clone(),
        }
    }
}

impl Transcriber {
    /// A recogniser from its parts. `provenance` says where the weights come from, free-form.
    ///
    /// # Errors
    /// [`Error::Config`] for a network without rate or shift.
    pub fn new(
        network: Box<dyn CtcNetwork + Send>,
        tokenizer: Tokenizer,
        provenance: serde_json::Value,
    ) -> Result<Self> {
        if network.sample_rate() == 0 || network.samples_per_answer() == 0 {
            return Err(Error::config("network", "rate and shift must be positive"));
        }
        Ok(Self { network, tokenizer: Arc::new(tokenizer), provenance })
    }

    pub(super) fn network(&self) -> &dyn CtcNetwork {
        &*self.network
    }

    /// The vocabulary.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Where the weights come from: recipe, data, licence, measured quality.
    #[must_use]
    pub fn provenance(&self) -> &serde_json::Value {
        &self.provenance
    }

    /// The rate at which the model hears, in Hz; sessions resample to it.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.network.sample_rate()
    }

    /// What the network itself answers to a clip at [`Transcriber::sample_rate`], heard as a whole:
    /// log-probabilities `[answers, vocabulary]`, one answer every
    /// [`Transcriber::seconds_per_answer`].
    ///
    /// # Errors
    /// What features and network say.
    pub fn log_probs(&self, samples: &[f32]) -> Result<Array2<f32>> {
        Ok(self.network.log_probs(&[samples])?.pop().unwrap_or_default())
    }

    /// Seconds from one answer of the network to the next.
    #[must_use]
    pub fn seconds_per_answer(&self) -> f64 {
        self.network.samples_per_answer() as f64 / f64::from(self.network.sample_rate())
    }

    /// Finds where the words of a known text lie in a recording. Every line of the text becomes a
    /// segment. All of the recording is heard, whatever the segmentation.
    ///
    /// # Errors
    /// [`Error::Config`] when the text has no letters that the model knows, or more than the
    /// recording has room for; what reading and the network say.
    pub fn align(
        &self,
        reader: &mut BlockReader,
        text: &str,
        options: &TranscribeOptions,
    ) -> Result<Aligned> {
        options.check()?;
        aligned::align(self, reader, text, options)
    }

    pub(super) fn decoder(&self, options: &TranscribeOptions) -> Decoder {
        Decoder {
            tokenizer: Arc::clone(&self.tokenizer),
            blank: self.network.blank(),
            sample: 1.0 / f64::from(self.network.sample_rate()),
            answer: self.seconds_per_answer(),
            beam: options.search(),
            nbest: options.nbest,
            fusion: options.fusion.clone(),
            hotwords: options.hotwords.clone(),
        }
    }

    pub(super) fn lengths(&self, options: &TranscribeOptions) -> Lengths {
        let hop = self.network.samples_per_answer() as u64;
        let samples = |seconds: f64| {
            ((seconds * f64::from(self.network.sample_rate())) as u64 / hop).max(1) * hop
        };
        Lengths { longest: samples(options.window), step: samples(0.8 * options.window) }
    }
}

impl Task for Transcriber {
    const NAME: &'static str = "transcribe";
    type Options = TranscribeOptions;
    type Session = TranscribeSession;
    type Output = Transcript;

    fn load(source: &ModelSource, options: &LoadOptions) -> Result<Self> {
        Self::load_release(source, NemoRelease::default(), options)
    }

    /// # Errors
    /// Also [`Error::Config`] for a model at another rate than 8 or 16 kHz where pauses are to be
    /// found.
    fn start(&self, options: &TranscribeOptions) -> Result<TranscribeSession> {
        options.check()?;
        TranscribeSession::new(self, options)
    }

    fn join(&self, pieces: Pieces<'_, Self>) -> Result<Transcript> {
        let Pieces { options, parts, report } = pieces;
        let segments = parts.into_iter().flatten().filter_map(TranscriptEvent::finished).collect();
        Ok(Transcript::of(segments, report.seconds, options.nbest))
    }
}

#[cfg(test)]
mod tests;
