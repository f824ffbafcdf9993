//! Where results go: names of outputs, conflicts found before the work starts, and files that
//! appear under their name only when they are complete.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::NamedTempFile;

use crate::args::OutputArgs;
use crate::failure::{Failure, Kind};
use crate::inputs::{Input, InputList};

/// What happens when an output exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It is an error.
    Refuse,
    /// It is replaced.
    Overwrite,
    /// It is taken for done.
    Skip,
}

/// Where one result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

impl Target {
    /// How it is called in messages and results.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdout => "-".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The same file with `suffix` before its extension.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Self {
        match self {
            Self::Stdout => Self::Stdout,
            Self::File(path) => {
                let mut name = path.file_stem().map(OsString::from).unwrap_or_default();
                name.push(suffix);
                if let Some(extension) = path.extension() {
                    name.push(".");
                    name.push(extension);
                }
                Self::File(path.with_file_name(name))
            }
        }
    }
}

/// How outputs without a name of their own are called.
#[derive(Debug, Clone)]
pub(crate) struct Naming {
    /// Follows the input's stem where the output stands beside its input.
    pub(crate) suffix: String,
    /// Whether the suffix is left out where the extension tells enough.
    pub(crate) suffix_when: SuffixWhen,
    /// Extension without a dot.
    pub(crate) extension: String,
}

/// When an output beside its input has a suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SuffixWhen {
    /// Always.
    Always,
    /// When it would have the input's own name otherwise.
    SameExtension,
}

/// Names the output of every input; failed entries have none.
pub(crate) fn assign(
    typed: &OutputArgs,
    list: &InputList,
    naming: &Naming,
) -> Result<Vec<Option<Target>>, Failure> {
    let place = Place::of(typed, list)?;
    let mut targets = Vec::with_capacity(list.entries.len());
    for entry in &list.entries {
        targets.push(match entry {
            Ok(input) => Some(place.target(input, naming)?),
            Err(_) => None,
        });
    }
    find_conflicts(list, &targets)?;
    Ok(targets)
}

/// What `-o` means.
enum Place {
    Beside,
    Stdout,
    File(PathBuf),
    Folder(PathBuf),
}

impl Place {
    fn of(typed: &OutputArgs, list: &InputList) -> Result<Self, Failure> {
        let Some(output) = &typed.output else { return Ok(Self::Beside) };
        let text = output.to_string_lossy();
        if text == "-" {
            return match list.single {
                true => Ok(Self::Stdout),
                false => Err(Failure::usage("-o -", "standard output takes one result only")
                    .help("name a folder for the results of several inputs")),
            };
        }
        let names_folder = output.is_dir() || text.ends_with(['/', std::path::MAIN_SEPARATOR]);
        if !names_folder && list.single {
            return Ok(Self::File(output.clone()));
        }
        if output.is_file() {
            let why = "is a file, but there are several inputs";
            return Err(Failure::usage(text, why).help("name a folder with -o"));
        }
        Ok(Self::Folder(output.clone()))
    }

    fn target(&self, input: &Input, naming: &Naming) -> Result<Target, Failure> {
        let Naming { suffix, suffix_when, extension } = naming;
        Ok(match (self, &input.path) {
            (Self::Stdout, _) => Target::Stdout,
            (Self::File(path), _) => Target::File(path.clone()),
            (Self::Folder(folder), _) => {
                Target::File(folder.join(named(&input.relative, "", extension)))
            }
            (Self::Beside, Some(path)) => {
                let same = path.extension().is_some_and(|own| own.eq_ignore_ascii_case(extension));
                let suffix = if same || *suffix_when == SuffixWhen::Always { suffix } else { "" };
                Target::File(named(path, suffix, extension))
            }
            (Self::Beside, None) if std::io::stdout().is_terminal() => {
                return Err(Failure::usage("-", "the result of standard input needs a place")
                    .help("name a file with -o, or send standard output somewhere"));
            }
            (Self::Beside, None) => Target::Stdout,
        })
    }
}

/// `path` with its extension replaced and `suffix` before it.
fn named(path: &Path, suffix: &str, extension: &str) -> PathBuf {
    let mut name = path.file_stem().map(OsString::from).unwrap_or_default();
    name.push(suffix);
    name.push(".");
    name.push(extension);
    path.with_file_name(name)
}

/// Two inputs with one output, and outputs that are inputs.
fn find_conflicts(list: &InputList, targets: &[Option<Target>]) -> Result<(), Failure> {
    let inputs: HashSet<PathBuf> = list
        .entries
        .iter()
        .flatten()
        .filter_map(|input| canonical(input.path.as_deref()?))
        .collect();
    let mut taken: HashMap<&Path, String> = HashMap::new();
    for (entry, target) in list.entries.iter().zip(targets) {
        let (Ok(input), Some(Target::File(path))) = (entry, target) else { continue };
        if canonical(path).is_some_and(|path| inputs.contains(&path)) {
            let why = format!("the output of {} would replace an input", input.name());
            return Err(Failure::new(Kind::Output, path.display().to_string(), why)
                .help("name another file or folder with -o"));
        }
        if let Some(other) = taken.insert(path, input.name()) {
            let why = format!("would be the output of both {other} and {}", input.name());
            return Err(Failure::new(Kind::Output, path.display().to_string(), why)
                .help("give each an output of its own with -o, one by one"));
        }
    }
    Ok(())
}

fn canonical(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

impl Existing {
    /// As `--overwrite` and `--resume` say.
    pub(crate) fn of(typed: &OutputArgs) -> Self {
        match (typed.overwrite, typed.resume) {
            (true, _) => Self::Overwrite,
            (false, true) => Self::Skip,
            (false, false) => Self::Refuse,
        }
    }

    /// Whether `target` is still to be made.
    pub(crate) fn admits(self, target: &Target) -> Result<bool, Failure> {
        let Target::File(path) = target else { return Ok(true) };
        if path.is_dir() {
            return Err(Failure::new(Kind::Output, target.name(), "is a folder")
                .help("end its name with `/` to put files into it"));
        }
        if path.exists() {
            return match self {
                Self::Overwrite => Ok(true),
                Self::Skip => Ok(false),
                Self::Refuse => Err(Failure::new(Kind::Output, target.name(), "exists already")
                    .help("--overwrite replaces it, --resume takes it for done")),
            };
        }
        Ok(true)
    }
}

/// Outputs whose files are under construction.
static UNDERWAY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Makes the folder of an output that is about to be written. Until the guard is dropped,
/// [`clean_up`] knows of it.
pub(crate) fn begin(target: &Target) -> Result<Underway, Failure> {
    let Target::File(path) = target else { return Ok(Underway(None)) };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| Failure::output(folder, &error))?;
    }
    UNDERWAY.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone());
    Ok(Underway(Some(path.clone())))
}

/// An output that is being written.
#[must_use]
pub(crate) struct Underway(Option<PathBuf>);

impl Drop for Underway {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            UNDERWAY.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        }
    }
}

/// Removes the temporary files of outputs under construction, `.NAME.*.part`, when the program is
/// about to end without unwinding.
pub(crate) fn clean_up() {
    for path in UNDERWAY.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let Some(name) = path.file_name() else { continue };
        let start = format!(".{}.", name.to_string_lossy());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Ok(found) = std::fs::read_dir(folder.unwrap_or(Path::new("."))) else { continue };
        for file in found.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with(&start) && name.ends_with(".part") {
                // Nobody is left who could be told that it did not work.
                let _ = std::fs::remove_file(file.path());
            }
        }
    }
}

/// A file under construction, invisible until [`Draft::commit`].
pub(crate) struct Draft {
    file: NamedTempFile,
    target: Target,
}

impl Draft {
    /// Begins an output.
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        let mut builder = tempfile::Builder::new();
        let file = match target {
            Target::Stdout => builder.tempfile(),
            Target::File(path) => {
                let mut prefix = OsString::from(".");
                prefix.push(path.file_name().unwrap_or_default());
                prefix.push(".");
                builder.prefix(&prefix).suffix(".part");
                #[cfg(unix)]
                {
                    use std::os::unix::fs::PermissionsExt;
                    // The umask still applies.
                    builder.permissions(std::fs::Permissions::from_mode(0o666));
                }
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                builder.tempfile_in(folder.unwrap_or(Path::new(".")))
            }
        };
        let file = file.map_err(|error| Failure::output(target.name().as_ref(), &error))?;
        Ok(Self { file, target: target.clone() })
    }

    /// The file to write to.
    pub(crate) fn file(&mut self) -> &mut std::fs::File {
        self.file.as_file_mut()
    }

    /// An error of writing it.
    pub(crate) fn failure(target: &Target, error: &std::io::Error) -> Failure {
        Failure::output(target.name().as_ref(), error)
    }

    /// Gives the complete file its name, or copies it to standard output.
    pub(crate) fn commit(self) -> Result<(), Failure> {
        match &self.target {
            Target::Stdout => {
                let mut file = self.file.reopen().map_err(|e| Self::failure(&self.target, &e))?;
                crate::stdout::copy(&mut file)
            }
            Target::File(path) => {
                let saved = self.file.persist(path);
                saved.map(drop).map_err(|error| Failure::output(path, &error.error))
            }
        }
    }
}

/// Writes a whole file, or standard output, in one go.
pub(crate) fn write(target: &Target, bytes: &[u8]) -> Result<(), Failure> {
    let mut draft = Draft::new(target)?;
    draft.file().write_all(bytes).map_err(|error| Draft::failure(target, &error))?;
    draft.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(paths: &[(&str, &str)], single: bool) -> InputList {
        let entries = paths
            .iter()
            .map(|(path, relative)| {
                Ok(Input { path: Some(PathBuf::from(path)), relative: PathBuf::from(relative) })
            })
            .collect();
        InputList { entries, single }
    }

    fn naming() -> Naming {
        let suffix_when = SuffixWhen::Always;
        Naming { suffix: "_16k".to_owned(), suffix_when, extension: "wav".to_owned() }
    }

    fn named_outputs(output: Option<&str>, list: &InputList) -> Result<Vec<String>, Failure> {
        let typed = OutputArgs { output: output.map(PathBuf::from), ..Default::default() };
        let targets = assign(&typed, list, &naming())?;
        Ok(targets.into_iter().flatten().map(|target| target.name()).collect())
    }

    #[test]
    fn places() {
        let one = list(&[("in/a.b.mp3", "a.b.mp3")], true);
        assert_eq!(named_outputs(None, &one).expect("named"), ["in/a.b_16k.wav"]);
        assert_eq!(named_outputs(Some("x.flac"), &one).expect("named"), ["x.flac"]);
        assert_eq!(named_outputs(Some("new/"), &one).expect("named"), ["new/a.b.wav"]);
        assert_eq!(named_outputs(Some("-"), &one).expect("named"), ["-"]);
        let many = list(&[("in/a.mp3", "a.mp3"), ("in/x/b.ogg", "x/b.ogg")], false);
        assert_eq!(named_outputs(Some("new"), &many).expect("named"), ["new/a.wav", "new/x/b.wav"]);
        assert_eq!(named_outputs(Some("-"), &many).expect_err("two").kind, Kind::Usage);
    }

    #[test]
    fn two_inputs_never_share_an_output() {
        let many = list(&[("in/a.mp3", "a.mp3"), ("in/a.ogg", "a.ogg")], false);
        let failure = named_outputs(None, &many).expect_err("same name");
        assert!(failure.message().contains("a.mp3") && failure.message().contains("a.ogg"));
    }

    #[test]
    fn inputs_are_never_replaced() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a.wav");
        std::fs::write(&path, b"").expect("file");
        let text = path.display().to_string();
        let one = list(&[(&text, "a.wav")], true);
        assert_eq!(named_outputs(Some(&text), &one).expect_err("input").kind, Kind::Output);
    }

    #[test]
    fn drafts_appear_when_complete() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let target = Target::File(folder.path().join("a.bin"));
        drop(Draft::new(&target).expect("draft"));
        assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 0);
        write(&target, b"abc").expect("written");
        assert!(!Existing::Skip.admits(&target).expect("skipped"));
        assert!(Existing::Overwrite.admits(&target).expect("overwritten"));
        assert_eq!(Existing::Refuse.admits(&target).expect_err("there").kind, Kind::Output);
        assert_eq!(
            target.with_suffix("_left").name(),
            folder.path().join("a_left.bin").display().to_string()
        );
    }
}
