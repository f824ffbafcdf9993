//! Which clips train, which choose the best epoch (`dev`) and which stay out (`test`).
//!
//! The choice follows from words, speakers and names below the data's folder alone: the way the folder
//! is typed changes nothing. Models carry it, so that an evaluation finds the same clips.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::manifest::{Fnv1a, Row};

/// Fewer speakers than this are not parted: single clips are, and the splits share speakers.
const FEWEST_SPEAKERS: usize = 6;

/// One in this many speakers or clips is `dev`, and as many are `test`.
const SHARE: usize = 10;

/// The clips that a training kept out of its training set, by their names below the data's folder.
/// All other clips trained.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splits {
    dev: BTreeSet<String>,
    test: BTreeSet<String>,
}

impl Splits {
    /// The splits in the provenance of a model; `None` where its data had splits of their own.
    #[must_use]
    pub fn of(provenance: &Value) -> Option<Self> {
        serde_json::from_value(provenance.get("splits")?.clone()).ok()
    }

    /// Gives the rows of the table or folder `data` that have no split the split of the training.
    /// Data that shares no held-out clip with the training stays as it is.
    pub fn apply(&self, rows: &mut [Row], data: &Path) {
        let found = |row: &Row| {
            let name = name(&row.path, data);
            let held = [("dev", &self.dev), ("test", &self.test)];
            held.into_iter().find(|(_, names)| names.contains(&name)).map(|(split, _)| split)
        };
        let splits: Vec<_> = rows.iter().map(found).collect();
        if splits.iter().all(Option::is_none) {
            return;
        }
        for (row, split) in rows.iter_mut().zip(splits).filter(|(row, _)| row.split.is_empty()) {
            split.unwrap_or("train").clone_into(&mut row.split);
        }
    }

    /// Whether nothing was held out by [`assign`].
    pub(super) fn is_empty(&self) -> bool {
        self.dev.is_empty() && self.test.is_empty()
    }
}

/// The name of a clip below the folder of its data, with `/` between its parts.
pub(super) fn name(path: &Path, data: &Path) -> String {
    let folder = if data.is_dir() { data } else { data.parent().unwrap_or(Path::new("")) };
    let below = path.strip_prefix(folder).unwrap_or(path);
    let parts = below.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Gives clips without a split one of `train`, `dev` and `test`; where no clip is `dev`, some of the
/// training clips become that. Each row comes with its name below the data's folder.
pub(super) fn assign(rows: &mut [(String, &mut Row)]) -> Splits {
    let mut splits = Splits::default();
    for only_dev in [false, true] {
        let open: Vec<usize> = (0..rows.len())
            .filter(|&i| rows[i].1.split == if only_dev { "train" } else { "" })
            .collect();
        let clip = |&i: &usize| {
            let (name, row) = &rows[i];
            Clip { word: &row.label, speaker: &row.speaker, name }
        };
        let parts = part(&open.iter().map(clip).collect::<Vec<_>>());
        for (i, part) in open.into_iter().zip(parts) {
            let (name, row) = &mut rows[i];
            match part {
                Part::Dev => splits.dev.insert(name.clone()),
                Part::Test if !only_dev => splits.test.insert(name.clone()),
                _ => false,
            };
            row.split = match part {
                Part::Dev => "dev",
                Part::Test if !only_dev => "test",
                _ => "train",
            }
            .to_owned();
        }
        if rows.iter().any(|(_, row)| row.split == "dev") {
            break;
        }
    }
    splits
}

#[derive(Debug, Clone, Copy)]
struct Clip<'a> {
    word: &'a str,
    speaker: &'a str,
    name: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Train,
    Dev,
    Test,
}

/// Parts speakers where there are enough, and clips otherwise.
fn part(clips: &[Clip<'_>]) -> Vec<Part> {
    by_speaker(clips).unwrap_or_else(|| by_clip(clips))
}

/// `None` where a split would stay empty.
fn by_speaker(clips: &[Clip<'_>]) -> Option<Vec<Part>> {
    let mut words: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for clip in clips {
        words.entry(clip.speaker).or_default().insert(clip.word);
    }
    if words.contains_key("") || words.len() < FEWEST_SPEAKERS {
        return None;
    }
    let mut speakers: Vec<&str> = words.keys().copied().collect();
    speakers.sort_by_key(|speaker| hash(speaker));
    // How many speakers are left to train each word.
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    words.values().flatten().for_each(|word| *left.entry(*word).or_default() += 1);
    let wanted = shares(speakers.len());
    let mut parts = BTreeMap::new();
    for split in [Part::Dev, Part::Test] {
        let mut heard = BTreeSet::new();
        for _ in 0..wanted {
            let free = |speaker: &&&str| {
                !parts.contains_key(**speaker) && words[**speaker].iter().all(|word| left[word] > 1)
            };
            let new = |speaker: &&str| words[*speaker].difference(&heard).count();
            // The first of those with most words that the split lacks.
            let Some(speaker) = speakers.iter().filter(free).rev().max_by_key(|s| new(s)) else {
                break;
            };
            for word in &words[speaker] {
                *left.entry(*word).or_default() -= 1;
                heard.insert(*word);
            }
            parts.insert(*speaker, split);
        }
        if heard.is_empty() {
            return None;
        }
    }
    Some(clips.iter().map(|c| parts.get(c.speaker).copied().unwrap_or(Part::Train)).collect())
}

/// Of each word some clips; of two clips one is `dev`, a single one trains.
fn by_clip(clips: &[Clip<'_>]) -> Vec<Part> {
    let mut words: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, clip) in clips.iter().enumerate() {
        words.entry(clip.word).or_default().push(index);
    }
    let mut parts = vec![Part::Train; clips.len()];
    for mut indices in words.into_values() {
        indices.sort_by_key(|&index| hash(clips[index].name));
        let (dev, test) = match indices.len() {
            1 => (0, 0),
            2 => (1, 0),
            many => (shares(many), shares(many)),
        };
        indices[..dev].iter().for_each(|&index| parts[index] = Part::Dev);
        indices[dev..dev + test].iter().for_each(|&index| parts[index] = Part::Test);
    }
    parts
}

fn shares(of: usize) -> usize {
    ((of + SHARE / 2) / SHARE).max(1)
}

pub(super) fn hash(text: &str) -> u64 {
    let mut hash = Fnv1a::default();
    hash.add(text.as_bytes());
    // FNV leaves the last characters in the low bits alone; names that count up would sort by number.
    let mixed = (hash.value() ^ (hash.value() >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Rows of `speakers` who say each of `words` so many times.
    fn rows(speakers: &[String], words: usize, takes: usize, root: &str) -> Vec<Row> {
        let all = speakers.iter().flat_map(|speaker| {
            (0..words).flat_map(move |word| (0..takes).map(move |take| (speaker, word, take)))
        });
        let row = |(speaker, word, take): (&String, usize, usize)| Row {
            path: PathBuf::from(format!("{root}w{word}/{speaker}_{take}.wav")),
            label: format!("w{word}"),
            speaker: speaker.clone(),
            ..Row::default()
        };
        all.map(row).collect()
    }

    fn assigned(rows: &mut [Row], data: &str) -> Splits {
        let data = Path::new(data);
        let mut named: Vec<_> = rows.iter_mut().map(|row| (name(&row.path, data), row)).collect();
        assign(&mut named)
    }

    #[test]
    fn twelve_speakers_are_never_without_a_split() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for _ in 0..500 {
            let speakers: Vec<String> =
                (0..12).map(|_| format!("s{}", rng.random_range(0..1_000_000))).collect();
            let mut rows = rows(&speakers, 5, 1, "d/");
            assigned(&mut rows, "d/t.tsv");
            for word in 0..5 {
                for split in ["train", "dev", "test"] {
                    let here = |row: &&Row| row.label == format!("w{word}") && row.split == split;
                    assert!(rows.iter().any(|row| here(&row)), "{speakers:?} {word} {split}");
                }
            }
            for speaker in &speakers {
                let mut of = rows.iter().filter(|row| row.speaker == *speaker);
                let split = &of.next().expect("a row").split;
                assert!(of.all(|row| row.split == *split));
            }
        }
    }

    #[test]
    fn random_sets_keep_every_word_in_training() {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        for _ in 0..300 {
            let speakers: Vec<String> =
                (0..rng.random_range(1..40)).map(|n| format!("p{n}")).collect();
            let mut rows = rows(&speakers, 4, 2, "");
            rows.retain(|_| rng.random_bool(0.4));
            let clips = |rows: &[Row], word: &str| rows.iter().filter(|r| r.label == word).count();
            let enough = (0..4).any(|word| clips(&rows, &format!("w{word}")) >= 2);
            assigned(&mut rows, "t.tsv");
            for word in (0..4).map(|word| format!("w{word}")).filter(|w| clips(&rows, w) > 0) {
                assert!(rows.iter().any(|row| row.label == word && row.split == "train"), "{word}");
            }
            assert!(!enough || rows.iter().any(|row| row.split == "dev"), "{rows:?}");
        }
    }

    #[test]
    fn one_speaker_a_word_and_few_speakers_are_parted_by_clip() {
        for (speakers, words) in [(1, 3), (5, 2)] {
            let names: Vec<String> = (0..speakers).map(|n| format!("p{n}")).collect();
            let mut rows = rows(&names, words, 12, "");
            assigned(&mut rows, "t.tsv");
            for split in ["dev", "test"] {
                let here = rows.iter().filter(|row| row.split == split);
                let heard: BTreeSet<&str> = here.map(|row| row.label.as_str()).collect();
                assert_eq!(heard.len(), words, "{split}");
            }
        }
        // Eight words, each by a person of its own: no speaker can be spared.
        let mut own: Vec<Row> = (0..8)
            .flat_map(|n| {
                let mut rows = rows(&[format!("p{n}")], 1, 4, "");
                rows.iter_mut().for_each(|row| row.label = format!("w{n}"));
                rows
            })
            .collect();
        assigned(&mut own, "t.tsv");
        assert_eq!(own.iter().filter(|row| row.split == "dev").count(), 8);
    }

    #[test]
    fn splits_do_not_depend_on_how_the_folder_is_typed() {
        let place = tempfile::tempdir().expect("a folder");
        let full = place.path().join("words");
        std::fs::create_dir(&full).expect("a folder");
        let speakers: Vec<String> = (0..12).map(|n| format!("p{n}")).collect();
        let with = |typed: &Path| {
            let root = format!("{}/", typed.display()).replace("//", "/");
            let mut rows = rows(&speakers, 3, 2, &root);
            let splits = assigned(&mut rows, &typed.to_string_lossy());
            (splits, rows.into_iter().map(|row| row.split).collect::<Vec<_>>())
        };
        let wanted = with(&full);
        assert!(!wanted.0.is_empty());
        let slash = PathBuf::from(format!("{}/", full.display()));
        assert_eq!(with(&slash), wanted);
        let dotted = place.path().join("./words/.");
        assert_eq!(with(&dotted), wanted);
    }

    #[test]
    fn an_evaluation_finds_the_clips_of_the_training() {
        let speakers: Vec<String> = (0..12).map(|n| format!("p{n}")).collect();
        let mut trained = rows(&speakers, 3, 2, "a/b/");
        let splits = assigned(&mut trained, "a/b/t.tsv");
        let card = serde_json::json!({ "splits": splits });
        let mut again = rows(&speakers, 3, 2, "/elsewhere/");
        let stored = Splits::of(&card).expect("splits");
        stored.apply(&mut again, Path::new("/elsewhere/t.tsv"));
        assert!(trained.iter().zip(&again).all(|(a, b)| a.split == b.split));
        let mut others = rows(&["q".to_owned()], 2, 2, "/other/");
        stored.apply(&mut others, Path::new("/other/t.tsv"));
        assert!(others.iter().all(|row| row.split.is_empty()));
        assert!(Splits::of(&serde_json::json!({})).is_none());
    }

    #[test]
    fn splits_of_a_table_stay_and_a_missing_dev_is_made() {
        let speakers: Vec<String> = (0..12).map(|n| format!("p{n}")).collect();
        let mut all = rows(&speakers, 2, 2, "");
        all.iter_mut().for_each(|row| {
            row.split = if row.speaker == "p3" { "test" } else { "train" }.to_owned();
        });
        let splits = assigned(&mut all, "t.tsv");
        assert!(all.iter().all(|row| (row.split == "test") == (row.speaker == "p3")));
        assert!(all.iter().any(|row| row.split == "dev") && splits.test.is_empty());
        let before = all.clone();
        assert!(assigned(&mut all, "t.tsv").is_empty());
        assert_eq!(all, before);
    }
}
