//! The loss of separation: ratios of signal to error in dB, in the order of outputs that is best.
//!
//! Sources: Le Roux et al., "SDR: half-baked or well done?" (ICASSP 2019); Yu et al., "Permutation
//! invariant training" (ICASSP 2017), by utterance; the soft threshold of Wisdom et al.,
//! "Unsupervised sound separation using mixture invariant training" (NeurIPS 2020), equation 2.

use tch::{Kind, Tensor};

use super::recipe::{Goal, Measure};

/// Energy per sample below which a target counts as silence.
const SILENCE: f64 = 1e-9;

/// The mean negative ratio of `estimates` to `targets`, both `[batch, sources, samples]`.
///
/// For [`Goal::Separate`] every example takes the order of estimates that is best for it; for
/// [`Goal::Enhance`] the first source alone counts fully, others a quarter. Ratios beyond `clamp_db`
/// gain ever less. A silent target asks for an estimate that is silent compared with the mixture.
pub fn separation_loss(
    estimates: &Tensor,
    targets: &Tensor,
    goal: Goal,
    measure: Measure,
    clamp_db: f64,
) -> Tensor {
    let sources = targets.size()[1];
    let tau = 10f64.powf(-clamp_db / 10.0);
    let energy = |x: &Tensor| x.square().mean_dim([-1i64].as_slice(), false, Kind::Float);
    // Every target against every estimate: [batch, target, estimate, samples].
    let (target, estimate) = (targets.unsqueeze(2), estimates.unsqueeze(1));
    let mixture = energy(&targets.sum_dim_intlist([1i64].as_slice(), false, Kind::Float)); // [batch]
    let floor = mixture.view([-1, 1, 1]) * 1e-3 + SILENCE;
    let (signal, error) = match measure {
        Measure::Snr => (energy(&target), energy(&(target - estimate))),
        Measure::SiSdr => {
            let product = (&target * &estimate).mean_dim([-1i64].as_slice(), true, Kind::Float);
            let power = energy(&target).unsqueeze(-1) + SILENCE;
            let projected = product / power * &target;
            (energy(&projected), energy(&(estimate - projected)))
        }
    };
    let signal = signal.maximum(&floor);
    let ratios = ((&error + &signal * tau) / signal).log10() * 10.0; // [batch, target, estimate]
    match goal {
        Goal::Separate => {
            let orders: Vec<Tensor> = permutations(sources)
                .iter()
                .map(|order| {
                    let chosen: Vec<Tensor> = order
                        .iter()
                        .zip(0..)
                        .map(|(&estimate, target)| ratios.select(1, target).select(1, estimate))
                        .collect();
                    Tensor::stack(&chosen, 1).mean_dim([1i64].as_slice(), false, Kind::Float)
                })
                .collect();
            Tensor::stack(&orders, 1).min_dim(1, false).0.mean(Kind::Float)
        }
        Goal::Enhance => {
            let of = |source: i64| ratios.select(1, source).select(1, source);
            let others = (1..sources).map(|source| of(source) * 0.25);
            others.fold(of(0), |sum, other| sum + other).mean(Kind::Float)
        }
    }
}

/// All orders of `count` sources.
fn permutations(count: i64) -> Vec<Vec<i64>> {
    (0..count).fold(vec![Vec::new()], |orders, next| {
        orders
            .iter()
            .flat_map(|order| {
                (0..=order.len()).map(move |at| {
                    let mut longer = order.clone();
                    longer.insert(at, next);
                    longer
                })
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(shape: [i64; 3]) -> Tensor {
        Tensor::randn(shape, tch::kind::FLOAT_CPU)
    }

    #[test]
    fn the_order_does_not_matter_and_the_level_only_for_snr() {
        assert_eq!(permutations(3).len(), 6);
        let targets = noise([2, 2, 4000]);
        let estimates = &targets + noise([2, 2, 4000]) * 0.1; // 20 dB
        let swapped = estimates.flip([1]);
        let value = |estimates: &Tensor, goal, measure| {
            separation_loss(estimates, &targets, goal, measure, 60.0).double_value(&[])
        };
        for measure in [Measure::Snr, Measure::SiSdr] {
            assert!((value(&estimates, Goal::Separate, measure) + 20.0).abs() < 0.3);
            let both = value(&swapped, Goal::Separate, measure);
            assert!((both - value(&estimates, Goal::Separate, measure)).abs() < 1e-4);
            assert!(value(&swapped, Goal::Enhance, measure) > -1.0);
        }
        let half = &estimates * 0.5;
        assert!((value(&half, Goal::Separate, Measure::SiSdr) + 20.0).abs() < 0.3);
        assert!(value(&half, Goal::Separate, Measure::Snr) > -7.0);
        let clamped = separation_loss(&targets, &targets, Goal::Separate, Measure::Snr, 30.0);
        assert!((clamped.double_value(&[]) + 30.0).abs() < 0.1);
    }

    #[test]
    fn silence_has_a_finite_loss_and_gradient() {
        let targets =
            Tensor::cat(&[noise([1, 1, 500]), Tensor::zeros([1, 1, 500], tch::kind::FLOAT_CPU)], 1);
        for measure in [Measure::Snr, Measure::SiSdr] {
            let estimates = noise([1, 2, 500]).set_requires_grad(true);
            let loss = separation_loss(&estimates, &targets, Goal::Separate, measure, 30.0);
            loss.backward();
            let gradient = estimates.grad().abs().max().double_value(&[]);
            assert!(loss.double_value(&[]).is_finite() && gradient.is_finite());
        }
    }
}
