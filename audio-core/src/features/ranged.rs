//! Front ends in two passes: the loudest band of the whole signal decides the least value of every
//! band, so that rows are computed first and limited later.

use ndarray::Array2;

use super::config::{Affine, FeatureConfig};
use super::normalize::Normalization;

/// What follows when the loudest band is known.
#[derive(Debug, Clone)]
pub struct SecondPass {
    range: f32,
    affine: Option<Affine>,
    normalization: Normalization,
}

impl FeatureConfig {
    /// The front end of the first pass, whose rows a stream gives, and the second pass; `None` where
    /// the range below the maximum is not the only step that needs the whole signal.
    ///
    /// Both passes together return exactly what the plan of this configuration computes.
    #[must_use]
    pub fn two_passes(&self) -> Option<(Self, SecondPass)> {
        let range = self.dynamic_range?;
        let first = Self { dynamic_range: None, ..self.clone() };
        let rows_are_bands =
            self.energy.is_none() && self.cepstrum.is_none() && self.deltas.is_none();
        if !rows_are_bands || first != first.streamable() {
            return None;
        }
        let first = Self { affine: None, normalization: Normalization::None, ..first };
        let (affine, normalization) = (self.affine, self.normalization.clone());
        Some((first, SecondPass { range, affine, normalization }))
    }
}

impl SecondPass {
    /// Completes rows of a signal whose largest value in any row is `loudest`.
    pub fn apply(&self, loudest: f32, rows: &mut Array2<f32>) {
        let least = loudest - self.range;
        rows.mapv_inplace(|value| value.max(least));
        if let (Some(affine), Some(values)) = (&self.affine, rows.as_slice_mut()) {
            affine.apply(values);
        }
        self.normalization.apply(rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{FeaturePlan, presets};

    #[test]
    fn u2_two_passes_return_what_one_does() {
        let samples: Vec<f32> = (0..20_000)
            .map(|n| (n as f32 * 0.05).sin() * if n < 9000 { 0.001 } else { 0.5 })
            .collect();
        for (preset, has_two) in
            [("librosa", true), ("whisper", true), ("kaldi", false), ("torchaudio-mfcc", false)]
        {
            let config = presets::by_name(preset).expect("a preset");
            let Some((first, second)) = config.two_passes() else {
                assert!(!has_two, "{preset}");
                continue;
            };
            let whole = FeaturePlan::new(&config).expect("sound").compute(&samples).expect("rows");
            let mut stream = FeaturePlan::new(&first).expect("sound").stream();
            let mut values = Vec::new();
            for piece in samples.chunks(777) {
                stream.push_into(piece, &mut values);
            }
            stream.finish_into(&mut values);
            let loudest = values.iter().fold(f32::NEG_INFINITY, |max, &x| max.max(x));
            let mut rows = Array2::from_shape_vec(whole.dim(), values).expect("as many");
            second.apply(loudest, &mut rows);
            assert_eq!(rows, whole, "{preset}");
        }
    }
}
