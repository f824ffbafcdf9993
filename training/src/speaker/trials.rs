//! Lists of trials: pairs of recordings and whether one person speaks in both.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::table::{Row, Table};

/// Two recordings to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Whether it is the same speaker; `None` where the list does not say.
    pub target: Option<bool>,
    /// One recording.
    pub first: PathBuf,
    /// The other.
    pub second: PathBuf,
}

/// Reads a list: a table with the columns `target`, `path1` and `path2`, or lines of `1 path1
/// path2` without a header, as VoxCeleb has them (the answer may also stand last, as `target` or
/// `nontarget`, as Kaldi has it, or be missing). Paths are relative to `base`, or else to the list.
///
/// # Errors
/// [`Error::Io`] when it can't be read, [`Error::Manifest`] naming a line that makes no sense,
/// [`Error::Data`] when nothing is in it.
pub fn read_trials(path: &Path, base: Option<&Path>) -> Result<Vec<Trial>> {
    let base = base.or(path.parent()).unwrap_or(Path::new(""));
    let trials = trials_of(&Table::read(path)?, base)?;
    if trials.is_empty() {
        return Err(Error::Data(format!("{}: no trials listed", path.display())));
    }
    Ok(trials)
}

fn trials_of(table: &Table, base: &Path) -> Result<Vec<Trial>> {
    let Some((first, others)) = table.rows() else { return Ok(Vec::new()) };
    let columns = columns(first);
    if columns.is_none() && is_header(table, first, others) {
        let found = first.cells().collect::<Vec<_>>().join(", ");
        let reason = format!(
            "the header needs the columns `path1` (or enrollment, file1) and `path2` (or test, file2), \
             and may have `target` (or label); it has: {found}"
        );
        return Err(table.bad(first.line, reason));
    }
    let first = columns.is_none().then_some(first);
    first
        .into_iter()
        .chain(others)
        .map(|row| {
            let cell = |at: usize| Some(row.cell(Some(at))).filter(|cell| !cell.is_empty());
            let (target, first, second) = match columns {
                Some([target, first, second]) => (
                    target.map(|at| cell(at).unwrap_or_default()),
                    first.and_then(cell),
                    second.and_then(cell),
                ),
                None if row.len() == 2 => (None, cell(0), cell(1)),
                None if answer(row.cell(Some(0))).is_some() => (cell(0), cell(1), cell(2)),
                None => (cell(2), cell(0), cell(1)),
            };
            let (Some(first), Some(second)) = (first, second) else {
                return Err(table.bad(row.line, "expected an answer and two paths"));
            };
            let target = match target {
                None => None,
                Some(text) => Some(answer(text).ok_or_else(|| {
                    let reason = format!("the answer `{text}` is none of 1, 0, target, nontarget");
                    table.bad(row.line, reason)
                })?),
            };
            Ok(Trial { target, first: base.join(first), second: base.join(second) })
        })
        .collect()
}

/// Where the columns target, path1 and path2 are, when the row is a header.
fn columns(row: &Row) -> Option<[Option<usize>; 3]> {
    let first = row.find(&["path1", "enrollment", "file1"])?;
    let second = row.find(&["path2", "test", "file2"])?;
    Some([row.find(&["target", "label"]), Some(first), Some(second)])
}

/// Whether the first row is a header, although it lacks a column: keys of objects, the name of one of the
/// columns, more than two cells without an answer, or the word `target` over answers in figures.
fn is_header(table: &Table, first: &Row, others: &[Row]) -> bool {
    let has = |row: &Row, names: &[&str]| row.cells().any(|cell| names.contains(&cell));
    table.has_keys()
        || first.find(&["path1", "file1", "path2", "file2"]).is_some()
        || (first.len() > 2 && first.cells().all(|cell| answer(cell).is_none()))
        || (has(first, &["target"]) && others.iter().any(|row| has(row, &["0", "1"])))
}

fn answer(text: &str) -> Option<bool> {
    match text {
        "1" | "target" | "true" => Some(true),
        "0" | "nontarget" | "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Trial>> {
        trials_of(&Table::parse(text, Path::new("trials.txt"))?, Path::new("/d"))
    }

    #[test]
    fn lists_of_all_kinds_are_read() {
        let wanted = Trial {
            target: Some(true),
            first: PathBuf::from("/d/a b.wav"),
            second: PathBuf::from("/d/c.wav"),
        };
        for text in [
            "target\tpath1\tpath2\n1\ta b.wav\tc.wav\n",
            "path1,path2,target\na b.wav,c.wav,1\n",
            "a b.wav\tc.wav\ttarget\n",
            "\u{feff}path1,path2,target\r\n\"a b.wav\",\"c.wav\",1\r\n",
        ] {
            assert_eq!(read(text).expect("a list"), std::slice::from_ref(&wanted), "{text}");
        }
        let plain = read("1 x.wav y.wav\n\n0 x.wav z.wav\n").expect("VoxCeleb's form");
        assert_eq!(plain.iter().map(|t| t.target).collect::<Vec<_>>(), [Some(true), Some(false)]);
        assert_eq!(read("x.wav y.wav").expect("no answers")[0].target, None);
    }

    #[test]
    fn f6_headers_without_the_columns_name_what_there_is() {
        for text in [
            "label\tfirst\tsecond\n1\ta.wav\tb.wav\n",
            "target,audio1,audio2\n1,a.wav,b.wav\n0,a.wav,c.wav\n",
            "path1,other\na.wav,b.wav\n",
            "{\"a\": \"a.wav\", \"b\": \"b.wav\"}\n",
        ] {
            let error = read(text).expect_err("no columns").to_string();
            assert!(error.contains("path1") && error.contains("it has: "), "{text}: {error}");
        }
        let words = read("target a.wav b.wav\nnontarget a.wav c.wav\n").expect("answers in words");
        assert_eq!(words.len(), 2);
    }

    #[test]
    fn nonsense_names_its_line() {
        let error = read("1 a b\nmaybe a b\n").expect_err("no answer").to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
