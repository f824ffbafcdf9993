//! The most likely sequence of pieces (Viterbi).
//!
//! Source: Kudo, "Subword Regularization" (ACL 2018); constants as in the reference.

use super::SentencePiece;
use super::model::PieceType;

/// How much worse than the worst piece an unknown character is.
const UNKNOWN_PENALTY: f32 = 10.0;

#[derive(Clone, Copy)]
struct Best {
    score: f32,
    start: usize,
    id: u32,
}

impl SentencePiece {
    /// Pieces of normalised text with their ids.
    pub(super) fn unigram<'a>(&self, text: &'a str) -> Vec<(&'a str, u32)> {
        let normal = || self.pieces.iter().filter(|piece| piece.kind == PieceType::Normal);
        let lowest = normal().map(|piece| piece.score).fold(f32::INFINITY, f32::min);
        let highest = normal().map(|piece| piece.score).fold(f32::NEG_INFINITY, f32::max);
        let unknown_score = lowest - UNKNOWN_PENALTY;
        // `best[at]` is the best way to get to byte `at`.
        let mut best: Vec<Option<Best>> = vec![None; text.len() + 1];
        best[0] = Some(Best { score: 0.0, start: 0, id: self.unknown });
        for (start, letter) in text.char_indices() {
            let Some(so_far) = best[start].map(|b| b.score) else { continue };
            let mut offer = |end: usize, id: u32, score: f32| {
                if best[end].is_none_or(|b| score > b.score) {
                    best[end] = Some(Best { score, start, id });
                }
            };
            let one = start + letter.len_utf8();
            let mut has_single = false;
            let rest = &text[start..];
            for (at, c) in rest.char_indices() {
                let length = at + c.len_utf8();
                if length > self.longest {
                    break;
                }
                let Some(&id) = self.in_text.get(&rest[..length]) else { continue };
                let piece = &self.pieces[id as usize];
                let score = match piece.kind {
                    PieceType::Unused => continue,
                    // Always better than what it consists of.
                    PieceType::UserDefined => length as f32 * highest - 0.1,
                    _ => piece.score,
                };
                has_single |= start + length == one;
                offer(start + length, id, so_far + score);
            }
            if !has_single {
                offer(one, self.unknown, so_far + unknown_score);
            }
        }
        let mut parts = Vec::new();
        let mut end = text.len();
        while end > 0 {
            // Every character is reached from the one before it.
            let Some(Best { start, id, .. }) = best[end] else { break };
            parts.push((&text[start..end], id));
            end = start;
        }
        parts.reverse();
        parts
    }
}
