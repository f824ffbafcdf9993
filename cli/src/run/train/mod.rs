//! `formant train`: what all trainings show on the way and at the end.

pub(super) mod asr;
pub(super) mod lm;
pub(super) mod separate;
pub(super) mod speaker;
pub(super) mod spot;
pub(super) mod stems;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use formant_training::TrainPaths;
use formant_training::progress::{Event, Progress};
use indicatif::ProgressBar;
use serde_json::Value;

use crate::failure::Failure;
use crate::messages::Messages;
use crate::{interrupt, json as lines, stdout};

fn names(paths: &[impl AsRef<Path>]) -> Vec<String> {
    paths.iter().map(|path| name(path.as_ref())).collect()
}

/// A file's name with that of its folder: what a model tells of its data is read by others, whom the
/// rest of the path does not concern.
fn name(path: &Path) -> String {
    let parts: Vec<_> = path.iter().collect();
    let last: PathBuf = parts[parts.len().saturating_sub(2)..].iter().collect();
    last.display().to_string()
}

/// Says what came of a training: `result` and the file as a JSON line, or `figures` and the file, with
/// its parameters, the epoch that was kept and how many there were.
fn tell(
    json: bool,
    paths: &TrainPaths,
    mut result: Value,
    figures: &str,
    (parameters, [best, all], seconds): (u64, [usize; 2], f64),
) -> Result<(), Failure> {
    let output = paths.output.display().to_string();
    if json {
        result["output"] = output.into();
        return stdout::print(&lines::line("trained", &result));
    }
    stdout::print(&format!(
        "{figures}\n{output}: {parameters} parameters, epoch {best} of {all}, {seconds:.0} s\n"
    ))
}

/// Events as bars and notes, and as JSON lines when they were asked for.
struct Shown<'a> {
    messages: &'a Messages,
    json: bool,
    bar: Mutex<Option<(String, ProgressBar)>>,
}

impl<'a> Shown<'a> {
    fn new(messages: &'a Messages, json: bool) -> Self {
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

    fn clear(&self) {
        if let Some((_, bar)) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Shown<'_> {
    fn event(&self, event: &Event) {
        match event {
            Event::Decoding { done, total } => self.show("files", *done, *total, String::new()),
            Event::Mining { done, total, found } => {
                self.show("clips", *done, *total, format!("{found} stretches"));
            }
            Event::Note { text } => self.messages.note(text),
            Event::Step { epoch, step, steps, loss } => {
                self.show("steps", *step, *steps, format!("epoch {epoch}, loss {loss:.3}"));
            }
            Event::Epoch { epoch, epochs, loss, best, seconds, detail, .. } => {
                self.clear();
                let mark = if *best { " *" } else { "" };
                self.messages.note(&format!(
                    "epoch {epoch} of {epochs}: loss {loss:.3}, {detail}, {seconds:.0} s{mark}"
                ));
            }
            _ => {}
        }
        let worth = matches!(event, Event::Epoch { .. } | Event::Note { .. });
        if self.json && worth {
            // A closed pipe shows again when the result is printed; training goes on until then.
            let _ = stdout::print(&lines::line("progress", event));
        }
    }

    fn cancelled(&self) -> bool {
        interrupt::requested()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_data_lay_is_not_told() {
        let paths = ["/home/jo/data/voices/list.tsv", "list.tsv", "voices/list.tsv"];
        assert_eq!(names(&paths), ["voices/list.tsv", "list.tsv", "voices/list.tsv"]);
    }
}
