//! Decoded clips in memory: every file once, mono, at one rate, 16 bit; kept in a cache file so
//! that the next run starts at once.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use formant_audio_core::AudioBuf;
use formant_audio_core::decode::{ChannelSelect, DecodeOptions, decode_file};
use formant_audio_core::draft::Draft;
use formant_audio_core::resample::{Quality, resample};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::progress::{Progress, TrainingEvent};
use crate::recording::Recording;

/// Samples of many clips, one after the other.
#[derive(Debug)]
pub struct Corpus {
    samples: Vec<i16>,
    ends: Vec<usize>,
    rate: u32,
}

impl Corpus {
    /// Decodes recordings to mono at `rate` Hz in parallel, or takes them from `cache` when it holds
    /// exactly these. A recording that cannot be read becomes an empty clip, and a note tells why.
    ///
    /// # Errors
    /// [`Error::Interrupted`], or [`Error::Write`] when the cache cannot be written.
    pub fn load(
        recordings: &[Recording],
        rate: u32,
        cache: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let key = cache_key(recordings, rate);
        let total = recordings.len();
        if let Some(corpus) = cache.and_then(|file| read_cache(file, key, rate, total)) {
            return Ok(corpus);
        }
        // A channel of a file is decoded once, however many stretches of it there are.
        let mut files: BTreeMap<Source<'_>, Vec<usize>> = BTreeMap::new();
        for (clip, Recording { path, channel, .. }) in recordings.iter().enumerate() {
            files.entry((path, channel.as_ref())).or_default().push(clip);
        }
        let done = AtomicUsize::new(0);
        let decoded = files.par_iter().map(|(source, clips)| {
            if progress.cancelled() {
                return Err(Error::Interrupted);
            }
            let found = decode_clips(*source, clips, recordings, rate);
            let done = done.fetch_add(clips.len(), Ordering::Relaxed) + clips.len();
            progress.event(&TrainingEvent::Decoding { done, total });
            Ok(found)
        });
        let decoded: Vec<Vec<(usize, Decoded)>> = decoded.collect::<Result<_>>()?;
        let mut decoded: Vec<(usize, Decoded)> = decoded.into_iter().flatten().collect();
        decoded.sort_by_key(|(clip, _)| *clip);
        let mut corpus = Self { samples: Vec::new(), ends: Vec::with_capacity(total), rate };
        let mut unusable = Vec::new();
        for (clip, found) in decoded {
            match found {
                Ok(samples) => corpus.samples.extend(samples),
                Err(reason) => unusable.push((&recordings[clip], reason)),
            }
            corpus.ends.push(corpus.samples.len());
        }
        if let Some(file) = cache.filter(|_| unusable.is_empty()) {
            write_cache(file, key, &corpus)?;
        }
        for (recording, reason) in unusable {
            let text = format!("{recording} was left out: {reason}");
            progress.event(&TrainingEvent::Note { text });
        }
        Ok(corpus)
    }

    /// Adds a clip at the rate of the others; its number.
    pub(crate) fn push(&mut self, samples: &[f32]) -> usize {
        self.samples.extend(samples.iter().map(|x| (x * 32768.0).round() as i16));
        self.ends.push(self.samples.len());
        self.ends.len() - 1
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

/// The samples of a clip, or why there are none.
type Decoded = std::result::Result<Vec<i16>, String>;

/// A file, and which of its channels.
type Source<'a> = (&'a Path, Option<&'a ChannelSelect>);

/// Decodes the clips of one source.
fn decode_clips(
    (path, channel): Source<'_>,
    clips: &[usize],
    recordings: &[Recording],
    rate: u32,
) -> Vec<(usize, Decoded)> {
    let options = DecodeOptions { channels: channel.cloned(), ..DecodeOptions::default() };
    let decoded = decode_file(path, &options).map(|clip| {
        let mono = clip.audio.view().to_mono();
        (clip.audio.rate(), mono)
    });
    let decoded = decoded.map_err(|error| error.to_string());
    let samples = |clip: usize| -> Decoded {
        let (from, mono) = decoded.as_ref().map_err(String::clone)?;
        let cut = || {
            let range = recordings[clip].stretch.range(mono.len(), *from, path)?;
            let part = AudioBuf::from_mono(*from, mono[range].to_vec());
            resample(&part.view(), rate, Quality::High)
        };
        let audio = cut().map_err(|error: formant_audio_core::Error| error.to_string())?;
        // Saturating, since resampling can overshoot full scale.
        Ok(audio.channel(0).iter().map(|x| (x * 32768.0).round() as i16).collect())
    };
    clips.iter().map(|&clip| (clip, samples(clip))).collect()
}

/// A number that changes when the list of recordings, the size of a file, or the rate changes.
fn cache_key(recordings: &[Recording], rate: u32) -> u64 {
    let mut hash = crate::manifest::Fnv1a::default();
    hash.add(&rate.to_le_bytes());
    for Recording { path, stretch, channel } in recordings {
        hash.add(path.as_os_str().as_encoded_bytes());
        let size = std::fs::metadata(path).map_or(0, |m| m.len());
        hash.add(&size.to_le_bytes());
        if !stretch.is_whole() {
            hash.add(&stretch.start.to_le_bytes());
            hash.add(&stretch.seconds.unwrap_or(0.0).to_le_bytes());
        }
        if let Some(channel) = channel {
            hash.add(channel.to_string().as_bytes());
        }
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

/// Writes the cache as a whole or not at all: a half-written one must never be taken for a whole one.
fn write_cache(file: &Path, key: u64, corpus: &Corpus) -> Result<()> {
    let write = || {
        if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let mut draft = BufWriter::new(Draft::create(file)?);
        draft.write_all(MAGIC)?;
        draft.write_all(&key.to_le_bytes())?;
        corpus.ends.iter().try_for_each(|&end| draft.write_all(&(end as u64).to_le_bytes()))?;
        corpus.samples.iter().try_for_each(|sample| draft.write_all(&sample.to_le_bytes()))?;
        draft.into_inner().map_err(io::IntoInnerError::into_error)?.commit()
    };
    write().map_err(|source| Error::Write { path: file.to_owned(), source })
}
