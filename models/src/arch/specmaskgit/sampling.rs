//! From a grid with masked places to one without, in a few steps: draw all masked tokens, keep those
//! that the network is most sure of, mask the others again.
//!
//! Source: Chang et al., "MaskGIT" (CVPR 2022, arXiv 2202.04200); guidance after Ho and Salimans,
//! "Classifier-free diffusion guidance" (arXiv 2207.12598).

use std::f64::consts::FRAC_PI_2;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::network::SpecMaskGit;
use super::noise::Noise;
use crate::error::{Error, Result};

/// Most steps: more than there are tokens do nothing.
const MOST_STEPS: usize = 1 << 10;

/// How tokens are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// Steps.
    pub steps: usize,
    /// How much more than the description says is done in the last step; the first step does what it
    /// says. 0 halves the work.
    pub guidance: f64,
    /// Factor of the noise in the confidence at the beginning; it falls to 0.
    pub confidence_temperature: f64,
    /// Factor of the noise in the choice of a code; 0 takes the likeliest.
    pub temperature: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { steps: 16, guidance: 3.0, confidence_temperature: 1.5, temperature: 1.0 }
    }
}

impl Sampling {
    /// Refuses numbers out of range.
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting.
    pub fn validate(&self) -> Result<()> {
        if !(1..=MOST_STEPS).contains(&self.steps) {
            let reason = format!("{} is not from 1 to {MOST_STEPS}", self.steps);
            return Err(Error::config("steps", reason));
        }
        for (name, value) in [
            ("guidance", self.guidance),
            ("confidence_temperature", self.confidence_temperature),
            ("temperature", self.temperature),
        ] {
            if !(0.0..=100.0).contains(&value) {
                return Err(Error::config(name, format!("{value} is not from 0 to 100")));
            }
        }
        Ok(())
    }

    /// Share of the way that is gone after a step.
    fn progress(&self, step: usize) -> f64 {
        (step + 1) as f64 / self.steps as f64
    }

    /// Guidance of a step.
    fn guidance_at(&self, step: usize) -> f64 {
        match self.steps {
            1 => self.guidance,
            steps => self.guidance * step as f64 / (steps - 1) as f64,
        }
    }

    /// Places that are masked again behind a step before which `masked` of `start` were.
    fn masked_again(&self, step: usize, start: usize, masked: usize) -> usize {
        let share = (FRAC_PI_2 * self.progress(step)).cos();
        ((start as f64 * share).floor() as usize).min(masked.saturating_sub(1)).max(1)
    }
}

/// What a sound shall be like.
#[derive(Debug, Default)]
pub struct Conditions {
    /// Embedding `[1, cond_dim]` of a description; `None` for any sound.
    pub wanted: Option<Tensor>,
    /// Embedding of what guidance leads away from; `None` for any sound.
    pub unwanted: Option<Tensor>,
}

/// What a step did, for those who watch.
#[derive(Debug)]
pub struct Step<'a> {
    /// The step, from 0.
    pub index: usize,
    /// Logits of the description, `[1, tokens, codes]`.
    pub logits: &'a Tensor,
    /// Logits with guidance, `[tokens, codes]` one after the other.
    pub guided: &'a [f32],
    /// The grid with a code drawn for every masked place.
    pub drawn: &'a [i64],
    /// Confidence in every place, infinite where a token was known; none behind the last step.
    pub confidence: &'a [f32],
    /// The grid that the next step begins with.
    pub next: &'a [i64],
}

impl SpecMaskGit {
    /// Fills the masked places of one grid. Grids that are made together are sampled one by one: the
    /// two passes of guidance occupy a processor, and products of larger batches round otherwise, so
    /// that a seed would not say all.
    ///
    /// `watch` sees every step; where it breaks, there is no result.
    ///
    /// # Errors
    /// [`Error::Config`] for a grid, embedding or setting that does not fit the network.
    pub fn sample(
        &self,
        start: &[i64],
        conditions: &Conditions,
        sampling: &Sampling,
        noise: &dyn Noise,
        mut watch: impl FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Vec<i64>>> {
        sampling.validate()?;
        let (config, _guard) = (self.config(), tch::no_grad_guard());
        if start.len() as i64 != config.tokens()
            || start.iter().any(|token| !(0..=config.mask()).contains(token))
        {
            let reason = format!(
                "{} tokens; {} from 0 to {} are needed",
                start.len(),
                config.tokens(),
                config.mask()
            );
            return Err(Error::config("tokens", reason));
        }
        let condition = |embedding: &Option<Tensor>| -> Result<Tensor> {
            match embedding {
                None => Ok(self.no_condition()),
                Some(embedding) if embedding.size() == [1, config.cond_dim] => {
                    Ok(self.condition(embedding))
                }
                Some(other) => {
                    let reason = format!("{:?} for [1, {}]", other.size(), config.cond_dim);
                    Err(Error::config("embedding", reason))
                }
            }
        };
        let wanted = condition(&conditions.wanted)?;
        let both = Tensor::cat(&[&wanted, &condition(&conditions.unwanted)?], 0);
        // Both passes are equal where nothing is asked for.
        let is_guided = conditions.wanted.is_some() || conditions.unwanted.is_some();

        let codes = config.codebook_size as usize;
        let is_masked = |token: &i64| *token == config.mask();
        let mut tokens = start.to_vec();
        let begun = tokens.iter().filter(|token| is_masked(token)).count();
        let mut masked = begun;
        for index in 0..sampling.steps {
            if masked == 0 {
                break;
            }
            let guidance = if is_guided { sampling.guidance_at(index) } else { 0.0 };
            let grid = Tensor::from_slice(&tokens).to_device(wanted.device()).unsqueeze(0);
            let (logits, guided) = if guidance > 0.0 {
                let logits = self.forward(&grid.expand([2, -1], false), &both);
                let guided = logits.get(0) * (1.0 + guidance) - logits.get(1) * guidance;
                (logits.narrow(0, 0, 1), guided)
            } else {
                let logits = self.forward(&grid, &wanted);
                let guided = logits.get(0);
                (logits, guided)
            };
            let guided = Vec::<f32>::try_from(guided.to_kind(Kind::Float).reshape([-1]))?;

            let mut row = vec![0.0; codes];
            let mut drawn = tokens.clone();
            let mut confidence = Vec::new();
            let is_last = index + 1 == sampling.steps;
            let noise_left = sampling.confidence_temperature * (1.0 - sampling.progress(index));
            for (place, logits) in guided.chunks_exact(codes).enumerate() {
                if !is_masked(&tokens[place]) {
                    confidence.push(f32::INFINITY);
                    continue;
                }
                noise.tokens(index, place, &mut row);
                let code = choose(logits, &row, sampling.temperature as f32);
                drawn[place] = code as i64;
                let likelihood = f64::from(logits[code]) - log_sum_exp(logits);
                let noise = noise_left * f64::from(noise.confidence(index, place));
                confidence.push((likelihood + noise) as f32);
            }
            let mut next = drawn.clone();
            if is_last {
                masked = 0;
                confidence.clear();
            } else {
                let count = sampling.masked_again(index, begun, masked);
                for place in least(&confidence, count) {
                    next[place] = config.mask();
                }
                masked = count;
            }
            let step = Step {
                index,
                logits: &logits,
                guided: &guided,
                drawn: &drawn,
                confidence: &confidence,
                next: &next,
            };
            if watch(&step).is_break() {
                return Ok(None);
            }
            tokens = next;
        }
        Ok(Some(tokens))
    }
}

/// The first of the largest noisy logits.
fn choose(logits: &[f32], noise: &[f32], temperature: f32) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (code, (logit, noise)) in logits.iter().zip(noise).enumerate() {
        let value = logit + temperature * noise;
        if value > best.1 {
            best = (code, value);
        }
    }
    best.0
}

fn log_sum_exp(logits: &[f32]) -> f64 {
    let most = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    logits.iter().map(|&logit| (f64::from(logit) - most).exp()).sum::<f64>().ln() + most
}

/// Places of the `count` least values, the first of equal ones.
fn least(values: &[f32], count: usize) -> impl Iterator<Item = usize> {
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    places.into_iter().take(count)
}

#[cfg(test)]
mod tests {
    use tch::{Device, kind::FLOAT_CPU};

    use super::super::config::SpecMaskGitConfig;
    use super::super::noise::SeededNoise;
    use super::super::{SpecMaskGitCard, SpecMaskGitModel};
    use super::*;

    fn network() -> SpecMaskGit {
        tch::manual_seed(5);
        let card = SpecMaskGitCard::sized(SpecMaskGitConfig::tiny());
        SpecMaskGitModel::random(card, Device::Cpu).expect("sound sizes").network.freeze()
    }

    fn noise(seed: u64) -> SeededNoise {
        SeededNoise { seed, columns: 4, first_column: 0 }
    }

    #[test]
    fn masks_follow_a_cosine() {
        let sampling = Sampling::default();
        let mut masked = 265;
        let counts: Vec<usize> = (0..15)
            .map(|step| {
                masked = sampling.masked_again(step, 265, masked);
                masked
            })
            .collect();
        assert_eq!((counts[0], counts[14]), (263, 25));
        assert!(counts.windows(2).all(|pair| pair[1] < pair[0]), "{counts:?}");
        // More steps than tokens: one is left to the last.
        assert_eq!(sampling.masked_again(0, 1, 1), 1);
    }

    #[test]
    fn known_tokens_stay_and_masks_go() {
        let network = network();
        let mask = network.config().mask();
        let start = [mask, 3, mask, mask, 0, 11, mask, mask];
        let embedding = || Some(Tensor::ones([1, 6], FLOAT_CPU));
        let run = |seed: u64, steps: usize| {
            let conditions = Conditions { wanted: embedding(), unwanted: None };
            let sampling = Sampling { steps, ..Sampling::default() };
            let mut seen = 0;
            let watch = |step: &Step<'_>| {
                seen += 1;
                assert_eq!(step.index + 1, seen);
                ControlFlow::Continue(())
            };
            let found = network.sample(&start, &conditions, &sampling, &noise(seed), watch);
            found.expect("fits").expect("to the end")
        };
        for steps in [1, 2, 5, 40] {
            let found = run(7, steps);
            assert_eq!(found, run(7, steps), "{steps} steps");
            for (found, start) in found.iter().zip(start) {
                assert!(if start == mask { (0..mask).contains(found) } else { *found == start });
            }
        }
        let all: std::collections::BTreeSet<_> = (0..20).map(|seed| run(seed, 5)).collect();
        assert!(all.len() > 10, "{} of 20", all.len());
    }

    #[test]
    fn a_watcher_ends_it_and_what_does_not_fit_is_refused() {
        let network = network();
        let masked = vec![network.config().mask(); 8];
        let any = Conditions::default();
        let sampling = Sampling::default();
        let stop = |_: &Step<'_>| ControlFlow::Break(());
        let found = network.sample(&masked, &any, &sampling, &noise(1), stop).expect("fits");
        assert_eq!(found, None);
        let go = |_: &Step<'_>| ControlFlow::Continue(());
        let known = [1; 8];
        let found = network.sample(&known, &any, &sampling, &noise(1), go).expect("fits");
        assert_eq!(found.as_deref(), Some(&known[..]));
        let wrong = Conditions { wanted: Some(Tensor::ones([1, 5], FLOAT_CPU)), unwanted: None };
        for (start, conditions, sampling) in [
            (&masked[..7], &any, sampling),
            (&[99; 8][..], &any, sampling),
            (&masked[..], &wrong, sampling),
            (&masked[..], &any, Sampling { steps: 0, ..sampling }),
            (&masked[..], &any, Sampling { guidance: f64::NAN, ..sampling }),
        ] {
            assert!(network.sample(start, conditions, &sampling, &noise(1), go).is_err());
        }
    }
}
