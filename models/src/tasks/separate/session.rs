//! A recording on its way through a separator, block by block, in memory that does not grow with
//! it.

use formant_audio_core::chunk::ChunkConfig;
use formant_audio_core::resample::{Quality, StreamResampler};
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, Warning};
use serde::Serialize;

use super::level::{Balance, share_rest};
use super::likeness::Voices;
use super::{Levels, SeparateOptions, Separator};
use crate::error::{Error, Result};
use crate::tasks::chunked::{ChunkedSources, Likeness, SourceModel, SourcesReport};
use crate::tasks::mono_stream::{MonoStream, Pace};

/// What was heard in a recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeparationReport {
    /// Seconds of the recording.
    pub seconds: f64,
    /// What was heard of every voice.
    #[serde(flatten)]
    pub sources: SourcesReport,
    /// Whether probably one person alone speaks, so that the other outputs mean nothing.
    pub single_speaker: bool,
    /// What was odd about the recording.
    pub warnings: Vec<Warning>,
}

/// Voices this alike are one person's.
const ONE_PERSON: f64 = 0.75;

/// The network as the adapter sees it.
struct Parting<'a> {
    separator: &'a Separator,
    levels: Levels,
    balance: Balance,
}

impl SourceModel for Parting<'_> {
    fn sources(&self) -> usize {
        self.separator.voices()
    }

    fn process(&mut self, chunk: &[f32]) -> Result<Vec<Vec<f32>>> {
        let mut voices = self.separator.run(chunk)?;
        if self.levels == Levels::Mixture {
            self.balance.scale(chunk, &mut voices);
            if self.separator.sums_to_mixture() {
                share_rest(chunk, &mut voices, self.separator.sample_rate());
            }
        }
        Ok(voices)
    }
}

/// Blocks in, blocks of every voice out.
pub struct SeparateSession<'a> {
    mono: MonoStream,
    chunked: ChunkedSources<'a, Parting<'a>>,
    outputs: Vec<Output>,
    own_rate: u32,
    rate: Option<u32>,
    frames: u64,
    non_finite: u64,
}

/// One voice on its way back to the recording's rate.
#[derive(Default)]
struct Output {
    resampler: Option<StreamResampler>,
    written: u64,
}

impl Output {
    fn new(from: u32, to: u32) -> Result<Self> {
        let resampler = match from == to {
            true => None,
            false => Some(StreamResampler::new(AudioSpec::mono(from), to, Quality::High)?),
        };
        Ok(Self { resampler, written: 0 })
    }

    /// Samples at the recording's rate, no more than `limit` in all.
    fn push(&mut self, samples: &[f32], own_rate: u32, limit: u64) -> Result<Vec<f32>> {
        let samples = match &mut self.resampler {
            Some(resampler) => {
                resampler.push(&AudioView::from_mono(own_rate, samples))?.into_planar()
            }
            None => samples.to_vec(),
        };
        Ok(self.cut(samples, limit))
    }

    /// What was held back, and zeros where rounding left the end short.
    fn finish(&mut self, limit: u64) -> Result<Vec<f32>> {
        let samples = match &mut self.resampler {
            Some(resampler) => resampler.finish()?.into_planar(),
            None => Vec::new(),
        };
        let mut samples = self.cut(samples, limit);
        let missing = usize::try_from(limit - self.written).unwrap_or(0);
        samples.resize(samples.len() + missing, 0.0);
        self.written = limit;
        Ok(samples)
    }

    fn cut(&mut self, mut samples: Vec<f32>, limit: u64) -> Vec<f32> {
        let left = usize::try_from(limit - self.written).unwrap_or(usize::MAX);
        samples.truncate(left);
        self.written += samples.len() as u64;
        samples
    }
}

impl<'a> SeparateSession<'a> {
    pub(super) fn new(separator: &'a Separator, options: &SeparateOptions) -> Result<Self> {
        let own_rate = separator.sample_rate();
        let samples = |seconds: f64| (seconds * f64::from(own_rate)).round().max(0.0) as usize;
        let window = samples(options.window_seconds);
        if window < separator.card().config.kernel_size as usize {
            let reason = format!("{} s is too short", options.window_seconds);
            return Err(Error::config("window", reason));
        }
        let config = ChunkConfig::new(window, samples(options.overlap_seconds), 0)?;
        let parting = Parting { separator, levels: options.levels, balance: Balance::default() };
        let likeness: Box<dyn Likeness + 'a> = Box::new(Voices(separator));
        Ok(Self {
            mono: MonoStream::new(own_rate, Pace::Throughput),
            chunked: ChunkedSources::new(parting, config, own_rate, Some(likeness)),
            outputs: (0..separator.voices()).map(|_| Output::default()).collect(),
            own_rate,
            rate: None,
            frames: 0,
            non_finite: 0,
        })
    }

    /// Takes a block of any channel count, and returns what is settled of every voice, at the
    /// block's rate.
    ///
    /// # Errors
    /// [`formant_audio_core::Error::Shape`] when rate or layout change; what the network says.
    pub fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<AudioBuf>> {
        let rate = block.rate();
        if self.rate.is_none() {
            self.rate = Some(rate);
            for output in &mut self.outputs {
                *output = Output::new(self.own_rate, rate)?;
            }
        }
        self.frames += block.frames() as u64;
        let mut replaced = 0;
        let samples = self.mono.push_with(block, |mono| {
            for x in mono.iter_mut().filter(|x| !x.is_finite()) {
                *x = 0.0;
                replaced += 1;
            }
        })?;
        self.non_finite += replaced;
        let settled = self.chunked.push(&samples)?;
        self.give(settled, rate)
    }

    fn give(&mut self, settled: Option<AudioBuf>, rate: u32) -> Result<Vec<AudioBuf>> {
        let limit = self.frames;
        let own_rate = self.own_rate;
        self.outputs
            .iter_mut()
            .enumerate()
            .map(|(voice, output)| {
                let samples = match &settled {
                    Some(audio) => output.push(audio.channel(voice), own_rate, limit)?,
                    None => Vec::new(),
                };
                Ok(AudioBuf::from_mono(rate, samples))
            })
            .collect()
    }

    /// Ends the recording: what is left of every voice, and what was heard.
    ///
    /// # Errors
    /// [`formant_audio_core::Error::Empty`] when there was nothing; what the network says.
    pub fn finish(mut self) -> Result<(Vec<AudioBuf>, SeparationReport)> {
        let Some(rate) = self.rate.filter(|_| self.frames > 0) else {
            return Err(formant_audio_core::Error::Empty.into());
        };
        let tail = self.mono.finish()?;
        let first = self.chunked.push(&tail)?;
        let mut voices = self.give(first, rate)?;
        let (rest, sources) = self.chunked.finish()?;
        let more = self.give(rest, rate)?;
        let limit = self.frames;
        for ((voice, more), output) in voices.iter_mut().zip(more).zip(&mut self.outputs) {
            voice.append(&more.view())?;
            let last = output.finish(limit)?;
            voice.append(&AudioView::from_mono(rate, &last))?;
        }
        let active = sources.sources.iter().filter(|source| source.active).count();
        let one_person = sources.likeness.is_some_and(|likeness| likeness > ONE_PERSON);
        let mut warnings = Vec::new();
        if self.non_finite > 0 {
            warnings.push(Warning::NonFinite { count: self.non_finite });
        }
        let report = SeparationReport {
            seconds: limit as f64 / f64::from(rate),
            single_speaker: active == 1 || (active > 1 && one_person),
            sources,
            warnings,
        };
        Ok((voices, report))
    }
}
