//! Recordings of many speakers, with noise and rooms around them: the data of trainings of voices.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::{Rng, RngExt};

use crate::augment::Room;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::examples::pick;
use crate::manifest::{self, is_trained_on, train_recordings};
use crate::progress::Progress;
use crate::recording::Recording;

/// Of this many speakers one is kept for validation when the data name none.
const HELD_OUT_EVERY: usize = 10;

/// One speaker's recordings.
#[derive(Debug, Clone)]
pub struct Speaker {
    /// Name in the data.
    pub name: String,
    /// Clips of the corpus.
    pub clips: Vec<usize>,
    /// Seconds of all of them.
    pub seconds: f64,
}

/// Decoded recordings, sorted by use.
#[derive(Debug)]
pub struct Voices {
    /// All of them.
    pub corpus: Corpus,
    /// Speakers to learn from.
    pub speakers: Vec<Speaker>,
    /// Clips of noise.
    pub noise: Vec<usize>,
    /// Room responses.
    pub rooms: Vec<Room>,
}

/// Manifests and folders of the recordings.
#[derive(Clone, Copy)]
pub(crate) struct Tables<'a> {
    pub(crate) voices: &'a [PathBuf],
    pub(crate) noise: &'a [PathBuf],
    pub(crate) rooms: &'a [PathBuf],
    /// Other files to decode.
    pub(crate) others: &'a [PathBuf],
}

/// How recordings are decoded.
pub(crate) struct Decoding<'a> {
    /// Hz.
    pub(crate) rate: u32,
    /// Samples of the longest example, for room responses.
    pub(crate) longest: usize,
    pub(crate) cache: Option<&'a Path>,
    pub(crate) progress: &'a dyn Progress,
}

enum Use {
    Voice(String),
    Noise,
    Room,
    Other(PathBuf),
}

impl Voices {
    /// Lists and decodes everything. The second result is the clip of every other file that has
    /// samples.
    pub(crate) fn load(
        tables: Tables<'_>,
        decoding: &Decoding<'_>,
    ) -> Result<(Self, BTreeMap<PathBuf, usize>)> {
        let (mut files, mut uses) = (Vec::new(), Vec::new());
        let mut file = |recording: Recording, usage| {
            files.push(recording);
            uses.push(usage);
        };
        for path in tables.voices {
            for row in manifest::read_voices(path)?.into_iter().filter(is_trained_on) {
                let recording = row.recording();
                if row.speaker.is_empty() {
                    let text = format!("{}: no speaker for {recording}", path.display());
                    return Err(Error::Data(format!("{text}; add a column `speaker`")));
                }
                file(recording, Use::Voice(row.speaker));
            }
        }
        for path in tables.noise {
            train_recordings(path)?.for_each(|recording| file(recording, Use::Noise));
        }
        for path in tables.rooms {
            train_recordings(path)?.for_each(|recording| file(recording, Use::Room));
        }
        for path in tables.others {
            file(path.clone().into(), Use::Other(path.clone()));
        }
        let Decoding { rate, longest, cache, progress } = *decoding;
        let corpus = Corpus::load(&files, rate, cache, progress)?;
        let mut data = Self { corpus, speakers: Vec::new(), noise: Vec::new(), rooms: Vec::new() };
        let (mut voices, mut others) = (BTreeMap::<String, Vec<usize>>::new(), BTreeMap::new());
        for (clip, usage) in uses.into_iter().enumerate() {
            if data.corpus.clip(clip).is_empty() {
                continue;
            }
            match usage {
                Use::Voice(name) => voices.entry(name).or_default().push(clip),
                Use::Noise => data.noise.push(clip),
                Use::Room => data.rooms.extend(Room::new(&data.corpus.clip_f32(clip), longest)),
                Use::Other(path) => {
                    others.insert(path, clip);
                }
            }
        }
        let speaker = |(name, clips): (String, Vec<usize>)| {
            let samples: usize = clips.iter().map(|&clip| data.corpus.clip(clip).len()).sum();
            Speaker { name, clips, seconds: samples as f64 / f64::from(rate) }
        };
        data.speakers = voices.into_iter().map(speaker).collect();
        Ok((data, others))
    }

    /// Takes every tenth speaker out of the training, at most so `many` of those that `may` be.
    pub(crate) fn hold_out(&mut self, many: usize, may: impl Fn(&Speaker) -> bool) -> Vec<Speaker> {
        let (mut held, mut kept) = (Vec::new(), Vec::new());
        for (at, speaker) in std::mem::take(&mut self.speakers).into_iter().enumerate() {
            let chosen = at % HELD_OUT_EVERY == HELD_OUT_EVERY / 2 && held.len() < many;
            (if chosen && may(&speaker) { &mut held } else { &mut kept }).push(speaker);
        }
        self.speakers = kept;
        held
    }

    /// `length` samples of a speaker from a random place on, of several recordings where one is too
    /// short. `level` brings the part of one recording to a level of one, since they may differ.
    pub(crate) fn speech(
        &self,
        rng: &mut impl Rng,
        speaker: &Speaker,
        length: usize,
        level: impl Fn(&[i16]) -> Vec<f32>,
    ) -> Vec<f32> {
        let mut samples = Vec::with_capacity(length);
        while samples.len() < length {
            let clip = self.corpus.clip(*pick(rng, &speaker.clips));
            let need = length - samples.len();
            let from = match clip.len() > need {
                true => rng.random_range(0..=clip.len() - need),
                false => 0,
            };
            samples.extend(level(&clip[from..clip.len().min(from + need)]));
        }
        samples
    }
}

/// Draws speakers in proportion to a power of their seconds.
#[derive(Debug)]
pub(crate) struct Drawing {
    cumulative: Vec<f64>,
}

impl Drawing {
    pub(crate) fn new(speakers: &[Speaker], power: f32) -> Self {
        let mut sum = 0.0;
        let cumulative = speakers.iter().map(|speaker| {
            sum += speaker.seconds.powf(f64::from(power));
            sum
        });
        Self { cumulative: cumulative.collect() }
    }

    /// The index of a speaker.
    pub(crate) fn speaker(&self, rng: &mut impl Rng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let draw = rng.random::<f64>() * total;
        self.cumulative.partition_point(|&end| end <= draw).min(self.cumulative.len() - 1)
    }
}
