//! Which file it is, whatever its name: two names of one file are the same file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use formant_audio_core::decode::has_audio_extension;
use formant_audio_core::text;
use formant_training::manifest::{is_table, possible_files};

use crate::failure::{Failure, Kind};
use crate::inputs::{InputList, MAX_LIST};

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
const OUTPUTS: [&str; 9] =
    ["output", "out", "record", "enhanced", "csv", "scores", "plot", "listing", "cache"];

/// Arguments that name tables, whatever their ending is.
const TABLES: [&str; 2] = ["manifest", "trials"];

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

/// Files that the list or table `path`, given for the argument `id`, may name. Only regular files are
/// read: what a pipe holds is gone once it was read.
fn listed(id: &str, path: &Path, base: Option<&Path>) -> Vec<PathBuf> {
    match FileId::of(path) {
        Some(_) if id == "files_from" => {
            let text = text::read(path, MAX_LIST).unwrap_or_default();
            text.split(['\0', '\n', '\r']).map(PathBuf::from).collect()
        }
        Some(_) if TABLES.contains(&id) || is_table(path) => possible_files(path, base),
        _ => Vec::new(),
    }
}

/// Refuses outputs that are inputs of the same command line, or outputs named twice.
pub(crate) fn refuse_own_inputs(command: &ArgMatches) -> Result<(), Failure> {
    let named = |wanted: bool| {
        let ids = command.ids().map(clap::Id::as_str);
        let ids = ids.filter(move |id| OUTPUTS.contains(id) == wanted && !NAMES.contains(id));
        ids.flat_map(move |id| paths(command, id).into_iter().map(move |path| (id, path)))
    };
    let outputs: Vec<(PathBuf, FileId)> =
        named(true).filter_map(|(_, path)| Some((path.clone(), FileId::of(&path)?))).collect();
    if outputs.is_empty() {
        return Ok(());
    }
    let base = paths(command, "base").pop();
    let (mut files, mut folders) = (HashSet::new(), Vec::new());
    for (id, input) in named(false) {
        files.extend(FileId::of(&input));
        files
            .extend(listed(id, &input, base.as_deref()).iter().filter_map(|path| FileId::of(path)));
        folders.extend(input.canonicalize().ok().filter(|path| path.is_dir()));
    }
    for (output, id) in outputs {
        let inside = |path: PathBuf| folders.iter().any(|folder| path.starts_with(folder));
        let of_folder = has_audio_extension(&output) && output.canonicalize().is_ok_and(inside);
        if of_folder || !files.insert(id) {
            return Err(own_input(&output));
        }
    }
    Ok(())
}
