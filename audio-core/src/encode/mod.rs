//! Audio out: WAV, RF64, FLAC and raw files.
//!
//! Files are written under a temporary name and renamed when they are complete. Integers never
//! wrap: what lies beyond full scale is clipped, scaled or limited, and the report says how much.

mod flac;
mod limiter;
mod options;
mod output;
mod quantize;
mod wav;
mod writer;

pub use options::{ClipPolicy, Container, SampleFormat, WriteOptions, WriteReport};
pub use writer::{AudioWriter, finish_group, write_file, write_group};

use std::path::Path;

use crate::buffer::AudioView;
use crate::error::Result;

/// Write a whole buffer as WAV, whatever the extension.
///
/// # Errors
/// When the file can't be written.
pub fn write_wav(
    path: &Path,
    audio: &AudioView<'_>,
    options: &WriteOptions,
) -> Result<WriteReport> {
    write_file(path, audio, &WriteOptions { container: Some(Container::Wav), ..options.clone() })
}
