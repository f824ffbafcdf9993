//! Where a training writes.

use std::path::PathBuf;

/// The files of a training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainPaths {
    /// The finished model.
    pub output: PathBuf,
    /// State after the last epoch; removed when training is done.
    pub state: PathBuf,
    /// The best model so far; removed when training is done.
    pub partial: PathBuf,
}

impl TrainPaths {
    /// State and best model beside the output, as `OUTPUT.state` and `OUTPUT.partial`.
    #[must_use]
    pub fn of(output: impl Into<PathBuf>) -> Self {
        let output = output.into();
        let beside = |ending: &str| {
            let mut name = output.file_name().unwrap_or_default().to_owned();
            name.push(ending);
            output.with_file_name(name)
        };
        Self { state: beside(".state"), partial: beside(".partial"), output }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_lies_beside_the_model() {
        let paths = TrainPaths::of("models/mine.safetensors");
        assert_eq!(paths.state, PathBuf::from("models/mine.safetensors.state"));
        assert_eq!(paths.partial, PathBuf::from("models/mine.safetensors.partial"));
    }
}
