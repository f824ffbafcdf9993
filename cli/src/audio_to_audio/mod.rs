//! The one runner of commands that turn audio into audio, such as `convert`, `enhance` and `stems`.
//!
//! A command brings a [`Process`]: the outputs of an input, a [`Session`] that takes blocks and
//! gives blocks, and what is told at the end. `run` does the rest: it opens inputs, chooses channels,
//! pushes blocks, writes outputs as they come, and names them together at the end.

mod run;

use std::collections::HashSet;

use clap::Args;
use formant_audio_core::encode::{WriteOptions, WriteReport};
use formant_audio_core::level::NullTest;
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, Warning};
use formant_models::tasks::TaskSession;
use formant_models::tasks::stems::StemsBlock;
use serde_json::Value;

use crate::failure::Failure;
use crate::identity::{self, FileId};
use crate::inputs::{Input, InputArgs};
use crate::outputs::{
    Existing, Naming, SuffixWhen, Target, assign_groups, refuse_terminal, with_channels,
};
use crate::reading::{AudioArgs, PartArgs, Sources};
use crate::settings::Settings;
use crate::writing::{WriteArgs, extension};

pub(crate) use run::{of_network, recording, run};

/// Inputs and outputs of a command that turns audio into audio.
#[derive(Debug, Args)]
pub(crate) struct AudioToAudioArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) part: PartArgs,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
}

/// Recordings, how they are read, and where the results go.
#[derive(Debug)]
pub(crate) struct AudioToAudio {
    pub(crate) sources: Sources,
    /// The files of the inputs, which no output may replace.
    pub(crate) inputs: HashSet<FileId>,
    /// One an entry of the list: its output, or that from which a process names its outputs.
    pub(crate) targets: Vec<Option<Target>>,
    pub(crate) existing: Existing,
    /// Whether every channel has an output of its own.
    pub(crate) each: bool,
    pub(crate) write: WriteOptions,
    pub(crate) offset: Offset,
}

/// What happens where the audio does not begin with its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offset {
    /// Nothing.
    Leave,
    /// A note, with the option that keeps it.
    Tell,
    /// Silence or a cut in front.
    Keep,
}

impl AudioToAudioArgs {
    /// Outputs with `suffix` in their names. `group` names the outputs of an input, as far as they are
    /// known.
    pub(crate) fn resolve(
        &self,
        suffix: &str,
        suffix_when: SuffixWhen,
        group: impl Fn(&Target) -> Vec<Target>,
        settings: &Settings,
    ) -> Result<AudioToAudio, Failure> {
        let mut sources = Sources::of_channels(&self.input, &self.audio)?;
        sources.part = self.part.resolve()?;
        let (container, write) = self.write.resolve(sources.list.single, settings)?;
        let naming = Naming { suffix, suffix_when, extension: extension(container) };
        let (output, each) = (&self.write.output, self.audio.each());
        let all = |target: &Target| match each {
            true => group(target).iter().flat_map(with_channels).collect(),
            false => group(target),
        };
        let targets = assign_groups(output, &mut sources.list, naming, all, settings)?;
        refuse_terminal(&targets)?;
        let inputs = identity::of_inputs(&sources.list);
        let existing = Existing::of(output);
        Ok(AudioToAudio { sources, inputs, targets, existing, each, write, offset: Offset::Leave })
    }

    /// As [`AudioToAudioArgs::resolve`], for a network with one output. It takes all channels of an input, or one.
    pub(crate) fn resolve_for_network(
        &self,
        suffix: &str,
        settings: &Settings,
    ) -> Result<AudioToAudio, Failure> {
        self.audio.refuse_each()?;
        self.resolve(suffix, SuffixWhen::Always, |target| vec![target.clone()], settings)
    }
}

impl AudioToAudio {
    /// Refuses standard output, for `why`.
    pub(crate) fn refuse_stdout(&self, why: &str) -> Result<(), Failure> {
        match self.targets.contains(&Some(Target::Stdout)) {
            true => Err(Failure::usage("-o -", why).help("name a file or folder with -o")),
            false => Ok(()),
        }
    }
}

/// What a command does with recordings. Every job has a clone.
pub(crate) trait Process: Clone + Send {
    /// What a session finds out.
    type Report;

    /// The name of the command, and the type of its JSON lines.
    fn command(&self) -> &'static str;

    /// The outputs of an input, from the name that a single one would have.
    fn outputs(&self, target: &Target) -> Vec<Target> {
        vec![target.clone()]
    }

    /// Rate and channels of the outputs.
    fn output_spec(&self, input: AudioSpec) -> AudioSpec {
        input
    }

    /// Whether the outputs add up to the input, mixed to the outputs' channels, so that there is a
    /// null test.
    fn adds_up(&self) -> bool {
        false
    }

    /// What is found out about an input before it is worked on, by reading it once more, such as its
    /// loudness.
    fn prepared(&self, _sources: &Sources, _input: &Input) -> Result<Self, Failure> {
        Ok(self.clone())
    }

    /// Begins a recording of this rate and these channels.
    fn start(&self, input: AudioSpec) -> Result<impl Session<Report = Self::Report>, Failure>;

    /// The fields of the JSON line beside those of all commands.
    fn fields(&self, made: &Made<'_, Self::Report>) -> Value;

    /// What was done, for people.
    fn notes(&self, made: &Made<'_, Self::Report>) -> Vec<String>;

    /// A result to print where JSON is not wanted.
    fn printed(&self, _made: &Made<'_, Self::Report>) -> Option<String> {
        None
    }
}

/// A recording on its way.
pub(crate) trait Session {
    /// What it finds out.
    type Report;

    /// Takes a block; what is ready then, one block an output, or none at all.
    fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<AudioBuf>, Failure>;

    /// Ends the recording.
    fn finish(self) -> Result<Ending<Self::Report>, Failure>;
}

/// The session of a task that returns audio.
impl<S: TaskSession<Part: Blocks>> Session for S {
    type Report = S::Report;

    fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<AudioBuf>, Failure> {
        Ok(TaskSession::push(self, block)?.into_blocks())
    }

    fn finish(self) -> Result<Ending<S::Report>, Failure> {
        let warnings = self.heard().warnings;
        let (rest, report) = TaskSession::finish(self)?;
        Ok(Ending { blocks: rest.into_blocks(), report, warnings })
    }
}

/// Audio that a task returns with a block: one block an output, or none at all.
pub(crate) trait Blocks {
    /// The blocks.
    fn into_blocks(self) -> Vec<AudioBuf>;
}

impl Blocks for AudioBuf {
    fn into_blocks(self) -> Vec<AudioBuf> {
        vec![self]
    }
}

impl Blocks for Vec<AudioBuf> {
    fn into_blocks(self) -> Vec<AudioBuf> {
        self
    }
}

impl Blocks for Option<StemsBlock> {
    fn into_blocks(self) -> Vec<AudioBuf> {
        self.map_or_else(Vec::new, |block| block.stems)
    }
}

/// The end of a recording.
pub(crate) struct Ending<R> {
    /// One an output, or none at all.
    pub(crate) blocks: Vec<AudioBuf>,
    pub(crate) report: R,
    pub(crate) warnings: Vec<Warning>,
}

/// The outputs of a recording.
pub(crate) struct Made<'a, R> {
    /// Name of the input.
    pub(crate) input: &'a str,
    pub(crate) targets: Vec<Target>,
    /// One a target.
    pub(crate) files: Vec<WriteReport>,
    /// Rate and channels of the outputs.
    pub(crate) spec: AudioSpec,
    pub(crate) report: R,
    /// Where the outputs add up.
    pub(crate) null: Option<NullTest>,
}

impl<R> Made<'_, R> {
    /// Frames of each output.
    pub(crate) fn frames(&self) -> u64 {
        self.files.first().map_or(0, |file| file.frames)
    }

    /// Length of each output.
    pub(crate) fn seconds(&self) -> f64 {
        self.frames() as f64 / f64::from(self.spec.rate.max(1))
    }

    /// Names of the outputs.
    pub(crate) fn names(&self) -> Vec<String> {
        self.targets.iter().map(Target::name).collect()
    }
}
