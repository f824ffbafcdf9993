//! How far the band above an edge is from what it should be, in spectra of several resolutions.
//!
//! Source: Yamamoto, Song, Kim, "Parallel WaveGAN" (ICASSP 2020, arXiv 1910.11480), section 2.2:
//! spectral convergence and log magnitudes; the latter are compared as the log-spectral distance does.

use formant_models::tasks::superres::SEAM;
use tch::{Device, Kind, Tensor};

/// Powers below this are as good as nothing: what rounding to 16 bits leaves.
const FLOOR: f64 = 1e-8;
/// Bins and frames of the cells whose mean powers are compared.
const CELL: [i64; 2] = [12, 4];
/// What cells count beside single bins.
const CELLS_SHARE: f64 = 1.0;
/// What spectral convergence counts beside log powers.
const CONVERGENCE_SHARE: f64 = 0.3;

/// The loss, with its windows.
#[derive(Debug)]
pub(super) struct BandLoss {
    windows: Vec<Tensor>,
    rate: f64,
}

impl BandLoss {
    pub(super) fn new(lengths: &[i64], rate: u32) -> Self {
        let window = |&n: &i64| Tensor::hann_window_periodic(n, true, (Kind::Float, Device::Cpu));
        Self { windows: lengths.iter().map(window).collect(), rate: f64::from(rate) }
    }

    /// Of what is `made` above `edges`, with `low` below, beside `full`, each `[batch, samples]`; a
    /// number.
    pub(super) fn of(&self, made: &Tensor, low: &Tensor, full: &Tensor, edges: &Tensor) -> Tensor {
        let each = self.windows.iter().map(|window| {
            let n = window.size()[0];
            let spectra = |x: &Tensor| x.stft(n, n / 4, n, Some(window), false, true, true, false);
            let bins = Tensor::arange(n / 2 + 1, tch::kind::FLOAT_CPU) * (self.rate / n as f64);
            let above = bins.unsqueeze(0) - edges.unsqueeze(1);
            let share = (&above / SEAM).clamp(0.0, 1.0).unsqueeze(2); // [batch, bins, 1]
            let counts = above.ge(0.0).to_kind(Kind::Float).unsqueeze(2);
            let powers =
                |x: Tensor| x.view_as_real().square().sum_dim_intlist(-1i64, false, Kind::Float);
            let found = powers(spectra(low) + spectra(made) * &share);
            let wanted = powers(spectra(full));
            let logs = logarithm(&found) - logarithm(&wanted);
            // The root of the mean square over the bins of a frame, as the metric has it.
            let bins = counts.sum_dim_intlist(1i64, false, Kind::Float).clamp_min(1.0); // [batch, 1]
            let squares =
                (logs.square() * &counts).sum_dim_intlist(1i64, false, Kind::Float) / bins;
            let distance = (squares + 1e-6).sqrt().mean(Kind::Float);
            distance
                + CELLS_SHARE * cells(&found, &wanted, &counts)
                + CONVERGENCE_SHARE * convergence(&found, &wanted, &counts)
        });
        each.reduce(|sum, one| sum + one).unwrap_or_else(|| made.zeros_like().sum(Kind::Float))
            / self.windows.len().max(1) as f64
    }
}

fn logarithm(powers: &Tensor) -> Tensor {
    (powers + FLOOR).log10()
}

/// Difference of the magnitudes beside those that are wanted.
fn convergence(found: &Tensor, wanted: &Tensor, counts: &Tensor) -> Tensor {
    let magnitudes = |powers: &Tensor| (powers * counts + FLOOR).sqrt();
    let norm = |x: Tensor| x.square().sum_dim_intlist([1i64, 2].as_slice(), false, Kind::Float);
    let difference = norm(magnitudes(found) - magnitudes(wanted));
    ((difference + 1e-12) / (norm(magnitudes(wanted)) + 1e-6))
        .sqrt()
        .clamp_max(3.0)
        .mean(Kind::Float)
}

/// Mean difference of the logarithms of powers in cells of several bins and frames.
fn cells(found: &Tensor, wanted: &Tensor, counts: &Tensor) -> Tensor {
    let frames = found.size()[2];
    let cell = [CELL[0].min(found.size()[1]), CELL[1].min(frames)];
    let pooled =
        |x: &Tensor| x.unsqueeze(1).avg_pool2d(cell, cell, [0, 0], false, true, None::<i64>);
    let whole = pooled(&counts.expand_as(found)).ge(0.999).to_kind(Kind::Float);
    let difference = (logarithm(&pooled(found)) - logarithm(&pooled(wanted))).abs() * &whole;
    difference.sum(Kind::Float) / whole.sum(Kind::Float).clamp_min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_wrong_costs_little_and_only_the_upper_band_counts() {
        let loss = BandLoss::new(&[1024, 256], 48_000);
        let noise = || Tensor::randn([2, 8_000], tch::kind::FLOAT_CPU) * 0.1;
        let (x, low) = (noise(), noise().zeros_like());
        let edges = Tensor::from_slice(&[4_000f32, 8_000.0]);
        let same = loss.of(&x, &low, &x, &edges).double_value(&[]);
        let softer = loss.of(&(&x * 0.1), &low, &x, &edges).double_value(&[]);
        assert!(same < 0.2 && softer > same + 1.0, "{same}, {softer}");
        // A tone below the edge is no business of the network.
        let tone = (Tensor::arange(8_000, tch::kind::FLOAT_CPU) * 0.05).sin().unsqueeze(0);
        let with_tone = loss.of(&(&x + tone * 0.3), &low, &x, &edges).double_value(&[]);
        assert!((with_tone - same).abs() < 0.1, "{with_tone}, {same}");
        let made = noise().set_requires_grad(true);
        loss.of(&made, &low, &x, &edges).backward();
        assert!(made.grad().abs().max().double_value(&[]) > 0.0);
    }
}
