//! Keywords in a session.

use formant_models::tasks::Task;
use formant_models::tasks::spot::{Detection, SpotOptions, Spotter};

use super::{Finding, Findings, LiveStream, LiveTask};
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
        let session = self.spotter.start(&self.options)?;
        Ok(Box::new(Findings { rate: self.rate(), session, finding }))
    }
}

fn finding(found: Detection) -> Finding {
    let Detection { label, start, end, score, decided } = found;
    let event = Event::Keyword { word: label, start, end, score, decided, latency_ms: 0.0 };
    Finding { event, known: Some(decided) }
}
