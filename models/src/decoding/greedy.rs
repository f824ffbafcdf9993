//! The most likely answer of every frame; repeats are one token, blanks none.
//!
//! Source: Graves et al., "Connectionist Temporal Classification" (ICML 2006), best path decoding.

use ndarray::ArrayView2;

use super::Token;

/// Tokens of the best path of `log_probs` `[frames, vocabulary]`. Among equals the first answer
/// counts.
#[must_use]
pub fn greedy(log_probs: ArrayView2<'_, f32>, blank: u32) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut before = blank;
    for (frame, row) in log_probs.outer_iter().enumerate() {
        let mut best = (blank, f32::NEG_INFINITY);
        for (id, &value) in row.iter().enumerate() {
            if value > best.1 {
                best = (id as u32, value);
            }
        }
        let (id, confidence) = (best.0, best.1.exp());
        if id != blank {
            match tokens.last_mut().filter(|_| id == before) {
                Some(token) => {
                    token.end = frame + 1;
                    token.confidence = token.confidence.max(confidence);
                }
                None => tokens.push(Token { id, start: frame, end: frame + 1, confidence }),
            }
        }
        before = id;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn repeats_and_blanks() {
        let probabilities = array![
            [0.1f32, 0.7, 0.2],
            [0.0, 0.9, 0.1],
            [0.8, 0.1, 0.1],
            [0.2, 0.6, 0.2],
            [0.1, 0.1, 0.8],
        ];
        let tokens = greedy(probabilities.mapv(f32::ln).view(), 0);
        let spans: Vec<_> = tokens.iter().map(|t| (t.id, t.start, t.end)).collect();
        assert_eq!(spans, [(1, 0, 2), (1, 3, 4), (2, 4, 5)]);
        assert!((tokens[0].confidence - 0.9).abs() < 1e-6);
        assert!(greedy(ndarray::Array2::zeros((0, 3)).view(), 0).is_empty());
    }
}
