//! Overlapping windows become one sequence of answers again.
//!
//! In the overlap both windows have answered. The change from one to the other is made where both
//! hear nothing, best of all before a word, so that no token is lost or comes twice.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use super::cutter::Window;
use crate::text::Tokenizer;

/// Answers for a part of the stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    /// `[answers, vocabulary]`.
    pub(super) log_probs: Array2<f32>,
    /// Place of the first answer in the stream, in samples.
    pub(super) start: u64,
    /// Whether a pause comes before it; else it continues the piece before.
    pub(super) opens: bool,
}

impl Piece {
    /// The part before answer `at`, and the rest.
    fn split(self, at: usize, samples_per_answer: u64) -> (Self, Self) {
        let at = at.min(self.log_probs.nrows());
        let (left, right) = self.log_probs.view().split_at(Axis(0), at);
        let start = self.start + at as u64 * samples_per_answer;
        (
            Self { log_probs: copy(left), start: self.start, opens: self.opens },
            Self { log_probs: copy(right), start, opens: false },
        )
    }
}

/// The rows of a view; a view without rows may keep strides that `to_owned` does not take.
fn copy(rows: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut copied = Array2::zeros(rows.raw_dim());
    copied.assign(&rows);
    copied
}

pub(super) struct Joiner {
    samples_per_answer: u64,
    blank: u32,
    pending: Option<Piece>,
}

impl Joiner {
    pub(super) fn new(samples_per_answer: usize, blank: u32) -> Self {
        Self { samples_per_answer: samples_per_answer.max(1) as u64, blank, pending: None }
    }

    /// Takes the answers for the next window; the pieces that are complete with them.
    pub(super) fn push(
        &mut self,
        window: &Window,
        log_probs: Array2<f32>,
        tokenizer: &Tokenizer,
    ) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let new = Piece { log_probs, start: window.start, opens: window.opens };
        let now = match self.pending.take() {
            Some(left) => {
                let hop = self.samples_per_answer;
                let offset = (new.start.saturating_sub(left.start) / hop) as usize;
                let offset = offset.min(left.log_probs.nrows());
                let overlap = (left.log_probs.nrows() - offset).min(new.log_probs.nrows());
                let (_, heard) = left.log_probs.view().split_at(Axis(0), offset);
                let (heard, _) = heard.split_at(Axis(0), overlap);
                let (again, _) = new.log_probs.view().split_at(Axis(0), overlap);
                let at = self.seam(heard, again, tokenizer);
                let (done, _) = left.split(offset + at, hop);
                pieces.push(done);
                new.split(at, hop).1
            }
            None => new,
        };
        match window.closes {
            true => pieces.push(now),
            false => self.pending = Some(now),
        }
        pieces
    }

    /// Where to change from `left` to `right`, which are about the same sound.
    fn seam(
        &self,
        left: ArrayView2<'_, f32>,
        right: ArrayView2<'_, f32>,
        tokenizer: &Tokenizer,
    ) -> usize {
        let answers = |rows: ArrayView2<'_, f32>| -> Vec<u32> {
            rows.outer_iter().map(|row| most_probable(row)).collect()
        };
        let (left, right) = (answers(left), answers(right));
        let count = left.len();
        let silent = |at: usize| left[at] == self.blank && right[at] == self.blank;
        // Lengths of the silence that both hear before and after each place.
        let mut before = vec![0usize; count + 1];
        let mut after = vec![0usize; count + 1];
        for at in 0..count {
            before[at + 1] = if silent(at) { before[at] + 1 } else { 0 };
        }
        for at in (0..count).rev() {
            after[at] = if silent(at) { after[at + 1] + 1 } else { 0 };
        }
        let next_starts_word = |answers: &[u32], at: usize| {
            let next = answers[at..].iter().find(|answer| **answer != self.blank);
            next.is_some_and(|token| tokenizer.starts_word(*token))
        };
        // The ends of the overlap have been heard with half of their surroundings only.
        let margin = count / 5;
        let rank = |at: &usize| {
            let room = before[*at].min(after[*at]);
            let between_words =
                room > 0 && next_starts_word(&left, *at) && next_starts_word(&right, *at);
            (between_words, room, std::cmp::Reverse(at.abs_diff(count / 2)))
        };
        (margin..=count - margin).max_by_key(rank).unwrap_or(count / 2)
    }
}

fn most_probable(row: ArrayView1<'_, f32>) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (id, &value) in row.iter().enumerate() {
        if value > best.1 {
            best = (id as u32, value);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoding::greedy;

    /// Answers of alphabet "_ab c": `.` is the blank.
    fn answers(text: &str) -> Array2<f32> {
        let mut rows = Array2::from_elem((text.len(), 5), -9.0);
        for (frame, letter) in text.chars().enumerate() {
            let id = ".ab-c".find(letter).expect("in the alphabet");
            rows[[frame, id]] = 0.0;
        }
        rows
    }

    fn window(start: u64, opens: bool, closes: bool) -> Window {
        Window { start, samples: Vec::new(), opens, closes }
    }

    /// The text of two windows of which the second begins ten answers after the first.
    fn join(left: &str, right: &str) -> (String, Vec<u64>) {
        let tokenizer = Tokenizer::characters("_ab c");
        let mut joiner = Joiner::new(100, 0);
        let mut pieces = joiner.push(&window(500, true, false), answers(left), &tokenizer);
        assert!(pieces.is_empty());
        pieces.extend(joiner.push(&window(1500, false, true), answers(right), &tokenizer));
        let ids: Vec<u32> = pieces
            .iter()
            .flat_map(|piece| greedy(piece.log_probs.view(), 0))
            .map(|token| token.id)
            .collect();
        (tokenizer.decode(&ids), pieces.iter().map(|piece| piece.start).collect())
    }

    #[test]
    fn nothing_is_lost_and_nothing_comes_twice() {
        // Both windows agree; the seam is before the space.
        let (text, starts) = join("ab..-a...b...-c...ab", "...-c...ab..-b");
        assert_eq!(text, "ab ab cab b");
        assert_eq!(starts, [500, 1700]);
        // The second window hears everything one answer later, the first one loses the last word.
        assert_eq!(join("ab..-a...b...-c.....", "....-c...ab..-b").0, "ab ab cab b");
        // No silence in common: the middle.
        assert_eq!(join("aaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaa").0.len(), 2);
    }

    #[test]
    fn windows_that_end_early() {
        assert_eq!(join("ab", "c").0, "abc");
        assert_eq!(join("", "").0, "");
        assert_eq!(join("ab..-a...b", "").0, "ab ab");
        assert_eq!(join("ab..-a...b...", "...").0, "ab ab");
    }
}
