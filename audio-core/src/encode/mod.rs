//! Audio out: WAV with 32-bit float samples.

use std::io::Write;
use std::path::Path;

use crate::buffer::AudioView;
use crate::error::{Error, Result};

/// How a WAV file is written.
#[derive(Debug, Clone, Default)]
pub struct WavOptions {}

/// Write a whole buffer as a float WAV file.
///
/// # Errors
/// When the file can't be written.
pub fn write_wav(path: &Path, audio: &AudioView<'_>, _options: &WavOptions) -> Result<()> {
    let samples = audio.to_interleaved();
    let channels = audio.channels() as u32;
    let data = 4 * samples.len() as u32;
    let mut bytes = Vec::with_capacity(58 + 4 * samples.len());
    bytes.extend(b"RIFF");
    bytes.extend((50 + data).to_le_bytes());
    bytes.extend(b"WAVEfmt \x12\0\0\0\x03\0");
    bytes.extend((channels as u16).to_le_bytes());
    bytes.extend(audio.rate().to_le_bytes());
    bytes.extend((audio.rate() * 4 * channels).to_le_bytes());
    bytes.extend((4 * channels as u16).to_le_bytes());
    bytes.extend([32, 0, 0, 0]);
    bytes.extend(b"fact\x04\0\0\0");
    bytes.extend((audio.frames() as u32).to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(data.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    let mut file = std::fs::File::create(path).map_err(|e| Error::io(path, e))?;
    file.write_all(&bytes).map_err(|e| Error::io(path, e))
}
