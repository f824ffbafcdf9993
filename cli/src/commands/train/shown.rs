//! The progress of a training, for people and as JSON lines.

use std::sync::{Mutex, PoisonError};

use formant_training::progress::{Progress, TrainingEvent};
use indicatif::ProgressBar;

use crate::messages::Messages;
use crate::{interrupt, json as lines, stdout};

/// Events as bars and notes, and as JSON lines when they were asked for.
pub(super) struct Shown<'a> {
    messages: &'a Messages,
    json: bool,
    bar: Mutex<Option<(String, ProgressBar)>>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(messages: &'a Messages, json: bool) -> Self {
        Self { messages, json, bar: Mutex::new(None) }
    }

    /// Moves the bar called `name`; another name begins another bar.
    fn show(&self, name: &str, done: usize, total: usize, text: String) {
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        if bar.as_ref().is_none_or(|(shown, _)| shown != name) {
            if let Some((_, old)) = bar.take() {
                old.finish_and_clear();
            }
            *bar = Some((name.to_owned(), self.messages.bar(total as u64, name)));
        }
        if let Some((_, bar)) = bar.as_ref() {
            bar.set_position(done as u64);
            bar.set_message(text);
        }
    }

    pub(super) fn clear(&self) {
        if let Some((_, bar)) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Shown<'_> {
    fn event(&self, event: &TrainingEvent) {
        match event {
            TrainingEvent::Decoding { done, total } => {
                self.show("files", *done, *total, String::new())
            }
            TrainingEvent::Mining { done, total, found } => {
                self.show("clips", *done, *total, format!("{found} stretches"));
            }
            TrainingEvent::Note { text } => self.messages.note(text),
            TrainingEvent::Step { epoch, step, steps, loss } => {
                self.show("steps", *step, *steps, format!("epoch {epoch}, loss {loss:.3}"));
            }
            TrainingEvent::Epoch { epoch, epochs, loss, best, seconds, detail, .. } => {
                self.clear();
                let mark = if *best { " *" } else { "" };
                self.messages.note(&format!(
                    "epoch {epoch} of {epochs}: loss {loss:.3}, {detail}, {seconds:.0} s{mark}"
                ));
            }
            _ => {}
        }
        let worth = matches!(event, TrainingEvent::Epoch { .. } | TrainingEvent::Note { .. });
        if self.json && worth {
            // A closed pipe shows again when the result is printed; training goes on until then.
            let _ = stdout::print(&lines::line("progress", event));
        }
    }

    fn cancelled(&self) -> bool {
        interrupt::requested()
    }
}
