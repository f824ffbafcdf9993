//! A recording on its way through a separator, block by block, in memory that does not grow with
//! it.

use formant_audio_core::chunk::ChunkConfig;
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, Warning};
use serde::Serialize;

use super::level::{Balance, share_rest};
use super::likeness::Voices;
use super::{Levels, SeparateOptions, Separator};
use crate::error::{Error, Result};
use crate::tasks::chunked::{ChunkedSources, Likeness, SourceModel, SourcesReport};
use crate::tasks::intake::{Intake, Pace, resampler};
use crate::tasks::outlet::Outlet;
use crate::tasks::task::{Heard, TaskSession};

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
struct Parting {
    separator: Separator,
    levels: Levels,
    balance: Balance,
}

impl SourceModel for Parting {
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
pub struct SeparateSession {
    intake: Intake,
    chunked: ChunkedSources<Parting>,
    outlets: Vec<Outlet>,
    voices: usize,
    own_rate: u32,
}

impl SeparateSession {
    pub(super) fn new(separator: &Separator, options: &SeparateOptions) -> Result<Self> {
        let own_rate = separator.sample_rate();
        let samples = |seconds: f64| (seconds * f64::from(own_rate)).round().max(0.0) as usize;
        let window = samples(options.window_seconds);
        if window < separator.card().config.kernel_size as usize {
            let reason = format!("{} s is too short", options.window_seconds);
            return Err(Error::config("window", reason));
        }
        let config = ChunkConfig::new(window, samples(options.overlap_seconds), 0)?;
        let parting = Parting {
            separator: separator.clone(),
            levels: options.levels,
            balance: Balance::default(),
        };
        let likeness: Box<dyn Likeness + Send> = Box::new(Voices(separator.helper.clone()));
        Ok(Self {
            intake: Intake::new(own_rate, Pace::Throughput),
            chunked: ChunkedSources::new(parting, config, own_rate, Some(likeness)),
            outlets: Vec::new(),
            voices: separator.voices(),
            own_rate,
        })
    }

    fn give(&mut self, settled: Option<AudioBuf>, rate: u32) -> Result<Vec<AudioBuf>> {
        let row = |(voice, outlet): (usize, &mut Outlet)| {
            let samples = match &settled {
                Some(audio) => outlet.push(audio.channel(voice))?,
                None => Vec::new(),
            };
            Ok(AudioBuf::from_mono(rate, samples))
        };
        self.outlets.iter_mut().enumerate().map(row).collect()
    }
}

impl TaskSession for SeparateSession {
    /// What is settled of every voice, mono, at the stream's rate.
    type Part = Vec<AudioBuf>;
    type Report = SeparationReport;

    fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<AudioBuf>> {
        let rate = block.rate();
        let samples = self.intake.push(block)?;
        while self.outlets.len() < self.voices {
            let back = resampler(AudioSpec::mono(self.own_rate), rate, Pace::Throughput)?;
            self.outlets.push(Outlet::new(back));
        }
        self.outlets.iter_mut().for_each(|outlet| outlet.expect_frames(block.frames()));
        let settled = self.chunked.push(&samples)?;
        self.give(settled, rate)
    }

    fn heard(&self) -> Heard {
        self.intake.guard().heard()
    }

    fn finish(mut self) -> Result<(Vec<AudioBuf>, SeparationReport)> {
        let rate = self.intake.guard().end()?.rate;
        let tail = self.intake.finish()?;
        let first = self.chunked.push(&tail)?;
        let mut voices = self.give(first, rate)?;
        let (rest, sources) = self.chunked.finish()?;
        let more = self.give(rest, rate)?;
        for ((voice, more), outlet) in voices.iter_mut().zip(more).zip(&mut self.outlets) {
            let last = AudioBuf::from_mono(rate, outlet.finish()?);
            voice.append(&more.view())?;
            voice.append(&last.view())?;
        }
        let active = sources.sources.iter().filter(|source| source.active).count();
        let one_person = sources.likeness.is_some_and(|likeness| likeness > ONE_PERSON);
        let Heard { seconds, warnings } = self.heard();
        let single_speaker = active == 1 || (active > 1 && one_person);
        Ok((voices, SeparationReport { seconds, sources, single_speaker, warnings }))
    }
}
