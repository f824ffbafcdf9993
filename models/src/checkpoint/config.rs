//! Configs beside weights, YAML or JSON, as JSON values. Tags of other programs (`!new:`, `!ref`,
//! `!!python/tuple`) are passed over, so a reference stays the text that it is written as.

use serde_json::Value;

use super::fault::{Fault, Outcome};
use super::source::Source;

/// Largest config.
const MAX_SIZE: u64 = 16 << 20;

/// Whether a file of this name is a config.
pub(crate) fn is_config(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending))
}

/// Reads a config by its name's ending.
pub(crate) fn read(name: &str, source: &Source) -> Outcome<Value> {
    let bytes = source.read_all(MAX_SIZE)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Fault::Damaged(format!("the config {name} is no UTF-8 text")))?;
    let text = text.trim_start_matches('\u{feff}');
    let broken = |reason: String| Fault::Damaged(format!("the config {name} is broken: {reason}"));
    if name.to_ascii_lowercase().ends_with(".json") {
        serde_json::from_str(text).map_err(|error| broken(error.to_string()))
    } else {
        // Strict booleans: the reference's reader takes `n` and `y` (pieces of vocabularies) as text.
        let options = serde_saphyr::options! {
            strict_booleans: true,
            with_snippet: false,
            non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
            duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
        };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            // The first line says what is wrong; an excerpt follows.
            broken(error.to_string().lines().next().unwrap_or_default().to_owned())
        })
    }
}
