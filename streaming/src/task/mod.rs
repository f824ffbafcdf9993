//! What listens: one trait, and a file for each task of the models.

mod enhance;
mod speaker;
mod spot;
mod transcribe;
mod turns;
mod vad;

use formant_audio_core::AudioView;
use formant_models::tasks::TaskSession;

use crate::error::Result;
use crate::event::Event;

pub use enhance::EnhanceTask;
pub use speaker::SpeakerTask;
pub use spot::SpotTask;
pub use transcribe::TranscribeTask;
pub use vad::VadTask;

/// Blocks are joined up to this length, in seconds, before tasks hear them: networks take as long
/// for one frame as for several.
pub(crate) const JOINED: f64 = 0.04;

/// Something that listens to a session. It has a thread of its own, so that a slow task does not
/// hold up the others.
pub trait LiveTask: Send {
    /// Its name in events and figures.
    fn name(&self) -> &'static str;

    /// The rate at which it hears, in Hz.
    fn rate(&self) -> u32;

    /// Begins a stretch of audio without gaps.
    ///
    /// # Errors
    /// When its settings are wrong.
    fn start(&self) -> Result<Box<dyn LiveStream + '_>>;

    /// Begins a stretch that starts `at` seconds of the session; for tasks that keep its time
    /// themselves.
    ///
    /// # Errors
    /// As [`LiveTask::start`].
    fn start_at(&self, at: f64) -> Result<Box<dyn LiveStream + '_>> {
        let _ = at;
        self.start()
    }

    /// The session is over: what is open beyond its stretches is completed.
    ///
    /// # Errors
    /// When that can't be done.
    fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A task at work. Times are seconds from the start of its stretch.
pub trait LiveStream {
    /// Hears mono samples, and tells what is new.
    ///
    /// # Errors
    /// What the model says.
    fn push(&mut self, samples: &[f32]) -> Result<Vec<Finding>>;

    /// Ends the stretch, and tells what was open.
    ///
    /// # Errors
    /// What the model says.
    fn finish(self: Box<Self>) -> Result<Vec<Finding>>;
}

/// Something that a task found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What it tells, with times of its stretch.
    pub event: Event,
    /// What had to be heard to know it, in seconds; `None` where that has no meaning.
    pub known: Option<f64>,
}

/// The session of a task of the models, whose results `finding` tells.
struct Findings<S, I> {
    rate: u32,
    session: S,
    finding: fn(I) -> Finding,
}

impl<I, S: TaskSession<Part = Vec<I>>> LiveStream for Findings<S, I> {
    fn push(&mut self, samples: &[f32]) -> Result<Vec<Finding>> {
        let found = self.session.push(&AudioView::from_mono(self.rate, samples))?;
        Ok(found.into_iter().map(self.finding).collect())
    }

    fn finish(self: Box<Self>) -> Result<Vec<Finding>> {
        let found = self.session.finish()?.0;
        Ok(found.into_iter().map(self.finding).collect())
    }
}

/// Moves an event's times to those of the session.
pub(crate) fn shift(event: &mut Event, by: f64) {
    let moved = |time: &mut f64| *time += by;
    match event {
        Event::Partial { start, .. } => moved(start),
        Event::Final(segment) => {
            moved(&mut segment.start);
            moved(&mut segment.end);
            for word in &mut segment.words {
                moved(&mut word.start);
                moved(&mut word.end);
            }
        }
        Event::Keyword { start, end, decided, .. } => {
            moved(start);
            moved(end);
            moved(decided);
        }
        Event::Underrun { at, .. } => moved(at),
        Event::Speech { start, end, .. }
        | Event::Speaker { start, end, .. }
        | Event::Enhanced { start, end, .. } => {
            moved(start);
            moved(end);
        }
        _ => {}
    }
}
