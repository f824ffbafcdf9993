//! Checkpoints as people have them: one weight file, a `.nemo` archive, or a folder with weights,
//! configs and tokenizers in the layout of some toolkit.

pub(crate) mod files;
mod folder;
mod standalone;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::fault::Outcome;
use super::open::Format;
use super::source::ByteSource;
use super::state_dict::StateDict;
use crate::error::{Error, Result};

/// Layout of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContainerKind {
    /// A single weight file.
    File(Format),
    /// A NumPy array.
    Npy,
    /// NeMo's archive of config, weights and tokenizer, packed or unpacked.
    Nemo,
    /// SpeechBrain: `hyperparams.yaml` and one file a module.
    SpeechBrain,
    /// ClearerVoice: a text file that names the weight files.
    ClearerVoice,
    /// ModelScope: `configuration.json` and torch files.
    ModelScope,
    /// MossFormer2 as a package of its own: `config.json` and one or three weight files.
    MossFormer2Standalone,
    /// Hugging Face: `config.json` and `model.safetensors` or `pytorch_model.bin`.
    HuggingFace,
    /// PEFT adapter: `adapter_config.json` and `adapter_model.safetensors`.
    Peft,
    /// One weight file with configs beside it.
    Folder,
}

impl std::fmt::Display for ContainerKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(Format::Safetensors) => "safetensors file",
            Self::File(Format::TorchZip) => "torch file (zip)",
            Self::File(Format::TorchLegacy) => "torch file (before 1.6)",
            Self::Npy => "NumPy array",
            Self::Nemo => "NeMo archive",
            Self::SpeechBrain => "SpeechBrain folder",
            Self::ClearerVoice => "ClearerVoice folder",
            Self::ModelScope => "ModelScope folder",
            Self::MossFormer2Standalone => "stand-alone MossFormer2 folder",
            Self::HuggingFace => "Hugging Face folder",
            Self::Peft => "PEFT adapter folder",
            Self::Folder => "folder",
        })
    }
}

/// The weights of one module.
#[derive(Debug, Clone)]
pub struct Part {
    /// Role: `model`, `encoder`, `embedding_model`, ...
    pub name: String,
    /// File name inside the container.
    pub file: String,
    /// The weights, names as in the file.
    pub state: StateDict,
}

/// A file inside a container.
#[derive(Debug, Clone)]
pub struct Member {
    /// Name inside the container.
    pub name: String,
    source: ByteSource,
}

/// An opened checkpoint.
#[derive(Debug, Clone)]
pub struct Container {
    /// The file or folder.
    pub path: PathBuf,
    /// Layout.
    pub kind: ContainerKind,
    /// Weights by module.
    pub parts: Vec<Part>,
    /// Configs by file name.
    pub configs: Vec<(String, Value)>,
    /// All files.
    pub members: Vec<Member>,
    /// What could not be used, such as a config that is no valid YAML.
    pub notes: Vec<String>,
    joined: StateDict,
}

impl Container {
    /// Opens a file or a folder of any known layout.
    ///
    /// # Errors
    /// When nothing known is there, or the weights can't be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let about = std::fs::metadata(path).map_err(|error| Error::io(path, error))?;
        let mut container = if about.is_dir() { folder::open(path)? } else { files::open(path)? };
        container.joined = container.join().map_err(|fault| fault.at(path))?;
        Ok(container)
    }

    fn new(path: &Path, kind: ContainerKind, members: Vec<Member>) -> Self {
        let joined = StateDict::default();
        let (parts, configs, notes) = (Vec::new(), Vec::new(), Vec::new());
        Self { path: path.to_path_buf(), kind, parts, configs, members, notes, joined }
    }

    /// All weights that belong to one network, under the names of its joined form: three-file
    /// layouts get `encoder.`, `decoder.` and `mask_net.` back, a pair of networks is told apart
    /// by `mossformer_ckpt.` and `generator_ckpt.`, and of a SpeechBrain folder this is the
    /// embedding model.
    ///
    /// # Errors
    /// [`Error::Missing`] when there are no weights.
    pub fn state_dict(&self) -> Result<&StateDict> {
        if self.joined.is_empty() {
            return Err(Error::Missing { path: self.path.clone(), what: "weights".into() });
        }
        Ok(&self.joined)
    }

    /// The weights of the module called `name`.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such part.
    pub fn part(&self, name: &str) -> Result<&StateDict> {
        let part = self.parts.iter().find(|part| part.name == name);
        part.map(|part| &part.state).ok_or_else(|| {
            let known: Vec<_> = self.parts.iter().map(|part| part.name.as_str()).collect();
            let what = format!("part `{name}` (parts: {})", known.join(", "));
            Error::Missing { path: self.path.clone(), what }
        })
    }

    /// The config whose file name is `name`, or ends with it.
    #[must_use]
    pub fn config(&self, name: &str) -> Option<&Value> {
        self.configs.iter().find(|(file, _)| file.ends_with(name)).map(|(_, value)| value)
    }

    /// The bytes of the file whose name is `name`, or ends with it (`tokenizer.model`).
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such file; errors of reading.
    pub fn file(&self, name: &str) -> Result<Vec<u8>> {
        let exact = self.members.iter().find(|member| member.name == name);
        let member = exact.or_else(|| self.members.iter().find(|m| m.name.ends_with(name)));
        let member = member.ok_or_else(|| Error::Missing {
            path: self.path.clone(),
            what: format!("file `{name}`"),
        })?;
        member.source.read_all(MAX_FILE).map_err(|fault| fault.at(&self.path))
    }

    fn join(&self) -> Outcome<StateDict> {
        let prefix = |part: &Part| match (self.kind, part.name.as_str()) {
            (ContainerKind::ModelScope, "masknet") => "mask_net.".to_owned(),
            (_, name @ ("encoder" | "decoder" | "masknet")) => format!("{name}."),
            (_, name @ ("mossformer" | "generator")) => format!("{name}_ckpt."),
            _ => String::new(),
        };
        let mut joined = match self.parts.as_slice() {
            [] => StateDict::default(),
            [part] => part.state.clone(),
            parts => match parts.iter().find(|part| part.name == "embedding_model") {
                Some(part) => part.state.clone(),
                None => {
                    let mut joined = StateDict::default();
                    for part in parts {
                        let mut state = part.state.clone();
                        super::clean::clean_names(&mut state)?;
                        joined.extend(state.prefixed(&prefix(part)));
                    }
                    joined
                }
            },
        };
        joined.path.clone_from(&self.path);
        standalone::rename(&mut joined);
        Ok(joined)
    }
}

/// Largest file that [`Container::file`] gives out whole.
const MAX_FILE: u64 = 1 << 30;
