//! The figures of `formant eval vocode` beside other libraries', and PESQ, on the speech of `samples/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Options, peers};
use crate::problem::{Problem, Result};
use crate::shell;

pub(super) fn run(options: &Options, folder: &Path) -> Result<()> {
    let program = peers::build_figures()?.join("vocoding_figures");
    let python = match &options.python {
        Some(python) => python.clone(),
        None => peers::environment_of_vocoding(folder)?,
    };
    let folder = folder.join("vocoding");
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    let remedy = "the lines above say why";
    let mut pairs = Command::new(&program);
    pairs.arg("pairs").arg(&folder).args(speech()?).stdin(Stdio::null());
    shell::run(&mut pairs, remedy)?;
    shell::run(Command::new(&program).arg("figures").arg(&folder).stdin(Stdio::null()), remedy)?;
    let mut others = Command::new(python);
    others.arg(shell::root().join("bench").join("vocoding.py")).arg(&folder).stdin(Stdio::null());
    shell::run(&mut others, remedy)
}

/// Recordings of single speakers without noise.
fn speech() -> Result<Vec<PathBuf>> {
    let folder = shell::root().join("samples");
    let entries = fs::read_dir(&folder).map_err(|error| failed(&folder, &error))?;
    let is_speech = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("speech_en_") && name.ends_with(".wav")
    };
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(is_speech).collect();
    found.sort();
    Ok(found)
}

fn failed(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(format!("{}: {error}", path.display()), "see that it can be read and written")
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_is_speech() {
        assert!(super::speech().expect("a folder").len() >= 4);
    }
}
