//! Named tensors in their order, with what else the file says.

use std::collections::BTreeMap;
use std::path::PathBuf;

use indexmap::IndexMap;

use super::steps::Step;
use super::tensor::RawTensor;
use super::value::Value;

/// The weights of a network: tensors by name, in the file's order.
#[derive(Debug, Clone, Default)]
pub struct StateDict {
    /// Tensors by state-dict key.
    pub tensors: IndexMap<String, RawTensor>,
    /// Text metadata (safetensors).
    pub metadata: BTreeMap<String, String>,
    /// Values beside the weights: epoch, hyper-parameters, ... (torch files).
    pub extra: Value,
    /// What was done to the names and the nesting since the file was read.
    pub steps: Vec<Step>,
    /// The file; empty when the weights were made in memory.
    pub path: PathBuf,
}

impl StateDict {
    /// The tensor called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RawTensor> {
        self.tensors.get(name)
    }

    /// Adds or replaces a tensor.
    pub fn insert(&mut self, name: impl Into<String>, tensor: RawTensor) {
        self.tensors.insert(name.into(), tensor);
    }

    /// Number of tensors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there is no tensor.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Names in the file's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Names and tensors in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawTensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The tensors below `prefix` (such as `first_stage_model.`), without it.
    #[must_use]
    pub fn scoped(&self, prefix: &str) -> Self {
        let tensors = self
            .tensors
            .iter()
            .filter_map(|(name, tensor)| {
                Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
            })
            .collect();
        Self { tensors, ..self.clone_without_tensors() }
    }

    /// All tensors with `prefix` put in front of their names.
    #[must_use]
    pub fn prefixed(&self, prefix: &str) -> Self {
        let tensors = self
            .tensors
            .iter()
            .map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone()))
            .collect();
        Self { tensors, ..self.clone_without_tensors() }
    }

    /// Replaces every name by what `rename` gives, in order; a later tensor wins a clash.
    pub fn rename(&mut self, mut rename: impl FnMut(&str) -> String) {
        let tensors = std::mem::take(&mut self.tensors);
        self.tensors = tensors.into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect();
    }

    /// Adds all tensors, metadata and steps of `other`.
    pub fn extend(&mut self, other: Self) {
        self.tensors.extend(other.tensors);
        self.metadata.extend(other.metadata);
        self.steps.extend(other.steps);
    }

    /// Number of elements of all tensors that hold floats.
    #[must_use]
    pub fn parameter_count(&self) -> u64 {
        let floats = self.tensors.values().filter(|t| t.dtype().is_float());
        floats.map(|t| t.numel() as u64).sum()
    }

    /// Bytes of all tensors.
    #[must_use]
    pub fn byte_count(&self) -> u64 {
        self.tensors.values().map(|t| t.byte_len() as u64).sum()
    }

    fn clone_without_tensors(&self) -> Self {
        Self {
            tensors: IndexMap::new(),
            metadata: self.metadata.clone(),
            extra: self.extra.clone(),
            steps: self.steps.clone(),
            path: self.path.clone(),
        }
    }
}
