//! The overlapping frequency bands of mel-band separators (Mel-RoFormer).
//!
//! A bin belongs to a band when its weight in a Slaney filter bank is above zero; the weights
//! themselves are not used.

use std::ops::Range;

use super::{MelConfig, MelPlan};
use crate::error::{Error, Result};

/// Which bins make up each band.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BandLayout {
    bins: usize,
    ranges: Vec<Range<usize>>,
}

impl BandLayout {
    /// `bands` bands over the `n_fft / 2 + 1` bins at `sample_rate` Hz.
    ///
    /// # Errors
    /// [`Error::Config`] when a bin would belong to no band or a band to no bin.
    pub fn mel(sample_rate: u32, n_fft: usize, bands: usize) -> Result<Self> {
        let config = MelConfig { n_mels: bands, ..MelConfig::default() };
        let plan = MelPlan::new(&config, sample_rate, n_fft)?;
        let mut ranges: Vec<_> = (0..bands).map(|band| plan.band_range(band)).collect();
        // The ends are forced: rounding decides whether the outermost weights are above zero.
        ranges[0].start = 0;
        ranges[bands - 1].end = plan.bins();
        let mut reached = 0;
        for range in &ranges {
            if range.is_empty() || range.start > reached {
                return Err(Error::config(
                    "num_bands",
                    format!("{bands} bands leave bin {reached} of {} alone", plan.bins()),
                ));
            }
            reached = reached.max(range.end);
        }
        Ok(Self { bins: plan.bins(), ranges })
    }

    /// Number of frequency bins.
    #[must_use]
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// The bins of each band; neighbours overlap.
    #[must_use]
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// For all bands one after the other, the row of each bin in a spectrum whose rows are
    /// `channels * bin + channel`. Use it to gather bands and to add them up again.
    #[must_use]
    pub fn indices(&self, channels: usize) -> Vec<usize> {
        let bins = self.ranges.iter().flat_map(Clone::clone);
        bins.flat_map(|bin| (0..channels).map(move |channel| bin * channels + channel)).collect()
    }

    /// In how many bands each bin is: the divisor after adding the bands up.
    #[must_use]
    pub fn bands_per_bin(&self) -> Vec<usize> {
        let mut counts = vec![0; self.bins];
        for range in &self.ranges {
            counts[range.clone()].iter_mut().for_each(|count| *count += 1);
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_layout() {
        let layout = BandLayout::mel(44_100, 2048, 60).expect("valid");
        assert_eq!(layout.ranges()[0], 0..7);
        assert_eq!(layout.ranges()[59], 895..1025);
        assert_eq!(layout.indices(1).len(), 1979);
        assert_eq!(layout.indices(2)[..4], [0, 1, 2, 3]);
        assert_eq!(layout.bands_per_bin().iter().filter(|&&n| n == 2).count(), 954);
    }

    #[test]
    fn too_many_bands_are_refused() {
        assert!(BandLayout::mel(44_100, 512, 128).is_err());
        assert!(BandLayout::mel(44_100, 512, 0).is_err());
    }
}
