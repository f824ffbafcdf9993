//! How the tensors of a checkpoint fit the variables of a network: decided on names and shapes
//! before anything is copied, so that one report lists everything.

use std::collections::BTreeMap;

use serde::Serialize;

use super::clean::clean_names;
use super::fault::Outcome;
use super::glob;
use super::state_dict::StateDict;
use super::steps::Step;
use super::tensor::RawTensor;
use super::weight_norm;

/// What to accept when loading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadOptions {
    /// Patterns (`*` = any text) of names that may be missing or left over, such as buffers that
    /// the network rebuilds.
    pub ignore: Vec<String>,
}

impl Default for LoadOptions {
    /// Ignores the batch counters of batch normalisation, which inference never uses.
    fn default() -> Self {
        Self { ignore: vec!["*num_batches_tracked".into()] }
    }
}

impl LoadOptions {
    /// Adds patterns to the ignored ones.
    #[must_use]
    pub fn ignoring(mut self, patterns: &[&str]) -> Self {
        self.ignore.extend(patterns.iter().map(|pattern| (*pattern).to_owned()));
        self
    }
}

/// A tensor whose shape is not that of the variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrongShape {
    /// Name.
    pub name: String,
    /// Shape in the network.
    pub expected: Vec<usize>,
    /// Shape in the file.
    pub found: Vec<usize>,
}

/// How a checkpoint fitted a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LoadReport {
    /// Number of variables that got their values.
    pub matched: usize,
    /// Variables of the network that the file lacks.
    pub missing: Vec<String>,
    /// Tensors of the file that the network lacks.
    pub unexpected: Vec<String>,
    /// Same name, other shape.
    pub wrong_shape: Vec<WrongShape>,
    /// Tensors and variables that were left alone on purpose.
    pub ignored: Vec<String>,
    /// What was done to the names.
    pub steps: Vec<Step>,
}

impl LoadReport {
    /// Whether everything fitted.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.wrong_shape.is_empty()
    }
}

/// How many names of each kind a message shows.
const SHOWN: usize = 4;

impl std::fmt::Display for LoadReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} matched", self.matched)?;
        let list = |f: &mut std::fmt::Formatter<'_>, what: &str, names: &[String]| {
            if names.is_empty() {
                return Ok(());
            }
            let rest = names.len().saturating_sub(SHOWN);
            write!(f, "; {} {what}: {}", names.len(), names[..names.len() - rest].join(", "))?;
            if rest > 0 { write!(f, ", and {rest} more") } else { Ok(()) }
        };
        list(f, "missing in the file", &self.missing)?;
        list(f, "unexpected in the file", &self.unexpected)?;
        let shapes: Vec<String> = self
            .wrong_shape
            .iter()
            .map(|w| format!("{} (network {:?}, file {:?})", w.name, w.expected, w.found))
            .collect();
        list(f, "of wrong shape", &shapes)
    }
}

/// Tensors by the variable that they go into.
pub(crate) type Fitted = Vec<(String, RawTensor)>;

/// Fits `state` to the variables `expected` (name -> shape). Wrapper prefixes are tried with and
/// without; weight normalisation is folded where the network has a plain weight.
pub(crate) fn fit(
    state: &StateDict,
    expected: &BTreeMap<String, Vec<usize>>,
    options: &LoadOptions,
) -> Outcome<(Fitted, LoadReport)> {
    let mut plain = state.clone();
    weight_norm::use_old_names(&mut plain);
    let mut cleaned = state.clone();
    clean_names(&mut cleaned)?;
    weight_norm::use_old_names(&mut cleaned);
    let wrapped = cleaned.prefixed("model.");
    let hits = |candidate: &StateDict| {
        let found = |name: &str| {
            candidate.get(name).is_some() || candidate.get(&format!("{name}_v")).is_some()
        };
        expected.keys().filter(|name| found(name)).count()
    };
    let mut best = cleaned;
    for candidate in [plain, wrapped] {
        if hits(&candidate) > hits(&best) {
            best = candidate;
        }
    }
    weight_norm::fold(&mut best, |name| expected.contains_key(name))?;
    Ok(compare(best, expected, options))
}

fn compare(
    mut state: StateDict,
    expected: &BTreeMap<String, Vec<usize>>,
    options: &LoadOptions,
) -> (Fitted, LoadReport) {
    let ignored = |name: &str| options.ignore.iter().any(|pattern| glob::matches(pattern, name));
    let mut report = LoadReport { steps: std::mem::take(&mut state.steps), ..Default::default() };
    let mut fitted = Vec::with_capacity(expected.len());
    for (name, shape) in expected {
        match state.tensors.get(name) {
            Some(tensor) if fits(tensor, shape) => {
                report.matched += 1;
                fitted.push((name.clone(), tensor.clone()));
            }
            _ if ignored(name) => report.ignored.push(name.clone()),
            Some(tensor) => report.wrong_shape.push(WrongShape {
                name: name.clone(),
                expected: shape.clone(),
                found: tensor.shape().to_vec(),
            }),
            None => report.missing.push(name.clone()),
        }
    }
    for name in state.tensors.into_keys().filter(|name| !expected.contains_key(name)) {
        if ignored(&name) {
            report.ignored.push(name);
        } else {
            report.unexpected.push(name);
        }
    }
    (fitted, report)
}

/// Equal shapes; a complex tensor also fits as pairs of floats.
fn fits(tensor: &RawTensor, shape: &[usize]) -> bool {
    tensor.shape() == shape
        || tensor.dtype() == super::dtype::DType::Complex64
            && shape.split_last().is_some_and(|(pair, rest)| *pair == 2 && rest == tensor.shape())
}
