//! `formant convert`: decode, choose channels and a part, change the rate and the loudness, join,
//! write.

mod join;

use clap::Args;
use formant_audio_core::resample::Quality;

use super::{Work, work};
use crate::audio_to_audio::AudioToAudioArgs;
use crate::conversion::Conversion;
use crate::failure::Failure;
use crate::loudness;
use crate::settings::Settings;

/// What `formant convert` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant convert talk.mp3 --bits s16 -o talk.wav\n\n\
    A part: formant convert talk.mp3 --from 1:30 --to 2:00 -o part.wav\n\
    One file of several: formant convert intro.wav talk.mp3 --join --loudness -16 -o show.flac")]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    files: AudioToAudioArgs,
    /// Keep the audio where it lies in its file: silence in front of audio that begins late, and a
    /// cut of what lies before the file's zero.
    #[arg(long)]
    keep_offset: bool,
    /// Sample rate of the result in Hz [default: as it is].
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(1..=1_536_000))]
    rate: Option<u32>,
    /// Bring every result to this loudness (EBU R 128), such as -16; the input is read twice.
    #[arg(long, value_name = "LUFS", allow_negative_numbers = true, value_parser = loudness::target)]
    loudness: Option<f64>,
    /// Write all inputs, one after the other, into the one file that -o names, at the rate of the
    /// first.
    #[arg(long, conflicts_with_all = ["keep_offset", "resume", "shard"])]
    join: bool,
}

impl ConvertArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let conversion = Conversion {
            command: "convert",
            rate: self.rate,
            quality: Quality::High,
            loudness: self.loudness,
            leveling: None,
        };
        if self.join {
            return Ok(work(join::plan(conversion, &self.files, settings)?, join::run));
        }
        Ok(work(conversion.plan(&self.files, self.keep_offset, settings)?, Conversion::run))
    }
}
