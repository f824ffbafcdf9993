//! A recording, or a stretch or a channel of one, as a table names it.

use std::fmt;
use std::path::PathBuf;

use formant_audio_core::decode::{BlockReader, ChannelSelect, DecodeOptions, Stretch};
use formant_audio_core::resample::{Quality, resample};
use formant_audio_core::{AudioBuf, Result};

/// A file, and what is read of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// The file.
    pub path: PathBuf,
    /// The part that is read.
    pub stretch: Stretch,
    /// The channel that is read; all of them where it is none.
    pub channel: Option<ChannelSelect>,
}

impl From<PathBuf> for Recording {
    fn from(path: PathBuf) -> Self {
        Self { path, stretch: Stretch::default(), channel: None }
    }
}

impl Recording {
    /// Opens the file; the reader hands out the stretch and the channel alone.
    ///
    /// # Errors
    /// When it can't be read or its format is not known.
    pub fn open(&self) -> Result<BlockReader> {
        let options = DecodeOptions { channels: self.channel.clone(), ..DecodeOptions::default() };
        Ok(BlockReader::open(&self.path, &options)?.cut_to(self.stretch))
    }

    /// Decodes the stretch to mono at `rate` Hz.
    ///
    /// # Errors
    /// As [`Recording::open`], and when the file has no such stretch.
    pub fn decode_mono(&self, rate: u32) -> Result<AudioBuf> {
        let audio = self.open()?.read_to_end()?.audio;
        let mono = AudioBuf::from_mono(audio.rate(), audio.view().to_mono());
        resample(&mono.view(), rate, Quality::High)
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stretch { start, seconds } = self.stretch;
        write!(f, "{}", self.path.display())?;
        if let Some(channel) = &self.channel {
            write!(f, " (channel {channel})")?;
        }
        match seconds {
            _ if self.stretch.is_whole() => Ok(()),
            Some(seconds) => write!(f, " ({start} s to {} s)", start + seconds),
            None => write!(f, " (from {start} s on)"),
        }
    }
}
