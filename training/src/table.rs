//! Tables as text: a header line, then a line a row, with cells between tabs or commas.
//!
//! Everything that this crate reads of manifests and trials comes through here; what the columns mean
//! is decided there.

use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};

use crate::error::{Error, Result};

/// Stands behind the text while it is read: where it is not a record of its own in the end, a
/// quotation mark was left open.
const END: &str = "\u{1}end";

/// A table whose lines are known by number.
///
/// Cells are quoted as RFC 4180 says. Between tabs a quotation mark that is never closed in its line
/// is a part of the text, since transcripts begin with one and tables with tabs often know no quoting.
#[derive(Debug)]
pub(crate) struct Table {
    name: PathBuf,
    rows: Vec<Row>,
}

/// A line of a table, without white space around its cells.
#[derive(Debug)]
pub(crate) struct Row {
    /// Number of the line it begins in, from 1.
    pub(crate) line: usize,
    cells: StringRecord,
}

impl Row {
    /// The cell in a column; empty where there is none.
    pub(crate) fn cell(&self, column: Option<usize>) -> &str {
        column.and_then(|column| self.cells.get(column)).unwrap_or_default()
    }

    /// All cells.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &str> {
        self.cells.iter()
    }

    /// The number of cells.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Where the column of one of these names is, when this row is a header; the first name counts most.
    pub(crate) fn find(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.cells().position(|cell| cell == *name))
    }
}

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`], and as [`Table::parse`].
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
        Self::parse(&text, path)
    }

    /// Parses a table; `name` is for messages.
    ///
    /// # Errors
    /// [`Error::Manifest`] when commas stand between the cells and a quotation mark is never closed.
    pub(crate) fn parse(text: &str, name: &Path) -> Result<Self> {
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let rows = match separator(first) {
            Some(b'\t') => lines(&text).flat_map(|(line, text)| between_tabs(line, text)).collect(),
            Some(separator) => records(&text, 1, separator, true).map_err(|line| {
                let reason = "a quotation mark that is never closed; write \"\" for one in a text";
                Error::Manifest { path: name.into(), line, reason: reason.to_owned() }
            })?,
            None => lines(&text)
                .map(|(line, text)| Row { line, cells: text.split_whitespace().collect() })
                .collect(),
        };
        let is_empty = |row: &Row| row.cells().all(str::is_empty);
        Ok(Self {
            name: name.into(),
            rows: rows.into_iter().filter(|row| !is_empty(row)).collect(),
        })
    }

    /// The first row, where there is one, and all others.
    pub(crate) fn rows(&self) -> Option<(&Row, &[Row])> {
        self.rows.split_first()
    }

    /// Says what is wrong in a line.
    pub(crate) fn bad(&self, line: usize, reason: impl Into<String>) -> Error {
        Error::Manifest { path: self.name.clone(), line, reason: reason.into() }
    }
}

/// What stands between the cells of a line, unless that is white space.
fn separator(line: &str) -> Option<u8> {
    [b'\t', b','].into_iter().find(|separator| line.as_bytes().contains(separator))
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

fn between_tabs(line: usize, text: &str) -> Vec<Row> {
    let quoted = records(text, line, b'\t', true);
    quoted.or_else(|_| records(text, line, b'\t', false)).unwrap_or_default()
}

/// The records of a text that begins in line `line`.
///
/// # Errors
/// The line of the record whose last cell takes the rest of the text in, for want of a quotation mark.
fn records(
    text: &str,
    mut line: usize,
    separator: u8,
    quoting: bool,
) -> std::result::Result<Vec<Row>, usize> {
    let text = format!("{text}\n{END}\n");
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .quoting(quoting)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let (mut rows, mut counted): (Vec<Row>, usize) = (Vec::new(), 0);
    // Text in memory that is UTF-8, with any number of cells in a line, has no other fault.
    for cells in reader.records().map_while(std::result::Result::ok) {
        let at = cells.position().map_or(0, |at| at.byte() as usize).min(text.len());
        // A record's position may lie before the empty lines that come before it.
        let at = at + text[at..].bytes().take_while(|&byte| byte == b'\n').count();
        line += text[counted..at].bytes().filter(|&byte| byte == b'\n').count();
        counted = at;
        rows.push(Row { line, cells });
    }
    match rows.pop() {
        Some(end) if end.cells().eq([END]) => Ok(rows),
        open => Err(open.map_or(line, |row| row.line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<(usize, Vec<String>)> {
        let table = Table::parse(text, Path::new("t.csv")).expect("a table");
        let cells = |row: &Row| (row.line, row.cells().map(str::to_owned).collect());
        table.rows.iter().map(cells).collect()
    }

    #[test]
    fn quotes_line_ends_and_byte_order_marks() {
        let wanted = [
            (1, vec!["path".to_owned(), "text".to_owned()]),
            (3, vec!["a, b.wav".to_owned(), "say \"yes\"".to_owned()]),
            (4, vec!["c.wav".to_owned(), "no".to_owned()]),
        ];
        for (separator, line_end) in [(",", "\n"), (",", "\r\n"), ("\t", "\n"), ("\t", "\r\n")] {
            for start in ["", "\u{feff}"] {
                let text = [
                    format!("{start}path{separator}text"),
                    String::new(),
                    format!("\"a, b.wav\"{separator} \"\"yes\"\""),
                    format!(" c.wav {separator}\"no\""),
                ];
                let text = text.join(line_end).replace(" \"\"yes\"\"", "\"say \"\"yes\"\"\"");
                assert_eq!(cells(&text), wanted, "{text:?}");
            }
        }
        assert_eq!(cells("a,\"b\nc\"\nd,e\n")[0].1[1], "b\nc");
        assert_eq!(cells("a,\"b\nc\"\nd,e\n")[1].0, 3);
        assert!(cells("").is_empty() && cells("\n \n").is_empty());
    }

    #[test]
    fn a_transcript_may_begin_with_a_quotation_mark() {
        let rows = cells("path\ttext\na.wav\t\"Oh no\nb.wav\t\"Well\n");
        assert_eq!(rows[1], (2, vec!["a.wav".to_owned(), "\"Oh no".to_owned()]));
        assert_eq!(rows[2], (3, vec!["b.wav".to_owned(), "\"Well".to_owned()]));
        let text = "path,text\na.wav,yes\nb.wav,\"Oh no\nc.wav,no\n";
        let error = Table::parse(text, Path::new("t.csv")).expect_err("an open quotation mark");
        assert!(error.to_string().starts_with("t.csv: line 3: a quotation mark"), "{error}");
    }

    #[test]
    fn white_space_parts_lists_without_tabs_and_commas() {
        assert_eq!(cells("1  a.wav b.wav\n")[0].1, ["1", "a.wav", "b.wav"]);
    }
}
