//! Recognised text against its transcript: word and character error rates, with the alignment.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Largest table of an alignment, in cells of one byte.
const MAX_CELLS: usize = 1 << 28;

/// What is made equal before texts are compared. White space always counts as one blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TextOptions {
    /// Upper and lower case.
    pub case: Difference,
    /// Punctuation, except apostrophes inside words.
    pub punctuation: Difference,
}

/// Whether a difference counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// It is an error.
    #[default]
    Counts,
    /// It is removed first.
    Ignored,
}

impl Default for TextOptions {
    /// Nothing is ignored.
    fn default() -> Self {
        Self { case: Difference::Counts, punctuation: Difference::Counts }
    }
}

impl TextOptions {
    /// Case and punctuation ignored: what recognisers without either are measured by.
    #[must_use]
    pub fn plain() -> Self {
        Self { case: Difference::Ignored, punctuation: Difference::Ignored }
    }

    /// The text as it is compared.
    #[must_use]
    pub fn normalize(&self, text: &str) -> String {
        let cased = match self.case {
            Difference::Counts => text.to_owned(),
            Difference::Ignored => text.to_lowercase(),
        };
        let cleaned = match self.punctuation {
            Difference::Counts => cased,
            Difference::Ignored => without_punctuation(&cased),
        };
        cleaned.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

fn without_punctuation(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let inside = |at: usize| {
        let neighbour = |at: Option<usize>| {
            at.and_then(|at| letters.get(at)).is_some_and(|c| c.is_alphanumeric())
        };
        neighbour(at.checked_sub(1)) && neighbour(Some(at + 1))
    };
    let keep = |(at, &c): (usize, &char)| match c {
        '\'' | '’' if inside(at) => '\'',
        c if c.is_alphanumeric() || is_combining(c) => c,
        _ => ' ',
    };
    letters.iter().enumerate().map(keep).collect()
}

/// Marks that belong to the letter before them (combining diacritics, Indic and Arabic signs are
/// alphabetic already).
fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{93c}' | '\u{94d}' | '\u{200c}' | '\u{200d}')
}

/// Counts of an alignment; they add up over a corpus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCounts {
    /// Units that agree.
    pub hits: u64,
    /// Units that were replaced.
    pub substitutions: u64,
    /// Units of the reference that are missing.
    pub deletions: u64,
    /// Units that the reference does not have.
    pub insertions: u64,
}

impl ErrorCounts {
    /// Units of the reference.
    #[must_use]
    pub fn reference_units(&self) -> u64 {
        self.hits + self.substitutions + self.deletions
    }

    /// Substitutions, deletions and insertions.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.substitutions + self.deletions + self.insertions
    }

    /// Errors per unit of the reference, which can exceed 1; `None` for an empty reference.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let units = self.reference_units();
        (units > 0).then(|| self.errors() as f64 / units as f64)
    }
}

impl std::ops::AddAssign for ErrorCounts {
    fn add_assign(&mut self, other: Self) {
        self.hits += other.hits;
        self.substitutions += other.substitutions;
        self.deletions += other.deletions;
        self.insertions += other.insertions;
    }
}

/// One step of an alignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Edit {
    /// The same in both.
    Hit {
        /// The unit.
        text: String,
    },
    /// Something else was recognised.
    Substitution {
        /// What the reference says.
        reference: String,
        /// What was recognised.
        hypothesis: String,
    },
    /// Nothing was recognised.
    Deletion {
        /// What the reference says.
        reference: String,
    },
    /// Something was recognised where the reference has nothing.
    Insertion {
        /// What was recognised.
        hypothesis: String,
    },
}

/// An alignment of two texts with its counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alignment {
    /// The counts.
    pub counts: ErrorCounts,
    /// The steps, in reading order.
    pub edits: Vec<Edit>,
}

impl std::fmt::Display for Alignment {
    /// One line: hits as they are, `[reference -> hypothesis]`, `[-deleted]`, `[+inserted]`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, edit) in self.edits.iter().enumerate() {
            f.write_str(if at > 0 { " " } else { "" })?;
            match edit {
                Edit::Hit { text } => f.write_str(text)?,
                Edit::Substitution { reference, hypothesis } => {
                    write!(f, "[{reference} -> {hypothesis}]")?;
                }
                Edit::Deletion { reference } => write!(f, "[-{reference}]")?,
                Edit::Insertion { hypothesis } => write!(f, "[+{hypothesis}]")?,
            }
        }
        Ok(())
    }
}

/// Align words; `counts.rate()` is the word error rate.
///
/// # Errors
/// [`Error::Config`] when the texts are too long for one table (more than
/// 268 million pairs); compare utterance by utterance.
pub fn word_errors(reference: &str, hypothesis: &str, options: &TextOptions) -> Result<Alignment> {
    let (reference, hypothesis) = (options.normalize(reference), options.normalize(hypothesis));
    let split = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    align(&split(&reference), &split(&hypothesis))
}

/// Align characters, blanks included; `counts.rate()` is the character error rate.
///
/// # Errors
/// As [`word_errors`].
pub fn character_errors(
    reference: &str,
    hypothesis: &str,
    options: &TextOptions,
) -> Result<Alignment> {
    let (reference, hypothesis) = (options.normalize(reference), options.normalize(hypothesis));
    let split = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
    align(&split(&reference), &split(&hypothesis))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Diagonal,
    Delete,
    Insert,
}

/// Fewest errors (Levenshtein); among equals substitutions are preferred.
fn align(reference: &[String], hypothesis: &[String]) -> Result<Alignment> {
    let width = hypothesis.len() + 1;
    let cells = width.checked_mul(reference.len() + 1).filter(|&cells| cells <= MAX_CELLS);
    let Some(cells) = cells else {
        let lengths = format!("{} and {} units", reference.len(), hypothesis.len());
        return Err(Error::config("text", format!("{lengths} are too long to align; split them")));
    };
    let mut steps = vec![Step::Insert; cells];
    let mut above: Vec<u32> = (0..width as u32).collect();
    for (row, unit) in reference.iter().enumerate() {
        let mut line = vec![row as u32 + 1; width];
        steps[(row + 1) * width] = Step::Delete;
        for (column, other) in hypothesis.iter().enumerate() {
            let diagonal = above[column] + u32::from(unit != other);
            let (delete, insert) = (above[column + 1] + 1, line[column] + 1);
            let best = diagonal.min(delete).min(insert);
            line[column + 1] = best;
            steps[(row + 1) * width + column + 1] = match best {
                b if b == diagonal => Step::Diagonal,
                b if b == delete => Step::Delete,
                _ => Step::Insert,
            };
        }
        above = line;
    }
    Ok(trace_back(reference, hypothesis, &steps))
}

fn trace_back(reference: &[String], hypothesis: &[String], steps: &[Step]) -> Alignment {
    let width = hypothesis.len() + 1;
    let (mut row, mut column) = (reference.len(), hypothesis.len());
    let mut counts = ErrorCounts::default();
    let mut edits = Vec::with_capacity(row.max(column));
    while row > 0 || column > 0 {
        match steps[row * width + column] {
            Step::Diagonal => {
                (row, column) = (row - 1, column - 1);
                let (reference, hypothesis) = (reference[row].clone(), hypothesis[column].clone());
                if reference == hypothesis {
                    counts.hits += 1;
                    edits.push(Edit::Hit { text: reference });
                } else {
                    counts.substitutions += 1;
                    edits.push(Edit::Substitution { reference, hypothesis });
                }
            }
            Step::Delete => {
                row -= 1;
                counts.deletions += 1;
                edits.push(Edit::Deletion { reference: reference[row].clone() });
            }
            Step::Insert => {
                column -= 1;
                counts.insertions += 1;
                edits.push(Edit::Insertion { hypothesis: hypothesis[column].clone() });
            }
        }
    }
    edits.reverse();
    Alignment { counts, edits }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// jiwer 4.0.0: process_words and process_characters (wer, S, D, I, cer).
    #[test]
    fn counts_equal_jiwer() {
        let cases = [
            (
                "the quick brown fox jumps over the lazy dog",
                "the quik brown fox jumped over lazy dog again",
                (4.0 / 9.0, 2, 1, 1, 13.0 / 43.0),
            ),
            ("a b c d", "b c d e", (0.5, 0, 1, 1, 4.0 / 7.0)),
            ("hello", "", (1.0, 0, 1, 0, 1.0)),
            (
                "one two three four five six",
                "one three two four five five six",
                (0.5, 2, 0, 1, 13.0 / 27.0),
            ),
        ];
        for (reference, hypothesis, (wer, s, d, i, cer)) in cases {
            let options = TextOptions::default();
            let words = word_errors(reference, hypothesis, &options).expect("short").counts;
            assert_eq!(words.rate(), Some(wer), "{reference}");
            assert_eq!((words.substitutions, words.deletions, words.insertions), (s, d, i));
            let letters = character_errors(reference, hypothesis, &options).expect("short").counts;
            assert_eq!(letters.rate(), Some(cer), "{reference}");
        }
    }

    #[test]
    fn alignment_is_readable_and_counts_add_up() {
        let options = TextOptions::default();
        let one = word_errors("a b c d", "a x c d e", &options).expect("short");
        assert_eq!(one.to_string(), "a [b -> x] c d [+e]");
        let two = word_errors("p q", "q", &options).expect("short");
        assert_eq!(two.to_string(), "[-p] q");
        let mut total = one.counts;
        total += two.counts;
        assert_eq!(total.rate(), Some(3.0 / 6.0));
        assert_eq!(ErrorCounts::default().rate(), None);
    }

    #[test]
    fn normalization() {
        let plain = TextOptions::plain();
        assert_eq!(plain.normalize("  Don’t — 'STOP'\tnow,\nplease!"), "don't stop now please");
        assert_eq!(TextOptions::default().normalize(" Ab,  c "), "Ab, c");
        let same = word_errors("Well, hello there.", "well hello there", &plain).expect("short");
        assert_eq!(same.counts.errors(), 0);
    }
}
