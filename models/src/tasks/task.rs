//! The verbs of all tasks: load a model, process a whole signal or what a reader gives, or start a
//! session and push blocks.

use formant_audio_core::decode::BlockReader;
use formant_audio_core::{AudioView, Warning};
use serde::{Deserialize, Serialize};

use super::TaskInfo;
use crate::error::{Error, Result};
use crate::source::{LoadOptions, ModelSource};

/// A loaded model with what it is for. Clones share the weights; each serves any number of sessions.
///
/// A task implements [`Task::load`], [`Task::start`] and [`Task::join`]; the other verbs follow.
pub trait Task: Clone + Send + Sized + 'static {
    /// Its name in [`TASKS`](super::TASKS), which is that of its command.
    const NAME: &'static str;
    /// How it works.
    type Options: Default;
    /// One stream on its way.
    type Session: TaskSession;
    /// What becomes of a whole signal.
    type Output;

    /// Loads a bundled model, a published file or folder, or a file that formant trained.
    ///
    /// # Errors
    /// What reading the checkpoint says; [`Error::Card`] for one that is of another task;
    /// [`Error::Device`] when the device is not there.
    fn load(source: &ModelSource, options: &LoadOptions) -> Result<Self>;

    /// Begins a stream.
    ///
    /// # Errors
    /// [`Error::Config`] for options out of range.
    fn start(&self, options: &Self::Options) -> Result<Self::Session>;

    /// Begins a stream whose signal is there already, for tasks that look through all of it first.
    ///
    /// # Errors
    /// As [`Task::start`].
    fn start_whole(
        &self,
        _audio: &AudioView<'_>,
        options: &Self::Options,
    ) -> Result<Self::Session> {
        self.start(options)
    }

    /// The result for a whole signal, from what its session said block by block.
    ///
    /// # Errors
    /// When the parts are not of one kind.
    fn join(&self, pieces: Pieces<'_, Self>) -> Result<Self::Output>;

    /// Its row in the table of tasks.
    ///
    /// # Panics
    /// Never: every task has a row, which a test looks at.
    #[must_use]
    fn info() -> &'static TaskInfo {
        super::task(Self::NAME).expect("every task has a row")
    }

    /// Processes a whole signal of any rate, channel count and length.
    ///
    /// # Errors
    /// As [`Task::start`], and what the session says.
    fn process(
        &self,
        audio: &AudioView<'_>,
        options: &Self::Options,
    ) -> Result<(Self::Output, Report<Self>)> {
        let mut session = self.start_whole(audio, options)?;
        let mut parts = Vec::new();
        // A second at a time keeps what sessions hold small.
        for block in seconds_of(audio) {
            parts.push(session.push(&block)?);
        }
        let (last, report) = session.finish()?;
        parts.push(last);
        Ok((self.join(Pieces { options, parts, report: &report })?, report))
    }

    /// Processes what a reader gives to its end: the audio is not kept, but the result is.
    ///
    /// # Errors
    /// As [`Task::process`], and what decoding says.
    fn process_to_end(
        &self,
        reader: &mut BlockReader,
        options: &Self::Options,
    ) -> Result<(Self::Output, Report<Self>)> {
        let mut parts = Vec::new();
        let report = self.process_reader(reader, options, |part| {
            parts.push(part);
            Ok::<_, Error>(())
        })?;
        Ok((self.join(Pieces { options, parts, report: &report })?, report))
    }

    /// Processes what a reader gives, in memory that does not grow with it; what is known goes to
    /// `sink` at once. An error of the sink ends the work.
    ///
    /// # Errors
    /// As [`Task::process`], what decoding says, and what the sink says.
    fn process_reader<E: From<Error>>(
        &self,
        reader: &mut BlockReader,
        options: &Self::Options,
        mut sink: impl FnMut(Part<Self>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Report<Self>, E> {
        let mut session = self.start(options)?;
        while let Some(block) = reader.next_block().map_err(Error::from)? {
            sink(session.push(&block.view())?)?;
        }
        let (last, report) = session.finish()?;
        sink(last)?;
        Ok(report)
    }
}

/// A signal second by second.
pub(super) fn seconds_of<'a>(audio: &'a AudioView<'_>) -> impl Iterator<Item = AudioView<'a>> {
    let (frames, second) = (audio.frames(), audio.rate().max(1) as usize);
    (0..frames).step_by(second).map(move |at| audio.slice(at..frames.min(at + second)))
}

/// What a task's session knows with a block.
pub type Part<T> = <<T as Task>::Session as TaskSession>::Part;
/// What a task's session says at the end.
pub type Report<T> = <<T as Task>::Session as TaskSession>::Report;

/// What a session made of a whole signal.
pub struct Pieces<'a, T: Task> {
    /// What the session was started with.
    pub options: &'a T::Options,
    /// Results of the blocks, in order, and of the end.
    pub parts: Vec<Part<T>>,
    /// The report at the end.
    pub report: &'a Report<T>,
}

/// A stream on its way through a task. It owns its model, and can be kept beside other things or be
/// handed to another thread.
///
/// Blocks have any length, and all of them the rate and layout of the first. What comes out does
/// not depend on where they end.
pub trait TaskSession: Send + 'static {
    /// What is known with a block.
    type Part;
    /// What is said at the end.
    type Report;

    /// Takes a block, and returns what is known with it.
    ///
    /// # Errors
    /// [`formant_audio_core::Error::Shape`] when rate or layout change; what the network says.
    fn push(&mut self, block: &AudioView<'_>) -> Result<Self::Part>;

    /// What there is to say about the stream so far.
    fn heard(&self) -> Heard;

    /// Ends the stream: what was still open, and what there is to say about all of it.
    ///
    /// # Errors
    /// What the network says; [`formant_audio_core::Error::Empty`] from tasks that return audio,
    /// when there was none.
    fn finish(self) -> Result<(Self::Part, Self::Report)>;
}

/// What there is to say about a stream of any task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Heard {
    /// Seconds that came in.
    pub seconds: f64,
    /// What was odd about it.
    pub warnings: Vec<Warning>,
}

/// Parts with a piece of every output, as outputs with all of their pieces.
pub(super) fn transposed<T>(parts: Vec<Vec<T>>) -> Vec<Vec<T>> {
    let mut outputs: Vec<Vec<T>> = Vec::new();
    for part in parts {
        outputs.resize_with(outputs.len().max(part.len()), Vec::new);
        outputs.iter_mut().zip(part).for_each(|(output, piece)| output.push(piece));
    }
    outputs
}
