//! Which file it is, whatever its name: two names of one file are the same file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use formant_audio_core::decode::has_audio_extension;

use crate::failure::{Failure, Kind};
use crate::inputs::InputList;

/// A regular file that exists.
#[cfg(unix)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

/// A regular file that exists.
#[cfg(not(unix))]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FileId(PathBuf);

impl FileId {
    /// The file that `path` leads to; `None` where there is none, or something else.
    #[cfg(unix)]
    pub(crate) fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        Some(Self { device: found.dev(), inode: found.ino() })
    }

    /// The file that `path` leads to; `None` where there is none, or something else.
    #[cfg(not(unix))]
    pub(crate) fn of(path: &Path) -> Option<Self> {
        path.canonicalize().ok().filter(|path| path.is_file()).map(Self)
    }
}

/// The files of a list.
pub(crate) fn of_inputs(list: &InputList) -> HashSet<FileId> {
    list.entries.iter().flatten().filter_map(|input| FileId::of(input.path.as_deref()?)).collect()
}

/// An output that would replace an input.
pub(crate) fn own_input(output: &Path) -> Failure {
    let why = "is an input, which the output would replace";
    Failure::new(Kind::Output, output.display().to_string(), why)
        .help("name another file or folder with -o")
}

/// Arguments that name files to write. All others name files to read, or no files.
const OUTPUTS: [&str; 8] =
    ["output", "out", "record", "enhanced", "csv", "scores", "plot", "listing"];

/// Arguments whose texts name no files, although files may be called so.
const NAMES: [&str; 4] = ["name", "export", "remove", "stems"];

/// What was given for an argument that takes paths, or texts that may be paths.
fn paths(command: &ArgMatches, id: &str) -> Vec<PathBuf> {
    if let Ok(Some(paths)) = command.try_get_many::<PathBuf>(id) {
        return paths.cloned().collect();
    }
    match command.try_get_many::<String>(id) {
        Ok(Some(texts)) => texts.map(PathBuf::from).collect(),
        _ => Vec::new(),
    }
}

/// Refuses outputs that are inputs of the same command line, or outputs named twice.
pub(crate) fn refuse_own_inputs(matches: &ArgMatches) -> Result<(), Failure> {
    let mut command = matches;
    while let Some((_, inner)) = command.subcommand() {
        command = inner;
    }
    let named = |wanted: bool| {
        let ids = command.ids().map(clap::Id::as_str);
        let ids = ids.filter(move |id| OUTPUTS.contains(id) == wanted && !NAMES.contains(id));
        ids.flat_map(move |id| paths(command, id))
    };
    let (mut files, mut folders) = (HashSet::new(), Vec::new());
    for input in named(false) {
        files.extend(FileId::of(&input));
        folders.extend(input.canonicalize().ok().filter(|path| path.is_dir()));
    }
    for output in named(true) {
        let Some(id) = FileId::of(&output) else { continue };
        let inside = |path: PathBuf| folders.iter().any(|folder| path.starts_with(folder));
        let of_folder = has_audio_extension(&output) && output.canonicalize().is_ok_and(inside);
        if of_folder || !files.insert(id) {
            return Err(own_input(&output));
        }
    }
    Ok(())
}
