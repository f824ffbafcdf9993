//! `formant convert`: decode, choose channels, change the rate, write.

use clap::Args;
use formant_audio_core::resample::Quality;

use super::{Work, work};
use crate::audio_to_audio::AudioToAudioArgs;
use crate::conversion::Conversion;
use crate::failure::Failure;
use crate::settings::Settings;

/// What `formant convert` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant convert talk.mp3 --bits s16 -o talk.wav")]
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
}

impl ConvertArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let conversion = Conversion { command: "convert", rate: self.rate, quality: Quality::High };
        Ok(work(conversion.plan(&self.files, self.keep_offset, settings)?, Conversion::run))
    }
}
