//! What is in a checkpoint, for people and as JSON. No tensor data is read for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::architecture::Detection;
use super::clean::clean_names;
use super::container::{Container, Part};
use super::detect::detect;
use super::dtype::DType;
use super::state_dict::StateDict;
use super::steps::Step;
use super::value::Value;
use super::weight_norm;
use crate::error::Result;

/// A tensor of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorDescription {
    /// Name as in the file.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape.
    pub shape: Vec<usize>,
}

/// One module of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartDescription {
    /// Role.
    pub name: String,
    /// File inside the container.
    pub file: String,
    /// Recognised architecture of this part alone.
    pub detection: Option<Detection>,
    /// Tensors in the file's order.
    pub tensors: Vec<TensorDescription>,
    /// Elements of float tensors.
    pub parameters: u64,
    /// Bytes of all tensors.
    pub bytes: u64,
    /// Text metadata.
    pub metadata: BTreeMap<String, String>,
    /// Values beside the weights.
    pub values: Value,
    /// What is done to the names on loading.
    pub steps: Vec<Step>,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// File or folder.
    pub path: PathBuf,
    /// Layout.
    pub container: String,
    /// Recognised architecture of the whole.
    pub detection: Option<Detection>,
    /// Elements of float tensors of all parts.
    pub parameters: u64,
    /// Bytes of all tensors of all parts.
    pub bytes: u64,
    /// Modules.
    pub parts: Vec<PartDescription>,
    /// Configs by file name.
    pub configs: BTreeMap<String, serde_json::Value>,
    /// All files of the container.
    pub files: Vec<String>,
    /// What could not be used.
    pub notes: Vec<String>,
}

/// Describes a file or folder.
///
/// # Errors
/// As [`Container::open`].
pub fn describe(path: impl AsRef<Path>) -> Result<Description> {
    let container = Container::open(path)?;
    let parts: Vec<_> = container.parts.iter().map(describe_part).collect::<Result<_>>()?;
    let whole = container.state_dict().ok().and_then(detect);
    Ok(Description {
        detection: whole.or_else(|| parts.iter().find_map(|part| part.detection)),
        path: container.path,
        container: container.kind.to_string(),
        parameters: parts.iter().map(|part| part.parameters).sum(),
        bytes: parts.iter().map(|part| part.bytes).sum(),
        parts,
        configs: container.configs.into_iter().collect(),
        files: container.members.into_iter().map(|member| member.name).collect(),
        notes: container.notes,
    })
}

fn describe_part(part: &Part) -> Result<PartDescription> {
    let state = &part.state;
    let tensors = state.iter().map(|(name, tensor)| TensorDescription {
        name: name.to_owned(),
        dtype: tensor.dtype(),
        shape: tensor.shape().to_vec(),
    });
    Ok(PartDescription {
        name: part.name.clone(),
        file: part.file.clone(),
        detection: detect(state),
        tensors: tensors.collect(),
        parameters: state.parameter_count(),
        bytes: state.byte_count(),
        metadata: state.metadata.clone(),
        values: state.extra.clone(),
        steps: planned_steps(state)?,
    })
}

/// The steps that cleaning would do, without doing the arithmetic.
fn planned_steps(state: &StateDict) -> Result<Vec<Step>> {
    let mut plan = state.clone();
    clean_names(&mut plan).map_err(|fault| fault.at(&state.path))?;
    weight_norm::use_old_names(&mut plan);
    let count = weight_norm::pairs(&plan, |_| true).len();
    if count > 0 {
        plan.steps.push(Step::Folded { count });
    }
    Ok(plan.steps)
}

/// Longest text of a metadata or other value that is shown.
const SHOWN: usize = 120;

impl std::fmt::Display for Description {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.path.display())?;
        writeln!(f, "  container     {}", self.container)?;
        match &self.detection {
            Some(found) => writeln!(f, "  architecture  {found}")?,
            None => writeln!(f, "  architecture  not recognised")?,
        }
        writeln!(f, "  parameters    {}", grouped(self.parameters))?;
        writeln!(f, "  tensor bytes  {}", grouped(self.bytes))?;
        for name in self.configs.keys() {
            writeln!(f, "  config        {name}")?;
        }
        for note in &self.notes {
            writeln!(f, "  note          {note}")?;
        }
        for part in &self.parts {
            part.fmt(f)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for PartDescription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "part {} ({}), {} tensors", self.name, self.file, self.tensors.len())?;
        for step in &self.steps {
            writeln!(f, "  on loading    {step}")?;
        }
        for (key, value) in &self.metadata {
            writeln!(f, "  metadata      {key} = {}", shortened(value))?;
        }
        if let Value::Dict(items) = &self.values {
            for (key, value) in items {
                writeln!(f, "  value         {key} = {}", shortened(&value.to_json().to_string()))?;
            }
        }
        let width = self.tensors.iter().map(|tensor| tensor.name.len()).max().unwrap_or(0).min(80);
        for tensor in &self.tensors {
            let TensorDescription { name, dtype, shape } = tensor;
            writeln!(f, "  {name:width$}  {:9}  {shape:?}", dtype.name())?;
        }
        Ok(())
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
