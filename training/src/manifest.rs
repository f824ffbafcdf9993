//! Lists of labelled audio files: manifests with a header line (tabs, commas or semicolons between the
//! cells), manifests with a JSON object a line, or one folder a label.
//!
//! Known columns are `path` (or `audio_filepath`, `file_name`), `label`, `text` (or `sentence`,
//! `transcript`, `transcription`), `offset` and `duration`, `channel`, `split`, `speaker`, `source`
//! and `seconds`; others are ignored. Paths are relative to the manifest.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use formant_audio_core::decode::{ChannelSelect, Stretch, has_audio_extension};

use crate::error::{Error, Result};
use crate::recording::Recording;
use crate::table::{self, Table};

/// Folder name, as in Speech Commands, whose files are background noise without words.
pub const BACKGROUND_FOLDER: &str = "_background_noise_";

/// One labelled file, or a stretch of one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// The audio file.
    pub path: PathBuf,
    /// The part of it that the row is about.
    pub stretch: Stretch,
    /// The channel that the row is about; all of them, mixed, where the manifest names none.
    pub channel: Option<ChannelSelect>,
    /// Its label; empty where the manifest gives none.
    pub label: String,
    /// `train`, `dev`, `test`, ...; empty where the manifest gives none.
    pub split: String,
    /// Who speaks; empty where unknown.
    pub speaker: String,
    /// Where the clip comes from; empty where unknown.
    pub source: String,
    /// Length in seconds, where the manifest gives it.
    pub seconds: Option<f64>,
}

impl Row {
    /// What the row is about.
    #[must_use]
    pub fn recording(&self) -> Recording {
        let (path, channel) = (self.path.clone(), self.channel.clone());
        Recording { path, stretch: self.stretch, channel }
    }
}

/// Whether a file is a manifest by its ending.
#[must_use]
pub fn is_table(path: &Path) -> bool {
    let known = ["tsv", "csv", "jsonl", "ndjson", "json"];
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| known.contains(&ending.to_ascii_lowercase().as_str()))
}

/// Reads a manifest, or lists a folder that holds one folder a label.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::Manifest`] for a line without the columns that
/// the header promises, [`Error::Data`] when nothing is in it.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let rows =
        if path.is_dir() { list_folder(path)? } else { read_table(path, &["label"], &[PATH])? };
    not_empty(rows, path)
}

/// Reads recordings of speakers: as [`read`], but that the folders in a folder are the speakers.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_voices(path: &Path) -> Result<Vec<Row>> {
    let mut rows = read(path)?;
    if path.is_dir() {
        rows.iter_mut().for_each(|row| row.speaker.clone_from(&row.label));
    }
    Ok(rows)
}

/// Reads a manifest whose files belong together, which are used as a whole: as [`read`].
///
/// # Errors
/// As [`read`]; [`Error::Data`] when a row is about a stretch or a channel of a file.
pub fn read_whole(path: &Path) -> Result<Vec<Row>> {
    let rows = read(path)?;
    match rows.iter().find(|row| !row.stretch.is_whole() || row.channel.is_some()) {
        None => Ok(rows),
        Some(row) => Err(Error::Data(format!(
            "{}: {}: the columns offset, duration and channel are of no use here, where whole files \
             belong together; make a file of each stretch or channel first",
            path.display(),
            row.recording()
        ))),
    }
}

/// Reads a manifest of transcripts: as [`read`], with the text as label.
///
/// # Errors
/// As [`read`].
pub fn read_transcripts(path: &Path) -> Result<Vec<Row>> {
    not_empty(read_table(path, TEXT, &[PATH, TEXT])?, path)
}

/// Everything in a table that may be a file's name, from its folder or `base` on; nothing where it can't
/// be read.
#[must_use]
pub fn possible_files(path: &Path, base: Option<&Path>) -> Vec<PathBuf> {
    let Ok(table) = Table::read(path) else { return Vec::new() };
    let base = base.or(path.parent()).unwrap_or(Path::new(""));
    let Some((first, others)) = table.rows() else { return Vec::new() };
    let rows = std::iter::once(first).chain(others);
    let cells = rows.flat_map(table::Row::cells).filter(|cell| !cell.is_empty());
    cells.map(|cell| base.join(cell)).collect()
}

/// Reads a table of texts: as [`read_transcripts`], but it needs no recordings and does need texts.
///
/// # Errors
/// As [`read`].
pub fn read_texts(path: &Path) -> Result<Vec<Row>> {
    rows_of(&Table::read(path)?, Path::new(""), TEXT, &[TEXT])
}

/// Names of a column; the first that is there counts.
type Names = [&'static str];

/// Columns that may hold a file's name.
const PATH: &Names = &["path", "audio_filepath", "file_name"];

/// Columns that may hold a text.
const TEXT: &Names = &["text", "sentence", "transcript", "transcription", "label"];

/// Lists utterances with their texts, from a table of transcripts or a folder with
/// `transcripts.tsv`; a `manifest.tsv` beside that one adds speakers, sources and splits by path.
///
/// # Errors
/// As [`read`]; [`Error::Data`] for a folder without transcripts.
pub fn read_utterances(path: &Path) -> Result<Vec<Row>> {
    if !path.is_dir() {
        return read_transcripts(path);
    }
    let table = path.join("transcripts.tsv");
    if !table.is_file() {
        return Err(Error::Data(format!(
            "{}: no transcripts.tsv in this folder; name a table with the columns path and text",
            path.display()
        )));
    }
    let mut rows = read_transcripts(&table)?;
    let manifest = path.join("manifest.tsv");
    if manifest.is_file() {
        let known: HashMap<PathBuf, Row> =
            read(&manifest)?.into_iter().map(|row| (row.path.clone(), row)).collect();
        for row in &mut rows {
            let Some(more) = known.get(&row.path) else { continue };
            row.speaker.clone_from(&more.speaker);
            row.source.clone_from(&more.source);
            row.seconds = more.seconds;
            if row.split.is_empty() {
                row.split.clone_from(&more.split);
            }
        }
    }
    Ok(rows)
}

fn not_empty(rows: Vec<Row>, path: &Path) -> Result<Vec<Row>> {
    if rows.is_empty() {
        return Err(Error::Data(format!("{}: no audio files listed", path.display())));
    }
    Ok(rows)
}

fn read_table(path: &Path, labels: &Names, needed: &[&Names]) -> Result<Vec<Row>> {
    let base = path.parent().unwrap_or(Path::new(""));
    rows_of(&Table::read(path)?, base, labels, needed)
}

/// Parses the text of a manifest whose paths are relative to `base`; `name` is for messages.
///
/// # Errors
/// [`Error::Manifest`] naming the line.
pub fn parse_table(text: &str, base: &Path, name: &Path) -> Result<Vec<Row>> {
    rows_of(&Table::parse(text, name)?, base, &["label"], &[PATH])
}

/// The first of the columns `labels` that is there is the label; every `needed` column has to be there.
fn rows_of(table: &Table, base: &Path, labels: &Names, needed: &[&Names]) -> Result<Vec<Row>> {
    let Some((header, lines)) = table.rows() else {
        return Ok(Vec::new());
    };
    for names in needed {
        if header.find(names).is_none() {
            let or = match &names[1..] {
                [] => String::new(),
                others => format!(" (or {})", others.join(", ")),
            };
            let found = header.cells().collect::<Vec<_>>().join(", ");
            let reason = format!("the header needs a column `{}`{or}; it has: {found}", names[0]);
            return Err(table.bad(header.line, reason));
        }
    }
    table.check(&needed.iter().map(|names| header.find(names)).collect::<Vec<_>>())?;
    let path = header.find(PATH);
    let texts = [labels, &["split"], &["speaker"], &["source"]].map(|names| header.find(names));
    let seconds = header.find(&["seconds"]);
    // Texts alone have nothing to cut.
    let has_files = needed.contains(&PATH);
    let [offset, duration] =
        ["offset", "duration"].map(|name| header.find(&[name]).filter(|_| has_files));
    let channel = header.find(&["channel"]).filter(|_| has_files);
    let row = |line: &table::Row| {
        let file = line.cell(path);
        if file.is_empty() && has_files {
            return Err(table.bad(line.line, "no path in this line"));
        }
        let stretch = Stretch {
            start: table.number(line, offset)?.unwrap_or(0.0),
            seconds: table.number(line, duration)?,
        };
        if stretch.start < 0.0 || stretch.seconds.is_some_and(|seconds| seconds <= 0.0) {
            let reason = "an offset below zero, or a duration that is not above zero; leave the \
                          cell empty to read from the start, or to the end";
            return Err(table.bad(line.line, reason));
        }
        let channel = match line.cell(channel) {
            "" => None,
            text => match ChannelSelect::together(text) {
                Ok(channel) => Some(channel),
                Err(error) => return Err(table.bad(line.line, error.to_string())),
            },
        };
        let [label, split, speaker, source] = texts.map(|column| line.cell(column).to_owned());
        let seconds = line.cell(seconds).parse().ok();
        let seconds = seconds.filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
        Ok(Row { path: base.join(file), stretch, channel, label, split, speaker, source, seconds })
    };
    lines.iter().map(row).collect()
}

fn list_folder(folder: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for label_folder in sorted_entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let label = label_folder.file_name().map(|n| n.to_string_lossy().into_owned());
        let Some(label) = label.filter(|name| !name.starts_with('.')) else {
            continue;
        };
        for path in sorted_entries(&label_folder)? {
            if has_audio_extension(&path) {
                let speaker = speaker_of(&path);
                rows.push(Row { path, label: label.clone(), speaker, ..Row::default() });
            }
        }
    }
    Ok(rows)
}

/// The part of a file name before `_nohash_` (Speech Commands) or the first underscore, which
/// recordings of one speaker usually share; the whole name otherwise.
fn speaker_of(path: &Path) -> String {
    let stem = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    stem.split('_').next().unwrap_or(&stem).to_owned()
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect())
        .map_err(|e| Error::io(folder, e))?;
    let list: &mut Vec<PathBuf> = &mut entries;
    list.sort();
    Ok(entries)
}

/// Fewer speakers than this cannot be parted into three splits by chance.
const FEWEST_SPEAKERS: usize = 10;

/// Gives every row without a split one of `train`, `dev` and `test`, in shares of about 80, 10
/// and 10 in a hundred, so that one speaker is never in two of them. Where fewer than ten
/// speakers are known, single files are parted instead, and the splits share speakers.
pub fn assign_splits(rows: &mut [Row]) {
    let speakers: std::collections::BTreeSet<&str> = rows
        .iter()
        .filter(|row| row.split.is_empty() && !row.speaker.is_empty())
        .map(|row| row.speaker.as_str())
        .collect();
    let by_speaker = speakers.len() >= FEWEST_SPEAKERS;
    for row in rows.iter_mut().filter(|row| row.split.is_empty()) {
        let name = row.path.to_string_lossy();
        let key = if by_speaker && !row.speaker.is_empty() { &row.speaker } else { name.as_ref() };
        let mut hash = Fnv1a::default();
        hash.add(key.as_bytes());
        row.split = match hash.value() % 10 {
            0 => "test",
            1 => "dev",
            _ => "train",
        }
        .to_owned();
    }
}

/// FNV-1a, 64 bit: a hash that stays the same on every machine and in every version.
#[derive(Debug)]
pub(crate) struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a {
    /// Takes in bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// The hash of all bytes so far.
    pub(crate) fn value(&self) -> u64 {
        self.0
    }
}

/// Whether a row is to be learned from: of the split `train`, or without a split.
pub(crate) fn is_trained_on(row: &Row) -> bool {
    row.split.is_empty() || row.split == "train"
}

/// The recordings of a manifest or folder that are to be learned from.
///
/// # Errors
/// As [`read`].
pub(crate) fn train_recordings(path: &Path) -> Result<impl Iterator<Item = Recording>> {
    Ok(read(path)?.into_iter().filter(is_trained_on).map(|row| row.recording()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_columns_in_any_order() {
        let text = "label\tpath\tsplit\nyes\ta/b.wav\ttest\n\nno\tc.wav\ttrain\n";
        let rows = parse_table(text, Path::new("base"), Path::new("m.tsv")).expect("valid");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].path, Path::new("base/a/b.wav"));
        assert_eq!((rows[0].label.as_str(), rows[0].split.as_str()), ("yes", "test"));
        assert_eq!(rows[1].speaker, "");
    }

    #[test]
    fn names_the_line_without_a_path() {
        let text = "path\tlabel\na.wav\tyes\n\tno\n";
        let error = parse_table(text, Path::new(""), Path::new("m.tsv")).expect_err("no path");
        assert_eq!(error.to_string(), "m.tsv: line 3: no path in this line");
        let error = parse_table("file,label\n", Path::new(""), Path::new("m.csv"));
        assert!(error.expect_err("no column").to_string().contains("column `path`"));
    }

    fn transcripts(name: &str, text: &str) -> Result<Vec<Row>> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        read_transcripts(&path)
    }

    fn labels(rows: &[Row]) -> Vec<&str> {
        rows.iter().map(|row| row.label.as_str()).collect()
    }

    #[test]
    fn f2_cells_may_be_quoted() {
        let text = "path,text\na1.wav,\"the birch canoe, slid on the smooth planks\"\n\
                    b1.wav,\"he said \"\"no\"\" to it\"\n";
        let wanted = ["the birch canoe, slid on the smooth planks", "he said \"no\" to it"];
        assert_eq!(labels(&transcripts("a.csv", text).expect("quoted")), wanted);
        let text = "\u{feff}path,label\r\n\"a, b.wav\",\"say \"\"yes\"\"\"\r\n";
        let rows = transcripts("a.csv", text).expect("valid");
        assert!(rows[0].path.ends_with("a, b.wav"));
        assert_eq!(labels(&rows), ["say \"yes\""]);
        let error = parse_table("path,label\na.wav,\"yes\n", Path::new(""), Path::new("m.csv"));
        assert!(
            error.expect_err("open").to_string().starts_with("m.csv: line 2: a quotation mark")
        );
    }

    #[test]
    fn f6_rows_may_be_stretches() {
        let table = "path\ttext\toffset\tduration\na.wav\tone\t0.0\t0.9\na.wav\ttwo\t0.9\t\n";
        let objects = "{\"audio_filepath\": \"a.wav\", \"text\": \"one\", \"duration\": 0.9}\n\
                       {\"audio_filepath\": \"a.wav\", \"text\": \"two\", \"offset\": 0.9}\n";
        for (name, text) in [("a.tsv", table), ("a.jsonl", objects)] {
            let rows = transcripts(name, text).expect("stretches");
            assert_eq!(labels(&rows), ["one", "two"]);
            assert_eq!(rows[0].stretch, Stretch { start: 0.0, seconds: Some(0.9) });
            assert_eq!(rows[1].stretch, Stretch { start: 0.9, seconds: None });
            assert!(rows[1].recording().to_string().ends_with("a.wav (from 0.9 s on)"));
        }
        for (bad, says) in [("-1\t2", "below zero"), ("1\t0", "below zero"), ("1\t0:30", "0:30")] {
            let text = format!("path\ttext\toffset\tduration\na.wav\tx\t{bad}\n");
            let error = transcripts("a.tsv", &text).expect_err("no stretch").to_string();
            assert!(error.contains("line 2") && error.contains(says), "{error}");
        }
    }

    #[test]
    fn w1_rows_may_be_channels() {
        let table = "path\ttext\tchannel\na.wav\tone\tleft\na.wav\ttwo\t2\nb.wav\tboth\t\n";
        let objects = "{\"path\": \"a.wav\", \"text\": \"one\", \"channel\": \"left\"}\n\
                       {\"path\": \"a.wav\", \"text\": \"two\", \"channel\": 2}\n\
                       {\"path\": \"b.wav\", \"text\": \"both\"}\n";
        for (name, text) in [("a.tsv", table), ("a.jsonl", objects)] {
            let rows = transcripts(name, text).expect("channels");
            let channels: Vec<_> = rows.iter().map(|row| row.channel.clone()).collect();
            let second = ChannelSelect::Numbers(vec![2]);
            assert_eq!(channels, [Some(ChannelSelect::Left), Some(second), None], "{name}");
            assert!(rows[1].recording().to_string().ends_with("a.wav (channel 2)"));
        }
        for bad in ["each", "0", "A"] {
            let text = format!("path\ttext\tchannel\na.wav\tx\t{bad}\n");
            let error = transcripts("a.tsv", &text).expect_err("no channel").to_string();
            assert!(error.contains("line 2") && error.contains(&format!("`{bad}`")), "{error}");
            assert!(!error.contains("right, each"), "{error}");
        }
    }

    #[test]
    fn f6_whole_files_are_not_cut_silently() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.tsv");
        std::fs::write(&path, "path\tlabel\toffset\na_mix.wav\tmix\t2\n").expect("written");
        let error = read_whole(&path).expect_err("a stretch").to_string();
        assert!(error.contains("a_mix.wav (from 2 s on)") && error.contains("offset"), "{error}");
        std::fs::write(&path, "path\tlabel\tchannel\na_mix.wav\tmix\t2\n").expect("written");
        let error = read_whole(&path).expect_err("a channel").to_string();
        assert!(error.contains("a_mix.wav (channel 2)"), "{error}");
    }

    #[test]
    fn f6_columns_of_texts_and_what_is_missing() {
        for column in TEXT {
            let text = format!("path\t{column}\na1.wav\tthe birch canoe\n");
            assert_eq!(labels(&transcripts("a.tsv", &text).expect("a text")), ["the birch canoe"]);
        }
        for (text, says) in [
            ("path\ttext\na\tb\textra\nb\n", "line 3: no cell for the column `text`"),
            ("path\twords\na\tb\n", "line 1: the header needs a column `text`"),
            ("file\ttext\na\tb\n", "it has: file, text"),
        ] {
            let error = transcripts("a.tsv", text).expect_err("incomplete").to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_folder_of_transcripts_takes_the_rest_from_its_manifest() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = read_utterances(folder.path()).expect_err("nothing there").to_string();
        assert!(error.contains("transcripts.tsv") && error.contains("name a table"), "{error}");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
        write("transcripts.tsv", "path\ttext\na.wav\tone two\nb.wav\tthree\n").expect("file");
        write("manifest.tsv", "path\tlabel\tsource\tsplit\nb.wav\t-\tbook\tdev\n").expect("file");
        let rows = read_utterances(folder.path()).expect("a table");
        assert_eq!((rows[0].label.as_str(), rows[0].source.as_str()), ("one two", ""));
        let second = (rows[1].label.as_str(), rows[1].source.as_str(), rows[1].split.as_str());
        assert_eq!(second, ("three", "book", "dev"));
        assert_eq!(rows[1].path, folder.path().join("b.wav"));
    }

    #[test]
    fn few_speakers_are_parted_by_file() {
        let mut rows: Vec<Row> = (0..100)
            .map(|i| Row {
                path: format!("{i}.wav").into(),
                label: "yes".into(),
                speaker: "me".into(),
                ..Row::default()
            })
            .collect();
        assign_splits(&mut rows);
        let share = |split: &str| rows.iter().filter(|row| row.split == split).count();
        assert!(share("train") > 60 && share("dev") > 2 && share("test") > 2);
    }

    #[test]
    fn splits_keep_speakers_together() {
        let mut rows: Vec<Row> = (0..600)
            .map(|i| Row {
                path: format!("{i}.wav").into(),
                label: "yes".into(),
                speaker: format!("s{}", i / 3),
                ..Row::default()
            })
            .collect();
        assign_splits(&mut rows);
        for speaker in rows.chunks(3) {
            assert!(speaker.iter().all(|row| row.split == speaker[0].split));
        }
        let train = rows.iter().filter(|row| row.split == "train").count();
        assert!((400..560).contains(&train), "{train} of 600 in train");
    }
}
