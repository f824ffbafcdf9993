//! What a caller may ask of a written file, and what is reported about it afterwards.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::tags::Tags;
use crate::warning::Warning;

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SampleFormat {
    /// Signed 16-bit integers.
    S16,
    /// Signed 24-bit integers in three bytes.
    S24,
    /// Signed 32-bit integers.
    S32,
    /// 32-bit floating-point numbers, which are never clipped.
    F32,
}

impl SampleFormat {
    /// Bytes of one sample.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 | Self::F32 => 4,
        }
    }
}

/// The kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// RIFF WAVE, which becomes RF64 when it grows beyond 4 GiB.
    Wav,
    /// RF64 (EBU Tech 3306) from the start.
    Rf64,
    /// FLAC with 16 or 24 bits.
    Flac,
    /// Little-endian interleaved samples without a header.
    Raw,
}

impl Container {
    /// The container that a file name's extension stands for.
    ///
    /// # Errors
    /// [`Error::Config`] for an extension that formant does not write.
    pub fn from_path(path: &Path) -> Result<Self> {
        let extension =
            path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "wav" | "wave" => Ok(Self::Wav),
            "rf64" => Ok(Self::Rf64),
            "flac" => Ok(Self::Flac),
            "raw" | "pcm" => Ok(Self::Raw),
            other => Err(Error::config(
                "output format",
                format!(
                    "`{other}` in {} can't be written; use wav, rf64, flac or raw",
                    path.display()
                ),
            )),
        }
    }
}

/// What happens to samples beyond full scale when integers are written. Never do they wrap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipPolicy {
    /// Limit each sample to full scale and count it.
    #[default]
    Clip,
    /// Scale the whole file, or the whole group, by one gain. Samples wait in a temporary file
    /// until the gain is known.
    Scale,
    /// Turn loud passages down by a look-ahead limiter.
    Limit,
}

/// How a file is written.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// Kind of sample; without one, float for WAV and raw and 24 bits for FLAC.
    pub format: Option<SampleFormat>,
    /// Kind of file; without one, by the extension.
    pub container: Option<Container>,
    /// What happens to samples beyond full scale.
    pub clip: ClipPolicy,
    /// Peak that each file is scaled to by a gain of its own, instead of the clip policy; silence
    /// stays. Samples wait in a temporary file until the gain is known.
    pub normalize_peak: Option<f32>,
    /// Seed of triangular dither for 16 bits; no dither without one.
    pub dither: Option<u64>,
    /// Length, when it is known beforehand: spares the room kept for a switch to RF64.
    pub expected_frames: Option<u64>,
    /// Texts to store; WAV keeps the names that it has chunks for, FLAC keeps all.
    pub tags: Tags,
    /// Size in bytes beyond which WAV becomes RF64; for tests.
    #[doc(hidden)]
    pub size_limit: u64,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            format: None,
            container: None,
            clip: ClipPolicy::default(),
            normalize_peak: None,
            dither: None,
            expected_frames: None,
            tags: Tags::default(),
            size_limit: u32::MAX.into(),
        }
    }
}

/// What came of a written file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WriteReport {
    /// The file, or `-`.
    pub path: PathBuf,
    /// Kind of file; RF64 when a WAV grew beyond its limit.
    pub container: Container,
    /// Kind of sample.
    pub format: SampleFormat,
    /// Frames written.
    pub frames: u64,
    /// The largest absolute sample value before the clip policy, or after a scaling to a peak.
    pub peak: f32,
    /// Samples that were clipped.
    pub clipped: u64,
    /// Frames that the limiter turned down.
    pub limited: u64,
    /// The one gain of [`ClipPolicy::Scale`]; 1 otherwise.
    pub gain: f32,
    /// Samples that were no finite numbers and became zero.
    pub non_finite: u64,
}

impl WriteReport {
    /// What the user should be told.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.clipped > 0 {
            warnings.push(Warning::Clipped { count: self.clipped, peak: self.peak });
        }
        if self.gain != 1.0 {
            warnings.push(Warning::Scaled { gain: self.gain });
        }
        if self.non_finite > 0 {
            warnings.push(Warning::NonFinite { count: self.non_finite });
        }
        warnings
    }
}
