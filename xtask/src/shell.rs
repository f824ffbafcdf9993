//! Running other programs, and where things are in the workspace.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::problem::{Problem, Result};

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), Path::to_path_buf)
}

/// Where `cargo xtask setup` puts libtorch.
pub(crate) fn own_libtorch() -> PathBuf {
    root().join(".libtorch")
}

/// The cargo that runs this program, in the workspace's folder.
///
/// What `.cargo/config.toml` put into this program's environment is taken out again, so that
/// cargo sees what it sees when it is called by hand and has no reason to build anything twice.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).stdin(Stdio::null());
    if env::var_os("LIBTORCH").is_some_and(|path| Path::new(&path) == own_libtorch().join("torch"))
    {
        command.env_remove("LIBTORCH");
        if env::var_os("LIBTORCH_CXX11_ABI").is_some_and(|abi| abi == "1") {
            command.env_remove("LIBTORCH_CXX11_ABI");
        }
    }
    for (name, _) in env::vars_os() {
        // Facts about this package, not about the one that cargo will work on.
        if name
            .to_str()
            .is_some_and(|n| n.starts_with("CARGO_PKG_") || n.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs `command` with its output shown, after printing it.
pub(crate) fn run(command: &mut Command, remedy: &str) -> Result<()> {
    eprintln!("$ {}", line(command));
    let shown = line(command);
    let status = command.status().map_err(|error| {
        Problem::new(format!("`{shown}` could not be started: {error}"), remedy)
    })?;
    if status.success() {
        return Ok(());
    }
    Err(Problem::new(format!("`{shown}` failed ({status})"), remedy))
}

/// Builds the `formant` command and returns its path: beside this program.
///
/// The profile is that of the tests, so that both build everything once; it is optimised.
pub(crate) fn build_formant() -> Result<PathBuf> {
    let remedy = "the compiler's first error above says why; after an update of the system \
                  `cargo clean` may help";
    run(cargo().args(["build", "--package", "formant-cli"]), remedy)?;
    let own = env::current_exe().map_err(|error| {
        Problem::new(format!("the build folder can't be found: {error}"), remedy)
    })?;
    Ok(own.with_file_name(format!("formant{}", env::consts::EXE_SUFFIX)))
}

/// Runs `command`, showing its standard output and returning it.
pub(crate) fn run_and_read(command: &mut Command, remedy: &str) -> Result<String> {
    let name = line(command);
    let failed = |why: String| Problem::new(format!("`{name}` {why}"), remedy);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("could not be started: {error}")))?;
    let mut printed = String::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line =
                line.map_err(|error| failed(format!("printed no readable text: {error}")))?;
            println!("{line}");
            printed.push_str(&line);
            printed.push('\n');
        }
    }
    let status = child.wait().map_err(|error| failed(format!("was lost: {error}")))?;
    if status.success() { Ok(printed) } else { Err(failed(format!("failed ({status})"))) }
}

/// Standard output of `program` if it can be run and succeeds.
pub(crate) fn output<I: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: &[I]) -> Option<String> {
    let done = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Whether `program args` can be run and succeeds.
pub(crate) fn works(program: impl AsRef<OsStr>, args: &[&str]) -> bool {
    output(program, args).is_some()
}

/// A command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut line =
        program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    for arg in command.get_args() {
        let arg = arg.to_string_lossy();
        line.push(' ');
        if arg.is_empty() || arg.contains(|c: char| c.is_whitespace() || "*'\"$&;<>|".contains(c)) {
            line.push_str(&format!("{arg:?}"));
        } else {
            line.push_str(&arg);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_holds_the_workspace() {
        assert!(root().join("xtask").join("Cargo.toml").is_file());
    }

    /// What install.md and the demo promise of `cargo build --release`.
    #[test]
    fn builds_at_the_root_make_the_command() {
        let asked =
            cargo().args(["metadata", "--no-deps", "--offline", "--format-version=1"]).output();
        let told = String::from_utf8(asked.expect("cargo runs").stdout).expect("JSON is UTF-8");
        let (_, rest) = told.split_once("\"workspace_default_members\":[").expect("cargo tells it");
        let (members, _) = rest.split_once(']').expect("a list");
        let command = root().join("cli").canonicalize().expect("a folder");
        assert!(members.contains(&format!("{}#", command.display())), "{members}");
        assert!(members.split(',').count() < 5, "no need to build the rest: {members}");
    }

    #[test]
    fn lines_are_quoted_where_a_shell_needs_it() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["test", "--test", "parity_*", ""]);
        assert_eq!(line(&command), "cargo test --test \"parity_*\" \"\"");
    }

    #[test]
    fn failure_names_the_command() {
        let problem = run(&mut Command::new("surely-no-such-program"), "install it");
        let text = problem.expect_err("there is none").to_string();
        assert!(text.contains("surely-no-such-program") && text.ends_with("install it"), "{text}");
    }
}
