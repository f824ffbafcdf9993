//! Byte-pair encoding: neighbours are merged as long as their union is a piece, the best first.
//!
//! Source: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units"
//! (ACL 2016).

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::SentencePiece;
use super::model::PieceType;

const NONE: usize = usize::MAX;

/// A stretch of text with its neighbours; empty once it is part of its left neighbour.
struct Symbol {
    start: usize,
    end: usize,
    left: usize,
    right: usize,
    /// User-defined pieces stay as they are.
    fixed: bool,
}

/// Two neighbours that make a piece.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    length: usize,
}

impl Ord for Pair {
    /// The higher score, then the one that stands further left.
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

impl SentencePiece {
    /// Pieces of normalised text with their ids.
    pub(super) fn bpe<'a>(&self, text: &'a str) -> Vec<(&'a str, u32)> {
        let mut symbols = self.symbols(text);
        let mut queue = BinaryHeap::new();
        for right in 1..symbols.len() {
            self.offer(text, &symbols, right - 1, right, &mut queue);
        }
        while let Some(Pair { left, right, length, .. }) = queue.pop() {
            let union = symbols[right].end.saturating_sub(symbols[left].start);
            let is_stale = symbols[left].right != right || union != length;
            if is_stale || symbols[left].start == symbols[left].end {
                continue;
            }
            let next = symbols[right].right;
            symbols[left].end = symbols[right].end;
            symbols[left].right = next;
            symbols[right].start = symbols[right].end;
            if next != NONE {
                symbols[next].left = left;
                self.offer(text, &symbols, left, next, &mut queue);
            }
            let before = symbols[left].left;
            if before != NONE {
                self.offer(text, &symbols, before, left, &mut queue);
            }
        }
        let mut parts = Vec::new();
        for symbol in symbols.iter().filter(|symbol| symbol.start < symbol.end) {
            self.split_unused(&text[symbol.start..symbol.end], &mut parts);
        }
        parts
    }

    fn symbols(&self, text: &str) -> Vec<Symbol> {
        let mut symbols: Vec<Symbol> = Vec::new();
        let mut start = 0;
        while let Some(letter) = text[start..].chars().next() {
            let fixed = self.user_defined_at(&text[start..]);
            let end = start + if fixed > 0 { fixed } else { letter.len_utf8() };
            let at = symbols.len();
            let left = at.checked_sub(1).unwrap_or(NONE);
            symbols.push(Symbol { start, end, left, right: at + 1, fixed: fixed > 0 });
            start = end;
        }
        if let Some(last) = symbols.last_mut() {
            last.right = NONE;
        }
        symbols
    }

    fn offer(
        &self,
        text: &str,
        symbols: &[Symbol],
        left: usize,
        right: usize,
        queue: &mut BinaryHeap<Pair>,
    ) {
        let (a, b) = (&symbols[left], &symbols[right]);
        if a.fixed || b.fixed {
            return;
        }
        if let Some(&id) = self.in_text.get(&text[a.start..b.end]) {
            let score = self.pieces[id as usize].score;
            queue.push(Pair { score, left, right, length: b.end - a.start });
        }
    }

    /// Pieces that are only steps to longer ones are taken apart again.
    fn split_unused<'a>(&self, part: &'a str, parts: &mut Vec<(&'a str, u32)>) {
        let mut waiting = vec![part];
        while let Some(part) = waiting.pop() {
            let id = self.in_text.get(part).copied();
            let unused = id.is_some_and(|id| self.pieces[id as usize].kind == PieceType::Unused);
            let halves = unused.then(|| self.halves(part)).flatten();
            match (halves, id) {
                (Some((left, right)), _) => waiting.extend([right, left]),
                (None, Some(id)) if !unused => parts.push((part, id)),
                (None, _) => parts.push((part, self.unknown)),
            }
        }
    }

    /// The two pieces that the last merge of `part` joined.
    fn halves<'a>(&self, part: &'a str) -> Option<(&'a str, &'a str)> {
        let score = |half: &str| self.in_text.get(half).map(|&id| self.pieces[id as usize].score);
        let cuts = part.char_indices().skip(1).map(|(at, _)| part.split_at(at));
        let known = cuts.filter_map(|(left, right)| {
            let worse = score(left).zip(score(right)).map(|(a, b)| a.min(b));
            let worse = worse.or((part.chars().count() == 2).then_some(f32::NEG_INFINITY))?;
            Some((worse, (left, right)))
        });
        known.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, halves)| halves)
    }
}
