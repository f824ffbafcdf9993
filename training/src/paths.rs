//! Where a training writes.

use std::path::PathBuf;

/// The files of a training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainPaths {
    /// The finished model.
    pub output: PathBuf,
    /// State after the last epoch; removed when training is done.
    pub state: PathBuf,
}

impl TrainPaths {
    /// The state beside the output, as `OUTPUT.state`.
    #[must_use]
    pub fn of(output: impl Into<PathBuf>) -> Self {
        let output = output.into();
        let mut state = output.file_name().unwrap_or_default().to_owned();
        state.push(".state");
        Self { state: output.with_file_name(state), output }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_lies_beside_the_model() {
        let paths = TrainPaths::of("models/mine.safetensors");
        assert_eq!(paths.state, PathBuf::from("models/mine.safetensors.state"));
    }
}
