//! Containers that are one file: weights, `.nemo` archives, `.npy` arrays.

use std::path::Path;

use super::super::fault::{Fault, Outcome};
use super::super::open::{format, read_source};
use super::super::source::ByteSource;
use super::super::state_dict::StateDict;
use super::super::{config, npy, tar};
use super::{Container, ContainerKind, Member, Part};
use crate::error::{Error, Result};

/// Opens a file.
pub(super) fn open(path: &Path) -> Result<Container> {
    let source = ByteSource::file(path).map_err(|error| Error::io(path, error))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(folder) = path.parent()
        && super::folder::is_pointer(&name, &source)
    {
        return super::folder::open(folder);
    }
    let mut container = single(path, name, &source).map_err(|fault| fault.at(path))?;
    if !matches!(container.kind, ContainerKind::Nemo) {
        add_neighbours(&mut container, path);
    }
    Ok(container)
}

fn single(path: &Path, name: String, source: &ByteSource) -> Outcome<Container> {
    let head = source.read_at(0, source.len().min(16) as usize)?;
    let member = Member { name: name.clone(), source: source.clone() };
    if npy::matches(&head) {
        let mut state = StateDict::default();
        state.insert("array", npy::open(source)?);
        let mut container = Container::new(path, ContainerKind::Npy, vec![member]);
        container.parts.push(Part { name: "array".into(), file: name, state });
        return Ok(container);
    }
    match format(source)? {
        Some(format) => {
            let mut container = Container::new(path, ContainerKind::File(format), vec![member]);
            container.add_part("model", &name, source)?;
            Ok(container)
        }
        None if tar::matches(source) => nemo(path, source),
        None => Err(read_source(source).err().unwrap_or_else(|| Fault::damaged("no weights"))),
    }
}

/// A `.nemo` archive: config, weights and tokenizer in a tar.
pub(crate) fn nemo(path: &Path, source: &ByteSource) -> Outcome<Container> {
    let members = tar::members(source)?;
    let members = members.into_iter().map(|(name, source)| Member { name, source }).collect();
    let mut container = Container::new(path, ContainerKind::Nemo, members);
    let weights: Vec<_> = container
        .members
        .iter()
        .filter(|member| member.name.ends_with("model_weights.ckpt"))
        .cloned()
        .collect();
    let [weights] = weights.as_slice() else {
        return Err(Fault::Unsupported(
            "a tar archive, but no NeMo model: it needs exactly one model_weights.ckpt".into(),
        ));
    };
    container.add_part("model", &weights.name, &weights.source)?;
    container.read_configs();
    Ok(container)
}

/// Configs with the same stem, and the usual names.
fn add_neighbours(container: &mut Container, path: &Path) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut names: Vec<String> =
        ["yaml", "yml", "json"].iter().map(|ending| format!("{stem}.{ending}")).collect();
    let usual = [
        "config.json",
        "config.yaml",
        "model.yaml",
        "train.yaml",
        "units.txt",
        "lang_char.txt",
        "words.txt",
        "global_cmvn",
        "tokenizer.json",
        "vocab.json",
        "merges.txt",
    ];
    names.extend(usual.map(str::to_owned));
    for name in names {
        if let Ok(source) = ByteSource::file(&folder.join(&name))
            && !container.members.iter().any(|member| member.name == name)
        {
            container.members.push(Member { name, source });
        }
    }
    container.read_configs();
}

impl Container {
    pub(super) fn add_part(&mut self, name: &str, file: &str, source: &ByteSource) -> Outcome<()> {
        let mut state = read_source(source)?;
        state.path = match source {
            ByteSource::File { path, .. } => path.clone(),
            ByteSource::Bytes(_) => self.path.clone(),
        };
        self.parts.push(Part { name: name.to_owned(), file: file.to_owned(), state });
        Ok(())
    }

    /// Reads all members that are configs. A broken one is noted: the weights may do without.
    pub(super) fn read_configs(&mut self) {
        for member in self.members.iter().filter(|member| config::is_config(&member.name)) {
            match config::read(&member.name, &member.source) {
                Ok(value) => self.configs.push((member.name.clone(), value)),
                Err(fault) => self.notes.push(fault.to_string()),
            }
        }
    }
}
