//! Known voices in one file: enrolled, listed, removed, exported, and searched.
//!
//! The file is JSON of a stated version. It is replaced as a whole, so that a reader never sees
//! half of it, and writers wait for each other. It says whose embeddings it holds, so that those of
//! different models are never compared.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::embedder::Embedding;
use super::identity;
use super::score::{Scorer, Verification};
use crate::checkpoint::write_atomically;
use crate::error::{Error, Result};

const FORMAT: &str = "formant-voices";
const VERSION: u32 = 1;
/// Largest file that is read.
const MAX_SIZE: u64 = 1 << 28;
const LONGEST_NAME: usize = 200;

/// A known voice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Voice {
    /// Whose it is.
    pub name: String,
    /// Recordings that it was learnt from.
    pub recordings: u32,
    /// Seconds of speech in them.
    pub speech_seconds: f64,
    /// Mean of their embeddings, each brought to unit length before.
    pub embedding: Vec<f32>,
}

/// Known voices of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Voices {
    format: String,
    version: u32,
    /// Identity of the model that the embeddings are of.
    model: String,
    voices: Vec<Voice>,
}

/// The answer to "whose voice is it".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identification {
    /// The known voice, or `None` for an unknown one.
    pub name: Option<String>,
    /// All known voices with their scores, the most alike first.
    pub candidates: Vec<(String, Verification)>,
}

impl Voices {
    /// None yet.
    #[must_use]
    pub fn new(model: &str) -> Self {
        let (format, voices) = (FORMAT.to_owned(), Vec::new());
        Self { format, version: VERSION, model: model.to_owned(), voices }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`] when it can't be read, [`Error::Unsupported`] for another kind of file or a
    /// newer version, [`Error::Damaged`] for one with broken numbers.
    pub fn read(path: &Path) -> Result<Self> {
        let text = formant_audio_core::text::read(path, MAX_SIZE)?;
        let voices: Self = serde_json::from_str(&text).map_err(|error| {
            let reason = format!("no file of voices: {error}; name one that `enroll` wrote");
            Error::unsupported(path, reason)
        })?;
        voices.check(path)?;
        Ok(voices)
    }

    /// Changes a file, or makes it where there is none: waits for other writers, reads, lets
    /// `change` work on the voices and writes them. Nothing is written when `change` fails.
    ///
    /// # Errors
    /// As [`Voices::read`]; [`Error::Config`] when the file is of another model; what `change`
    /// and writing say.
    pub fn update<T>(
        path: &Path,
        model: &str,
        change: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let _lock = lock(path)?;
        let mut voices = match path.exists() {
            true => Self::read(path)?,
            false => Self::new(model),
        };
        voices.check_model(model)?;
        voices.model = identity::newer(&voices.model, model).to_owned();
        let result = change(&mut voices)?;
        voices.write(path)?;
        Ok(result)
    }

    /// As [`Voices::update`], for changes that need no model; the file has to be there.
    ///
    /// # Errors
    /// As [`Voices::update`].
    pub fn edit<T>(path: &Path, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let _lock = lock(path)?;
        let mut voices = Self::read(path)?;
        let result = change(&mut voices)?;
        voices.write(path)?;
        Ok(result)
    }

    fn write(&self, path: &Path) -> Result<()> {
        let text =
            serde_json::to_vec_pretty(self).map_err(|e| Error::config("voices", e.to_string()))?;
        write_atomically(path, |file| {
            file.write_all(&text)?;
            file.write_all(b"\n")
        })
    }

    /// Identity of the model that the embeddings are of.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// All voices, in the order of their names.
    #[must_use]
    pub fn voices(&self) -> &[Voice] {
        &self.voices
    }

    /// The voice called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Voice> {
        self.voices.iter().find(|voice| voice.name == name)
    }

    /// Refuses another model's embeddings.
    ///
    /// # Errors
    /// [`Error::Config`] naming both models.
    pub fn check_model(&self, model: &str) -> Result<()> {
        if identity::same(&self.model, model) {
            return Ok(());
        }
        let reason = format!("the voices are of {}, not of {model}", self.model);
        let remedy = "use that model, or enroll into another file";
        Err(Error::config("voices", format!("{reason}; {remedy}")))
    }

    /// Adds recordings of a voice; a known voice becomes the mean of all its recordings.
    ///
    /// # Errors
    /// [`Error::Config`] for a name that is empty, too long or has control characters, and for
    /// embeddings of another model.
    pub fn enroll(&mut self, name: &str, embeddings: &[Embedding]) -> Result<&Voice> {
        check_name(name)?;
        let width = self.voices.first().map(|voice| voice.embedding.len());
        for embedding in embeddings {
            embedding.check_model(&self.model)?;
            let fits = width.is_none_or(|width| width == embedding.values.len());
            if !fits || embedding.values.iter().any(|x| !x.is_finite()) {
                return Err(Error::config("embedding", "has another length or a broken value"));
            }
        }
        let Some(first) = embeddings.first() else {
            return Err(Error::config("embeddings", "none given; name a recording"));
        };
        let at = match self.voices.binary_search_by(|voice| voice.name.as_str().cmp(name)) {
            Ok(at) => at,
            Err(at) => {
                let embedding = vec![0.0; first.values.len()];
                let name = name.to_owned();
                let voice = Voice { name, recordings: 0, speech_seconds: 0.0, embedding };
                self.voices.insert(at, voice);
                at
            }
        };
        let voice = &mut self.voices[at];
        for embedding in embeddings {
            let length = embedding.values.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
            let weight = 1.0 / (voice.recordings + 1) as f32;
            for (mean, value) in voice.embedding.iter_mut().zip(&embedding.values) {
                *mean += weight * (value / length - *mean);
            }
            voice.recordings += 1;
            voice.speech_seconds += embedding.speech_seconds;
        }
        Ok(voice)
    }

    /// Removes a voice.
    ///
    /// # Errors
    /// [`Error::Config`] that lists the names when there is none of this name.
    pub fn remove(&mut self, name: &str) -> Result<Voice> {
        match self.voices.iter().position(|voice| voice.name == name) {
            Some(at) => Ok(self.voices.remove(at)),
            None => Err(self.unknown(name)),
        }
    }

    /// The error of a name that is not known.
    #[must_use]
    pub fn unknown(&self, name: &str) -> Error {
        let names: Vec<&str> = self.voices.iter().map(|voice| voice.name.as_str()).collect();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Error::config("name", format!("no voice `{name}`; there are: {known}"))
    }

    /// Whose voice an embedding is: the most alike one, if the scorer takes both for one speaker.
    ///
    /// # Errors
    /// [`Error::Config`] for an embedding of another model.
    pub fn identify(&self, embedding: &Embedding, scorer: &Scorer) -> Result<Identification> {
        self.check_model(&embedding.model)?;
        let mut candidates: Vec<(String, Verification)> = self
            .voices
            .iter()
            .map(|voice| (voice.name.clone(), scorer.verify(&voice.embedding, &embedding.values)))
            .collect();
        candidates.sort_by(|a, b| b.1.score.total_cmp(&a.1.score));
        let name = candidates.first().filter(|(_, best)| best.same_speaker);
        Ok(Identification { name: name.map(|(name, _)| name.clone()), candidates })
    }

    fn check(&self, path: &Path) -> Result<()> {
        if self.format != FORMAT || self.version != VERSION {
            let found = format!("format `{}`, version {}", self.format, self.version);
            let reason = format!("{found}; this program reads `{FORMAT}`, version {VERSION}");
            return Err(Error::unsupported(path, reason));
        }
        let damaged = |reason: String| Error::Damaged { path: path.into(), reason };
        let width = self.voices.first().map_or(0, |voice| voice.embedding.len());
        for voice in &self.voices {
            if voice.embedding.len() != width || voice.embedding.iter().any(|x| !x.is_finite()) {
                return Err(damaged(format!("the embedding of `{}` is broken", voice.name)));
            }
        }
        if !self.voices.is_sorted_by(|a, b| a.name < b.name) {
            return Err(damaged("names are not in order, or one is there twice".to_owned()));
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.trim().is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        let reason =
            format!("`{}` is empty, too long or has control characters", name.escape_debug());
        return Err(Error::config("name", reason));
    }
    Ok(())
}

/// The lock of a file of voices, which goes with the handle: a file beside it, since the file itself is
/// replaced.
fn lock(path: &Path) -> Result<File> {
    let lock_path = lock_path(path);
    // Users know the file, not the lock beside it.
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => Error::io(path, source),
        _ => Error::Write { path: path.to_owned(), source },
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".lock");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedding(values: &[f32]) -> Embedding {
        Embedding { values: values.to_vec(), model: "m".to_owned(), speech_seconds: 2.0 }
    }

    fn store() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("voices.json");
        (folder, path)
    }

    #[test]
    fn voices_survive_and_are_found() {
        let (_folder, path) = store();
        for (name, values) in [("bea", [0.0f32, 2.0]), ("al", [3.0, 0.0])] {
            Voices::update(&path, "m", |voices| {
                voices.enroll(name, &[embedding(&values)]).map(drop)
            })
            .expect("written");
        }
        let voices = Voices::read(&path).expect("readable");
        let names: Vec<&str> = voices.voices().iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["al", "bea"]);
        let scorer = Scorer::cosine(0.8);
        let found = voices.identify(&embedding(&[5.0, 0.5]), &scorer).expect("same model");
        assert_eq!(found.name.as_deref(), Some("al"));
        let between = voices.identify(&embedding(&[1.0, 1.0]), &scorer).expect("same model");
        assert_eq!((between.name, between.candidates.len()), (None, 2));
    }

    #[test]
    fn recordings_of_a_voice_are_averaged() {
        let mut voices = Voices::new("m");
        voices.enroll("al", &[embedding(&[4.0, 0.0])]).expect("sound");
        let voice = voices.enroll("al", &[embedding(&[0.0, 1.0])]).expect("sound");
        assert_eq!((voice.recordings, voice.speech_seconds), (2, 4.0));
        assert_eq!(voice.embedding, [0.5, 0.5]);
        assert_eq!(voices.remove("al").expect("known").recordings, 2);
        assert!(voices.remove("al").expect_err("gone").to_string().contains("none"));
    }

    #[test]
    fn files_of_earlier_versions_are_read_and_brought_up_to_date() {
        let (_folder, path) = store();
        let old = "ecapa-tdnn-85944171f73967e8";
        let new = format!("{old}-c3ab8ff13720e8ad9047dd39466b3c89");
        let of = |model: &str| Embedding { model: model.to_owned(), ..embedding(&[1.0]) };
        Voices::update(&path, old, |v| v.enroll("al", &[of(old)]).map(drop)).expect("written");
        let voices = Voices::read(&path).expect("readable");
        voices.check_model(&new).expect("the same model");
        let found = voices.identify(&of(&new), &Scorer::cosine(0.8)).expect("the same model");
        assert_eq!(found.name.as_deref(), Some("al"));
        of(&new).check_model(old).expect("the same model");
        Voices::update(&path, &new, |v| v.enroll("bea", &[of(&new)]).map(drop)).expect("written");
        let voices = Voices::read(&path).expect("readable");
        assert_eq!((voices.model(), voices.voices().len()), (new.as_str(), 2));
        let other = format!("{old}-00000000000000000000000000000000");
        assert!(voices.check_model(&other).is_err());
    }

    #[test]
    fn other_models_and_broken_files_are_refused() {
        let (_folder, path) = store();
        let add = |model: &str| {
            Voices::update(&path, model, |v| v.enroll("al", &[embedding(&[1.0])]).map(drop))
        };
        add("m").expect("written");
        assert!(add("other").expect_err("another model").to_string().contains("of m"));
        let text = std::fs::read_to_string(&path).expect("text");
        std::fs::write(&path, text.replace("\"version\": 1", "\"version\": 9")).expect("written");
        assert!(Voices::read(&path).expect_err("newer").to_string().contains("version 9"));
        std::fs::write(&path, "{}").expect("written");
        assert!(matches!(Voices::read(&path), Err(Error::Unsupported { .. })));
        let mut voices = Voices::new("m");
        for name in ["", " ", "a\nb"] {
            assert!(voices.enroll(name, &[embedding(&[1.0])]).is_err(), "{name:?}");
        }
    }

    #[test]
    fn writers_wait_for_each_other() {
        let (_folder, path) = store();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    let name = format!("voice {writer}");
                    Voices::update(path, "m", |v| v.enroll(&name, &[embedding(&[1.0])]).map(drop))
                        .expect("written");
                });
            }
        });
        assert_eq!(Voices::read(&path).expect("readable").voices().len(), 8);
    }
}
