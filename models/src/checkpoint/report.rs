//! How the tensors of a checkpoint fitted a network. What fits is decided where a network takes its
//! tensors, in `params`.

use std::path::PathBuf;

use serde::Serialize;

use super::steps::Step;

/// What to accept when loading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FitOptions {
    /// Patterns (`*` = any text) of names that may be missing or left over, such as buffers that
    /// the network rebuilds.
    pub ignore: Vec<String>,
}

impl Default for FitOptions {
    /// Ignores the batch counters of batch normalisation, which inference never uses.
    fn default() -> Self {
        Self { ignore: vec!["*num_batches_tracked".into()] }
    }
}

impl FitOptions {
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
    /// The checkpoint, where it is a file.
    #[serde(skip)]
    pub path: PathBuf,
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
        if !self.path.as_os_str().is_empty() {
            write!(f, "{}: ", self.path.display())?;
        }
        write!(f, "the checkpoint does not fit the network: {} matched", self.matched)?;
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
