//! The recordings of a stem training: voices and accompaniments, and the songs that they make up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::recipe::StemsRecipe;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::manifest::{self, Row};
use crate::progress::Progress;
use crate::recording::Recording;

/// Where the recordings come from; every path is a manifest or a folder.
#[derive(Debug, Clone, Default)]
pub struct StemsSources {
    /// Labelled `vocals` (or beginning with `sung`) and `accompaniment` (or beginning with
    /// `instrumental`); of a song both have the same name up to an underscore and the label.
    pub songs: Vec<PathBuf>,
    /// Speech, which makes up for few singers.
    pub speech: Vec<PathBuf>,
    /// Anything without voices.
    pub noise: Vec<PathBuf>,
}

/// Two recordings in time with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Song {
    /// Name.
    pub name: String,
    /// Index of the voice.
    pub vocals: usize,
    /// Index of what accompanies it.
    pub accompaniment: usize,
}

/// All recordings, sorted by use.
#[derive(Debug)]
pub struct StemsData {
    /// Decoded recordings, mono.
    pub corpus: Corpus,
    /// Training voices.
    pub vocals: Vec<usize>,
    /// Training accompaniments.
    pub accompaniments: Vec<usize>,
    /// Training speech.
    pub speech: Vec<usize>,
    /// Training songs.
    pub songs: Vec<Song>,
    /// Songs to validate on.
    pub dev: Vec<Song>,
}

/// What a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Vocals,
    Accompaniment,
    Speech,
}

/// What a label of a table of songs stands for.
pub(super) fn role(label: &str) -> Option<Role> {
    let label = label.to_lowercase();
    if label == "vocals" || label.starts_with("sung") {
        Some(Role::Vocals)
    } else if label == "accompaniment" || label.starts_with("instrumental") {
        Some(Role::Accompaniment)
    } else {
        None
    }
}

/// Name of the song that a recording belongs to: its file's without `_vocals` and the like.
pub(super) fn song_name(row: &Row) -> Option<String> {
    let stem = row.path.file_stem()?.to_string_lossy().into_owned();
    let song = stem.strip_suffix(&format!("_{}", row.label))?;
    Some(song.to_owned())
}

impl StemsData {
    /// Lists and decodes everything. Songs of the split `dev` are validated on; where there are
    /// none, one in [`StemsRecipe::hold_out`] singers of the training songs is kept for it.
    ///
    /// # Errors
    /// What reading manifests says; [`Error::Data`] when there is nothing to train or validate on.
    pub fn load(
        sources: &StemsSources,
        recipe: &StemsRecipe,
        cache: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut rows: Vec<(Role, Row)> = Vec::new();
        for path in &sources.songs {
            let listed = manifest::read(path)?.into_iter();
            rows.extend(listed.filter_map(|row| Some((role(&row.label)?, row))));
        }
        for (role, paths) in
            [(Role::Speech, &sources.speech), (Role::Accompaniment, &sources.noise)]
        {
            for path in paths {
                rows.extend(manifest::read(path)?.into_iter().map(|row| (role, row)));
            }
        }
        rows.retain(|(_, row)| row.split != "test");
        hold_out(&mut rows, recipe.hold_out);
        let files: Vec<Recording> = rows.iter().map(|(_, row)| row.recording()).collect();
        let corpus = Corpus::load(&files, recipe.network.sample_rate, cache, progress)?;
        let mut data = Self {
            corpus,
            vocals: Vec::new(),
            accompaniments: Vec::new(),
            speech: Vec::new(),
            songs: Vec::new(),
            dev: Vec::new(),
        };
        let mut parts: BTreeMap<(String, bool), [Option<usize>; 2]> = BTreeMap::new();
        for (clip, (role, row)) in rows.iter().enumerate() {
            if data.corpus.clip(clip).is_empty() {
                continue;
            }
            let train = row.split != "dev";
            let (list, place) = match role {
                Role::Vocals => (&mut data.vocals, Some(0)),
                Role::Accompaniment => (&mut data.accompaniments, Some(1)),
                Role::Speech => (&mut data.speech, None),
            };
            if train {
                list.push(clip);
            }
            if let (Some(place), Some(song)) = (place, song_name(row)) {
                parts.entry((song, train)).or_default()[place] = Some(clip);
            }
        }
        for ((name, train), pair) in parts {
            if let [Some(vocals), Some(accompaniment)] = pair {
                let list = if train { &mut data.songs } else { &mut data.dev };
                list.push(Song { name, vocals, accompaniment });
            }
        }
        if data.vocals.is_empty() || data.accompaniments.is_empty() || data.dev.is_empty() {
            let text = "too little to train and to validate on: the table needs recordings \
                        labelled `vocals` and `accompaniment`, and several songs of which there are \
                        both (NAME_vocals and NAME_accompaniment)";
            return Err(Error::Data(text.to_owned()));
        }
        Ok(data)
    }
}

/// Marks one in `every` singers of songs as `dev`, unless there are such rows.
fn hold_out(rows: &mut [(Role, Row)], every: usize) {
    if rows.iter().any(|(role, row)| *role == Role::Vocals && row.split == "dev") {
        return;
    }
    let singer = |row: &Row| match row.speaker.as_str() {
        "" => song_name(row).unwrap_or_default(),
        speaker => speaker.to_owned(),
    };
    let mut singers: Vec<String> = rows
        .iter()
        .filter(|(role, row)| *role == Role::Vocals && song_name(row).is_some())
        .map(|(_, row)| singer(row))
        .collect();
    singers.sort();
    singers.dedup();
    let kept: Vec<&String> = singers.iter().skip(every / 2).step_by(every).collect();
    for (role, row) in rows.iter_mut() {
        if *role != Role::Speech && song_name(row).is_some() && kept.contains(&&singer(row)) {
            "dev".clone_into(&mut row.split);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str, label: &str, speaker: &str) -> (Role, Row) {
        let row = Row {
            path: path.into(),
            label: label.into(),
            split: "train".into(),
            speaker: speaker.into(),
            ..Row::default()
        };
        (role(label).expect("known"), row)
    }

    #[test]
    fn singers_are_held_out_with_all_their_songs() {
        let mut rows = Vec::new();
        for (song, singer) in ["a", "b", "a", "c", "d"].iter().enumerate() {
            for label in ["vocals", "accompaniment"] {
                rows.push(row(&format!("s{song}_{label}.ogg"), label, singer));
            }
        }
        rows.push(row("note.ogg", "sung note A", "e"));
        hold_out(&mut rows, 3);
        let held: Vec<&str> = rows
            .iter()
            .filter(|(_, row)| row.split == "dev")
            .map(|(_, row)| row.speaker.as_str())
            .collect();
        assert_eq!(held, ["b", "b"]);
        assert_eq!(role("a mix"), None);
    }
}
