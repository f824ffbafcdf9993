//! Live captions in a session.

use formant_audio_core::AudioView;
use formant_models::tasks::transcribe::{
    TranscribeOptions, TranscribeSession, Transcriber, TranscriptEvent,
};
use formant_models::tasks::{Task, TaskSession};

use super::{Finding, LiveStream, LiveTask};
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
        Ok(Box::new(Stream { rate: self.rate(), session: self.transcriber.start(&self.options)? }))
    }
}

struct Stream {
    rate: u32,
    session: TranscribeSession,
}

impl LiveStream for Stream {
    fn push(&mut self, samples: &[f32]) -> Result<Vec<Finding>> {
        let found = self.session.push(&AudioView::from_mono(self.rate, samples))?;
        Ok(found.into_iter().map(finding).collect())
    }

    fn finish(self: Box<Self>) -> Result<Vec<Finding>> {
        Ok(self.session.finish()?.0.into_iter().map(finding).collect())
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
