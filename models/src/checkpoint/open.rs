//! One weight file of any kind, told by its first bytes; names and endings do not matter.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::fault::{Fault, Outcome};
use super::source::Source;
use super::state_dict::StateDict;
use super::{safetensors, torch_legacy, torch_zip};
use crate::error::{Error, Result};

/// Format of a weight file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// safetensors.
    Safetensors,
    /// torch zip archive.
    TorchZip,
    /// torch before 1.6.
    TorchLegacy,
}

/// The format of a weight file, or `None` when it is none.
pub(crate) fn format(source: &Source) -> Outcome<Option<Format>> {
    let head = source.read_at(0, source.len().min(64) as usize)?;
    Ok(if head.starts_with(b"PK\x03\x04") {
        Some(Format::TorchZip)
    } else if torch_legacy::matches(&head) {
        Some(Format::TorchLegacy)
    } else if head.len() > 8 && head[8] == b'{' {
        Some(Format::Safetensors)
    } else {
        None
    })
}

/// Reads the weights in `source`.
///
/// # Errors
/// A [`Fault`] that says what is wrong with the bytes.
pub fn read_source(source: &Source) -> Outcome<StateDict> {
    match format(source)? {
        Some(Format::Safetensors) => safetensors::open(source),
        Some(Format::TorchZip) => torch_zip::open(source)?.into_state_dict(),
        Some(Format::TorchLegacy) => torch_legacy::open(source)?.into_state_dict(),
        None if source.is_empty() => Err(Fault::damaged("the file is empty")),
        None => Err(Fault::Unsupported(unknown(source)?)),
    }
}

/// Reads the weights of one file: safetensors, or any file that `torch.save` wrote. Names are as
/// in the file, without the key that the weights are wrapped in; see [`super::clean`].
///
/// # Errors
/// When the file can't be read, is damaged, or wants to run code.
pub fn read_state_dict(path: impl AsRef<Path>) -> Result<StateDict> {
    let path = path.as_ref();
    let source = Source::file(path).map_err(|error| Error::io(path, error))?;
    let mut state = read_source(&source).map_err(|fault| fault.at(path))?;
    state.path = path.to_path_buf();
    Ok(state)
}

/// Reads weights that are in memory; `name` stands for them in messages.
///
/// # Errors
/// As [`read_state_dict`].
pub fn read_bytes(bytes: impl Into<Arc<[u8]>>, name: &str) -> Result<StateDict> {
    let path = PathBuf::from(name);
    let mut state = read_source(&Source::Bytes(bytes.into())).map_err(|fault| fault.at(&path))?;
    state.path = path;
    Ok(state)
}

fn unknown(source: &Source) -> Outcome<String> {
    let head = source.read_at(0, source.len().min(64) as usize)?;
    Ok(if head.starts_with(b"version https://git-lfs") {
        "a Git LFS pointer, not the weights; fetch them with `git lfs pull`".into()
    } else if head.starts_with(b"\x89HDF") {
        "a Keras HDF5 file, which is not read; convert it to safetensors".into()
    } else if head.starts_with(b"<") {
        "a web page, not weights; the download needs another address or a login".into()
    } else {
        "no weights: neither safetensors nor a file written by torch.save".into()
    })
}
