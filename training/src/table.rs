//! Tables as text: a header line, then a line a row, with cells between tabs, commas or semicolons; or
//! a JSON object a line.
//!
//! Everything that this crate reads of manifests and trials comes through here; what the columns mean
//! is decided there.

use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};
use formant_audio_core::text::{self, MAX_TABLE};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Stands behind the text while it is read: where it is not a record of its own in the end, a
/// quotation mark was left open.
const END: &str = "\u{1}end";

/// Most keys that the objects of a table may have together; each row has a cell for every key.
const MAX_KEYS: usize = 256;

/// A table whose lines are known by number.
///
/// Cells are quoted as RFC 4180 says. Between tabs a quotation mark that is never closed in its line
/// is a part of the text, since transcripts begin with one and tables with tabs often know no quoting.
#[derive(Debug)]
pub(crate) struct Table {
    name: PathBuf,
    rows: Vec<Row>,
    kind: Kind,
}

/// How the cells of a row are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// By this character between them; every row has all of them.
    Separated(u8),
    /// By white space.
    Spaced,
    /// By their names, some of which may be left out.
    Objects,
}

/// A line of a table, without white space around its cells.
#[derive(Debug)]
pub(crate) struct Row {
    /// Number of the line it begins in, from 1.
    pub(crate) line: usize,
    cells: StringRecord,
    /// Columns of an object that it has no key for.
    absent: Vec<usize>,
}

impl Row {
    fn new(line: usize, cells: StringRecord) -> Self {
        Self { line, cells, absent: Vec::new() }
    }

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
        let is = |cell: &str, name: &str| cell.eq_ignore_ascii_case(name);
        names.iter().find_map(|name| self.cells().position(|cell| is(cell, name)))
    }

    fn lacks(&self, column: usize) -> bool {
        column >= self.cells.len() || self.absent.contains(&column)
    }
}

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    /// What reading text says, and as [`Table::parse`].
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::parse(&text::read(path, MAX_TABLE)?, path)
    }

    /// Parses a table; `name` is for messages.
    ///
    /// # Errors
    /// [`Error::Manifest`] when a quotation mark between commas or semicolons is never closed, for a
    /// line that is no JSON object among such, and for NUL characters.
    pub(crate) fn parse(text: &str, name: &Path) -> Result<Self> {
        let bad = |line, reason: &str| Error::Manifest {
            path: name.into(),
            line,
            reason: reason.to_owned(),
        };
        if let Some(nul) = text.find('\0') {
            let line = text[..nul].matches('\n').count() + 1;
            return Err(bad(line, "a NUL character; if this is UTF-16 text, save it as UTF-8"));
        }
        let (mut skipped, mut named) = (0, None);
        // Spreadsheets may write such a line before the header.
        if let Some((start, rest)) = text.split_once('\n')
            && let Some(separator @ (b',' | b';' | b'\t')) =
                start.trim_end_matches('\r').strip_prefix("sep=").and_then(|s| s.bytes().next())
        {
            (skipped, named) = (text.len() - rest.len(), Some(separator));
        }
        let before = usize::from(skipped > 0);
        let text = &text[skipped..];
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let kind = match named.or_else(|| separator(first)) {
            _ if first.trim_start().starts_with('{') => Kind::Objects,
            Some(separator) => Kind::Separated(separator),
            None => Kind::Spaced,
        };
        let rows = match kind {
            Kind::Objects => objects(text).map_err(|(line, reason)| bad(line, &reason))?,
            Kind::Separated(b'\t') => {
                lines(text).flat_map(|(line, text)| between_tabs(line + before, text)).collect()
            }
            Kind::Separated(separator) => {
                records(text, 1 + before, separator, true).map_err(|line| {
                    bad(line, "a quotation mark that is never closed; write \"\" for one in a text")
                })?
            }
            Kind::Spaced => lines(text)
                .map(|(line, text)| Row::new(line, text.split_whitespace().collect()))
                .collect(),
        };
        let is_empty = |row: &Row| row.cells().all(str::is_empty);
        let rows = rows.into_iter().filter(|row| !is_empty(row)).collect();
        Ok(Self { name: name.into(), rows, kind })
    }

    /// The first row, where there is one, and all others.
    pub(crate) fn rows(&self) -> Option<(&Row, &[Row])> {
        self.rows.split_first()
    }

    /// Whether the first row has keys of objects, which are never data.
    pub(crate) fn has_keys(&self) -> bool {
        self.kind == Kind::Objects
    }

    /// Refuses rows that lack a cell of the header or, being objects, one in a `needed` column, and rows
    /// with more cells than the header.
    ///
    /// # Errors
    /// [`Error::Manifest`] naming line and column.
    pub(crate) fn check(&self, needed: &[Option<usize>]) -> Result<()> {
        let Some((header, rows)) = self.rows() else { return Ok(()) };
        let named = |column: &usize| header.cells.get(*column).is_some_and(|name| !name.is_empty());
        let columns: Vec<usize> = match self.kind {
            Kind::Objects => needed.iter().flatten().copied().collect(),
            Kind::Separated(_) | Kind::Spaced => (0..header.len()).filter(named).collect(),
        };
        for row in rows {
            if let Some(&column) = columns.iter().find(|&&column| row.lacks(column)) {
                let name = header.cell(Some(column));
                return Err(self.bad(row.line, format!("no cell for the column `{name}`")));
            }
        }
        for row in rows {
            if let Some(more) = row.cells().skip(header.len()).find(|cell| !cell.is_empty()) {
                let reason = format!(
                    "more cells than the header has columns, from `{more}` on; put quotation marks \
                     around texts that hold what separates cells"
                );
                return Err(self.bad(row.line, reason));
            }
        }
        Ok(())
    }

    /// The number in a cell, `None` where there is nothing. Between semicolons it may have a decimal
    /// comma.
    ///
    /// # Errors
    /// [`Error::Manifest`] for anything else.
    pub(crate) fn number(&self, row: &Row, column: Option<usize>) -> Result<Option<f64>> {
        let cell = row.cell(column);
        let text = match self.kind {
            Kind::Separated(b';') => cell.replacen(',', ".", 1),
            _ => cell.to_owned(),
        };
        match text.parse() {
            Ok(number) if f64::is_finite(number) => Ok(Some(number)),
            _ if cell.is_empty() => Ok(None),
            _ => {
                let name = self.rows().map_or("", |(header, _)| header.cell(column));
                Err(self.bad(row.line, format!("`{cell}` in the column `{name}` is no number")))
            }
        }
    }

    /// Says what is wrong in a line.
    pub(crate) fn bad(&self, line: usize, reason: impl Into<String>) -> Error {
        Error::Manifest { path: self.name.clone(), line, reason: reason.into() }
    }
}

/// What stands between the cells of a line, unless that is white space: a tab anywhere, or the first
/// comma or semicolon outside of quotation marks.
fn separator(line: &str) -> Option<u8> {
    let mut quoted = false;
    let mut outside = line.bytes().filter(|&byte| {
        quoted ^= byte == b'"';
        !quoted
    });
    let mut first = || outside.find(|byte| matches!(byte, b',' | b';'));
    if line.contains('\t') { Some(b'\t') } else { first() }
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
        rows.push(Row::new(line, cells));
    }
    match rows.pop() {
        Some(end) if end.cells().eq([END]) => Ok(rows),
        open => Err(open.map_or(line, |row| row.line)),
    }
}

/// The rows of a text with a JSON object a line, after a header with the keys of all.
///
/// # Errors
/// The line that is no object, and why.
fn objects(text: &str) -> std::result::Result<Vec<Row>, (usize, String)> {
    let mut keys: Vec<String> = Vec::new();
    let mut objects: Vec<(usize, Map<String, Value>)> = Vec::new();
    for (line, text) in lines(text).filter(|(_, text)| !text.trim().is_empty()) {
        let object: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| (line, format!("not a JSON object, one a line: {error}")))?;
        for key in object.keys().filter(|key| !keys.contains(key)).cloned().collect::<Vec<_>>() {
            keys.push(key);
        }
        if keys.len() > MAX_KEYS {
            return Err((line, format!("more than {MAX_KEYS} different keys up to here")));
        }
        objects.push((line, object));
    }
    let first = objects.first().map_or(1, |(line, _)| *line);
    let row = |(line, object): (usize, Map<String, Value>)| {
        let cells = keys.iter().map(|key| match object.get(key) {
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        });
        let absent = (0..keys.len()).filter(|&column| !object.contains_key(&keys[column]));
        Row { line, cells: cells.collect(), absent: absent.collect() }
    };
    let header = Row::new(first, keys.iter().collect());
    Ok(std::iter::once(header).chain(objects.into_iter().map(row)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Table> {
        let text = text::decode(text.into(), Path::new("t.csv"))?;
        Table::parse(&text::unix_lines(text), Path::new("t.csv"))
    }

    fn cells(text: &str) -> Vec<(usize, Vec<String>)> {
        let cells = |row: &Row| (row.line, row.cells().map(str::to_owned).collect());
        parse(text).expect("a table").rows.iter().map(cells).collect()
    }

    #[test]
    fn f2_quotes_line_ends_and_byte_order_marks() {
        let wanted = [
            (1, vec!["path".to_owned(), "text".to_owned()]),
            (3, vec!["a, b; c.wav".to_owned(), "say \"yes\"".to_owned()]),
            (4, vec!["c.wav".to_owned(), "no".to_owned()]),
        ];
        for separator in [",", ";", "\t"] {
            for line_end in ["\n", "\r\n", "\r"] {
                for (start, header) in [("", "path"), ("\u{feff}", "path"), ("", "\"path\"")] {
                    let text = [
                        format!("{start}{header}{separator}text"),
                        String::new(),
                        format!("\"a, b; c.wav\"{separator}\"say \"\"yes\"\"\""),
                        format!(" c.wav {separator}\"no\""),
                    ];
                    let text = text.join(line_end);
                    assert_eq!(cells(&text), wanted, "{text:?}");
                }
            }
        }
        assert_eq!(cells("a,\"b\nc\"\nd,e\n")[0].1[1], "b\nc");
        assert_eq!(cells("a,\"b\nc\"\nd,e\n")[1].0, 3);
        assert_eq!(cells("sep=;\r\na;b,c\r\nd;e\r\n")[1], (3, vec!["d".into(), "e".into()]));
        assert_eq!(cells("\"a;b\",c\nd,e\n")[0].1, ["a;b", "c"]);
        assert!(cells("").is_empty() && cells("\n \n").is_empty());
        let error = parse("p\0a\0t\0h\0\n").expect_err("UTF-16").to_string();
        assert!(error.contains("line 1") && error.contains("UTF-8"), "{error}");
    }

    #[test]
    fn a_transcript_may_begin_with_a_quotation_mark() {
        let rows = cells("path\ttext\na.wav\t\"Oh no\nb.wav\t\"Well\n");
        assert_eq!(rows[1], (2, vec!["a.wav".to_owned(), "\"Oh no".to_owned()]));
        assert_eq!(rows[2], (3, vec!["b.wav".to_owned(), "\"Well".to_owned()]));
        let text = "path,text\na.wav,yes\nb.wav,\"Oh no\nc.wav,no\n";
        let error = parse(text).expect_err("an open quotation mark");
        assert!(error.to_string().starts_with("t.csv: line 3: a quotation mark"), "{error}");
    }

    #[test]
    fn white_space_parts_lists_without_tabs_and_commas() {
        assert_eq!(cells("1  a.wav b.wav\n")[0].1, ["1", "a.wav", "b.wav"]);
    }

    #[test]
    fn f6_objects_are_rows() {
        let text =
            "\n{\"path\": \"a.wav\", \"offset\": 0.5}\n{\"path\": null, \"x\": [1, \"b\"]}\n";
        let rows = cells(text);
        let columns: Vec<&str> = rows[0].1.iter().map(String::as_str).collect();
        let cell = |row: usize, name: &str| {
            let column = columns.iter().position(|column| *column == name).expect("a column");
            rows[row].1[column].as_str()
        };
        assert_eq!((rows[1].0, cell(1, "path"), cell(1, "offset")), (2, "a.wav", "0.5"));
        assert_eq!((rows[2].0, cell(2, "path"), cell(2, "x")), (3, "", "[1,\"b\"]"));
        let error = parse("{\"path\": \"a\"}\npath\n").expect_err("no object").to_string();
        assert!(error.starts_with("t.csv: line 2: not a JSON object"), "{error}");
        let many: Vec<String> = (0..300).map(|n| format!("\"k{n}\": 1")).collect();
        let error = parse(&format!("{{{}}}\n", many.join(","))).expect_err("too many").to_string();
        assert!(error.contains("256"), "{error}");
    }

    #[test]
    fn f6_rows_have_the_cells_of_the_header() {
        let check = |text: &str| {
            let table = parse(text).expect("a table");
            let path = table.rows().and_then(|(header, _)| header.find(&["path"]));
            table.check(&[path]).map_err(|error| error.to_string())
        };
        for sound in ["path\ttext\t\na\tb\n", "path,text\na,\n", "path,x\na,b,,\n"] {
            assert_eq!(check(sound), Ok(()), "{sound}");
        }
        assert_eq!(check("{\"path\": \"a\", \"x\": 1}\n{\"path\": \"b\"}\n"), Ok(()));
        for (broken, says) in [
            ("path\ttext\na\tb\tc\nb\n", "line 3: no cell for the column `text`"),
            ("path,text\na,b, c\n", "line 2: more cells than the header has columns, from `c` on"),
            ("{\"path\": \"a\"}\n{\"x\": 1}\n", "line 2: no cell for the column `path`"),
        ] {
            let error = check(broken).expect_err("broken");
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn f6_numbers_are_checked() {
        let table = parse("offset;x\n0,5;\nlate;\n").expect("a table");
        let (header, rows) = table.rows().expect("rows");
        let column = header.find(&["offset"]);
        assert_eq!(table.number(&rows[0], column).expect("a number"), Some(0.5));
        assert_eq!(table.number(&rows[0], header.find(&["x"])).expect("nothing"), None);
        let error = table.number(&rows[1], column).expect_err("no number").to_string();
        assert_eq!(error, "t.csv: line 3: `late` in the column `offset` is no number");
    }
}
