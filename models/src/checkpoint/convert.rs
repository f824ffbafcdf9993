//! Any checkpoint to one safetensors file with plain names, its configs in the metadata.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::architecture::Detection;
use super::average::{Share, average};
use super::clean::{WeightNorm, clean};
use super::container::Container;
use super::detect::detect;
use super::dtype::DType;
use super::safetensors::write_safetensors;
use super::steps::Step;
use super::tensor::RawTensor;
use crate::error::{Error, Result};

/// Metadata key of the configs: a JSON object by file name.
pub const CONFIGS_KEY: &str = "formant.configs";
/// Metadata key of the values beside the weights: a JSON object.
pub const VALUES_KEY: &str = "formant.values";
/// Metadata key of the architecture's name.
pub const ARCHITECTURE_KEY: &str = "formant.architecture";

/// How to convert.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConvertOptions {
    /// Type of all float tensors: `F16`, `BF16` or `F32`; `None` keeps each as it is.
    pub precision: Option<DType>,
    /// What to do with weight normalisation.
    pub weight_norm: WeightNorm,
    /// Checkpoints of the same network that the weights are averaged with.
    pub average: Vec<Share>,
    /// Entries for the provenance of a model of formant's own, such as its licence and its measured
    /// quality: each takes the place of one of its name, and null removes it.
    pub provenance: serde_json::Map<String, serde_json::Value>,
}

/// What a conversion did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConvertReport {
    /// What was read.
    pub input: PathBuf,
    /// What was written.
    pub output: PathBuf,
    /// Layout of the input.
    pub container: String,
    /// Recognised architecture.
    pub detection: Option<Detection>,
    /// What was done to names and nesting.
    pub steps: Vec<Step>,
    /// Number of tensors written.
    pub tensors: usize,
    /// Bytes of tensors written.
    pub bytes: u64,
    /// Float tensors whose type changed.
    pub rounded: usize,
    /// Complex tensors that were written as pairs of floats.
    pub complex: Vec<String>,
}

impl std::fmt::Display for ConvertReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} -> {}", self.input.display(), self.output.display())?;
        match &self.detection {
            Some(found) => writeln!(f, "  {}, {found}", self.container)?,
            None => writeln!(f, "  {}, architecture not recognised", self.container)?,
        }
        for step in &self.steps {
            writeln!(f, "  {step}")?;
        }
        for name in &self.complex {
            writeln!(f, "  wrote the complex {name} as pairs of floats")?;
        }
        if self.rounded > 0 {
            writeln!(f, "  changed the type of {} tensors", self.rounded)?;
        }
        write!(f, "  wrote {} tensors, {} bytes", self.tensors, self.bytes)
    }
}

/// Converts the checkpoint at `input` to the safetensors file `output`.
///
/// # Errors
/// When the input can't be read, a weight does not fit the precision, or the output can't be
/// written.
pub fn convert(input: &Path, output: &Path, options: &ConvertOptions) -> Result<ConvertReport> {
    if options.precision.is_some_and(|dtype| !dtype.is_float()) {
        return Err(Error::config("precision", "it must be f32, f16 or bf16"));
    }
    let container = Container::open(input)?;
    let mut state = container.state_dict()?.clone();
    clean(&mut state, options.weight_norm)?;
    if !options.average.is_empty() {
        average(&mut state, input, &options.average, options.weight_norm)?;
    }
    let detection = detect(&state);
    let mut complex = Vec::new();
    let mut rounded = 0;
    for (name, tensor) in &mut state.tensors {
        if tensor.dtype() == DType::Complex64 {
            complex.push(name.clone());
        }
        let mut plain = tensor.complex_as_pairs().map_err(|fault| fault.at(input))?;
        if let Some(dtype) = options.precision {
            plain = round(name, &plain, dtype).map_err(|error| with_path(error, input))?;
            rounded += usize::from(plain.dtype() != tensor.dtype());
        }
        *tensor = plain;
    }
    let mut metadata = state.metadata.clone();
    if !options.provenance.is_empty() {
        amend_card(&mut metadata, &options.provenance).ok_or_else(|| {
            let reason = format!(
                "{} is no model of formant's own, so that nothing can be said about it in its card",
                input.display()
            );
            Error::config("provenance", reason)
        })?;
    }
    if !container.configs.is_empty() {
        let configs: serde_json::Map<_, _> = container.configs.iter().cloned().collect();
        metadata.insert(CONFIGS_KEY.into(), serde_json::Value::Object(configs).to_string());
    }
    if !state.extra.is_empty() {
        metadata.insert(VALUES_KEY.into(), state.extra.to_json().to_string());
    }
    if let Some(found) = detection {
        metadata.insert(ARCHITECTURE_KEY.into(), found.architecture.name().into());
    }
    // Tools look for it to know that names and shapes are torch's.
    metadata.entry("format".into()).or_insert_with(|| "pt".into());
    write_safetensors(output, &state, &metadata)?;
    Ok(ConvertReport {
        input: input.to_path_buf(),
        output: output.to_path_buf(),
        container: container.kind.to_string(),
        detection,
        steps: state.steps.clone(),
        tensors: state.len(),
        bytes: state.byte_count(),
        rounded,
        complex,
    })
}

/// Changes the provenance in a model's card, which is the JSON object in the metadata that has one.
fn amend_card(
    metadata: &mut BTreeMap<String, String>,
    entries: &serde_json::Map<String, serde_json::Value>,
) -> Option<()> {
    let (text, mut card) = metadata.values_mut().find_map(|text| {
        let card: serde_json::Value = serde_json::from_str(text).ok()?;
        card.get("provenance").is_some().then_some((text, card))
    })?;
    let provenance = card.get_mut("provenance")?;
    if !provenance.is_object() {
        *provenance = serde_json::Value::Object(serde_json::Map::new());
    }
    let provenance = provenance.as_object_mut()?;
    for (name, value) in entries {
        if value.is_null() {
            provenance.remove(name);
        } else {
            provenance.insert(name.clone(), value.clone());
        }
    }
    *text = card.to_string();
    Some(())
}

enum RoundError {
    Fault(super::fault::Fault),
    Overflow(String),
}

/// Rounds a tensor; a number that becomes infinite is an error.
fn round(
    name: &str,
    tensor: &RawTensor,
    dtype: DType,
) -> std::result::Result<RawTensor, RoundError> {
    let rounded = tensor.to_float(dtype).map_err(RoundError::Fault)?;
    if dtype == DType::F16 && tensor.dtype().is_float() && tensor.dtype() != DType::F16 {
        let before = tensor.to_f32_vec().map_err(RoundError::Fault)?;
        let after = rounded.to_f32_vec().map_err(RoundError::Fault)?;
        if before.iter().zip(&after).any(|(a, b)| a.is_finite() && !b.is_finite()) {
            return Err(RoundError::Overflow(name.to_owned()));
        }
    }
    Ok(rounded)
}

fn with_path(error: RoundError, path: &Path) -> Error {
    match error {
        RoundError::Fault(fault) => fault.at(path),
        RoundError::Overflow(name) => Error::config(
            "precision",
            format!("{name} has values beyond the range of f16 (65504); use bf16 or f32"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn cards_are_amended() {
        let card = json!({"config": 1, "provenance": {"data": "old", "recipe": 2}});
        let mut metadata = BTreeMap::from([
            ("format".to_owned(), "pt".to_owned()),
            ("formant.any".to_owned(), card.to_string()),
        ]);
        let entries = json!({"data": null, "licence": "MIT"});
        let entries = entries.as_object().expect("an object");
        amend_card(&mut metadata, entries).expect("a card");
        let found: Value = serde_json::from_str(&metadata["formant.any"]).expect("JSON");
        let wanted = json!({"config": 1, "provenance": {"licence": "MIT", "recipe": 2}});
        assert_eq!(found, wanted);
        metadata.remove("formant.any");
        assert_eq!(amend_card(&mut metadata, entries), None);
    }
}
