//! Remarks about data that makes a model worse than it looks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use formant_audio_core::decode::has_audio_extension;

use crate::corpus::Corpus;
use crate::manifest::{Fnv1a, Row};

/// Remarks about the clips of `words`: single clips, clips under two labels, one speaker. Each clip
/// comes with its number in the corpus.
pub(super) fn of_clips(words: &[String], clips: &[(usize, &Row)], corpus: &Corpus) -> Vec<String> {
    let mut remarks = Vec::new();
    let of_words = || clips.iter().filter(|(_, row)| words.contains(&row.label));
    for word in words {
        if of_words().filter(|(_, row)| row.label == *word).count() == 1 {
            remarks.push(format!(
                "`{word}` has one clip: the model will know that recording, not the word; record \
                 it at least ten times, by several people"
            ));
        }
    }
    let mut heard: BTreeMap<u64, &Row> = BTreeMap::new();
    for (index, row) in clips {
        let samples = corpus.clip(*index);
        if samples.is_empty() {
            continue;
        }
        let mut hash = Fnv1a::default();
        samples.iter().for_each(|x| hash.add(&x.to_le_bytes()));
        let first = *heard.entry(hash.value()).or_insert(*row);
        if first.label != row.label {
            remarks.push(format!(
                "{} and {} are the same recording under two labels, `{}` and `{}`; remove one",
                first.recording(),
                row.recording(),
                first.label,
                row.label
            ));
        }
    }
    let speakers: BTreeSet<&str> = of_words().map(|(_, row)| row.speaker.as_str()).collect();
    if speakers.len() == 1 && of_words().count() > 1 && !speakers.contains("") {
        remarks.push(format!(
            "all clips are of one speaker, `{}`: the model may not know the words from others, and \
             the figures do not show it",
            speakers.into_iter().collect::<String>()
        ));
    }
    remarks
}

/// A remark about recordings in a folder of words that are too deep, or not deep enough, to count.
pub(super) fn of_folder(folder: &Path) -> Option<String> {
    let files = |folder: &Path| -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let audio = |files: &[std::path::PathBuf]| {
        files.iter().filter(|file| file.is_file() && has_audio_extension(file)).count()
    };
    let inside = files(folder);
    let mut ignored = audio(&inside);
    for word in inside.iter().filter(|path| path.is_dir()) {
        for deeper in files(word).iter().filter(|path| path.is_dir()) {
            ignored += audio(&files(deeper));
        }
    }
    (ignored > 0).then(|| {
        format!(
            "{}: {ignored} recordings were left out, which are not directly inside the folder of a \
             word; move them there, or name them in a table",
            folder.display()
        )
    })
}
