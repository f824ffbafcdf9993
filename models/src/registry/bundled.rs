//! The weights that the project trained itself and carries inside the program.

use serde::Serialize;

use super::published::{Published, published_models};
use crate::error::{Error, Result};
use crate::source::ModelSource;
use crate::task_info;

/// A bundled model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bundled {
    /// Name to load it by.
    pub name: &'static str,
    /// Task, named as the command.
    pub task: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Licence of the weights.
    pub licence: &'static str,
    #[serde(skip)]
    bytes: &'static [u8],
}

impl Bundled {
    /// The source that names it.
    #[must_use]
    pub fn source(&self) -> ModelSource {
        ModelSource::Bundled(self.name.to_owned())
    }

    /// The safetensors file.
    ///
    /// # Errors
    /// [`Error::Config`] when the program was built without weights.
    pub fn bytes(&self) -> Result<&'static [u8]> {
        if self.bytes.is_empty() {
            let reason =
                format!("{} is not in this build (feature `embed-weights` is off)", self.name);
            return Err(Error::config("model", reason));
        }
        Ok(self.bytes)
    }
}

#[cfg(feature = "embed-weights")]
macro_rules! weights {
    ($file:literal) => {
        include_bytes!(concat!("../weights/", $file))
    };
}
#[cfg(not(feature = "embed-weights"))]
macro_rules! weights {
    ($file:literal) => {
        &[]
    };
}

/// All bundled models; the defaults of the tasks are in [`crate::tasks::TASKS`].
pub const BUNDLED: &[Bundled] = &[
    Bundled {
        name: "spot-commands",
        task: "spot",
        summary: "20 command words and digits, LMUFormer",
        licence: "MIT OR Apache-2.0",
        bytes: weights!("spot-commands.safetensors"),
    },
    Bundled {
        name: "speaker-voices",
        task: "speaker",
        summary: "voices in any language, ECAPA-TDNN",
        licence: "MIT OR Apache-2.0",
        bytes: weights!("speaker-voices.safetensors"),
    },
    Bundled {
        name: "asr-an4",
        task: "transcribe",
        summary: "spelling, digits, dates and simple commands in English (no dictation), Squeezeformer",
        licence: "MIT OR Apache-2.0",
        bytes: weights!("asr-an4.safetensors"),
    },
    Bundled {
        name: "stems-vocals",
        task: "stems",
        summary: "vocals of simple songs (mono, clean mixes), Mel-RoFormer",
        licence: "MIT OR Apache-2.0",
        bytes: weights!("stems-vocals.safetensors"),
    },
    Bundled {
        name: "enhance-speech",
        task: "enhance",
        summary: "speech without noise at 16 kHz, MossFormer2",
        licence: "MIT OR Apache-2.0",
        bytes: weights!("enhance-speech.safetensors"),
    },
    Bundled {
        name: "generate-sounds",
        task: "generate",
        summary: "sounds of 81 words (animals, weather, machines, steps, doors), SpecMaskGIT",
        licence: "MIT OR Apache-2.0",
        bytes: weights!("generate-sounds.safetensors"),
    },
    Bundled {
        name: "separate-voices",
        task: "separate",
        summary: "two voices at 8 kHz, MossFormer2",
        licence: "MIT OR Apache-2.0",
        bytes: weights!("separate-voices.safetensors"),
    },
    Bundled {
        name: "superres-speech",
        task: "superres",
        summary: "the full band of speech at 48 kHz from 8 kHz and up, HiFi-SR",
        licence: "MIT OR Apache-2.0",
        bytes: weights!("superres-speech.safetensors"),
    },
];

/// Parts of bundled models that are none by themselves: the tokenizer of `NAME` is `NAME-tokenizer`.
const PARTS: &[Bundled] = &[Bundled {
    name: "generate-sounds-tokenizer",
    task: "generate",
    summary: "spectrograms of sounds as tokens, SpecVQGAN",
    licence: "MIT OR Apache-2.0",
    bytes: weights!("generate-sounds-tokenizer.safetensors"),
}];

/// ARPA language models of bundled recognisers, gzipped or not, by the name of the recogniser. How
/// one weighs is in the metadata of the recogniser, under `provenance.decoding`; where nothing is, it
/// is not used unasked.
const LANGUAGE_MODELS: &[(&str, &[u8])] = &[("asr-an4", weights!("asr-an4.arpa"))];

/// The language model of a bundled recogniser, where it has one.
#[must_use]
pub fn bundled_lm(name: &str) -> Option<&'static [u8]> {
    let found = LANGUAGE_MODELS.iter().find(|(model, _)| *model == name);
    found.map(|(_, bytes)| *bytes).filter(|bytes| !bytes.is_empty())
}

/// The bundled model of this name.
///
/// # Errors
/// [`Error::Config`] that lists the names there are.
pub fn bundled(name: &str) -> Result<&'static Bundled> {
    BUNDLED.iter().chain(PARTS).find(|model| model.name == name).ok_or_else(|| {
        let names: Vec<&str> = BUNDLED.iter().map(|model| model.name).collect();
        Error::config(
            "model",
            format!("no bundled model `{name}`; there are: {}", names.join(", ")),
        )
    })
}

/// The error of a name that no model has, with the models of a task.
pub(super) fn unknown(name: &str, task: &str) -> Error {
    let bundled = BUNDLED.iter().filter(|model| model.task == task).map(|model| model.name);
    let runs = |model: &&Published| task_info::runs(task, model.architecture);
    let published = published_models().filter(|model| model.task == task).filter(runs);
    let names: Vec<&str> = bundled.chain(published.map(|model| model.name)).collect();
    Error::config("model", format!("no model `{name}` for {task}; there are: {}", names.join(", ")))
}

/// The model that a task uses where none is named.
///
/// # Errors
/// [`Error::Config`] for a task without one, which says where there are others.
pub fn default_for(task: &str) -> Result<&'static Bundled> {
    let known = task_info::task(task)
        .ok_or_else(|| Error::config("task", format!("`{task}` is no task that runs models")))?;
    let name = known.default.ok_or_else(|| {
        let reason = format!("none comes with the program for `{task}`; {}", known.advice);
        Error::config("model", reason)
    })?;
    bundled(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_has_the_default_of_its_row() {
        for task in task_info::TASKS {
            let found = default_for(task.name).ok().map(|model| (model.name, model.task));
            assert_eq!(found, task.default.map(|name| (name, task.name)));
        }
        for task in task_info::TASKS {
            let error = unknown("nobody", task.name).to_string();
            let others = BUNDLED.iter().filter(|model| model.task != task.name);
            assert!(others.clone().all(|other| !error.contains(other.name)), "{error}");
            assert!(task.default.is_none_or(|name| error.contains(name)), "{error}");
        }
        let error = default_for("sing").expect_err("no task").to_string();
        assert!(error.contains("sing"), "{error}");
    }
}
