//! Lists of trials: pairs of recordings and whether one person speaks in both.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

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
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let base = base.or(path.parent()).unwrap_or(Path::new(""));
    let trials = parse(&text, base, path)?;
    if trials.is_empty() {
        return Err(Error::Data(format!("{}: no trials listed", path.display())));
    }
    Ok(trials)
}

fn parse(text: &str, base: &Path, name: &Path) -> Result<Vec<Trial>> {
    let bad = |line: usize, reason: String| Error::Manifest { path: name.into(), line, reason };
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let mut lines = lines.filter(|(_, line)| !line.trim().is_empty()).peekable();
    let columns = lines.peek().and_then(|(_, line)| columns(line));
    if columns.is_some() {
        lines.next();
    }
    lines
        .map(|(index, line)| {
            let cells: Vec<&str> = cells(line);
            let cell = |at: usize| cells.get(at).copied().filter(|cell| !cell.is_empty());
            let (target, first, second) = match columns {
                Some([target, first, second]) => (
                    target.map(|at| cell(at).unwrap_or_default()),
                    first.and_then(cell),
                    second.and_then(cell),
                ),
                None if cells.len() == 2 => (None, cell(0), cell(1)),
                None if answer(cells[0]).is_some() => (cell(0), cell(1), cell(2)),
                None => (cell(2), cell(0), cell(1)),
            };
            let (Some(first), Some(second)) = (first, second) else {
                return Err(bad(index + 1, "expected an answer and two paths".to_owned()));
            };
            let target = match target {
                None => None,
                Some(text) => Some(answer(text).ok_or_else(|| {
                    bad(
                        index + 1,
                        format!("the answer `{text}` is none of 1, 0, target, nontarget"),
                    )
                })?),
            };
            Ok(Trial { target, first: base.join(first), second: base.join(second) })
        })
        .collect()
}

fn cells(line: &str) -> Vec<&str> {
    match ['\t', ','].into_iter().find(|&separator| line.contains(separator)) {
        Some(separator) => line.split(separator).map(str::trim).collect(),
        None => line.split_whitespace().collect(),
    }
}

/// Where the columns target, path1 and path2 are, when the line is a header.
fn columns(line: &str) -> Option<[Option<usize>; 3]> {
    let cells = cells(line);
    let find = |names: &[&str]| cells.iter().position(|cell| names.contains(cell));
    let first = find(&["path1", "enrollment", "file1"])?;
    let second = find(&["path2", "test", "file2"])?;
    Some([find(&["target", "label"]), Some(first), Some(second)])
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
        parse(text, Path::new("/d"), Path::new("trials.txt"))
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
        ] {
            assert_eq!(read(text).expect("a list"), std::slice::from_ref(&wanted), "{text}");
        }
        let plain = read("1 x.wav y.wav\n\n0 x.wav z.wav\n").expect("VoxCeleb's form");
        assert_eq!(plain.iter().map(|t| t.target).collect::<Vec<_>>(), [Some(true), Some(false)]);
        assert_eq!(read("x.wav y.wav").expect("no answers")[0].target, None);
    }

    #[test]
    fn nonsense_names_its_line() {
        let error = read("1 a b\nmaybe a b\n").expect_err("no answer").to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
