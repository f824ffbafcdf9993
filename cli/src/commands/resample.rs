//! `formant resample`: a conversion to a rate, with a choice of filters.

use clap::{Args, ValueEnum};
use formant_audio_core::resample::Quality;

use super::{Work, work};
use crate::audio_to_audio::AudioToAudioArgs;
use crate::conversion::Conversion;
use crate::failure::Failure;
use crate::settings::Settings;

/// Qualities of rate conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum QualityArg {
    /// Stop-band 90 dB down.
    Fast,
    /// Stop-band 120 dB down.
    High,
    /// Stop-band 150 dB down.
    Best,
}

/// What `formant resample` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant resample recordings/ --rate 16000 -o recordings-16k/")]
pub(crate) struct ResampleArgs {
    #[command(flatten)]
    files: AudioToAudioArgs,
    /// Keep the audio where it lies in its file: silence in front of audio that begins late, and a
    /// cut of what lies before the file's zero.
    #[arg(long)]
    keep_offset: bool,
    /// Sample rate of the result in Hz.
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(1..=1_536_000))]
    rate: u32,
    /// Steepness of the filter.
    #[arg(long, value_enum, default_value = "high", value_name = "QUALITY")]
    quality: QualityArg,
}

impl ResampleArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let quality = match self.quality {
            QualityArg::Fast => Quality::Fast,
            QualityArg::High => Quality::High,
            QualityArg::Best => Quality::Best,
        };
        let conversion = Conversion {
            command: "resample",
            rate: Some(self.rate),
            quality,
            loudness: None,
            leveling: None,
        };
        Ok(work(conversion.plan(&self.files, self.keep_offset, settings)?, Conversion::run))
    }
}
