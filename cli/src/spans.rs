//! Stretches of time as `spot` and `vad` write them: the kind of text that was asked for, lines for
//! people and programs, and files by themselves.

use crate::escape::one_line;
use crate::failure::Failure;
use crate::marks::{Mark, MarkFormat};
use crate::outputs::{OutputArgs, kind_of_ending};
use crate::settings::Settings;
use crate::times::clock;

/// Kinds of text for stretches of time.
pub(crate) trait SpanFormat: Copy + PartialEq + 'static {
    /// Lines for people.
    const TEXT: Self;
    /// JSON lines.
    const JSONL: Self;
    /// Kinds by the endings of files.
    const ENDINGS: &'static [(&'static str, Self)];

    /// The format of a file by itself, which holds the stretches of one recording.
    fn marks(self) -> Option<MarkFormat>;

    /// Whether several recordings have room in one file.
    fn shares(self) -> bool {
        self.marks().is_none()
    }

    /// What stands before the lines.
    fn heading(self) -> &'static str;

    /// The extension of files that are named after their inputs.
    fn extension(self) -> &'static str {
        let known = Self::ENDINGS.iter().find(|(_, format)| *format == self);
        known.map_or("txt", |(ending, _)| ending)
    }

    /// As `--format` says, or `--json`, or the output's extension.
    fn of(asked: Option<Self>, output: &OutputArgs, settings: &Settings) -> Result<Self, Failure> {
        let asked = match asked {
            Some(format) => Some(format),
            None => kind_of_ending(output, true, Self::ENDINGS)?,
        };
        // Standard output has room for one kind of lines.
        let to_stdout = output.output.is_none() && asked.is_none_or(Self::shares);
        Ok(match asked {
            _ if settings.json && to_stdout => Self::JSONL,
            None if settings.json => Self::JSONL,
            asked => asked.unwrap_or(Self::TEXT),
        })
    }
}

/// How stretches of time are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style<F> {
    pub(crate) format: F,
    /// Whether times are h:mm:ss.mmm.
    pub(crate) timecode: bool,
    /// Whether lines for people need the name of their input.
    pub(crate) several: bool,
}

impl<F: SpanFormat> Style<F> {
    /// A time in a table.
    pub(crate) fn cell(self, seconds: f64) -> String {
        if self.timecode { clock(seconds) } else { format!("{seconds:.3}") }
    }

    /// Start and end in a line for people, behind the input's name where it is needed.
    pub(crate) fn columns(self, name: &str, start: f64, end: f64) -> String {
        let prefix = if self.several { format!("{}: ", one_line(name)) } else { String::new() };
        match self.timecode {
            true => format!("{prefix}{:>12} {:>12}", clock(start), clock(end)),
            false => format!("{prefix}{start:8.2} {end:8.2}"),
        }
    }

    /// The stretches of a recording, as a file of its own: `marks` in a tier of this name, or lines.
    pub(crate) fn file(
        self,
        marks: impl FnOnce() -> Vec<Mark>,
        tier: &str,
        duration: f64,
        lines: impl Iterator<Item = Result<String, Failure>>,
    ) -> Result<String, Failure> {
        if let Some(format) = self.format.marks() {
            return Ok(format.text(&marks(), tier, duration));
        }
        std::iter::once(Ok(self.format.heading().to_owned())).chain(lines).collect()
    }
}
