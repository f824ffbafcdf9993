//! How well formant and others resample: tones through each of them, looked at by one program.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::jobs::Program;
use super::tool::{self, Tool};
use crate::problem::{Problem, Result};
use crate::shell;

/// Converters of other libraries, as `bench/peers.py` calls them.
const KINDS: &[(Program, &str)] = &[
    (Program::Soxr, "soxr-HQ"),
    (Program::Soxr, "soxr-VHQ"),
    (Program::Torchaudio, "torchaudio-hann"),
    (Program::Torchaudio, "torchaudio-kaiser_best"),
];

const DIRECTIONS: [(&str, u32, u32); 2] = [("down", 44_100, 16_000), ("up", 16_000, 48_000)];

/// The table as text; the picture goes to `picture`.
pub(super) fn measure(
    examples: &Path,
    tools: &mut [Tool],
    folder: &Path,
    picture: &Path,
) -> Result<String> {
    eprintln!("bench-peers: quality of resampling");
    let folder = folder.join("tones");
    for path in [Some(folder.as_path()), picture.parent()].into_iter().flatten() {
        fs::create_dir_all(path).map_err(|error| {
            Problem::new(format!("{}: {error}", path.display()), "see that it can be written")
        })?;
    }
    let program = examples.join("resampling_quality");
    let remedy = "the lines above say why";
    let mut tones = Command::new(&program);
    shell::run(tones.arg("tones").arg(&folder).stdin(Stdio::null()), remedy)?;
    for &(program, kind) in KINDS {
        for (direction, from, to) in DIRECTIONS {
            let (source, target) = (
                folder.join(format!("{direction}.f32")),
                folder.join(format!("{direction}.{kind}.f32")),
            );
            // A request is a line of words.
            if source.to_string_lossy().contains(char::is_whitespace) {
                return Err(Problem::new(
                    format!("{} has a space in it", source.display()),
                    "move the clone to a folder without spaces",
                ));
            }
            let request =
                format!("convert {kind} {from} {to} {} {}", source.display(), target.display());
            tool::of(tools, program)?.ask(&request)?;
        }
    }
    let mut report = Command::new(&program);
    report.arg("report").arg(&folder).arg(picture).args(KINDS.iter().map(|(_, kind)| kind));
    report.stdin(Stdio::null()).stderr(Stdio::inherit());
    let shown = shell::line(&report);
    match report.output() {
        Ok(done) if done.status.success() => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        _ => Err(Problem::new(format!("`{shown}` failed"), remedy)),
    }
}
