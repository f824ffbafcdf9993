//! The best assignment of estimates to references, by trying all of them.

use crate::error::{Error, Result};

/// With more sources than this the number of orders explodes.
const MAX_SOURCES: usize = 8;

/// For each reference the index of its estimate such that the sum of `scores[reference][estimate]`
/// is largest; among equals the first in dictionary order.
pub(super) fn best(scores: &[Vec<f64>]) -> Result<Vec<usize>> {
    let count = scores.len();
    if count == 0 || count > MAX_SOURCES {
        return Err(Error::config("sources", format!("{count} is not in 1..={MAX_SOURCES}")));
    }
    let mut search = Search { scores, order: Vec::new(), best: (f64::NEG_INFINITY, Vec::new()) };
    search.extend(0.0);
    Ok(search.best.1)
}

struct Search<'a> {
    scores: &'a [Vec<f64>],
    order: Vec<usize>,
    best: (f64, Vec<usize>),
}

impl Search<'_> {
    fn extend(&mut self, total: f64) {
        let reference = self.order.len();
        if reference == self.scores.len() {
            if total > self.best.0 {
                self.best = (total, self.order.clone());
            }
            return;
        }
        for estimate in 0..self.scores.len() {
            if !self.order.contains(&estimate) {
                self.order.push(estimate);
                self.extend(total + self.scores[reference][estimate]);
                self.order.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_largest_sum() {
        let scores = [vec![1.0, 9.0, 8.0], vec![0.0, 9.0, 0.0], vec![5.0, 9.0, 7.0]];
        assert_eq!(best(&scores).expect("three"), [2, 1, 0]);
        assert_eq!(best(&[vec![0.0; 2], vec![0.0; 2]]).expect("two"), [0, 1]);
        assert!(best(&[]).is_err());
        assert!(best(&vec![vec![0.0; 9]; 9]).is_err());
    }
}
