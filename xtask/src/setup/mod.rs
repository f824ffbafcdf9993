//! `cargo xtask setup`: everything that a build needs and a fresh machine lacks.
//!
//! Safe to run at any time: what is in place is checked and left alone, what is missing or half
//! installed is put right. What it can't put right ends it with the command that does.

mod libtorch;
mod python;
mod record;
mod system;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::problem::Result;
use crate::shell;

pub(crate) fn run(_: &[String]) -> Result<()> {
    system::ensure(system::BUILD)?;
    let found = libtorch::ensure()?;
    eprintln!("setup: ready ({found})");
    Ok(())
}

/// The `formant` command, to run in the workspace's folder.
pub(crate) fn formant(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(shell::root()).stdin(Stdio::null());
    library_path(&mut command);
    command
}

/// Lets programs find libtorch where no rpath can (Windows); elsewhere there is nothing to do.
pub(crate) fn library_path(command: &mut Command) {
    if cfg!(windows) {
        let mut folders = vec![libtorch::library_folder()];
        if let Some(path) = std::env::var_os("PATH") {
            folders.extend(std::env::split_paths(&path));
        }
        if let Ok(path) = std::env::join_paths(folders) {
            command.env("PATH", path);
        }
    }
}
