//! Symbol tables: text files with a piece and its id a line (`units.txt`, `words.txt`), or a piece
//! a line (`vocab.txt`).

use std::path::Path;

use crate::error::{Error, Result};

/// Largest id.
const MAX_ID: usize = 1 << 20;

/// The pieces of a symbol table by id. `path` is for messages.
///
/// # Errors
/// [`Error::Damaged`] naming the line, for an id that is none or comes twice, and for lines without
/// an id among lines with one; naming the id, for one that is left out before others.
pub fn parse_symbols(text: &str, path: &Path) -> Result<Vec<String>> {
    let damaged = |line: usize, reason: String| Error::Damaged {
        path: path.to_owned(),
        reason: format!("line {}: {reason}", line + 1),
    };
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let lines: Vec<(usize, &str)> = lines.filter(|(_, line)| !line.is_empty()).collect();
    let entry = |line: &str| -> Option<(String, usize)> {
        let (piece, id) = line.trim_end().rsplit_once([' ', '\t'])?;
        Some((piece.to_owned(), id.parse().ok()?))
    };
    if lines.iter().all(|(_, line)| entry(line).is_none()) {
        return Ok(lines.into_iter().map(|(_, line)| line.to_owned()).collect());
    }
    let mut pieces: Vec<Option<String>> = Vec::new();
    for (number, line) in lines {
        let (piece, id) =
            entry(line).ok_or_else(|| damaged(number, format!("`{line}` is not `piece id`")))?;
        if id > MAX_ID {
            return Err(damaged(number, format!("the id {id} is over {MAX_ID}")));
        }
        if id >= pieces.len() {
            pieces.resize(id + 1, None);
        }
        if pieces[id].replace(piece).is_some() {
            return Err(damaged(number, format!("the id {id} comes twice")));
        }
    }
    let missing = pieces.iter().position(Option::is_none);
    pieces.into_iter().collect::<Option<_>>().ok_or_else(|| {
        let reason = format!("no line has the id {}, but later ones", missing.unwrap_or(0));
        Error::Damaged { path: path.to_owned(), reason }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<String>> {
        parse_symbols(text, Path::new("units.txt"))
    }

    #[test]
    fn with_and_without_ids() {
        let units = "<blank> 0\n▁the\t2\n<unk> 1\n\n";
        assert_eq!(parse(units).expect("sound"), ["<blank>", "<unk>", "▁the"]);
        assert_eq!(parse("\u{feff}a\n b\n").expect("sound"), ["a", " b"]);
        // A space that is a piece itself.
        assert_eq!(parse("a 0\n  1\n").expect("sound"), ["a", " "]);
        assert!(parse("").expect("nothing").is_empty());
    }

    #[test]
    fn faults_name_their_line() {
        for (text, wanted) in [
            ("a 0\nb 0\n", "line 2: the id 0 comes twice"),
            ("a 0\nb\n", "line 2: `b` is not"),
            ("a 0\nb 2\n", "no line has the id 1"),
            ("a 99999999\n", "line 1: the id 99999999"),
        ] {
            let message = parse(text).expect_err(text).to_string();
            assert!(message.contains(wanted) && message.contains("units.txt"), "{message}");
        }
    }
}
