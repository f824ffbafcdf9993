//! Folders, told by the files that only their layout has.

use std::path::Path;

use super::super::config;
use super::super::detect::detect;
use super::super::open::{format, read_source};
use super::super::source::ByteSource;
use super::{Container, ContainerKind, Member};
use crate::error::{Error, Result};

/// Text files that name the weight files beside them.
const POINTERS: [&str; 2] = ["last_best_checkpoint", "last_checkpoint"];
/// Longest pointer file.
const MAX_POINTER: u64 = 4096;
/// Most files that are looked at.
const MAX_FILES: usize = 10_000;

/// Whether a file is a pointer to weight files.
pub(super) fn is_pointer(name: &str, source: &ByteSource) -> bool {
    POINTERS.contains(&name) && source.len() <= MAX_POINTER
}

/// Opens a folder.
pub(super) fn open(path: &Path) -> Result<Container> {
    let folder = Folder::list(path)?;
    let has = |name: &str| folder.find(name).is_some();
    let kind = if has("model_config.yaml") && has("model_weights.ckpt") {
        ContainerKind::Nemo
    } else if has("hyperparams.yaml") {
        ContainerKind::SpeechBrain
    } else if POINTERS
        .iter()
        .any(|name| folder.find(name).is_some_and(|m| is_pointer(name, &m.source)))
    {
        ContainerKind::ClearerVoice
    } else if has("configuration.json") {
        ContainerKind::ModelScope
    } else if has("masknet.ckpt") || folder.is_standalone() {
        ContainerKind::MossFormer2Standalone
    } else if has("adapter_config.json") {
        ContainerKind::Peft
    } else if has("config.json") && HUB_FILES.iter().any(|name| has(name)) {
        ContainerKind::HuggingFace
    } else {
        ContainerKind::Folder
    };
    let weights = folder.weights(kind)?;
    let mut container = Container::new(path, kind, folder.members);
    for (name, member) in &weights {
        container
            .add_part(name, &member.name, &member.source)
            .map_err(|fault| fault.at(&path.join(&member.name)))?;
    }
    container.read_configs();
    Ok(container)
}

const HUB_FILES: [&str; 4] = [
    "model.safetensors",
    "pytorch_model.bin",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
];

struct Folder<'a> {
    path: &'a Path,
    members: Vec<Member>,
}

impl<'a> Folder<'a> {
    fn list(path: &'a Path) -> Result<Self> {
        let io = |error| Error::io(path, error);
        let mut members = Vec::new();
        for entry in std::fs::read_dir(path).map_err(io)?.take(MAX_FILES) {
            let entry = entry.map_err(io)?;
            // Files that vanish or may not be read are as good as absent.
            if let Ok(source) = ByteSource::file(&entry.path())
                && entry.path().is_file()
            {
                let name = entry.file_name().to_string_lossy().into_owned();
                members.push(Member { name, source });
            }
        }
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { path, members })
    }

    fn find(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    fn missing(&self, what: impl Into<String>) -> Error {
        Error::Missing { path: self.path.to_path_buf(), what: what.into() }
    }

    fn is_standalone(&self) -> bool {
        self.find("config.json")
            .and_then(|member| config::read(&member.name, &member.source).ok())
            .is_some_and(|config| {
                let inner = config.get("config").unwrap_or(&config);
                inner.get("masknet_numspks").is_some()
            })
    }

    /// The weight files with their roles.
    fn weights(&self, kind: ContainerKind) -> Result<Vec<(String, Member)>> {
        let named = |name: &str, file: &str| -> Result<Vec<(String, Member)>> {
            let member = self.find(file).ok_or_else(|| self.missing(format!("file `{file}`")))?;
            Ok(vec![(name.to_owned(), member.clone())])
        };
        match kind {
            ContainerKind::Nemo => named("model", "model_weights.ckpt"),
            ContainerKind::SpeechBrain => self.by_stem(".ckpt"),
            ContainerKind::ClearerVoice => self.pointed(),
            ContainerKind::ModelScope => match self.by_stem(".bin") {
                Ok(parts) => Ok(parts),
                Err(_) => self.only(),
            },
            ContainerKind::MossFormer2Standalone => match self.find("model.safetensors") {
                Some(_) => named("model", "model.safetensors"),
                None => self.by_stem(".ckpt"),
            },
            ContainerKind::Peft => match self.find("adapter_model.safetensors") {
                Some(_) => named("model", "adapter_model.safetensors"),
                None => named("model", "adapter_model.bin"),
            },
            ContainerKind::HuggingFace => self.hub(),
            _ => self.only(),
        }
    }

    /// All files with an ending, the stem as the role.
    fn by_stem(&self, ending: &str) -> Result<Vec<(String, Member)>> {
        let parts: Vec<_> = self
            .members
            .iter()
            .filter(|member| matches!(format(&member.source), Ok(Some(_))))
            .filter_map(|member| {
                Some((member.name.strip_suffix(ending)?.to_owned(), member.clone()))
            })
            .collect();
        if parts.is_empty() {
            Err(self.missing(format!("{ending} weight file")))
        } else {
            Ok(parts)
        }
    }

    fn pointed(&self) -> Result<Vec<(String, Member)>> {
        let pointer = POINTERS.iter().find_map(|name| self.find(name));
        let pointer = pointer.ok_or_else(|| self.missing("pointer file"))?;
        let text = pointer
            .source
            .read_all(MAX_POINTER)
            .map_err(|fault| fault.at(&self.path.join(&pointer.name)))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        // A third line names discriminators and optimiser state.
        let lines: Vec<_> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).take(2).collect();
        let roles: &[&str] =
            if lines.len() == 2 { &["mossformer", "generator"] } else { &["model"] };
        lines
            .iter()
            .zip(roles)
            .map(|(line, role)| {
                // Only a name: paths of the training machine mean nothing here.
                let file = line.rsplit(['/', '\\']).next().unwrap_or_default();
                let member = self.find(file).ok_or_else(|| {
                    self.missing(format!("file `{file}`, which {} names", pointer.name))
                })?;
                Ok(((*role).to_owned(), member.clone()))
            })
            .collect()
    }

    /// The weights of a hub folder, which may be split over several files.
    fn hub(&self) -> Result<Vec<(String, Member)>> {
        for name in &HUB_FILES[..2] {
            if let Some(member) = self.find(name) {
                return Ok(vec![("model".into(), member.clone())]);
            }
        }
        let index = HUB_FILES[2..].iter().find_map(|name| self.find(name));
        let index = index.ok_or_else(|| self.missing("weight file"))?;
        let map = config::read(&index.name, &index.source)
            .map_err(|fault| fault.at(&self.path.join(&index.name)))?;
        let mut files: Vec<&str> = map["weight_map"]
            .as_object()
            .ok_or_else(|| self.missing(format!("weight_map of {}", index.name)))?
            .values()
            .filter_map(|file| file.as_str())
            .collect();
        files.sort_unstable();
        files.dedup();
        files
            .into_iter()
            .map(|file| {
                let member =
                    self.find(file).ok_or_else(|| self.missing(format!("file `{file}`")))?;
                Ok((file.to_owned(), member.clone()))
            })
            .collect()
    }

    /// The only weight file of a folder, or the only one with a known network: others may hold inputs
    /// or activations.
    fn only(&self) -> Result<Vec<(String, Member)>> {
        let found: Vec<_> = self
            .members
            .iter()
            .filter(|member| matches!(format(&member.source), Ok(Some(_))))
            .collect();
        match found.as_slice() {
            [member] => Ok(vec![("model".into(), (*member).clone())]),
            [] => Err(Error::unsupported(
                self.path,
                "no weight file in this folder; name a .safetensors, .pth, .pt, .ckpt, .bin or \
                 .nemo file",
            )),
            several => {
                let is_network = |member: &Member| {
                    read_source(&member.source).is_ok_and(|state| detect(&state).is_some())
                };
                let networks: Vec<_> =
                    several.iter().copied().filter(|member| is_network(member)).collect();
                if let [network] = networks.as_slice() {
                    return Ok(vec![("model".into(), (*network).clone())]);
                }
                let named = if networks.is_empty() { several } else { networks.as_slice() };
                let names: Vec<_> = named.iter().take(8).map(|m| m.name.as_str()).collect();
                let reason = format!(
                    "{} weight files in this folder; name one of them: {}",
                    named.len(),
                    names.join(", ")
                );
                Err(Error::unsupported(self.path, reason))
            }
        }
    }
}
