//! What a state dict is, wrapper prefixes or not.

use super::architecture::Detection;
use super::clean::clean_names;
use super::state_dict::StateDict;
use super::table::{Row, row_of};

/// Recognizes a state dict, wrapper prefixes or not.
#[must_use]
pub fn detect(state: &StateDict) -> Option<Detection> {
    detection_row(state).map(Row::detection)
}

/// The row of a state dict.
pub(crate) fn detection_row(state: &StateDict) -> Option<&'static Row> {
    let mut cleaned = state.clone();
    // When copies can't be read, the names alone still tell.
    let _ = clean_names(&mut cleaned);
    row_of(&cleaned)
}
