//! Where the tokens of a known text lie: the best path of CTC that spells it (Viterbi).
//!
//! Memory grows with the length of the text times the root of the number of frames: the path is
//! traced back block by block, from scores that are kept at the beginning of each block.

use ndarray::ArrayView2;

use super::Token;

/// A text on its recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    /// The tokens, in their order, each with its frames.
    pub tokens: Vec<Token>,
    /// Log-probability of the whole path.
    pub score: f64,
}

/// How a state was reached: from itself, from the one before, from the one before that.
type Move = u8;

struct Trellis<'a> {
    log_probs: ArrayView2<'a, f32>,
    /// Blanks around and between the tokens.
    states: Vec<u32>,
}

impl Trellis<'_> {
    /// Whether a state may be reached from the last token directly: no blank is needed between
    /// different tokens.
    fn skips(&self, state: usize) -> bool {
        state >= 3 && state % 2 == 1 && self.states[state] != self.states[state - 2]
    }

    /// Scores of the frame after `scores`; `moves` has a place for each state, or none.
    fn step(&self, frame: usize, scores: &[f64], next: &mut [f64], moves: &mut [Move]) {
        let row = self.log_probs.row(frame);
        let left = self.log_probs.nrows() - frame - 1;
        // What is further can't be reached yet, what is nearer leaves too much for the rest.
        let last = self.states.len().min(2 * frame + 2);
        let first = self.states.len().saturating_sub(2 * left + 2).min(last);
        next[..first].fill(f64::NEG_INFINITY);
        next[last..].fill(f64::NEG_INFINITY);
        for state in first..last {
            let (mut best, mut step) = (scores[state], 0);
            if state >= 1 && scores[state - 1] > best {
                (best, step) = (scores[state - 1], 1);
            }
            if self.skips(state) && scores[state - 2] > best {
                (best, step) = (scores[state - 2], 2);
            }
            next[state] = best + f64::from(row[self.states[state] as usize]);
            if let Some(place) = moves.get_mut(state) {
                *place = step;
            }
        }
    }
}

/// Aligns `tokens` with `log_probs` `[frames, vocabulary]`. `None` when there are not frames enough
/// for the tokens, or when their probability is zero.
///
/// # Panics
/// When a token or `blank` is not in the vocabulary.
#[must_use]
pub fn align(log_probs: ArrayView2<'_, f32>, tokens: &[u32], blank: u32) -> Option<Alignment> {
    let frames = log_probs.nrows();
    let repeats = tokens.windows(2).filter(|pair| pair[0] == pair[1]).count();
    if frames < tokens.len() + repeats {
        return None;
    }
    if frames == 0 {
        return Some(Alignment { tokens: Vec::new(), score: 0.0 });
    }
    let mut states = vec![blank];
    states.extend(tokens.iter().flat_map(|&token| [token, blank]));
    let count = states.len();
    let trellis = Trellis { log_probs, states };
    let block = (frames as f64).sqrt().ceil() as usize;

    // As if a blank state had been there before the first frame.
    let mut scores = vec![f64::NEG_INFINITY; count];
    let mut next = scores.clone();
    scores[0] = 0.0;
    let mut starts = Vec::with_capacity(frames / block + 1);
    for frame in 0..frames {
        if frame % block == 0 {
            starts.push(scores.clone());
        }
        trellis.step(frame, &scores, &mut next, &mut []);
        std::mem::swap(&mut scores, &mut next);
    }
    let mut state = match count {
        1 => 0,
        _ if scores[count - 1] >= scores[count - 2] => count - 1,
        _ => count - 2,
    };
    let score = scores[state];
    if score == f64::NEG_INFINITY {
        return None;
    }
    let mut path = vec![0; frames];
    let mut moves = vec![0; block * count];
    for (index, start) in starts.into_iter().enumerate().rev() {
        let first = index * block;
        let last = frames.min(first + block);
        scores = start;
        for frame in first..last {
            let row = &mut moves[(frame - first) * count..][..count];
            trellis.step(frame, &scores, &mut next, row);
            std::mem::swap(&mut scores, &mut next);
        }
        for frame in (first..last).rev() {
            path[frame] = state;
            state -= usize::from(moves[(frame - first) * count + state]);
        }
    }
    Some(Alignment { tokens: spans(&trellis, &path, tokens), score })
}

fn spans(trellis: &Trellis<'_>, path: &[usize], tokens: &[u32]) -> Vec<Token> {
    let mut spans: Vec<Token> = Vec::with_capacity(tokens.len());
    for (frame, &state) in path.iter().enumerate().filter(|(_, state)| *state % 2 == 1) {
        let id = trellis.states[state];
        let confidence = trellis.log_probs[[frame, id as usize]].exp();
        // Token n is state 2 n + 1.
        match spans.get_mut(state / 2) {
            Some(token) => {
                token.end = frame + 1;
                token.confidence = token.confidence.max(confidence);
            }
            None => spans.push(Token { id, start: frame, end: frame + 1, confidence }),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;
    use crate::decoding::greedy;

    /// Every path of `frames` answers.
    fn paths(frames: usize, vocabulary: u32) -> Vec<Vec<u32>> {
        (0..frames).fold(vec![Vec::new()], |paths, _| {
            let longer = |path: Vec<u32>| {
                (0..vocabulary).map(move |id| path.iter().copied().chain([id]).collect())
            };
            paths.into_iter().flat_map(longer).collect()
        })
    }

    fn collapse(path: &[u32]) -> Vec<u32> {
        let mut tokens = path.to_vec();
        tokens.dedup();
        tokens.retain(|&id| id != 0);
        tokens
    }

    proptest! {
        /// The best of all paths that spell the text.
        #[test]
        fn equals_enumeration(
            values in proptest::collection::vec(-4.0f32..0.0, 15),
            text in proptest::collection::vec(1u32..3, 0..4),
        ) {
            let log_probs = Array2::from_shape_vec((5, 3), values).expect("15 numbers");
            let score = |path: &Vec<u32>| -> f64 {
                let at = path.iter().enumerate();
                at.map(|(t, &id)| f64::from(log_probs[[t, id as usize]])).sum()
            };
            let best = paths(5, 3)
                .iter()
                .filter(|path| collapse(path) == text)
                .map(score)
                .max_by(f64::total_cmp);
            let found = align(log_probs.view(), &text, 0);
            prop_assert_eq!(found.is_some(), best.is_some());
            if let (Some(found), Some(best)) = (found, best) {
                prop_assert!((found.score - best).abs() < 1e-9);
                let ids: Vec<u32> = found.tokens.iter().map(|token| token.id).collect();
                prop_assert_eq!(ids, text);
                prop_assert!(found.tokens.windows(2).all(|pair| pair[0].end <= pair[1].start));
            }
        }

        /// The best path of all is found where the text is what it spells.
        #[test]
        fn agrees_with_greedy(values in proptest::collection::vec(-9.0f32..0.0, 40 * 4)) {
            let log_probs = Array2::from_shape_vec((40, 4), values).expect("160 numbers");
            let tokens = greedy(log_probs.view(), 0);
            let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
            prop_assert_eq!(align(log_probs.view(), &ids, 0).expect("it fits").tokens, tokens);
        }
    }

    #[test]
    fn too_short_or_impossible() {
        let flat = Array2::from_elem((3, 3), -1.0f32);
        assert!(align(flat.view(), &[1, 1], 0).is_some());
        assert!(align(flat.view(), &[1, 1, 2], 0).is_none());
        let mut without = flat.clone();
        without.column_mut(1).fill(f32::NEG_INFINITY);
        assert!(align(without.view(), &[1], 0).is_none());
        assert_eq!(align(flat.view(), &[], 0).expect("blanks").tokens, []);
        let nothing = Array2::<f32>::zeros((0, 3));
        assert_eq!(align(nothing.view(), &[], 0).expect("nothing").score, 0.0);
        assert!(align(nothing.view(), &[1], 0).is_none());
    }
}
