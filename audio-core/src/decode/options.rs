//! What a caller may ask of the decoder, and the limits that hostile headers run into.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::channels::ChannelSelect;
use crate::error::{Error, Result};

/// The most channels that a file may have.
pub const MAX_CHANNELS: u16 = 256;
/// The lowest sample rate, in Hz, that is believed of a header; [`RawFormat`] may have less.
pub const MIN_RATE: u32 = 100;
/// The highest sample rate, in Hz, that a file may have.
pub const MAX_RATE: u32 = 1_536_000;
/// The most frames that one block of a [`super::BlockReader`] holds.
pub const MAX_BLOCK_FRAMES: usize = 4096;
/// Damaged packets in a row after which decoding gives up.
pub const MAX_CORRUPT_RUN: u64 = 100;

/// How a file is to be read.
#[derive(Debug, Clone, Default)]
pub struct DecodeOptions {
    /// Take the input for headerless samples of this kind instead of looking for a format.
    pub raw: Option<RawFormat>,
    /// Which audio track of several to read; without a choice the one that the container marks
    /// as default, or the first one that can be read.
    pub track: Option<TrackChoice>,
    /// Which channels to hand out; without a choice, and with [`ChannelSelect::Each`], all of them.
    pub channels: Option<ChannelSelect>,
    /// What odd input leads to.
    pub strict: Strictness,
}

/// One of several audio tracks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackChoice {
    /// By its number among the audio tracks, from 1.
    Number(usize),
    /// By its language: a code of two or three letters, such as `en` or `eng`.
    Language(String),
}

impl FromStr for TrackChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.trim() {
            number if number.starts_with(|c: char| c.is_ascii_digit()) => {
                match number.parse::<usize>() {
                    Ok(number) if number > 0 => Ok(Self::Number(number)),
                    _ => Err(Error::config("track", format!("`{text}` is no track number from 1"))),
                }
            }
            language if language.len() >= 2 && !language.starts_with('-') => {
                Ok(Self::Language(language.to_ascii_lowercase()))
            }
            _ => Err(Error::config(
                "track",
                format!("`{text}` is neither a number from 1 nor a language such as `eng`"),
            )),
        }
    }
}

/// What happens when an input is readable but odd (cut short, repaired, damaged).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// Decode what is there and attach warnings.
    #[default]
    Lenient,
    /// Make an error of the first warning, at the latest when the end is reached.
    Strict,
}

/// Headerless samples: rate, kind and number of interleaved channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawFormat {
    /// Sample rate in Hz.
    pub rate: u32,
    /// Kind of sample.
    pub format: RawSample,
    /// Number of interleaved channels.
    pub channels: u16,
}

/// How one sample is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawSample {
    /// Unsigned 8-bit.
    U8,
    /// Signed 8-bit.
    S8,
    /// Signed 16-bit, little-endian.
    S16Le,
    /// Signed 16-bit, big-endian.
    S16Be,
    /// Signed 24-bit in three bytes, little-endian.
    S24Le,
    /// Signed 24-bit in three bytes, big-endian.
    S24Be,
    /// Signed 32-bit, little-endian.
    S32Le,
    /// Signed 32-bit, big-endian.
    S32Be,
    /// 32-bit float, little-endian.
    F32Le,
    /// 32-bit float, big-endian.
    F32Be,
    /// 64-bit float, little-endian.
    F64Le,
    /// 64-bit float, big-endian.
    F64Be,
    /// ITU-T G.711 A-law.
    ALaw,
    /// ITU-T G.711 µ-law.
    MuLaw,
}

impl RawSample {
    const NAMES: [(&'static str, Self); 14] = [
        ("u8", Self::U8),
        ("s8", Self::S8),
        ("s16le", Self::S16Le),
        ("s16be", Self::S16Be),
        ("s24le", Self::S24Le),
        ("s24be", Self::S24Be),
        ("s32le", Self::S32Le),
        ("s32be", Self::S32Be),
        ("f32le", Self::F32Le),
        ("f32be", Self::F32Be),
        ("f64le", Self::F64Le),
        ("f64be", Self::F64Be),
        ("alaw", Self::ALaw),
        ("mulaw", Self::MuLaw),
    ];

    /// Bytes that one sample takes.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::S8 | Self::ALaw | Self::MuLaw => 1,
            Self::S16Le | Self::S16Be => 2,
            Self::S24Le | Self::S24Be => 3,
            Self::S32Le | Self::S32Be | Self::F32Le | Self::F32Be => 4,
            Self::F64Le | Self::F64Be => 8,
        }
    }

    /// Whether the samples are floating-point numbers.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32Le | Self::F32Be | Self::F64Le | Self::F64Be)
    }

    /// Append the whole samples in `bytes` to `out`, in the order in which they are stored.
    pub fn convert(self, bytes: &[u8], out: &mut Vec<f32>) {
        super::pcm::convert(self, bytes, out);
    }

    /// The name that `--raw` takes, such as `s16le`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, format)| *format == self).map_or("raw", |(name, _)| name)
    }
}

impl FromStr for RawFormat {
    type Err = Error;

    /// Parses `rate,kind,channels`, for example `16000,s16le,1`; the channel count may be left out
    /// and is then 1.
    fn from_str(text: &str) -> Result<Self> {
        let bad = |reason: String| {
            let names: Vec<&str> = RawSample::NAMES.iter().map(|(name, _)| *name).collect();
            Error::config(
                "raw format",
                format!(
                    "{reason}; give rate,kind,channels such as 16000,s16le,1 with a kind of {}",
                    names.join(", ")
                ),
            )
        };
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let (rate, kind, channels) = match parts[..] {
            [rate, kind] => (rate, kind, "1"),
            [rate, kind, channels] => (rate, kind, channels),
            _ => return Err(bad(format!("`{text}` does not have two or three parts"))),
        };
        let rate = rate.parse().map_err(|_| bad(format!("`{rate}` is no sample rate")))?;
        let channels =
            channels.parse().map_err(|_| bad(format!("`{channels}` is no channel count")))?;
        let format = RawSample::NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(kind))
            .map(|(_, format)| *format)
            .ok_or_else(|| bad(format!("`{kind}` is no kind of sample")))?;
        if rate == 0 || rate > MAX_RATE {
            return Err(bad(format!("the rate {rate} is not between 1 and {MAX_RATE} Hz")));
        }
        if channels == 0 || channels > MAX_CHANNELS {
            return Err(bad(format!("{channels} channels are not between 1 and {MAX_CHANNELS}")));
        }
        Ok(Self { rate, format, channels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_formats_parse() {
        let raw: RawFormat = "16000,s16le,1".parse().expect("valid");
        assert_eq!(raw, RawFormat { rate: 16000, format: RawSample::S16Le, channels: 1 });
        let raw: RawFormat = " 48000 , F32LE ".parse().expect("valid");
        assert_eq!((raw.channels, raw.format.name()), (1, "f32le"));
        for bad in ["", "16000", "0,s16le,1", "16000,s17,1", "16000,s16le,0", "1,u8,1,1", "-1,u8,1"]
        {
            let error = bad.parse::<RawFormat>().expect_err(bad).to_string();
            assert!(error.contains("16000,s16le,1"), "{error}");
        }
    }
}
