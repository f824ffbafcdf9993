//! Patterns of file names: folders are listed part by part, whatever bytes their names have.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern, PatternError};
use walkdir::WalkDir;

/// Whether a name has signs of a pattern.
pub(crate) fn is_pattern(name: &Path) -> bool {
    name.to_string_lossy().contains(['*', '?', '['])
}

/// What a pattern stands for.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// Files and folders, sorted by their names.
    pub(crate) paths: Vec<PathBuf>,
    /// Folders that could not be listed.
    pub(crate) unread: Vec<(PathBuf, io::Error)>,
}

/// The folders of a pattern before its first wildcard.
pub(crate) fn plain_prefix(pattern: &Path) -> PathBuf {
    pattern.components().take_while(|part| !is_pattern(part.as_ref())).collect()
}

/// Finds everything that `pattern` matches. As in a shell, a star does not find hidden files; `**`
/// stands for folders of any depth.
pub(crate) fn find(pattern: &Path) -> Result<Matches, PatternError> {
    let mut found = Matches { paths: vec![PathBuf::new()], ..Matches::default() };
    for part in pattern.components() {
        let name: &Path = part.as_ref();
        let before = std::mem::take(&mut found.paths);
        if !matches!(part, Component::Normal(_)) || !is_pattern(name) {
            found.paths = before.into_iter().map(|path| path.join(name)).collect();
        } else if name.as_os_str() == "**" {
            found.paths = before.iter().flat_map(|path| folders_below(path)).collect();
        } else {
            let name = Pattern::new(&name.to_string_lossy())?;
            for folder in before {
                found.list(&folder, &name);
            }
        }
    }
    // Parts without wildcards were not looked at.
    found.paths.retain(|path| !path.as_os_str().is_empty() && fs::symlink_metadata(path).is_ok());
    found.paths.dedup();
    Ok(found)
}

impl Matches {
    /// Adds what lies in `folder` and matches.
    fn list(&mut self, folder: &Path, name: &Pattern) {
        let options = MatchOptions { require_literal_leading_dot: true, ..Default::default() };
        let entries = match fs::read_dir(or_here(folder)) {
            Ok(entries) => entries.flatten(),
            Err(error) => {
                // Files and missing folders hold nothing that could match.
                if !matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::NotFound) {
                    self.unread.push((folder.to_owned(), error));
                }
                return;
            }
        };
        let names = entries.map(|entry| entry.file_name());
        let mut names: Vec<_> =
            names.filter(|found| name.matches_with(&found.to_string_lossy(), options)).collect();
        names.sort();
        self.paths.extend(names.into_iter().map(|name| folder.join(name)));
    }
}

/// `folder` and the folders below it that are not hidden.
fn folders_below(folder: &Path) -> Vec<PathBuf> {
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let base = or_here(folder);
    let walk = WalkDir::new(base).follow_links(true).sort_by_file_name().into_iter();
    let found = walk.filter_entry(visible).flatten().filter(|entry| entry.file_type().is_dir());
    let below = found.map(|entry| {
        let below = entry.path().strip_prefix(base).unwrap_or(entry.path());
        if below.as_os_str().is_empty() { folder.to_owned() } else { folder.join(below) }
    });
    below.collect()
}

/// The working folder for a path without parts.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &Path, pattern: &str) -> Vec<String> {
        let matches = find(&folder.join(pattern)).expect("a pattern");
        assert!(matches.unread.is_empty());
        let below = |path: &PathBuf| {
            let below = path.strip_prefix(folder).expect("below");
            below.to_string_lossy().into_owned()
        };
        matches.paths.iter().map(below).collect()
    }

    #[test]
    fn parts_are_matched_one_by_one() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b/2.wav", "a.wav", "b/c/3.wav", ".hidden/4.wav", "b/.5.wav", "b/x[1].wav"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, b"").expect("written");
        }
        let found = |pattern| found(folder.path(), pattern);
        assert_eq!(found("*"), ["a.wav", "b"]);
        assert_eq!(found("*/?.wav"), ["b/2.wav"]);
        assert_eq!(found("[ab]/2.wav"), ["b/2.wav"]);
        assert_eq!(found("*/none.wav"), [""; 0]);
        assert_eq!(found("**/*.wav"), ["a.wav", "b/2.wav", "b/x[1].wav", "b/c/3.wav"]);
        assert_eq!(found(".h*/*"), [".hidden/4.wav"]);
        assert_eq!(found("a.wav/*"), [""; 0]);
        assert!(find(&folder.path().join("[")).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn w6_names_that_are_no_text_match_as_others_do() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().expect("a folder");
        let odd = std::ffi::OsStr::from_bytes(b"x\xff.wav");
        fs::write(folder.path().join(odd), b"").expect("written");
        fs::write(folder.path().join("y.wav"), b"").expect("written");
        let matches = find(&folder.path().join("x*.wav")).expect("a pattern");
        assert_eq!(matches.paths, [folder.path().join(odd)]);
        assert_eq!(found(folder.path(), "*.wav").len(), 2);
    }
}
