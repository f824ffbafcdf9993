//! Finding a program that can install Python packages into a folder.
//!
//! Python itself is needed only here: libtorch is distributed as a Python package.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::problem::Result;
use crate::shell;

/// Python versions for which torch 2.11 has packages. Its libraries for C++ are the same in all.
const PYTHONS: std::ops::RangeInclusive<u32> = 10..=14;

/// A way to install packages.
#[derive(Debug)]
pub(crate) enum Installer {
    /// This interpreter has pip.
    Pip { python: &'static str, minor: u32 },
    /// This interpreter can make an environment that has pip.
    Venv { python: &'static str, minor: u32 },
    /// The uv program.
    Uv,
}

/// The first that works here.
pub(crate) fn installer() -> Option<Installer> {
    let names: &[&str] = if cfg!(windows) { &["python", "py"] } else { &["python3", "python"] };
    let pythons: Vec<(&'static str, u32)> =
        names.iter().filter_map(|&python| Some((python, minor(python)?))).collect();
    let with_module = |module: &str| {
        pythons.iter().copied().find(|(python, _)| shell::works(python, &["-c", module]))
    };
    if let Some((python, minor)) = with_module("import pip") {
        return Some(Installer::Pip { python, minor });
    }
    if let Some((python, minor)) = with_module("import venv, ensurepip") {
        return Some(Installer::Venv { python, minor });
    }
    shell::works("uv", &["--version"]).then_some(Installer::Uv)
}

/// The x of this interpreter's version 3.x.
fn minor(python: &str) -> Option<u32> {
    let version = shell::output(python, &["-c", "import sys; print(*sys.version_info[:2])"])?;
    let (major, minor) = version.trim().split_once(' ')?;
    if major == "3" { minor.parse().ok() } else { None }
}

/// Installs `packages`, without those that they depend on, into the folder `target`.
///
/// `kept` is a folder for downloads, which are not fetched again if they are complete; `scratch`
/// is one for temporary files.
pub(crate) fn install(
    installer: &Installer,
    packages: &[&str],
    target: &Path,
    kept: &Path,
    scratch: &Path,
    remedy: &str,
) -> Result<()> {
    let (python, minor) = match installer {
        Installer::Pip { python, minor } => (PathBuf::from(python), *minor),
        Installer::Venv { python, minor } => (venv(python, scratch, remedy)?, *minor),
        Installer::Uv => {
            let mut uv = Command::new("uv"); // keeps downloads by itself
            uv.args(["pip", "install", "--python-version", "3.12", "--no-deps", "--target"]);
            return shell::run(uv.arg(target).args(packages), remedy);
        }
    };
    let mut download = pip(&python, minor, "download", scratch);
    download.arg("--dest").arg(kept).args(packages);
    shell::run(&mut download, remedy)?;
    let mut install = pip(&python, minor, "install", scratch);
    install.args(["--no-compile", "--no-index", "--find-links"]).arg(kept);
    install.arg("--target").arg(target).args(packages);
    shell::run(&mut install, remedy)
}

/// Makes an environment with pip and returns its interpreter.
fn venv(python: &str, scratch: &Path, remedy: &str) -> Result<PathBuf> {
    let venv = scratch.join("venv");
    shell::run(Command::new(python).args(["-m", "venv"]).arg(&venv), remedy)?;
    Ok(if cfg!(windows) { venv.join("Scripts").join("python") } else { venv.join("bin/python") })
}

fn pip(python: &Path, minor: u32, action: &str, scratch: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", action, "--no-input", "--no-deps", "--only-binary=:all:"]);
    if !PYTHONS.contains(&minor) {
        pip.args(["--python-version", "3.12"]);
    }
    // The temporary folder of the system is often too small for a gigabyte.
    pip.env("TMPDIR", scratch).env("TEMP", scratch).env("TMP", scratch);
    // Settings that forbid changes to the system's or the user's packages have nothing to guard
    // here: the target is a folder of this workspace.
    pip.env("PIP_BREAK_SYSTEM_PACKAGES", "1")
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .env("PIP_USER", "0")
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .env("PIP_RESUME_RETRIES", "10"); // continues a broken download (pip 25.1 and later)
    pip
}
