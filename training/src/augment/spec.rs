//! Masks over bands and frames of features.
//!
//! Source: Park et al., "SpecAugment" (Interspeech 2019), without time warping.

use ndarray::{ArrayViewMut2, Axis, Slice};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// How much may be masked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpecMasks {
    /// Number of masks over bands.
    pub bands: usize,
    /// Largest share of all bands under one mask.
    pub band_share: f32,
    /// Number of masks over frames.
    pub times: usize,
    /// Largest number of frames under one mask.
    pub time_frames: usize,
}

impl Default for SpecMasks {
    fn default() -> Self {
        Self { bands: 2, band_share: 0.15, times: 2, time_frames: 12 }
    }
}

/// Overwrites random bands and stretches of `features [frames, bins]` with `fill`.
pub fn mask(
    rng: &mut impl Rng,
    features: &mut ArrayViewMut2<'_, f32>,
    masks: &SpecMasks,
    fill: f32,
) {
    let (frames, bins) = features.dim();
    let widest = (masks.band_share * bins as f32) as usize;
    for _ in 0..masks.bands {
        let width = rng.random_range(0..=widest.min(bins));
        let from = rng.random_range(0..=bins - width);
        features.slice_axis_mut(Axis(1), Slice::from(from..from + width)).fill(fill);
    }
    for _ in 0..masks.times {
        let width = rng.random_range(0..=masks.time_frames.min(frames));
        let from = rng.random_range(0..=frames - width);
        features.slice_axis_mut(Axis(0), Slice::from(from..from + width)).fill(fill);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn masks_no_more_than_asked() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let masks = SpecMasks::default();
        let mut masked_any = false;
        for _ in 0..50 {
            let mut features = Array2::ones((100, 40));
            mask(&mut rng, &mut features.view_mut(), &masks, 0.0);
            let bands = (0..40).filter(|&b| features.column(b).iter().all(|&x| x == 0.0)).count();
            let times = (0..100).filter(|&t| features.row(t).iter().all(|&x| x == 0.0)).count();
            assert!(bands <= 12 && times <= 24, "{bands} bands, {times} frames");
            masked_any |= bands > 0 && times > 0;
        }
        assert!(masked_any);
    }
}
