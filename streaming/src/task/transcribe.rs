//! Live captions in a session.

use formant_models::tasks::Task;
use formant_models::tasks::transcribe::{TranscribeOptions, Transcriber, TranscriptEvent};

use super::{Finding, Findings, LiveStream, LiveTask};
use crate::error::Result;
use crate::event::Event;

/// Seconds from one partial result to the next, where none are given.
const PARTIALS: f64 = 0.5;

/// Writes down what is said.
#[derive(Debug)]
pub struct TranscribeTask {
    transcriber: Transcriber,
    options: TranscribeOptions,
}

impl TranscribeTask {
    /// Writes down what `transcriber` understands. Stretches go through the network as soon as
    /// they are over, and partial results come every half second unless `options` say otherwise.
    ///
    /// # Errors
    /// For a value out of range.
    pub fn new(transcriber: Transcriber, options: TranscribeOptions) -> Result<Self> {
        let partials = options.partials.or(Some(PARTIALS));
        let options = TranscribeOptions { batch: 1, partials, ..options };
        transcriber.start(&options)?;
        Ok(Self { transcriber, options })
    }
}

impl LiveTask for TranscribeTask {
    fn name(&self) -> &'static str {
        "transcribe"
    }

    fn rate(&self) -> u32 {
        self.transcriber.sample_rate()
    }

    fn start(&self) -> Result<Box<dyn LiveStream + '_>> {
        let session = self.transcriber.start(&self.options)?;
        Ok(Box::new(Findings { rate: self.rate(), session, finding }))
    }
}

fn finding(found: TranscriptEvent) -> Finding {
    match found {
        TranscriptEvent::Partial { start, text } => {
            Finding { event: Event::Partial { start, text }, known: None }
        }
        TranscriptEvent::Final(segment) => {
            let known = Some(segment.end);
            Finding { event: Event::Final(segment), known }
        }
    }
}
