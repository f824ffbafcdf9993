//! How audio inputs are read.

use clap::{Args, ValueEnum};
use formant_audio_core::decode::{
    BlockReader, ChannelSelect, DecodeOptions, RawFormat, Strictness, TrackChoice,
};

use crate::failure::Failure;
use crate::inputs::{self, Input, InputArgs, InputList};

/// How audio is read.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Reading options")]
pub(crate) struct AudioArgs {
    /// Read inputs as samples without a header, such as 16000,s16le,1 (rate, kind, channels).
    #[arg(long, value_name = "FORMAT")]
    pub(crate) raw: Option<RawFormat>,
    /// Treat warnings about an input, such as a truncated file, as errors.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Audio track of several: its number from 1, or its language, such as eng [default: the
    /// container's own choice].
    #[arg(long, value_name = "N|LANGUAGE")]
    pub(crate) track: Option<TrackChoice>,
    /// Channels: mix (to one), left, right, each (where every channel has an output of its own), or
    /// numbers from 1 such as 2 or 3,4 [default: all].
    #[arg(long, value_name = "WHICH")]
    pub(crate) channels: Option<ChannelSelect>,
}

impl AudioArgs {
    /// The options of the decoder.
    pub(crate) fn decode_options(&self) -> DecodeOptions {
        let strict = if self.strict { Strictness::Strict } else { Strictness::Lenient };
        let (track, channels) = (self.track.clone(), self.channels.clone());
        DecodeOptions { raw: self.raw, track, channels, strict }
    }

    /// Whether every channel is to have an output of its own.
    pub(crate) fn each(&self) -> bool {
        self.channels == Some(ChannelSelect::Each)
    }

    /// Refuses `--channels each`.
    pub(crate) fn refuse_each(&self) -> Result<(), Failure> {
        match self.each() {
            true => Err(Failure::usage("--channels", "`each` is not for this command").help(
                "use mix, left, right or numbers, or convert the recording with --channels each first",
            )),
            false => Ok(()),
        }
    }
}

/// Clocks that times are told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Clock {
    /// The file's, by which its pictures are shown, too.
    File,
    /// The audio's: its first sample is at zero.
    Audio,
}

/// By which clock times are told.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Reading options")]
pub(crate) struct ClockArgs {
    /// Clock of all times, where the audio does not begin with the file.
    #[arg(long, value_enum, default_value = "file", value_name = "CLOCK")]
    pub(crate) clock: Clock,
}

impl ClockArgs {
    /// Seconds that are added to times of the audio.
    pub(crate) fn offset(self, reader: &mut BlockReader) -> f64 {
        self.offset_of(reader.start())
    }

    /// As [`ClockArgs::offset`], for audio that begins at `start` on the clock of its file.
    pub(crate) fn offset_of(self, start: f64) -> f64 {
        match self.clock {
            Clock::File => start,
            Clock::Audio => 0.0,
        }
    }
}

/// Inputs and how they are read.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) list: InputList,
    pub(crate) decode: DecodeOptions,
}

impl Sources {
    /// Expands everything that was named, for a command that takes all channels together.
    pub(crate) fn of(typed: &InputArgs, audio: &AudioArgs) -> Result<Self, Failure> {
        audio.refuse_each()?;
        Self::of_channels(typed, audio)
    }

    /// Expands everything that was named.
    pub(crate) fn of_channels(typed: &InputArgs, audio: &AudioArgs) -> Result<Self, Failure> {
        Ok(Self { list: inputs::expand(typed)?, decode: audio.decode_options() })
    }

    /// Opens one of them.
    pub(crate) fn open(&self, input: &Input) -> Result<BlockReader, Failure> {
        Ok(match &input.path {
            Some(path) => BlockReader::open(path, &self.decode)?,
            None => BlockReader::from_stream(Box::new(std::io::stdin()), "-", &self.decode)?,
        })
    }
}
