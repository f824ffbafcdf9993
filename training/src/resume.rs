//! The state of a training on disk: optimiser, best weights so far, and a record that says whose
//! state it is. One safetensors file, written as a whole or not at all.

use std::collections::BTreeMap;
use std::path::Path;

use formant_models::checkpoint::{self, RawTensor, StateDict};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::Tensor;

use crate::error::{Error, Result};
use crate::optim::AdamW;

const RECORD_KEY: &str = "resume";
const BEST_PREFIX: &str = "best.";

/// What a state file holds.
#[derive(Debug)]
pub struct Saved<R> {
    /// The record that was saved with the tensors.
    pub record: R,
    /// Tensors of the optimiser, for [`AdamW::restore`].
    pub optimizer: BTreeMap<String, Tensor>,
    /// The best weights so far; empty where there were none.
    pub best: BTreeMap<String, Tensor>,
}

/// Writes the state of a training.
///
/// # Errors
/// What writing says.
pub fn save(
    path: &Path,
    record: &impl Serialize,
    optimizer: &AdamW,
    best: Option<&BTreeMap<String, Tensor>>,
) -> Result<()> {
    let mut tensors = optimizer.state();
    for (name, tensor) in best.into_iter().flatten() {
        tensors.insert(format!("{BEST_PREFIX}{name}"), tensor.shallow_clone());
    }
    let record = serde_json::to_string(record).expect("a resume record is plain data");
    let metadata = BTreeMap::from([(RECORD_KEY.to_owned(), record)]);
    let mut state = StateDict::default();
    for (name, tensor) in tensors {
        state.insert(name, RawTensor::from_tensor(&tensor)?);
    }
    Ok(checkpoint::write_safetensors(path, &state, &metadata)?)
}

/// Reads a state; `None` when there is none, or none of this kind.
#[must_use]
pub fn load<R: DeserializeOwned>(path: &Path) -> Option<Saved<R>> {
    let state = checkpoint::read_state_dict(path).ok()?;
    let record = serde_json::from_str(state.metadata.get(RECORD_KEY)?).ok()?;
    let (mut optimizer, mut best) = (BTreeMap::new(), BTreeMap::new());
    for (name, raw) in state.iter() {
        let tensor = raw.to_tensor().ok()?;
        match name.strip_prefix(BEST_PREFIX) {
            Some(name) => best.insert(name.to_owned(), tensor),
            None => optimizer.insert(name.to_owned(), tensor),
        };
    }
    Some(Saved { record, optimizer, best })
}

/// Removes the state, or the best model so far, of a training that is done.
///
/// # Errors
/// [`Error::Write`] when it is there and can't be removed.
pub fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
