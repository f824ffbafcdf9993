//! A recording on its way through a generator. All of it is kept: what is made depends on both sides of
//! a gap.

use std::ops::ControlFlow;

use formant_audio_core::{AudioBuf, AudioView};

use super::{Edited, Fault, GenerateOptions, Generator};
use crate::error::Result;
use crate::tasks::intake::Guard;
use crate::tasks::task::{Heard, TaskSession};

/// What there is to say about a recording.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GenerateReport {
    /// What came in.
    pub heard: Heard,
    /// Where the band of each channel ended that was widened.
    pub cutoff_hz: Vec<f64>,
    /// What is wrong with what was made.
    pub faults: Vec<Fault>,
}

/// A recording that comes block by block.
pub struct GenerateSession {
    generator: Generator,
    options: GenerateOptions,
    guard: Guard,
    blocks: Vec<AudioBuf>,
}

impl GenerateSession {
    pub(super) fn new(generator: &Generator, options: &GenerateOptions) -> Self {
        let (generator, options) = (generator.clone(), options.clone());
        Self { generator, options, guard: Guard::default(), blocks: Vec::new() }
    }
}

impl TaskSession for GenerateSession {
    /// All of the result with the end, and nothing before.
    type Part = Option<AudioBuf>;
    type Report = GenerateReport;

    fn push(&mut self, block: &AudioView<'_>) -> Result<Option<AudioBuf>> {
        self.blocks.push(self.guard.take(block)?);
        Ok(None)
    }

    fn heard(&self) -> Heard {
        self.guard.heard()
    }

    fn finish(self) -> Result<(Option<AudioBuf>, GenerateReport)> {
        self.guard.end()?;
        let audio = AudioBuf::concat(&self.blocks)?;
        let mut watch = |_| ControlFlow::Continue(());
        let edited = self.generator.edit(&audio.view(), &self.options, &mut watch)?;
        let heard = self.guard.heard();
        let Some(Edited { audio, cutoff_hz, faults }) = edited else {
            return Ok((None, GenerateReport { heard, ..GenerateReport::default() }));
        };
        Ok((Some(audio), GenerateReport { heard, cutoff_hz, faults }))
    }
}
