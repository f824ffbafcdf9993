//! Outputs that add up to the mixture.
//!
//! Networks that were trained for SI-SDR give voices at a level of their own: one gain brings their
//! sum to that of the mixture. What is left over then goes to each voice by its share of the power.
//! Source: Wisdom et al., "Differentiable consistency constraints" (ICASSP 2019), section 3.2, with
//! weights by power.

/// Seconds over which shares of the power are taken.
const FRAME: f64 = 0.02;

/// The gain so far.
#[derive(Debug, Default)]
pub(super) struct Balance {
    product: f64,
    energy: f64,
}

impl Balance {
    /// Scales the voices of a chunk, by what was heard so far.
    pub(super) fn scale(&mut self, mixture: &[f32], voices: &mut [Vec<f32>]) {
        for (n, &x) in mixture.iter().enumerate() {
            let sum: f64 = voices.iter().map(|voice| f64::from(voice[n])).sum();
            self.product += sum * f64::from(x);
            self.energy += sum * sum;
        }
        let gain = if self.energy > 0.0 { self.product / self.energy } else { 1.0 };
        // A network whose sum has nothing to do with the mixture is left alone.
        let gain = if (0.05..=20.0).contains(&gain) { gain as f32 } else { 1.0 };
        voices.iter_mut().flatten().for_each(|x| *x *= gain);
    }
}

/// Adds to the voices what the mixture has besides them.
pub(super) fn share_rest(mixture: &[f32], voices: &mut [Vec<f32>], rate: u32) {
    let length = ((f64::from(rate) * FRAME) as usize).max(1);
    let frames = mixture.len().div_ceil(length);
    let even = 1.0 / voices.len().max(1) as f32;
    // Shares in the middle of every frame, [frames][voices].
    let shares: Vec<Vec<f32>> = (0..frames)
        .map(|frame| {
            let range = frame * length..mixture.len().min((frame + 1) * length);
            let powers: Vec<f32> =
                voices.iter().map(|v| v[range.clone()].iter().map(|x| x * x).sum()).collect();
            let all: f32 = powers.iter().sum();
            powers.iter().map(|p| if all > 0.0 { p / all } else { even }).collect()
        })
        .collect();
    for (n, &x) in mixture.iter().enumerate() {
        let rest = x - voices.iter().map(|voice| voice[n]).sum::<f32>();
        let place = n as f32 / length as f32 - 0.5;
        let before = place.floor().max(0.0) as usize;
        let after = (before + 1).min(frames - 1);
        let t = (place - before as f32).clamp(0.0, 1.0);
        for (voice, samples) in voices.iter_mut().enumerate() {
            samples[n] += rest * ((1.0 - t) * shares[before][voice] + t * shares[after][voice]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voices_add_up_to_the_mixture() {
        let tone = |f: f32| -> Vec<f32> { (0..4001).map(|n| (n as f32 * f).sin()).collect() };
        let (a, b) = (tone(0.05), tone(0.31));
        let mixture: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + 0.5 * b).collect();
        let mut voices = vec![
            a.iter().map(|x| 0.2 * x).collect::<Vec<f32>>(),
            b.iter().map(|x| 0.1 * x).collect(),
        ];
        Balance::default().scale(&mixture, &mut voices);
        assert!((voices[0][31] - a[31]).abs() < 0.02);
        share_rest(&mixture, &mut voices, 8000);
        for (n, x) in mixture.iter().enumerate() {
            assert!((voices[0][n] + voices[1][n] - x).abs() < 1e-5);
        }
        let mut silent = vec![vec![0.0; 10]; 2];
        Balance::default().scale(&[0.0; 10], &mut silent);
        share_rest(&[0.0; 10], &mut silent, 8000);
        assert_eq!(silent, vec![vec![0.0; 10]; 2]);
    }
}
