//! From names on the command line to a list of inputs: files, folders, patterns, lists, `-`.
//!
//! The list's order depends on the names alone. What can't be found becomes an entry that fails,
//! so that it is reported beside the inputs that work.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::IsTerminal;
use std::path::{Component, Path, PathBuf};

use clap::Args;
use formant_audio_core::decode::{EXTENSIONS, has_audio_extension};
use formant_audio_core::text;
use formant_training::Recording;
use formant_training::manifest::{Row, is_table};
use walkdir::WalkDir;

use crate::failure::{Failure, Kind};
use crate::pattern::{self, is_pattern};

/// What to work on.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct InputArgs {
    /// Files, folders, patterns, or `-` for standard input.
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Read more names from a file, one a line; `-` for standard input.
    #[arg(long, value_name = "LIST")]
    pub(crate) files_from: Option<PathBuf>,
    /// Process one part of the list only, such as 2/8.
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,
}
/// Longest list of names, in bytes.
pub(crate) const MAX_LIST: u64 = 1 << 28;

/// Endings of skipped files that are named.
const MAX_KINDS: usize = 6;

/// One thing to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    /// The file, or `None` for standard input.
    pub(crate) path: Option<PathBuf>,
    /// Where the file's output belongs below an output folder: the path from the folder that was
    /// named, or the file's name.
    pub(crate) relative: PathBuf,
}

impl Input {
    /// How it is called in messages and results: the path, or `-`.
    pub(crate) fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| "-".to_owned(), |path| path.display().to_string())
    }

    fn file(path: PathBuf) -> Self {
        let relative = path.file_name().map(PathBuf::from).unwrap_or_default();
        Self { path: Some(path), relative }
    }

    fn stdin() -> Self {
        Self { path: None, relative: PathBuf::from("stdin") }
    }
}

/// An input, or the name of something that is none, and why.
pub(crate) type Entry = Result<Input, (String, Failure)>;

/// How an entry is called in messages and results.
pub(crate) fn name(entry: &Entry) -> String {
    match entry {
        Ok(input) => input.name(),
        Err((name, _)) => name.clone(),
    }
}

impl InputList {
    /// Which files of folders were skipped for their endings, in one line; the most frequent endings
    /// first.
    pub(crate) fn skipped(&self) -> Option<String> {
        let total: usize = self.other_kinds.values().sum();
        if total == 0 {
            return None;
        }
        let mut kinds: Vec<(&String, &usize)> = self.other_kinds.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let mut texts: Vec<String> = kinds
            .iter()
            .take(MAX_KINDS)
            .map(|(ending, count)| match ending.is_empty() {
                true => format!("{count} without an ending"),
                false => format!("{count} .{ending}"),
            })
            .collect();
        if kinds.len() > MAX_KINDS {
            texts.push("others".to_owned());
        }
        let plural = if total == 1 { "file" } else { "files" };
        Some(format!("{total} {plural} skipped for the ending: {}", texts.join(", ")))
    }
}

/// What was named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InputList {
    /// In the order of the command line.
    pub(crate) entries: Vec<Entry>,
    /// Whether there can only be one: a single file or standard input was named, and no list.
    pub(crate) single: bool,
    /// What other parts of the list work on, where this is a part.
    pub(crate) others: Vec<Input>,
    /// Outputs of an earlier run that were removed from the entries.
    pub(crate) passed_over: usize,
    /// Files of folders that were skipped for their endings, by these.
    pub(crate) other_kinds: BTreeMap<String, usize>,
    /// Outputs that several inputs would have, and which inputs.
    pub(crate) clashes: Vec<String>,
}

/// Part `index` (from 1) of `count` parts of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    index: usize,
    count: usize,
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(index, count)| {
            Some((index.trim().parse().ok()?, count.trim().parse().ok()?))
        });
        match parts {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self { index, count }),
            _ => Err("give part/parts with parts counted from 1, such as 1/4 to 4/4".to_owned()),
        }
    }
}

/// Expands everything that was named.
pub(crate) fn expand(typed: &InputArgs) -> Result<InputList, Failure> {
    let mut entries = Vec::new();
    let mut skipped = BTreeMap::new();
    let mut several = false;
    for name in &typed.inputs {
        several |= expand_name(name, &mut entries, &mut skipped);
    }
    if let Some(list) = &typed.files_from {
        let reads_stdin = typed.inputs.iter().any(|name| is_dash(name)) && is_dash(list);
        if reads_stdin {
            return Err(Failure::usage("-", "standard input can't be audio and the list at once"));
        }
        several = true;
        let before = entries.len();
        expand_list(list, &mut entries, &mut skipped)?;
        if entries.len() == before {
            return Err(Failure::new(Kind::Input, list.display().to_string(), "names no file")
                .help("write a name a line; where there may be none, look before the call"));
        }
    } else if typed.inputs.is_empty() {
        return Err(Failure::usage("inputs", "none given").help(
            "name files, folders or patterns, `-` for standard input, or --files-from LIST",
        ));
    }
    remove_repeats(&mut entries);
    check_stdin(&entries)?;
    let single = !several && entries.len() == 1;
    let mut others = Vec::new();
    if let Some(Shard { index, count }) = typed.shard {
        let numbered: Vec<(usize, Entry)> = entries.into_iter().enumerate().collect();
        let (mine, rest): (Vec<_>, Vec<_>) =
            numbered.into_iter().partition(|(number, _)| number % count == index - 1);
        entries = mine.into_iter().map(|(_, entry)| entry).collect();
        others = rest.into_iter().filter_map(|(_, entry)| entry.ok()).collect();
    }
    Ok(InputList { entries, single, others, other_kinds: skipped, ..InputList::default() })
}

fn is_dash(name: &Path) -> bool {
    name.as_os_str() == "-"
}

/// Appends what `name` stands for; whether it may stand for several inputs.
fn expand_name(name: &Path, entries: &mut Vec<Entry>, skipped: &mut Skipped) -> bool {
    if is_dash(name) {
        entries.push(Ok(Input::stdin()));
        return false;
    }
    match fs::metadata(name) {
        Ok(meta) if meta.is_dir() => {
            expand_folder(name, name, entries, skipped);
            true
        }
        Ok(_) => {
            entries.push(Ok(Input::file(name.to_owned())));
            false
        }
        Err(_) if is_pattern(name) => {
            expand_pattern(name, entries, skipped);
            true
        }
        Err(error) => {
            entries.push(Err((name.display().to_string(), Failure::input(name, &error))));
            false
        }
    }
}

/// Counts files of folders that were skipped, by their endings.
type Skipped = BTreeMap<String, usize>;

/// All audio files below `folder`; outputs belong below the output folder as these lie below
/// `base`.
fn expand_folder(folder: &Path, base: &Path, entries: &mut Vec<Entry>, skipped: &mut Skipped) {
    let before = entries.len();
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.')
    };
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    for found in walk.into_iter().filter_entry(visible) {
        match found {
            Ok(entry) if entry.file_type().is_file() && has_audio_extension(entry.path()) => {
                let relative = entry.path().strip_prefix(base).unwrap_or(entry.path());
                let relative = relative.to_owned();
                entries.push(Ok(Input { path: Some(entry.into_path()), relative }));
            }
            Ok(entry) if entry.file_type().is_file() => {
                let ending = entry.path().extension().unwrap_or_default().to_string_lossy();
                *skipped.entry(ending.to_lowercase()).or_default() += 1;
            }
            Ok(_) => {}
            Err(error) => {
                let name = error.path().unwrap_or(folder).display().to_string();
                let failure = Failure::new(Kind::Input, name.clone(), error.to_string());
                entries.push(Err((name, failure)));
            }
        }
    }
    if entries.len() == before {
        let name = folder.display().to_string();
        let failure = Failure::new(Kind::Input, name.clone(), "no audio files in this folder")
            .help(format!("files with these endings are taken: {}", EXTENSIONS.join(", ")));
        entries.push(Err((name, failure)));
    }
}

/// Everything that a pattern matches, folders with what is in them.
fn expand_pattern(pattern: &Path, entries: &mut Vec<Entry>, skipped: &mut Skipped) {
    let name = pattern.display().to_string();
    let fail = |why: String, remedy: &str| {
        Err((name.clone(), Failure::new(Kind::Input, &name, why).help(remedy)))
    };
    let matches = match pattern::find(pattern) {
        Ok(matches) => matches,
        Err(error) => {
            entries.push(fail(error.to_string(), "see that brackets and stars are complete"));
            return;
        }
    };
    let base = pattern::plain_prefix(pattern);
    let before = entries.len();
    for path in matches.paths {
        if path.is_dir() {
            expand_folder(&path, &base, entries, skipped);
        } else {
            let relative = path.strip_prefix(&base).unwrap_or(&path).to_owned();
            entries.push(Ok(Input { path: Some(path), relative }));
        }
    }
    for (folder, error) in matches.unread {
        entries.push(Err((folder.display().to_string(), Failure::input(&folder, &error))));
    }
    if entries.len() == before {
        entries.push(fail("no file matches this pattern".to_owned(), "check the name"));
    }
}

/// Recordings that an option names: files, folders, patterns, and tables, whose rows `rows` brings.
pub(crate) fn recordings(
    paths: &[PathBuf],
    rows: impl Fn(&Path) -> Result<Vec<Row>, Failure>,
) -> Result<Vec<Recording>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if is_table(path) {
            files.extend(rows(path)?.iter().map(Row::recording));
            continue;
        }
        let named = InputArgs { inputs: vec![path.clone()], ..InputArgs::default() };
        for entry in expand(&named)?.entries {
            files.extend(entry.map_err(|(_, failure)| failure)?.path.map(Recording::from));
        }
    }
    Ok(files)
}

/// The names in a list, one a line, or separated by NUL as `find -print0` writes them.
fn expand_list(
    list: &Path,
    entries: &mut Vec<Entry>,
    skipped: &mut Skipped,
) -> Result<(), Failure> {
    let bytes = match is_dash(list) {
        true => text::read_stream(std::io::stdin().lock(), list, MAX_LIST)?,
        false => text::read_bytes(list, MAX_LIST)?,
    };
    let text = text::decode(bytes, list)?;
    // Names that NUL separates may hold line ends.
    let (text, separator) = match text.contains('\0') {
        true => (text, '\0'),
        false => (text::unix_lines(text), '\n'),
    };
    for name in text.split(separator).filter(|name| !name.trim().is_empty()) {
        let from = entries.len();
        let path = Path::new(name);
        if is_dash(path) {
            let failure = Failure::new(Kind::Input, "-", "standard input can't stand in a list");
            entries.push(Err((name.to_owned(), failure)));
            continue;
        }
        expand_name(path, entries, skipped);
        // Files of a list keep their folders, because lists gather files from many.
        let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if path.components().all(inside) {
            for input in entries[from..].iter_mut().flatten() {
                if input.path.as_deref() == Some(path) {
                    input.relative =
                        path.components().filter(|p| *p != Component::CurDir).collect();
                }
            }
        }
    }
    Ok(())
}

/// Keeps the first of entries that name the same input.
fn remove_repeats(entries: &mut Vec<Entry>) {
    let mut seen = HashSet::new();
    entries.retain(|entry| match entry {
        Ok(input) => seen.insert(input.path.clone()),
        Err(_) => true,
    });
}

fn check_stdin(entries: &[Entry]) -> Result<(), Failure> {
    let named = entries.iter().flatten().any(|input| input.path.is_none());
    if named && std::io::stdin().is_terminal() {
        return Err(Failure::usage("-", "standard input is a terminal, not audio")
            .help("send audio into the command, as in `cat talk.wav | formant info -`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(typed: &InputArgs) -> Vec<(String, String)> {
        let list = expand(typed).expect("a list");
        let both = |input: &Input| (input.name(), input.relative.display().to_string());
        list.entries.iter().flatten().map(both).collect()
    }

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("temporary folder");
        for name in ["b/2.WAV", "a.flac", "b/1.mp3", "b/c/3.ogg", "notes.txt", ".hidden/4.wav"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folder");
            fs::write(path, b"").expect("file");
        }
        folder
    }

    #[test]
    fn folders_are_searched_in_order() {
        let folder = tree();
        let typed = InputArgs { inputs: vec![folder.path().to_owned()], ..Default::default() };
        let relative: Vec<String> =
            names(&typed).into_iter().map(|(_, relative)| relative).collect();
        assert_eq!(relative, ["a.flac", "b/1.mp3", "b/2.WAV", "b/c/3.ogg"]);
        let list = expand(&typed).expect("a list");
        assert!(!list.single);
        assert_eq!(list.other_kinds, BTreeMap::from([("txt".to_owned(), 1)]));
    }

    #[test]
    fn patterns_keep_what_lies_behind_their_plain_part() {
        let folder = tree();
        let pattern = folder.path().join("*/?.*");
        let typed = InputArgs { inputs: vec![pattern], ..Default::default() };
        let relative: Vec<String> =
            names(&typed).into_iter().map(|(_, relative)| relative).collect();
        assert_eq!(relative, ["b/1.mp3", "b/2.WAV"]);
    }

    #[test]
    fn what_is_missing_is_an_entry() {
        let folder = tree();
        let inputs = [folder.path().join("none.wav"), folder.path().join("a.flac")];
        let repeated = inputs.iter().cloned().chain([folder.path().join("a.flac")]).collect();
        let list = expand(&InputArgs { inputs: repeated, ..Default::default() }).expect("a list");
        assert_eq!(list.entries.len(), 2);
        let (name, failure) = list.entries[0].as_ref().expect_err("there is no such file");
        assert!(name.ends_with("none.wav"));
        assert_eq!(failure.kind, Kind::Input);
    }

    #[test]
    fn shards_share_the_list() {
        let folder = tree();
        let mut all = Vec::new();
        for index in 1..=3 {
            let shard = format!("{index}/3").parse().expect("a shard");
            let inputs = vec![folder.path().to_owned()];
            all.extend(names(&InputArgs { inputs, shard: Some(shard), ..Default::default() }));
        }
        assert_eq!(all.len(), 4);
        for bad in ["0/3", "4/3", "1", "a/b", "1/0"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_are_read_line_by_line() {
        let folder = tree();
        let list = folder.path().join("list");
        let a = folder.path().join("a.flac");
        fs::write(&list, format!("{}\r\n\n{}\n", a.display(), folder.path().join("b").display()))
            .expect("list");
        let typed = InputArgs { files_from: Some(list), ..Default::default() };
        let relative: Vec<String> =
            names(&typed).into_iter().map(|(_, relative)| relative).collect();
        assert_eq!(relative, ["a.flac", "1.mp3", "2.WAV", "c/3.ogg"]);
    }

    #[test]
    fn a_list_without_names_is_told() {
        let folder = tree();
        let list = folder.path().join("list");
        for text in ["", "\n\r\n", "  \n\t\n"] {
            fs::write(&list, text).expect("list");
            let typed = InputArgs { files_from: Some(list.clone()), ..Default::default() };
            let failure = expand(&typed).expect_err("nothing to do");
            assert_eq!((failure.kind, failure.why.as_str()), (Kind::Input, "names no file"));
        }
    }
}
