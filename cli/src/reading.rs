//! How audio inputs are read.

use clap::{Args, ValueEnum};
use formant_audio_core::decode::{
    BlockReader, ChannelSelect, DecodeOptions, RawFormat, Stretch, Strictness, TrackChoice,
};

use crate::failure::Failure;
use crate::inputs::{self, Input, InputArgs, InputList};

/// `s16le:16000:1`, or in the order of the library, `16000,s16le,1`.
pub(crate) fn raw_format(text: &str) -> Result<RawFormat, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let ordered = match parts[..] {
        [kind, rate] => format!("{rate},{kind}"),
        [kind, rate, channels] => format!("{rate},{kind},{channels}"),
        _ => text.to_owned(),
    };
    ordered.parse().map_err(|error: formant_audio_core::Error| error.to_string())
}

/// How audio is read.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Reading options")]
pub(crate) struct AudioArgs {
    /// Read inputs as samples without a header, such as s16le:16000:1 (kind, rate, channels).
    #[arg(long, value_name = "KIND:RATE:CHANNELS", value_parser = raw_format)]
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

/// Which part of every input is read.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Reading options")]
pub(crate) struct PartArgs {
    /// Start of the part to read, in seconds or as h:mm:ss, from the first sample.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) from: Option<f64>,
    /// End of the part to read.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) to: Option<f64>,
}

/// `90`, `1:30` or `0:01:30.5`.
pub(crate) fn time(text: &str) -> Result<f64, String> {
    let parts: Option<Vec<f64>> = text.split(':').map(|part| part.parse().ok()).collect();
    let parts = parts.filter(|parts| parts.len() <= 3 && parts.iter().all(|part| *part >= 0.0));
    let seconds = parts.map(|parts| parts.iter().fold(0.0, |sum, part| 60.0 * sum + part));
    seconds
        .filter(|seconds| *seconds <= MAX_TIME)
        .ok_or_else(|| "give seconds such as 90.5, or h:mm:ss such as 0:01:30.5".to_owned())
}

/// Latest time that can be named, in seconds: a thousand hours.
const MAX_TIME: f64 = 3.6e6;

impl PartArgs {
    /// The part.
    pub(crate) fn resolve(self) -> Result<Part, Failure> {
        let start = self.from.unwrap_or(0.0);
        let seconds = self.to.map(|to| to - start);
        if seconds.is_some_and(|seconds| seconds <= 0.0) {
            return Err(Failure::usage("--to", "lies before the beginning of the part")
                .help("give a time behind that of --from"));
        }
        Ok(Part(Stretch { start, seconds }))
    }
}

/// A part of every input; by default the whole.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Part(Stretch);

impl Part {
    /// A reader of this part alone.
    pub(crate) fn of(self, reader: BlockReader) -> BlockReader {
        reader.cut_to(self.0)
    }

    /// Frames of it in a recording of `total` frames at `rate`.
    pub(crate) fn frames(self, total: u64, rate: u32) -> u64 {
        let Stretch { start, seconds } = self.0;
        let frames = |seconds: f64| (seconds * f64::from(rate)).round() as u64;
        let left = total.saturating_sub(frames(start));
        seconds.map_or(left, |seconds| left.min(frames(seconds)))
    }

    /// Where it begins and how long it is, in seconds, in a recording of `total` seconds.
    pub(crate) fn bounds(self, total: Option<f64>) -> (f64, Option<f64>) {
        let Stretch { start, seconds } = self.0;
        (start, seconds.or(total.map(|total| total - start)))
    }
}

/// Inputs and how they are read.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) list: InputList,
    pub(crate) decode: DecodeOptions,
    pub(crate) part: Part,
}

impl Sources {
    /// Expands everything that was named, for a command that takes all channels together.
    pub(crate) fn of(typed: &InputArgs, audio: &AudioArgs) -> Result<Self, Failure> {
        audio.refuse_each()?;
        Self::of_channels(typed, audio)
    }

    /// Expands everything that was named.
    pub(crate) fn of_channels(typed: &InputArgs, audio: &AudioArgs) -> Result<Self, Failure> {
        let decode = audio.decode_options();
        Ok(Self { list: inputs::expand(typed)?, decode, part: Part::default() })
    }

    /// Opens one of them.
    pub(crate) fn open(&self, input: &Input) -> Result<BlockReader, Failure> {
        let reader = match &input.path {
            Some(path) => BlockReader::open(path, &self.decode)?,
            None => BlockReader::from_stream(Box::new(std::io::stdin()), "-", &self.decode)?,
        };
        Ok(self.part.of(reader))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_formats_come_in_both_orders() {
        let format = raw_format("s16le:16000:2").expect("valid");
        assert_eq!((format.rate, format.channels), (16_000, 2));
        assert_eq!(raw_format("16000,s16le,2").expect("valid"), format);
        assert_eq!(raw_format("f32le:8000").expect("valid").channels, 1);
        assert!(raw_format("s16le").is_err());
    }

    #[test]
    fn times_are_seconds_or_clocks() {
        let times = ["90.5", "1:30.5", "0:01:30.5"].map(|text| time(text).expect("a time"));
        assert_eq!(times, [90.5; 3]);
        for bad in ["", "x", "-1", "1:2:3:4", "1e99", "nan", "1::2"] {
            assert!(time(bad).is_err(), "{bad}");
        }
        let part = |from, to| PartArgs { from, to }.resolve();
        assert!(part(Some(2.0), Some(1.0)).is_err() && part(Some(2.0), Some(2.0)).is_err());
        assert_eq!(part(Some(2.0), None).expect("sound").bounds(Some(5.0)), (2.0, Some(3.0)));
    }
}
