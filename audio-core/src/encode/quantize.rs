//! Floats to stored samples: rounding, clipping with a count, and dither.

use super::options::SampleFormat;

/// Converts samples of one file and counts what it had to change.
#[derive(Debug, Clone)]
pub(super) struct Quantizer {
    format: SampleFormat,
    dither: Option<SplitMix>,
    pub(super) clipped: u64,
}

impl Quantizer {
    pub(super) fn new(format: SampleFormat, seed: Option<u64>) -> Self {
        let dither = seed.filter(|_| format == SampleFormat::S16).map(SplitMix);
        Self { format, dither, clipped: 0 }
    }

    /// Append samples as little-endian bytes.
    pub(super) fn bytes(&mut self, samples: &[f32], out: &mut Vec<u8>) {
        out.reserve(samples.len() * self.format.bytes());
        match self.format {
            SampleFormat::F32 => out.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
            SampleFormat::S16 => {
                samples.iter().for_each(|&s| out.extend(&self.integer(s).to_le_bytes()[..2]))
            }
            SampleFormat::S24 => {
                samples.iter().for_each(|&s| out.extend(&self.integer(s).to_le_bytes()[..3]))
            }
            SampleFormat::S32 => {
                samples.iter().for_each(|&s| out.extend(self.integer(s).to_le_bytes()))
            }
        }
    }

    /// One sample as an integer of the format's width.
    pub(super) fn integer(&mut self, sample: f32) -> i32 {
        if sample.abs() > 1.0 {
            self.clipped += 1;
        }
        let full_scale = match self.format {
            SampleFormat::S16 => 32_768.0,
            SampleFormat::S24 => 8_388_608.0,
            SampleFormat::S32 | SampleFormat::F32 => 2_147_483_648.0,
        };
        let dither = self.dither.as_mut().map_or(0.0, SplitMix::triangular);
        let scaled: f64 = f64::from(sample) * full_scale + dither;
        scaled.round().clamp(-full_scale, full_scale - 1.0) as i32
    }
}

/// The SplitMix64 generator (Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
struct SplitMix(u64);

impl SplitMix {
    /// The difference of two uniform numbers: between -1 and 1, variance 1/6.
    fn triangular(&mut self) -> f64 {
        self.uniform() - self.uniform()
    }

    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_scale_saturates_and_never_wraps() {
        let mut quantizer = Quantizer::new(SampleFormat::S16, None);
        let values =
            [1.0, -1.0, 1.4, -1.4, 1e9, 0.5, -0.5, 1.0 / 32768.0].map(|s| quantizer.integer(s));
        assert_eq!(values, [32767, -32768, 32767, -32768, 32767, 16384, -16384, 1]);
        assert_eq!(quantizer.clipped, 3);
    }

    #[test]
    fn bytes_have_the_width_of_the_format() {
        let mut out = Vec::new();
        Quantizer::new(SampleFormat::S24, None).bytes(&[1.0 / 8_388_608.0, -1.0], &mut out);
        assert_eq!(out, [1, 0, 0, 0, 0, 0x80]);
        out.clear();
        Quantizer::new(SampleFormat::S32, None).bytes(&[1.0], &mut out);
        assert_eq!(out, [0xff, 0xff, 0xff, 0x7f]);
    }

    #[test]
    fn dither_has_the_triangular_variance() {
        let mut quantizer = Quantizer::new(SampleFormat::S16, Some(1));
        let count = 100_000;
        let values: Vec<f64> =
            (0..count).map(|_| quantizer.integer(0.25 / 32768.0).into()).collect();
        let mean = values.iter().sum::<f64>() / f64::from(count);
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(count);
        // Triangular dither makes the error's mean zero and its variance 1/6 + 1/12, whatever the signal.
        assert!((mean - 0.25).abs() < 0.01, "mean {mean}");
        assert!((variance - 0.25).abs() < 0.01, "variance {variance}");
    }
}
