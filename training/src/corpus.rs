//! Decoded clips in memory: every file once, mono, at one rate, 16 bit; kept in a cache file so
//! that the next run starts at once.

use std::path::{Path, PathBuf};

use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::resample::{Quality, resample};
use formant_audio_core::{AudioBuf, Warning};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::progress::{Event, Progress};

/// Samples of many clips, one after the other.
#[derive(Debug)]
pub struct Corpus {
    samples: Vec<i16>,
    ends: Vec<usize>,
    rate: u32,
}

/// A file that could not be used, and why.
#[derive(Debug)]
struct Unusable {
    path: PathBuf,
    reason: String,
}

impl Corpus {
    /// Decodes `paths` to mono at `rate` Hz in parallel, or takes them from `cache` when it holds
    /// exactly these files. A file that cannot be read becomes an empty clip, and a note tells why.
    ///
    /// # Errors
    /// [`Error::Interrupted`], or [`Error::Io`] when the cache cannot be written.
    pub fn load(
        paths: &[PathBuf],
        rate: u32,
        cache: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let key = cache_key(paths, rate);
        if let Some(corpus) = cache.and_then(|file| read_cache(file, key, rate, paths.len())) {
            return Ok(corpus);
        }
        let total = paths.len();
        let done = std::sync::atomic::AtomicUsize::new(0);
        let clips: Vec<Result<std::result::Result<Vec<i16>, Unusable>>> = paths
            .par_iter()
            .map(|path| {
                if progress.cancelled() {
                    return Err(Error::Interrupted);
                }
                let clip = decode_mono(path, rate)
                    .map_err(|e| Unusable { path: path.clone(), reason: e.to_string() });
                let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                progress.event(&Event::Decoding { done, total });
                Ok(clip)
            })
            .collect();
        let mut corpus = Self { samples: Vec::new(), ends: Vec::with_capacity(total), rate };
        let mut unusable = Vec::new();
        for clip in clips {
            match clip? {
                Ok(samples) => corpus.samples.extend(samples),
                Err(problem) => unusable.push(problem),
            }
            corpus.ends.push(corpus.samples.len());
        }
        if let Some(file) = cache.filter(|_| unusable.is_empty()) {
            write_cache(file, key, &corpus)?;
        }
        for file in &unusable {
            let text = format!("{} was left out: {}", file.path.display(), file.reason);
            progress.event(&Event::Note { text });
        }
        Ok(corpus)
    }

    /// Number of clips.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no clip.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Sample rate in Hz.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Samples of clip `index`.
    ///
    /// # Panics
    /// When there is no such clip.
    #[must_use]
    pub fn clip(&self, index: usize) -> &[i16] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.samples[start..self.ends[index]]
    }

    /// Samples of clip `index` as floats in [-1, 1].
    #[must_use]
    pub fn clip_f32(&self, index: usize) -> Vec<f32> {
        self.clip(index).iter().map(|&x| f32::from(x) / 32768.0).collect()
    }

    /// Seconds of all clips together.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }
}

/// Decodes one file to mono at `rate` Hz.
///
/// # Errors
/// What decoding says.
pub fn decode_at(path: &Path, rate: u32) -> formant_audio_core::Result<(AudioBuf, Vec<Warning>)> {
    let clip = decode_file(path, &DecodeOptions::default())?;
    let mono = AudioBuf::from_mono(clip.audio.rate(), clip.audio.view().to_mono());
    Ok((resample(&mono.view(), rate, Quality::High)?, clip.info.warnings))
}

fn decode_mono(path: &Path, rate: u32) -> formant_audio_core::Result<Vec<i16>> {
    let (audio, _) = decode_at(path, rate)?;
    // Saturating, since resampling can overshoot full scale.
    Ok(audio.channel(0).iter().map(|x| (x * 32768.0).round() as i16).collect())
}

/// A number that changes when the list of files, one of their sizes, or the rate changes.
fn cache_key(paths: &[PathBuf], rate: u32) -> u64 {
    let mut hash = crate::manifest::Fnv1a::default();
    hash.add(&rate.to_le_bytes());
    for path in paths {
        hash.add(path.as_os_str().as_encoded_bytes());
        let size = std::fs::metadata(path).map_or(0, |m| m.len());
        hash.add(&size.to_le_bytes());
    }
    hash.value()
}

const MAGIC: &[u8; 8] = b"fmtcorp1";

fn read_cache(file: &Path, key: u64, rate: u32, clips: usize) -> Option<Corpus> {
    let bytes = std::fs::read(file).ok()?;
    let (header, body) = bytes.split_at_checked(16)?;
    if &header[..8] != MAGIC || header[8..] != key.to_le_bytes() {
        return None;
    }
    let (ends, samples) = body.split_at_checked(clips * 8)?;
    let ends: Vec<usize> = ends
        .chunks_exact(8)
        .map(|b| u64::from_le_bytes(b.try_into().expect("chunks of eight bytes")) as usize)
        .collect();
    let samples: Vec<i16> =
        samples.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
    let sound = ends.is_sorted() && ends.last().is_none_or(|&end| end == samples.len());
    sound.then_some(Corpus { samples, ends, rate })
}

fn write_cache(file: &Path, key: u64, corpus: &Corpus) -> Result<()> {
    let mut bytes = Vec::with_capacity(16 + corpus.ends.len() * 8 + corpus.samples.len() * 2);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&key.to_le_bytes());
    bytes.extend(corpus.ends.iter().flat_map(|&end| (end as u64).to_le_bytes()));
    bytes.extend(corpus.samples.iter().flat_map(|x| x.to_le_bytes()));
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    }
    // A half-written cache must never be taken for a whole one.
    let partial = file.with_extension("part");
    std::fs::write(&partial, bytes).map_err(|e| Error::io(&partial, e))?;
    std::fs::rename(&partial, file).map_err(|e| Error::io(file, e))
}
