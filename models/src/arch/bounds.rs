//! Bounds of the sizes that configs state.

use crate::error::{Error, Result};

/// Refuses sizes outside of what a network may have.
pub(super) fn check_sizes(sizes: &[(&str, i64, i64)]) -> Result<()> {
    for &(field, size, limit) in sizes {
        if !(1..=limit).contains(&size) {
            return Err(Error::config(field, format!("{size} is not between 1 and {limit}")));
        }
    }
    Ok(())
}
