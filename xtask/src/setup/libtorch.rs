//! libtorch: which one the build will use, whether it is whole, and installing our own.
//!
//! The order is that of torch-sys: a Python environment if `LIBTORCH_USE_PYTORCH` is set, else
//! `LIBTORCH`, which `.cargo/config.toml` sets to `.libtorch/torch` unless the user does.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{python, record, system};
use crate::problem::{Problem, Result};
use crate::shell;

/// The version that tch 0.24 is made for.
const VERSION: &str = "2.11.0";

/// What is installed on Linux: the two CUDA packages hold the only libraries outside the torch
/// package that `libtorch_cpu.so` itself asks for.
const LINUX: &[&str] =
    &["torch==2.11.0", "nvidia-cuda-runtime==13.0.*", "nvidia-cuda-cupti==13.0.*"];
const ELSEWHERE: &[&str] = &["torch==2.11.0"];

const DOCS: &str = "docs/install.md describes the other ways";

/// Which libtorch the build takes.
#[derive(Debug, PartialEq)]
enum Source {
    /// Ours, under `.libtorch`.
    Own,
    /// The folder that the user's `LIBTORCH` names.
    Folder(PathBuf),
    /// The torch package of the Python that is first on the path.
    Python,
}

fn source() -> Source {
    if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        return Source::Python;
    }
    match env::var_os("LIBTORCH").map(PathBuf::from) {
        Some(path) if path != shell::own_libtorch().join("torch") => Source::Folder(path),
        _ => Source::Own,
    }
}

/// Sees to it that there is a libtorch; returns a few words on which one.
pub(crate) fn ensure() -> Result<String> {
    match source() {
        Source::Own => own(&shell::own_libtorch()),
        Source::Folder(path) => users(&path),
        Source::Python => pythons(),
    }
}

/// Where the shared libraries are.
pub(crate) fn library_folder() -> PathBuf {
    match source() {
        Source::Own => shell::own_libtorch().join("torch").join("lib"),
        Source::Folder(path) => path.join("lib"),
        Source::Python => {
            let script = "import os, torch; print(os.path.dirname(torch.__file__))";
            let folder = shell::output(python_of_torch_sys(), &["-c", script]).unwrap_or_default();
            Path::new(folder.trim()).join("lib")
        }
    }
}

/// Our own installation: checked, and made or made anew if it is not whole.
fn own(folder: &Path) -> Result<String> {
    let found = format!("libtorch {VERSION} in .libtorch");
    match state(folder) {
        State::Whole => return Ok(found),
        State::Missing => eprintln!("setup: libtorch {VERSION} is not there yet"),
        State::Damaged(reason) => eprintln!("setup: libtorch is installed anew, because {reason}"),
    }
    possible_here()?;
    let Some(installer) = python::installer() else {
        system::ensure(system::INSTALL)?;
        return own(folder);
    };
    let packages = if cfg!(target_os = "linux") { LINUX } else { ELSEWHERE };
    eprintln!("setup: installing it into .libtorch (0.5 GB to download, 1.2 GB on disk)");
    let started = Instant::now();
    // Under another name until it is whole, so that a half installation is never taken for one.
    let part = folder.with_extension("part");
    let kept = folder.with_extension("download.part");
    let scratch = folder.with_extension("tmp.part");
    let io = |what: &Path, error: std::io::Error| {
        Problem::new(format!("{}: {error}", what.display()), "see that this folder can be written")
    };
    for left_over in [&part, &scratch] {
        remove(left_over).map_err(|error| io(left_over, error))?;
    }
    fs::create_dir_all(&scratch).map_err(|error| io(&scratch, error))?;
    let remedy = format!(
        "the lines above say why. Usually: no network or a proxy that pip does not know \
         (set HTTPS_PROXY, or pip's index-url), or less than 5 GB free in {}. Then run this \
         command again; finished downloads are kept. Without a network, {DOCS}",
        shell::root().display()
    );
    python::install(&installer, packages, &part, &kept, &scratch, &remedy)?;
    if let State::Damaged(reason) = state(&part) {
        return Err(Problem::new(format!("the installed libtorch is not whole: {reason}"), remedy));
    }
    remove(folder).map_err(|error| io(folder, error))?;
    fs::rename(&part, folder).map_err(|error| io(folder, error))?;
    for left_over in [&kept, &scratch] {
        remove(left_over).map_err(|error| io(left_over, error))?;
    }
    eprintln!("setup: libtorch installed in {:.0} s", started.elapsed().as_secs_f64());
    Ok(found)
}

/// Platforms for which nobody publishes a libtorch 2.11.
fn possible_here() -> Result<()> {
    if cfg!(all(target_os = "macos", target_arch = "x86_64")) {
        return Err(Problem::new(
            format!("there is no ready-made libtorch {VERSION} for Macs with Intel processors"),
            format!("build PyTorch {VERSION} from source and set LIBTORCH to it; {DOCS}"),
        ));
    }
    if cfg!(target_env = "musl") {
        return Err(Problem::new(
            "libtorch needs glibc, and this system has musl",
            format!("use a distribution with glibc, such as Debian, or a container of it; {DOCS}"),
        ));
    }
    Ok(())
}

/// Removes a folder, or the link that stands in its place; it may also be absent.
fn remove(path: &Path) -> std::io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[derive(Debug, PartialEq)]
enum State {
    Whole,
    Missing,
    Damaged(String),
}

/// What an installation folder of ours holds, down to the size of every library and header.
fn state(folder: &Path) -> State {
    if !folder.join("torch").exists() {
        return State::Missing;
    }
    match version_in(&folder.join("torch")) {
        Some(version) if version == VERSION => {}
        Some(version) => return State::Damaged(format!("it is {version}")),
        None => return State::Damaged("its version file is missing".to_owned()),
    }
    let packages: &[&str] = if cfg!(target_os = "linux") {
        &["torch-", "nvidia_cuda_runtime-", "nvidia_cuda_cupti-"]
    } else {
        &["torch-"]
    };
    match packages.iter().find_map(|package| record::first_damage(folder, package)) {
        Some(damage) => State::Damaged(damage),
        None => State::Whole,
    }
}

/// The version, without build tags such as `+cu130`, of a libtorch folder: archives have a file
/// `build-version`, Python packages `version.py`.
fn version_in(folder: &Path) -> Option<String> {
    let archive = fs::read_to_string(folder.join("build-version")).ok();
    let full = archive.or_else(|| {
        let package = fs::read_to_string(folder.join("version.py")).ok()?;
        let line = package.lines().find(|line| line.starts_with("__version__ = "))?;
        Some(line.split('\'').nth(1)?.to_owned())
    })?;
    Some(base_version(&full).to_owned())
}

fn base_version(full: &str) -> &str {
    full.trim().split('+').next().unwrap_or_default()
}

/// A libtorch that the user brought is only looked at, never changed.
fn users(folder: &Path) -> Result<String> {
    let shown = folder.display();
    let unset = format!("unset LIBTORCH to let this command install libtorch {VERSION}");
    if folder.is_relative() {
        return Err(Problem::new(
            format!("LIBTORCH={shown} is relative, and each crate is built in another folder"),
            format!("give the full path, or {unset}"),
        ));
    }
    let library = if cfg!(windows) {
        "torch_cpu.dll"
    } else if cfg!(target_os = "macos") {
        "libtorch_cpu.dylib"
    } else {
        "libtorch_cpu.so"
    };
    if !folder.join("lib").join(library).is_file() && env::var_os("LIBTORCH_LIB").is_none() {
        return Err(Problem::new(
            format!("LIBTORCH={shown} holds no lib/{library}"),
            format!("name the folder that has lib/ and include/ in it, or {unset}"),
        ));
    }
    match version_in(folder) {
        Some(version) => right_version(&version, &format!("LIBTORCH={shown}"), &unset)?,
        None => eprintln!("setup: LIBTORCH={shown} has no version file; it should be {VERSION}"),
    }
    Ok(format!("the libtorch of your LIBTORCH, {shown}"))
}

/// A Python environment that the user brought.
fn pythons() -> Result<String> {
    let python = python_of_torch_sys();
    let unset =
        format!("unset LIBTORCH_USE_PYTORCH to let this command install libtorch {VERSION}");
    let script = "import torch; print(torch.__version__)";
    let Some(version) = shell::output(python, &["-c", script]) else {
        return Err(Problem::new(
            format!("LIBTORCH_USE_PYTORCH is set, but `{python}` has no torch"),
            format!("run `{python} -m pip install torch=={VERSION}`, or {unset}"),
        ));
    };
    right_version(base_version(&version), &format!("the torch of `{python}`"), &unset)?;
    Ok(format!("the torch package of `{python}`"))
}

/// The interpreter that torch-sys asks.
fn python_of_torch_sys() -> &'static str {
    if cfg!(windows) {
        "python.exe"
    } else if env::var_os("VIRTUAL_ENV").is_some() {
        "python"
    } else {
        "python3"
    }
}

fn right_version(version: &str, whose: &str, unset: &str) -> Result<()> {
    if version == VERSION || env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_some() {
        return Ok(());
    }
    Err(Problem::new(
        format!("{whose} is version {version}, and formant is made for {VERSION}"),
        format!("bring version {VERSION}, or {unset}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = env::temp_dir().join(format!("xtask-libtorch-{name}-{}", std::process::id()));
        remove(&folder).expect("temporary folder");
        fs::create_dir_all(folder.join("torch/lib")).expect("temporary folder");
        folder
    }

    #[test]
    fn version_of_archive_and_of_package() {
        let folder = folder("version");
        let torch = folder.join("torch");
        assert_eq!(version_in(&torch), None);
        fs::write(torch.join("version.py"), "x = 1\n__version__ = '2.11.0+cu130'\n")
            .expect("write");
        assert_eq!(version_in(&torch).as_deref(), Some("2.11.0"));
        fs::write(torch.join("build-version"), "2.9.1+cpu\n").expect("write");
        assert_eq!(version_in(&torch).as_deref(), Some("2.9.1"));
        remove(&folder).expect("temporary folder");
    }

    #[test]
    fn half_installations_are_seen() {
        let folder = folder("state");
        assert_eq!(state(&folder.join("nothing")), State::Missing);
        assert_eq!(state(&folder), State::Damaged("its version file is missing".to_owned()));
        let version = |text: &str| {
            fs::write(folder.join("torch/version.py"), text).expect("write");
        };
        version("__version__ = '2.10.0'\n");
        assert_eq!(state(&folder), State::Damaged("it is 2.10.0".to_owned()));
        version("__version__ = '2.11.0+cu130'\n");
        assert!(matches!(state(&folder), State::Damaged(_)));
        for package in ["torch-2.11.0", "nvidia_cuda_runtime-13.0.96", "nvidia_cuda_cupti-13.0.85"]
        {
            let info = folder.join(format!("{package}.dist-info"));
            fs::create_dir_all(&info).expect("folder");
            fs::write(info.join("RECORD"), "torch/lib/libc10.so,sha256=x,4\n").expect("write");
        }
        fs::write(folder.join("torch/lib/libc10.so"), "ab").expect("write");
        let State::Damaged(reason) = state(&folder) else { panic!("a cut library is not whole") };
        assert!(reason.contains("libc10.so"), "{reason}");
        fs::write(folder.join("torch/lib/libc10.so"), "abcd").expect("write");
        assert_eq!(state(&folder), State::Whole);
        remove(&folder).expect("temporary folder");
    }

    #[test]
    fn a_users_folder_without_libtorch_is_refused() {
        let text = users(Path::new("/nowhere")).expect_err("nothing there").to_string();
        assert!(text.contains("LIBTORCH=/nowhere") && text.contains("unset LIBTORCH"), "{text}");
        assert!(users(Path::new("here")).expect_err("relative").to_string().contains("full path"));
    }
}
