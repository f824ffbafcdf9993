//! Keywords in a session.

use formant_audio_core::AudioView;
use formant_models::tasks::spot::{Detection, SpotOptions, SpotSession, Spotter};
use formant_models::tasks::{Task, TaskSession};

use super::{Finding, LiveStream, LiveTask};
use crate::error::Result;
use crate::event::Event;

/// Finds words.
#[derive(Debug)]
pub struct SpotTask {
    spotter: Spotter,
    options: SpotOptions,
}

impl SpotTask {
    /// Finds the words of `spotter`.
    ///
    /// # Errors
    /// For a word that the model does not know or a value out of range.
    pub fn new(spotter: Spotter, options: SpotOptions) -> Result<Self> {
        spotter.start(&options)?;
        Ok(Self { spotter, options })
    }
}

impl LiveTask for SpotTask {
    fn name(&self) -> &'static str {
        "spot"
    }

    fn rate(&self) -> u32 {
        self.spotter.sample_rate()
    }

    fn start(&self) -> Result<Box<dyn LiveStream + '_>> {
        Ok(Box::new(Stream { rate: self.rate(), session: self.spotter.start(&self.options)? }))
    }
}

struct Stream {
    rate: u32,
    session: SpotSession,
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

fn finding(found: Detection) -> Finding {
    let Detection { label, start, end, score, decided } = found;
    let event = Event::Keyword { word: label, start, end, score, decided, latency_ms: 0.0 };
    Finding { event, known: Some(decided) }
}
