//! Clips of different lengths through a network, several at once: neighbours in length go together.

use ndarray::Array2;

use super::network::{BatchPadding, CtcNetwork};
use crate::error::Result;

/// Log-probabilities of clips, in their order; at most `size` are computed at once.
pub(super) fn log_probs(
    network: &dyn CtcNetwork,
    clips: &[&[f32]],
    size: usize,
) -> Result<Vec<Array2<f32>>> {
    let mut order: Vec<usize> = (0..clips.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(clips[index].len()));
    let mut answers: Vec<Array2<f32>> = vec![Array2::zeros((0, 0)); clips.len()];
    let may_differ = network.padding() == BatchPadding::Neutral;
    let mut rest = order.as_slice();
    while let Some(&first) = rest.first() {
        let fits = |index: &usize| may_differ || clips[*index].len() == clips[first].len();
        let count = rest.iter().take(size.max(1)).take_while(|index| fits(index)).count();
        let (now, later) = rest.split_at(count);
        let batch: Vec<&[f32]> = now.iter().map(|&index| clips[index]).collect();
        for (&index, answer) in now.iter().zip(network.log_probs(&batch)?) {
            answers[index] = answer;
        }
        rest = later;
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug)]
    struct Counter {
        padding: BatchPadding,
        batches: Mutex<Vec<Vec<usize>>>,
    }

    impl CtcNetwork for Counter {
        fn share(&self) -> Box<dyn CtcNetwork + Send> {
            Box::new(Self { padding: self.padding, batches: Mutex::default() })
        }

        fn sample_rate(&self) -> u32 {
            16_000
        }

        fn samples_per_answer(&self) -> usize {
            1
        }

        fn blank(&self) -> u32 {
            0
        }

        fn padding(&self) -> BatchPadding {
            self.padding
        }

        fn log_probs(&self, clips: &[&[f32]]) -> Result<Vec<Array2<f32>>> {
            let lengths: Vec<usize> = clips.iter().map(|clip| clip.len()).collect();
            let answers = lengths.iter().map(|&length| Array2::zeros((length, 1))).collect();
            self.batches.lock().expect("one thread").push(lengths);
            Ok(answers)
        }
    }

    #[test]
    fn neighbours_in_length_go_together_and_order_is_kept() {
        let samples = [0.0; 9];
        let lengths = [3, 9, 3, 1, 3];
        let clips: Vec<&[f32]> = lengths.iter().map(|&length| &samples[..length]).collect();
        for (padding, size, wanted) in [
            (BatchPadding::Neutral, 2, vec![vec![9, 3], vec![3, 3], vec![1]]),
            (BatchPadding::ChangesAnswers, 2, vec![vec![9], vec![3, 3], vec![3], vec![1]]),
            (BatchPadding::Neutral, 9, vec![vec![9, 3, 3, 3, 1]]),
        ] {
            let network = Counter { padding, batches: Mutex::default() };
            let answers = log_probs(&network, &clips, size).expect("no errors");
            let found: Vec<usize> = answers.iter().map(|answer| answer.nrows()).collect();
            assert_eq!(found, lengths);
            assert_eq!(*network.batches.lock().expect("one thread"), wanted);
        }
    }
}
