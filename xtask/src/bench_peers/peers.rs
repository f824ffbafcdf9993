//! What must be built and installed before anything is measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::problem::{Problem, Result};
use crate::shell;

/// Builds formant's side and returns the folder of its programs.
pub(super) fn build_formant() -> Result<PathBuf> {
    let examples = ["--example", "peer_jobs", "--example", "resampling_quality"];
    build(&[&["--package", "formant-audio-core"], examples.as_slice()].concat())
}

/// Builds formant's side of the figures of vocoding and returns the folder of its programs.
pub(super) fn build_figures() -> Result<PathBuf> {
    build(&["--package", "formant-audio-core", "--example", "vocoding_figures"])
}

/// Builds what `args` say as for a release, and returns the folder of the examples.
fn build(args: &[&str]) -> Result<PathBuf> {
    let remedy = "the compiler's first error above says why";
    shell::run(shell::cargo().args(["build", "--release"]).args(args), remedy)?;
    let own = std::env::current_exe();
    let target = own.as_deref().ok().and_then(|own| own.parent()?.parent());
    let target = target.ok_or_else(|| Problem::new("the build folder can't be found", remedy))?;
    Ok(target.join("release").join("examples"))
}

/// The `formant` command, built as for a release.
pub(super) fn build_command() -> Result<PathBuf> {
    let examples = build(&["--package", "formant-cli"])?;
    Ok(examples.with_file_name("formant"))
}

/// The interpreter of an environment with the other libraries, which is made when it is missing.
pub(super) fn environment(folder: &Path) -> Result<PathBuf> {
    let venv = folder.join("venv");
    let python = venv.join("bin").join("python");
    install(folder, "requirements.txt", &["--only-binary=:all:"], || {
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(&venv).stdin(Stdio::null());
        shell::run(&mut make, REMEDY)
    })?;
    Ok(python)
}

/// The same with the packages that hold networks, of whose dependencies most are never used.
pub(super) fn environment_of_networks(folder: &Path) -> Result<PathBuf> {
    let python = environment(folder)?;
    install(folder, "networks.txt", &["--no-deps"], || Ok(()))?;
    Ok(python)
}

/// The same with the packages that measure vocoding, one of which is compiled.
pub(super) fn environment_of_vocoding(folder: &Path) -> Result<PathBuf> {
    let python = environment(folder)?;
    install(folder, "vocoding.txt", &["--no-deps"], || Ok(()))?;
    Ok(python)
}

const REMEDY: &str = "see that Python 3.11 to 3.14 with venv is there, or give --python and an \
                      interpreter that has the packages of the lists in bench/";

fn failed(path: &Path, error: &std::io::Error) -> Problem {
    let remedy = "restore it, or see that it can be written";
    Problem::new(format!("{}: {error}", path.display()), remedy)
}

/// Installs the packages of a list in `bench/`, unless that has been done.
fn install(
    folder: &Path,
    list: &str,
    options: &[&str],
    prepare: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let record = folder.join("venv").join(format!("installed-{list}"));
    let list = shell::root().join("bench").join(list);
    let wanted = fs::read_to_string(&list).map_err(|error| failed(&list, &error))?;
    if fs::read_to_string(&record).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    prepare()?;
    let mut pip = Command::new(folder.join("venv").join("bin").join("python"));
    pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]);
    pip.args(options).arg("--requirement").arg(&list).stdin(Stdio::null());
    // The temporary folder of the system is often too small for what is unpacked there.
    pip.env("TMPDIR", folder);
    shell::run(&mut pip, REMEDY)?;
    fs::write(&record, wanted).map_err(|error| failed(&record, &error))
}
