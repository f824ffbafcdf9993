//! From the answers for a piece of a stream to a segment with words and times.

use std::sync::Arc;

use super::joiner::Piece;
use super::transcript::{Alternative, Segment, Word, mean_confidence as mean_of_words};
use crate::decoding::{
    Context, Fusion, Hotwords, Token, align, greedy, mean_confidence, prefix_search,
};
use crate::text::Tokenizer;

/// How pieces are decoded.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    pub(super) tokenizer: Arc<Tokenizer>,
    pub(super) blank: u32,
    /// Seconds from sample to sample and from answer to answer.
    pub(super) sample: f64,
    pub(super) answer: f64,
    /// Width of the search; greedy without one.
    pub(super) beam: Option<usize>,
    pub(super) nbest: usize,
    pub(super) fusion: Option<Arc<Fusion>>,
    pub(super) hotwords: Option<Arc<Hotwords>>,
}

/// A segment, and how it hangs together with its neighbours.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) segment: Segment,
    /// Its first word is the end of the last word of the piece before.
    pub(super) begins_inside: bool,
    /// Its last word may go on in the next piece.
    pub(super) ends_inside: bool,
}

impl Decoder {
    /// What is said in a piece; `None` when nothing is.
    pub(super) fn decode(&self, piece: &Piece) -> Option<Decoded> {
        let (tokens, nbest) = self.search(piece);
        let segment = self.segment(piece, &tokens, nbest)?;
        let surface = |token: Option<&Token>| token.map_or("", |t| self.tokenizer.surface(t.id));
        let starts_word = tokens.first().is_some_and(|t| self.tokenizer.starts_word(t.id));
        Some(Decoded {
            segment,
            begins_inside: !piece.opens && !starts_word,
            ends_inside: !surface(tokens.last()).ends_with(char::is_whitespace),
        })
    }

    fn search(&self, piece: &Piece) -> (Vec<Token>, Vec<Alternative>) {
        let log_probs = piece.log_probs.view();
        let Some(beam) = self.beam else { return (greedy(log_probs, self.blank), Vec::new()) };
        let context = Context {
            tokenizer: &self.tokenizer,
            fusion: self.fusion.as_deref(),
            hotwords: self.hotwords.as_deref(),
        };
        let found = prefix_search(log_probs, self.blank, beam, self.nbest, context);
        let mut nbest: Vec<Alternative> = Vec::new();
        for candidate in found.iter().filter(|_| self.nbest > 1) {
            let text = self.tokenizer.decode(&candidate.tokens);
            let text = text.trim().to_owned();
            // Texts can be cut into tokens in several ways.
            if nbest.iter().all(|other| other.text != text) {
                nbest.push(Alternative { text, score: candidate.score });
            }
        }
        let best = found.into_iter().next();
        let tokens = best.and_then(|best| align(log_probs, &best.tokens, self.blank));
        (tokens.map_or_else(Vec::new, |alignment| alignment.tokens), nbest)
    }

    fn segment(&self, piece: &Piece, tokens: &[Token], nbest: Vec<Alternative>) -> Option<Segment> {
        let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        let start = piece.start as f64 * self.sample;
        let words: Vec<Word> = self
            .tokenizer
            .words(&ids)
            .into_iter()
            .map(|word| Word {
                start: start + tokens[word.first].start as f64 * self.answer,
                end: start + tokens[word.last].end as f64 * self.answer,
                confidence: mean_confidence(&tokens[word.first..=word.last]),
                text: word.text,
            })
            .collect();
        let (first, last) = (words.first()?, words.last()?);
        Some(Segment {
            start: first.start,
            end: last.end,
            text: self.tokenizer.decode(&ids).trim().to_owned(),
            confidence: mean_of_words(&words),
            words,
            nbest,
        })
    }
}
