//! Audio in: files and streams of every common format, without any external program.
//!
//! WAV in all its forms, raw samples, the framing of MPEG audio and FLAC, Ogg Opus, and the tables
//! of MP4 and Matroska are read here; symphonia unpacks and decodes the rest. Sizes in headers are hints: what is there
//! is decoded, and a [`crate::Warning`] tells when it is not what was promised.

mod aiff;
mod backend;
mod caf;
mod channels;
mod flac;
mod info;
mod joined;
mod matroska;
mod mp4;
mod mpeg;
mod names;
mod ogg;
mod open;
mod options;
mod opus;
mod outline;
mod pcm;
mod planes;
mod reader;
mod source;
mod stretch;
mod symphonia_backend;
mod timeline;
pub(crate) mod vorbis_comment;
mod wav;

use std::io::Read;
use std::path::Path;

use crate::buffer::AudioBuf;
use crate::error::Result;

pub use channels::{ChannelSelect, split_channels};
pub use info::{SourceInfo, TrackInfo};
pub use options::{
    DecodeOptions, MAX_BLOCK_FRAMES, MAX_CHANNELS, MAX_CORRUPT_RUN, MAX_RATE, MIN_RATE, RawFormat,
    RawSample, Strictness, TrackChoice,
};
pub use reader::BlockReader;
pub use stretch::Stretch;

/// Usual extensions of the formats that are read, in lower case and alphabetical order. Content
/// decides what a file is; these only tell which files of a folder are worth a try.
pub const EXTENSIONS: &[&str] = &[
    "aac", "aif", "aifc", "aiff", "bw64", "caf", "flac", "m4a", "m4b", "mka", "mkv", "mov", "mp1",
    "mp2", "mp3", "mp4", "oga", "ogg", "opus", "rf64", "wav", "wave", "webm",
];

/// Whether a path ends in one of [`EXTENSIONS`], in any case.
#[must_use]
pub fn has_audio_extension(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()))
}

/// A whole decoded file: samples, and where they came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// The samples.
    pub audio: AudioBuf,
    /// What is known about the source.
    pub info: SourceInfo,
}

/// Decode a whole file into memory.
///
/// # Errors
/// When the file can't be read, is no audio, or is damaged beyond the limits of `options`.
///
/// ```no_run
/// use formant_audio_core::decode::{DecodeOptions, decode_file};
/// let clip = decode_file("talk.mp3".as_ref(), &DecodeOptions::default())?;
/// println!("{} frames, {}", clip.audio.frames(), clip.info.codec);
/// # Ok::<(), formant_audio_core::Error>(())
/// ```
pub fn decode_file(path: &Path, options: &DecodeOptions) -> Result<Clip> {
    BlockReader::open(path, options)?.read_to_end()
}

/// Decode a whole stream, which need not be seekable; `name` stands for it in messages.
///
/// # Errors
/// As [`decode_file`].
pub fn decode_stream(
    source: Box<dyn Read + Send + Sync>,
    name: &str,
    options: &DecodeOptions,
) -> Result<Clip> {
    BlockReader::from_stream(source, name, options)?.read_to_end()
}
