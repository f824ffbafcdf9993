//! What must be built and installed before anything is measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::problem::{Problem, Result};
use crate::shell;

/// Builds formant's side and returns the folder of its programs.
pub(super) fn build_formant() -> Result<PathBuf> {
    let remedy = "the compiler's first error above says why";
    let mut build = shell::cargo();
    build.args(["build", "--release", "--package", "formant-audio-core"]);
    build.args(["--example", "peer_jobs", "--example", "resampling_quality"]);
    shell::run(&mut build, remedy)?;
    let own = std::env::current_exe();
    let target = own.as_deref().ok().and_then(|own| own.parent()?.parent());
    let target = target.ok_or_else(|| Problem::new("the build folder can't be found", remedy))?;
    Ok(target.join("release").join("examples"))
}

/// The interpreter of an environment with the other libraries, which is made when it is missing.
pub(super) fn environment(folder: &Path) -> Result<PathBuf> {
    let remedy = "see that Python 3.11 to 3.14 with venv is there, or give --python and an \
                  interpreter that has the packages of bench/requirements.txt";
    let list = shell::root().join("bench").join("requirements.txt");
    let failed = |path: &Path, error: std::io::Error| {
        Problem::new(
            format!("{}: {error}", path.display()),
            "restore it, or see that it can be written",
        )
    };
    let wanted = fs::read_to_string(&list).map_err(|error| failed(&list, error))?;
    let venv = folder.join("venv");
    let (record, python) = (venv.join("installed.txt"), venv.join("bin").join("python"));
    if fs::read_to_string(&record).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&venv).stdin(Stdio::null());
    shell::run(&mut make, remedy)?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]);
    pip.args(["--only-binary=:all:", "--requirement"]).arg(&list).stdin(Stdio::null());
    // The temporary folder of the system is often too small for what is unpacked there.
    pip.env("TMPDIR", folder);
    shell::run(&mut pip, remedy)?;
    fs::write(&record, wanted).map_err(|error| failed(&record, error))?;
    Ok(python)
}
