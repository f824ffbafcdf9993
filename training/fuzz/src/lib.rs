//! The manifest reader without libtorch, which the rest of its crate links.

use std::path::Path;

#[path = "../../src/manifest.rs"]
#[allow(dead_code, reason = "splitting and folders are not fuzzed")]
mod manifest;
#[path = "../../src/recording.rs"]
#[allow(dead_code, reason = "nothing is decoded")]
mod recording;
#[path = "../../src/table.rs"]
#[allow(dead_code, reason = "trials are not fuzzed")]
mod table;

/// The errors that the manifest reader makes.
mod error {
    use std::path::PathBuf;

    pub type Result<T> = std::result::Result<T, Error>;

    #[derive(Debug, thiserror::Error)]
    pub enum Error {
        #[error(transparent)]
        Audio(#[from] formant_audio_core::Error),
        #[error("{}: {source}", path.display())]
        Io { path: PathBuf, source: std::io::Error },
        #[error("{}: line {line}: {reason}", path.display())]
        Manifest { path: PathBuf, line: usize, reason: String },
        #[error("{0}")]
        Data(String),
    }

    impl Error {
        pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
            Self::Io { path: path.into(), source }
        }
    }
}

/// Read a manifest of any bytes and check what must hold for its rows.
pub fn manifest(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().count();
    match manifest::parse_table(&text, Path::new("base"), Path::new("list.tsv")) {
        Ok(rows) => {
            assert!(rows.len() <= lines);
            for row in rows {
                assert!(!row.path.as_os_str().is_empty());
                assert!(row.seconds.is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0));
                assert!(row.stretch.start >= 0.0);
                assert!(row.stretch.seconds.is_none_or(|seconds| seconds > 0.0));
            }
        }
        Err(error::Error::Manifest { line, reason, .. }) => {
            assert!((1..=lines).contains(&line) && !reason.is_empty());
        }
        Err(error) => panic!("a text alone cannot lead to {error}"),
    }
}
