//! What users call: audio in, results out.

pub mod chunked;
pub mod enhance;
mod mono_stream;
pub mod separate;
pub mod speaker;
pub mod spot;
pub mod stems;
pub mod transcribe;

use crate::checkpoint::Architecture;

/// The tasks by the names of their commands, and the architectures that each of them runs.
pub const TASKS: &[(&str, &[Architecture])] = &[
    ("enhance", enhance::ARCHITECTURES),
    ("separate", separate::ARCHITECTURES),
    ("speaker", speaker::ARCHITECTURES),
    ("spot", spot::ARCHITECTURES),
    ("stems", stems::ARCHITECTURES),
    ("transcribe", transcribe::ARCHITECTURES),
];

/// Whether a task runs networks of this architecture.
#[must_use]
pub fn runs(task: &str, architecture: Architecture) -> bool {
    TASKS.iter().any(|(name, networks)| *name == task && networks.contains(&architecture))
}
