//! The sentences that a language model is counted on, and those that it is measured on.

use std::path::Path;

use formant_audio_core::text::{self, MAX_TABLE};

use crate::asr::plain_text;
use crate::error::{Error, Result};
use crate::manifest;

/// Sentences as a recogniser learns them: lower case, single spaces, no punctuation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// To count.
    pub train: Vec<String>,
    /// To measure on.
    pub dev: Vec<String>,
    /// Sentences that were left out, since they hold digits or signs.
    pub left_out: usize,
}

/// Adds the sentences of a file or folder: of a table the text of the rows
/// whose `split` is `train`, `dev`, or none, which trains; of a folder its `transcripts.tsv`, as
/// [`manifest::read_utterances`] takes it; of any other file every line, to train. With `source`,
/// rows with another one in that column are passed over.
///
/// # Errors
/// What reading says; [`Error::Data`] when a file holds no sentence.
pub fn read_texts(path: &Path, source: Option<&str>, texts: &mut Texts) -> Result<()> {
    let before = texts.train.len() + texts.dev.len() + texts.left_out;
    if path.is_dir() || manifest::is_table(path) {
        let rows = if path.is_dir() {
            manifest::read_utterances(path)?
        } else {
            manifest::read_texts(path)?
        };
        let wanted =
            rows.into_iter().filter(|row| source.is_none_or(|source| source == row.source));
        for row in wanted {
            match row.split.as_str() {
                "train" | "" => add(&row.label, &mut texts.train, &mut texts.left_out),
                "dev" => add(&row.label, &mut texts.dev, &mut texts.left_out),
                _ => {}
            }
        }
    } else {
        for line in text::read(path, MAX_TABLE)?.lines() {
            if !line.trim().is_empty() {
                add(line, &mut texts.train, &mut texts.left_out);
            }
        }
    }
    if texts.train.len() + texts.dev.len() + texts.left_out == before {
        let which = source.map_or_else(String::new, |source| format!(" of the source `{source}`"));
        let path = path.display();
        return Err(Error::Data(format!(
            "{path}: no sentences{which}; give a text file with one a line, or a table with the \
             column text and rows for the split `train`"
        )));
    }
    Ok(())
}

fn add(text: &str, list: &mut Vec<String>, left_out: &mut usize) {
    match plain_text(text) {
        Some(text) => list.push(text),
        None => *left_out += 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let mut texts = Texts::default();
        let lines = file("a.txt", "Hello, you!\n\nroom 5\n");
        read_texts(&lines, None, &mut texts).expect("lines");
        let table = "text\tsplit\tsource\none\ttrain\tx\ntwo\tdev\tx\nthree\ttest\tx\nfour\t\ty\n";
        let table = file("b.tsv", table);
        read_texts(&table, Some("x"), &mut texts).expect("a table");
        let wanted = Texts {
            train: vec!["hello you".to_owned(), "one".to_owned()],
            dev: vec!["two".to_owned()],
            left_out: 1,
        };
        assert_eq!(texts, wanted);
        let error = read_texts(&table, Some("z"), &mut texts).expect_err("no such source");
        assert!(error.to_string().contains("source `z`"), "{error}");
        let other = file("c.tsv", "path\twords\na\tb\n");
        let error = read_texts(&other, None, &mut texts).expect_err("no texts").to_string();
        assert!(error.contains("column `text`") && error.contains("words"), "{error}");
    }
}
