//! Where results go: names of outputs, and conflicts found before the work starts.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use formant_audio_core::ChannelLayout;
use formant_audio_core::decode::MAX_CHANNELS;

use crate::failure::{Failure, Kind};
use crate::identity::{self, FileId};
use crate::inputs::{self, Entry, Input, InputList};
use crate::settings::Settings;

/// Where results go.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OutputArgs {
    /// File or folder for the result, `-` for standard output [default: beside the input].
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Replace existing outputs.
    #[arg(long, conflicts_with = "resume")]
    pub(crate) overwrite: bool,
    /// Skip inputs whose outputs exist.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Keep the input's extension in names that are made from it, such as talk.mp3.wav.
    #[arg(long)]
    pub(crate) keep_extension: bool,
}

/// What happens when an output exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It is an error, which says what to do.
    Refuse(&'static str),
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
    /// The file at `path`; `-` and nothing are standard output.
    pub(crate) fn of(path: Option<&Path>) -> Self {
        match path {
            Some(path) if path.as_os_str() != "-" => Self::File(path.to_owned()),
            _ => Self::Stdout,
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdout => None,
            Self::File(path) => Some(path),
        }
    }

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
#[derive(Debug, Clone, Copy)]
pub(crate) struct Naming<'a> {
    /// Follows the input's stem where the output stands beside its input.
    pub(crate) suffix: &'a str,
    /// Whether the suffix is left out where the extension tells enough.
    pub(crate) suffix_when: SuffixWhen,
    /// Extension without a dot.
    pub(crate) extension: &'a str,
}

/// Where results go that several inputs can share.
#[derive(Debug)]
pub(crate) enum Results {
    /// All to one place, in the order of the inputs.
    Gathered(Target),
    /// Each to a place of its own.
    Each(Vec<Option<Target>>),
}

impl Results {
    /// Where the results of an input go that has a place of its own.
    pub(crate) fn own(&self, index: usize) -> Result<Option<&Target>, Failure> {
        match self {
            Self::Gathered(_) => Ok(None),
            Self::Each(targets) => target_of(targets, index).map(Some),
        }
    }
}

/// Names the place of results that several inputs can share (`shares`), such as lines: one file or
/// standard output for all, or a file an input where `-o` names a folder. Results that are files by
/// themselves have one each, beside the input or as [`assign`] says.
pub(crate) fn assign_shared(
    typed: &OutputArgs,
    list: &mut InputList,
    naming: Naming<'_>,
    shares: bool,
    settings: &Settings,
) -> Result<Results, Failure> {
    let path = typed.output.as_deref();
    if shares && path.is_none_or(|path| names_file(path, true)) {
        return Ok(Results::Gathered(Target::of(path)));
    }
    Ok(Results::Each(assign(typed, list, naming, settings)?))
}

/// The kind of result that the ending of `-o` names, among those that a command writes. `None` where
/// no file is named, or one without an ending. With `takes_file`, `-o` can name a file: there is one
/// input, or several can share one.
pub(crate) fn kind_of_ending<K: Copy>(
    typed: &OutputArgs,
    takes_file: bool,
    kinds: &[(&str, K)],
) -> Result<Option<K>, Failure> {
    let file = typed.output.as_deref().filter(|path| names_file(path, takes_file));
    let Some((path, ending)) = file.and_then(|path| Some((path, path.extension()?))) else {
        return Ok(None);
    };
    if let Some((_, kind)) = kinds.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known)) {
        return Ok(Some(*kind));
    }
    let known: Vec<String> = kinds.iter().map(|(known, _)| format!(".{known}")).collect();
    let why = "this command writes no files with this ending";
    Err(Failure::usage(path.display().to_string(), why).help(format!(
        "use {}, or `{}/` for a folder",
        known.join(", "),
        path.display()
    )))
}

/// When an output beside its input has a suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SuffixWhen {
    /// Always.
    Always,
    /// When it would have the input's own name otherwise.
    SameExtension,
}

/// Names the output of every input; failed entries have none. Inputs whose outputs collide fail.
pub(crate) fn assign(
    typed: &OutputArgs,
    list: &mut InputList,
    naming: Naming<'_>,
    settings: &Settings,
) -> Result<Vec<Option<Target>>, Failure> {
    assign_groups(typed, list, naming, |target| vec![target.clone()], settings)
}

/// As [`assign`], for inputs with several outputs each: `group` makes their names from the name that
/// a single output would have.
pub(crate) fn assign_groups(
    typed: &OutputArgs,
    list: &mut InputList,
    naming: Naming<'_>,
    group: impl Fn(&Target) -> Vec<Target>,
    settings: &Settings,
) -> Result<Vec<Option<Target>>, Failure> {
    let (place, keep) = (Place::of(typed, list)?, typed.keep_extension);
    if typed.resume {
        pass_over_outputs(list, |input| Ok(group(&place.target(input, naming, keep)?)))?;
    }
    let target = |entry: &Entry| {
        entry.as_ref().ok().map(|input| place.target(input, naming, keep)).transpose()
    };
    let targets: Vec<Option<Target>> = list.entries.iter().map(target).collect::<Result<_, _>>()?;
    check_stdout(&targets, settings)?;
    let groups: Vec<_> = targets.iter().map(|t| t.as_ref().map_or(Vec::new(), &group)).collect();
    fail_conflicts(list, &groups);
    Ok(targets)
}

/// The output of the input number `index`.
pub(crate) fn target_of(targets: &[Option<Target>], index: usize) -> Result<&Target, Failure> {
    let target = targets.get(index).and_then(Option::as_ref);
    target.ok_or_else(|| Failure::internal("outputs", "an input has none"))
}

/// Refuses results and JSON lines on the same standard output.
pub(crate) fn check_stdout(targets: &[Option<Target>], settings: &Settings) -> Result<(), Failure> {
    if settings.json && targets.contains(&Some(Target::Stdout)) {
        return Err(Failure::usage("--json", "the result itself goes to standard output")
            .help("name a file with -o"));
    }
    Ok(())
}

/// Refuses bytes of audio, pictures or arrays on a terminal, which would show them as noise.
pub(crate) fn refuse_terminal(targets: &[Option<Target>]) -> Result<(), Failure> {
    refuse_bytes_on(std::io::stdout().is_terminal(), targets)
}

fn refuse_bytes_on(terminal: bool, targets: &[Option<Target>]) -> Result<(), Failure> {
    match terminal && targets.contains(&Some(Target::Stdout)) {
        true => {
            Err(Failure::usage("-o -", "standard output is a terminal, which shows no such file")
                .help("name a file with -o, or send standard output somewhere"))
        }
        false => Ok(()),
    }
}

/// An output a channel: `talk_left.wav` and `talk_right.wav`, or `talk_ch1.wav` and so on.
pub(crate) fn channel_targets(
    target: &Target,
    layout: ChannelLayout,
) -> Result<Vec<Target>, Failure> {
    if *target == Target::Stdout {
        return Err(Failure::usage("--channels each", "makes several files")
            .help("name a file or folder with -o"));
    }
    Ok(match layout {
        ChannelLayout::Mono => vec![target.clone()],
        ChannelLayout::Stereo => {
            ["_left", "_right"].iter().map(|side| target.with_suffix(side)).collect()
        }
        other => (1..=other.count()).map(|n| target.with_suffix(&format!("_ch{n}"))).collect(),
    })
}

/// The output, and those of its channels that an earlier run left.
pub(crate) fn with_channels(target: &Target) -> Vec<Target> {
    let exists = |channel: &Target| channel.path().is_some_and(Path::exists);
    let sides = ["_left", "_right"].map(|side| target.with_suffix(side));
    let numbered = (1..=MAX_CHANNELS).map(|n| target.with_suffix(&format!("_ch{n}")));
    let there = sides.into_iter().filter(exists).chain(numbered.take_while(exists));
    std::iter::once(target.clone()).chain(there).collect()
}

/// Whether an output for a single input is a file, not a folder.
pub(crate) fn names_file(output: &Path, single: bool) -> bool {
    let ends = output.to_string_lossy().ends_with(['/', std::path::MAIN_SEPARATOR]);
    single && !ends && !output.is_dir()
}

/// Endings of files that commands write. A name with one of them is no folder to be made.
const FILE_ENDINGS: [&str; 25] = [
    "wav", "rf64", "flac", "raw", "pcm", "mp3", "ogg", "opus", "m4a", "png", "jpg", "jpeg", "svg",
    "npy", "npz", "csv", "tsv", "txt", "json", "jsonl", "srt", "vtt", "ctm", "textgrid", "rttm",
];

/// Whether a name ends as a file does.
fn ends_as_file(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    names_file(path, true) && ending.is_some_and(|ending| FILE_ENDINGS.contains(&&*ending))
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
        if names_file(output, list.single) {
            return Ok(Self::File(output.clone()));
        }
        if output.is_file() {
            let why = "is a file, but there are several inputs";
            return Err(Failure::usage(text, why).help("name a folder with -o"));
        }
        if ends_as_file(output) {
            let why = "names one file, but there are several inputs";
            let remedy = format!("name a folder; `{text}/` is one, whatever its ending");
            return Err(Failure::usage(text.clone(), why).help(remedy));
        }
        Ok(Self::Folder(output.clone()))
    }

    fn target(&self, input: &Input, naming: Naming<'_>, keep: bool) -> Result<Target, Failure> {
        let Naming { suffix, suffix_when, extension } = naming;
        let named = |path: &Path, suffix: &str| named(path, suffix, extension, keep);
        Ok(match (self, &input.path) {
            (Self::Stdout, _) => Target::Stdout,
            (Self::File(path), _) => Target::File(path.clone()),
            (Self::Folder(folder), _) => Target::File(folder.join(named(&input.relative, ""))),
            (Self::Beside, Some(path)) => {
                let same = path.extension().is_some_and(|own| own.eq_ignore_ascii_case(extension));
                let suffix = if same || suffix_when == SuffixWhen::Always { suffix } else { "" };
                Target::File(named(path, suffix))
            }
            (Self::Beside, None) if std::io::stdout().is_terminal() => {
                return Err(Failure::usage("-", "the result of standard input needs a place")
                    .help("name a file with -o, or send standard output somewhere"));
            }
            (Self::Beside, None) => Target::Stdout,
        })
    }
}

/// `path` with its extension replaced, or followed, by another, and `suffix` before that.
fn named(path: &Path, suffix: &str, extension: &str, keep: bool) -> PathBuf {
    let name = if keep { path.file_name() } else { path.file_stem() };
    let mut name = name.map(OsString::from).unwrap_or_default();
    name.push(suffix);
    name.push(".");
    name.push(extension);
    path.with_file_name(name)
}

/// Removes inputs that are outputs of others in the list, as an earlier run left them.
fn pass_over_outputs(
    list: &mut InputList,
    outputs: impl Fn(&Input) -> Result<Vec<Target>, Failure>,
) -> Result<(), Failure> {
    let mut made = HashSet::new();
    for input in list.entries.iter().flatten().chain(&list.others) {
        let own = input.path.as_deref().and_then(FileId::of);
        let files = outputs(input)?.into_iter().filter_map(|target| FileId::of(target.path()?));
        made.extend(files.filter(|file| Some(file) != own.as_ref()));
    }
    let is_output = |entry: &Entry| {
        let path = entry.as_ref().ok().and_then(|input| input.path.as_deref());
        path.and_then(FileId::of).is_some_and(|file| made.contains(&file))
    };
    let before = list.entries.len();
    list.entries.retain(|entry| !is_output(entry));
    list.passed_over = before - list.entries.len();
    Ok(())
}

/// Inputs that a message lists.
const MAX_LISTED: usize = 8;

/// Makes failures of inputs that have an output in common, and of those whose outputs are inputs.
fn fail_conflicts(list: &mut InputList, groups: &[Vec<Target>]) {
    let inputs = identity::of_inputs(list);
    let mut takers: HashMap<&Path, Vec<usize>> = HashMap::new();
    for (index, group) in groups.iter().enumerate() {
        for path in group.iter().filter_map(Target::path) {
            takers.entry(path).or_default().push(index);
        }
    }
    let names: Vec<String> = list.entries.iter().map(inputs::name).collect();
    let shared = takers.iter().filter(|(_, sharing)| sharing.len() > 1);
    let mut clashes: Vec<String> = shared
        .map(|(path, sharing)| {
            let names: Vec<&str> = sharing.iter().map(|&index| names[index].as_str()).collect();
            format!("{} of {}", path.display(), names.join(", "))
        })
        .collect();
    clashes.sort_unstable();
    list.clashes = clashes;
    for (index, group) in groups.iter().enumerate() {
        let failure = group.iter().filter_map(Target::path).find_map(|path| {
            let sharing = takers.get(path).map_or(&[][..], Vec::as_slice);
            if sharing.len() > 1 {
                return Some(collision(path, sharing.iter().filter_map(|&index| names.get(index))));
            }
            // Names in larger groups are guesses until the model is loaded.
            let own =
                group.len() == 1 && FileId::of(path).is_some_and(|file| inputs.contains(&file));
            own.then(|| identity::own_input(path))
        });
        if let (Some(failure), Some(entry)) = (failure, list.entries.get_mut(index)) {
            *entry = Err((names[index].clone(), failure));
        }
    }
}

fn collision<'a>(path: &Path, names: impl Iterator<Item = &'a String>) -> Failure {
    let names: Vec<&str> = names.map(String::as_str).collect();
    let (listed, rest) = names.split_at(names.len().min(MAX_LISTED));
    let mut all = listed.join(", ");
    if !rest.is_empty() {
        all += &format!(" and {} more", rest.len());
    }
    Failure::new(Kind::Output, path.display().to_string(), format!("would be the output of {all}"))
        .help("--keep-extension tells talk.mp3 and talk.ogg apart; otherwise give each an output of its own with -o, one by one")
}

impl Existing {
    /// As `--overwrite` says, where there is no `--resume`.
    pub(crate) fn overwrite(overwrite: bool) -> Self {
        if overwrite { Self::Overwrite } else { Self::Refuse("--overwrite replaces it") }
    }

    /// As `--overwrite` and `--resume` say.
    pub(crate) fn of(typed: &OutputArgs) -> Self {
        match (typed.overwrite, typed.resume) {
            (true, _) => Self::Overwrite,
            (false, true) => Self::Skip,
            (false, false) => Self::Refuse("--overwrite replaces it, --resume takes it for done"),
        }
    }

    /// Whether `target` is still to be made.
    pub(crate) fn admits(self, target: &Target) -> Result<bool, Failure> {
        let Target::File(path) = target else { return Ok(true) };
        if !names_file(path, true) {
            return Err(Failure::new(Kind::Output, target.name(), "is a folder")
                .help("name a file with -o"));
        }
        // What is written through has nothing that could be replaced, and is never done.
        if is_stream(path) {
            return Ok(true);
        }
        if std::fs::symlink_metadata(path).is_ok() {
            if !path.exists() && self != Self::Overwrite {
                return Err(Failure::new(Kind::Output, target.name(), "is a link to nothing")
                    .help("--overwrite makes the file that it names"));
            }
            return match self {
                Self::Overwrite => Ok(true),
                Self::Skip => Ok(false),
                Self::Refuse(remedy) => {
                    Err(Failure::new(Kind::Output, target.name(), "exists already").help(remedy))
                }
            };
        }
        Ok(true)
    }

    /// Whether any of the targets is still to be made.
    pub(crate) fn admits_any(self, targets: &[Target]) -> Result<bool, Failure> {
        let admits = |any, target| Ok(self.admits(target)? || any);
        targets.iter().try_fold(false, admits)
    }
}

/// Whether there is a FIFO or a device that takes bytes as they come. Disks are none: they hold
/// something.
#[cfg(unix)]
fn is_stream(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|found| {
        let kind = found.file_type();
        kind.is_fifo() || kind.is_char_device() || kind.is_socket()
    })
}

#[cfg(not(unix))]
fn is_stream(_: &Path) -> bool {
    false
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
        InputList { entries, single, ..InputList::default() }
    }

    fn naming() -> Naming<'static> {
        let suffix_when = SuffixWhen::Always;
        Naming { suffix: "_16k", suffix_when, extension: "wav" }
    }

    fn named_outputs(output: Option<&str>, list: &InputList) -> Result<Vec<String>, Failure> {
        let typed = OutputArgs { output: output.map(PathBuf::from), ..Default::default() };
        let mut list = list.clone();
        let targets = assign(&typed, &mut list, naming(), &Settings::default())?;
        if let Some((_, failure)) = list.entries.into_iter().find_map(Result::err) {
            return Err(failure);
        }
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
    fn a_name_with_the_ending_of_a_file_is_no_folder() {
        let many = list(&[("in/a.mp3", "a.mp3"), ("in/b.ogg", "b.ogg")], false);
        let failure = named_outputs(Some("one.wav"), &many).expect_err("two");
        assert!(failure.kind == Kind::Usage && failure.remedy.contains("one.wav/"));
        assert_eq!(named_outputs(Some("one.wav/"), &many).expect("a folder")[0], "one.wav/a.wav");
        assert_eq!(named_outputs(Some("v1.0"), &many).expect("a folder")[0], "v1.0/a.wav");
    }

    #[test]
    fn kept_extensions_tell_inputs_apart_and_clashes_are_listed() {
        let paths = [("in/a.mp3", "a.mp3"), ("in/a.ogg", "a.ogg"), ("b.mp3", "b.mp3")];
        let mut many = list(&paths, false);
        many.entries.push(Ok(Input { path: Some("c/b.mp3".into()), relative: "b.mp3".into() }));
        let mut typed = OutputArgs { output: Some("out".into()), ..OutputArgs::default() };
        let mut plain = many.clone();
        assign(&typed, &mut plain, naming(), &Settings::default()).expect("named");
        let clashes = ["out/a.wav of in/a.mp3, in/a.ogg", "out/b.wav of b.mp3, c/b.mp3"];
        assert_eq!(plain.clashes, clashes);
        typed.keep_extension = true;
        let targets = assign(&typed, &mut many, naming(), &Settings::default()).expect("named");
        let names: Vec<_> = targets.iter().flatten().map(Target::name).collect();
        assert_eq!(names[..2], ["out/a.mp3.wav", "out/a.ogg.wav"]);
        assert_eq!(many.clashes, ["out/b.mp3.wav of b.mp3, c/b.mp3"]);
    }

    #[test]
    fn terminals_get_no_bytes_of_files() {
        let targets = [None, Some(Target::Stdout)];
        assert_eq!(refuse_bytes_on(true, &targets).expect_err("noise").kind, Kind::Usage);
        assert!(refuse_bytes_on(false, &targets).is_ok());
        assert!(refuse_bytes_on(true, &[Some(Target::File("a.wav".into()))]).is_ok());
    }

    #[test]
    fn endings_name_kinds() {
        let kinds = [("csv", 1), ("TextGrid", 2)];
        let kind = |path: &str| {
            let typed = OutputArgs { output: Some(path.into()), ..OutputArgs::default() };
            kind_of_ending(&typed, true, &kinds)
        };
        assert_eq!(kind("a.CSV").expect("known"), Some(1));
        assert_eq!(kind("a.textgrid").expect("known"), Some(2));
        for none in ["a", "a.png/", "-", "/dev/null"] {
            assert_eq!(kind(none).expect("no ending"), None, "{none}");
        }
        let failure = kind("a.jpg").expect_err("unknown");
        assert!(failure.kind == Kind::Usage && failure.remedy.contains(".csv, .TextGrid"));
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
    fn channels_have_names_of_their_own() {
        let target = Target::File("out/talk.wav".into());
        let names = |layout| -> Vec<String> {
            let targets = channel_targets(&target, layout).expect("a file");
            targets.iter().map(Target::name).collect()
        };
        assert_eq!(names(ChannelLayout::Mono), ["out/talk.wav"]);
        assert_eq!(names(ChannelLayout::Stereo), ["out/talk_left.wav", "out/talk_right.wav"]);
        assert_eq!(names(ChannelLayout::Quad)[3], "out/talk_ch4.wav");
        let failure = channel_targets(&Target::Stdout, ChannelLayout::Mono).expect_err("stdout");
        assert_eq!(failure.kind, Kind::Usage);
    }
}
