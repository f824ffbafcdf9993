//! The level of what goes into the network, and of what comes out.

use serde::{Deserialize, Serialize};

/// The peak to which the training data were scaled.
const PEAK: f32 = 0.95;

/// Which level the output has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// That of the input.
    #[default]
    Kept,
    /// That of the reference's scripts: recordings are scaled to a peak of 0.95, and outputs above
    /// it down to it.
    Reference,
}

/// The largest magnitude.
pub(super) fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |peak, x| peak.max(x.abs()))
}

/// What the network is given: a channel of this peak scaled to that of the training data, and silence
/// as it is.
pub(super) fn gain(peak: f32) -> f32 {
    let gain = PEAK / peak;
    if peak > 0.0 && gain.is_finite() { gain } else { 1.0 }
}

/// Sets the level of what comes out.
pub(super) struct Leveler {
    level: Level,
    /// Undoes the gain of the input.
    back: f32,
    /// The reference's factor, once it is known, and what waits for it.
    factor: Option<f32>,
    held: Vec<f32>,
    /// Samples that wait at most.
    most: usize,
}

impl Leveler {
    /// For an input that was multiplied by `gain`.
    pub(super) fn new(level: Level, gain: f32, most: usize) -> Self {
        Self { level, back: 1.0 / gain, factor: None, held: Vec::new(), most }
    }

    /// Takes samples, and returns those whose level is known.
    pub(super) fn push(&mut self, samples: Vec<f32>) -> Vec<f32> {
        match (self.level, self.factor) {
            (Level::Kept, _) => samples.into_iter().map(|x| x * self.back).collect(),
            (Level::Reference, Some(factor)) => limited(samples, factor),
            (Level::Reference, None) => {
                self.held.extend(samples);
                if self.held.len() < self.most { Vec::new() } else { self.release() }
            }
        }
    }

    /// What waited.
    pub(super) fn finish(mut self) -> Vec<f32> {
        self.release()
    }

    fn release(&mut self) -> Vec<f32> {
        let peak = peak(&self.held);
        let factor = if peak >= PEAK { PEAK / peak } else { 1.0 };
        self.factor = Some(factor);
        limited(std::mem::take(&mut self.held), factor)
    }
}

/// Louder parts behind those that the factor is made for are cut.
fn limited(samples: Vec<f32>, factor: f32) -> Vec<f32> {
    samples.into_iter().map(|x| (x * factor).clamp(-PEAK, PEAK)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_kept_or_that_of_the_reference() {
        let loud = [0.5, -1.9, 0.1];
        assert_eq!(gain(peak(&loud)), 0.5);
        assert_eq!([gain(peak(&[0.0; 3])), gain(peak(&[]))], [1.0, 1.0]);
        assert_eq!(gain(1e-45), 1.0, "a gain beyond all numbers");
        let mut kept = Leveler::new(Level::Kept, 0.5, 9);
        assert_eq!(kept.push(vec![0.25, -0.5]), [0.5, -1.0]);
        assert_eq!(kept.finish(), Vec::<f32>::new());
        let mut reference = Leveler::new(Level::Reference, 0.5, 9);
        assert_eq!(reference.push(loud.to_vec()), Vec::<f32>::new());
        assert_eq!(reference.finish(), [0.25, -0.95, 0.05]);
        let mut long = Leveler::new(Level::Reference, 0.5, 3);
        assert_eq!(long.push(loud.to_vec()), [0.25, -0.95, 0.05]);
        assert_eq!(long.push(vec![0.4, 8.0]), [0.2, 0.95]);
    }
}
