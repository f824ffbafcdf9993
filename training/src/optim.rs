//! AdamW with warm-up and cosine decay, a moving average of the weights, and a state that can be
//! saved: libtorch's own optimiser cannot be resumed from a file.
//!
//! Source: Loshchilov, Hutter, "Decoupled Weight Decay Regularization" (ICLR 2019), algorithm 2.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tch::{Tensor, nn::VarStore};

/// Constants of the optimiser and of its schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OptimizerConfig {
    /// Learning rate at the end of the warm-up.
    pub learning_rate: f64,
    /// Share of all steps in which the learning rate rises linearly.
    pub warmup: f64,
    /// Learning rate at the last step, relative to the peak.
    pub final_ratio: f64,
    /// Decoupled weight decay, for matrices and kernels only.
    pub weight_decay: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Largest norm of the gradient of all parameters together.
    pub clip_norm: f64,
    /// Decay of the moving average of the weights, per step.
    pub ema_decay: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            learning_rate: 2e-3,
            warmup: 0.05,
            final_ratio: 0.01,
            weight_decay: 0.02,
            beta1: 0.9,
            beta2: 0.99,
            clip_norm: 5.0,
            ema_decay: 0.998,
        }
    }
}

impl OptimizerConfig {
    /// Learning rate of `step` out of `total`.
    #[must_use]
    pub fn learning_rate_at(&self, step: u64, total: u64) -> f64 {
        let (step, total) = (step as f64, total.max(1) as f64);
        let warmup = self.warmup * total;
        if step < warmup {
            return self.learning_rate * (step + 1.0) / (warmup + 1.0);
        }
        let progress = ((step - warmup) / (total - warmup).max(1.0)).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        self.learning_rate * (self.final_ratio + (1.0 - self.final_ratio) * cosine)
    }
}

/// All variables of a store; the order of the names is the same in every run.
pub(crate) fn by_name(vs: &VarStore) -> BTreeMap<String, Tensor> {
    vs.variables().into_iter().collect()
}

/// Optimiser of one set of variables.
#[derive(Debug)]
pub struct AdamW {
    config: OptimizerConfig,
    step: u64,
    slots: Vec<Slot>,
    averages: BTreeMap<String, (Tensor, Tensor)>, // buffers: (live, average)
}

#[derive(Debug)]
struct Slot {
    name: String,
    variable: Tensor,
    first: Tensor,
    second: Tensor,
    average: Tensor,
}

/// What all variables have in common in a step.
#[derive(Debug)]
struct Rates {
    rate: f64,
    scale: f64,
    bias1: f64,
    bias2: f64,
    decay: f64,
}

impl Slot {
    fn update(&mut self, c: &OptimizerConfig, rates: &Rates) {
        let grad = self.variable.grad();
        if !grad.defined() {
            return;
        }
        let grad = grad * rates.scale;
        let _ = self.first.lerp_(&grad, 1.0 - c.beta1);
        let _ = self.second.lerp_(&grad.square(), 1.0 - c.beta2);
        if self.variable.dim() > 1 {
            let _ = self.variable.g_mul_scalar_(1.0 - rates.rate * c.weight_decay);
        }
        let denominator = (&self.second / rates.bias2).sqrt() + 1e-8;
        let change = &self.first * (rates.rate / rates.bias1) / denominator;
        let _ = self.variable.g_sub_(&change);
        let _ = self.average.lerp_(&self.variable, 1.0 - rates.decay);
    }
}

impl AdamW {
    /// Prepares to train all trainable variables of `vs`.
    #[must_use]
    pub fn new(vs: &VarStore, config: OptimizerConfig) -> Self {
        let mut slots = Vec::new();
        let mut averages = BTreeMap::new();
        for (name, variable) in by_name(vs) {
            let average = variable.detach().copy();
            if variable.requires_grad() {
                let (first, second) = (average.zeros_like(), average.zeros_like());
                slots.push(Slot { name, variable, first, second, average });
            } else {
                averages.insert(name, (variable, average));
            }
        }
        Self { config, step: 0, slots, averages }
    }

    /// Steps done so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Takes one step out of `total` with the gradients that `learn` adds to those of the variables,
    /// and returns what it does. Gradients that are not finite are dropped.
    pub fn step<T>(&mut self, total: u64, learn: impl FnOnce() -> T) -> T {
        for slot in &mut self.slots {
            slot.variable.zero_grad();
        }
        let learnt = learn();
        tch::no_grad(|| self.apply(total));
        learnt
    }

    fn apply(&mut self, total: u64) {
        let c = self.config.clone();
        let rate = c.learning_rate_at(self.step, total);
        self.step += 1;
        let squares: Vec<Tensor> = self
            .slots
            .iter()
            .map(|slot| slot.variable.grad())
            .filter(Tensor::defined)
            .map(|grad| grad.square().sum(tch::Kind::Float))
            .collect();
        if squares.is_empty() {
            return;
        }
        let norm = Tensor::stack(&squares, 0).sum(tch::Kind::Float).sqrt().double_value(&[]);
        if !norm.is_finite() {
            return;
        }
        let scale = (c.clip_norm / norm.max(1e-12)).min(1.0);
        let (bias1, bias2) =
            (1.0 - c.beta1.powf(self.step as f64), 1.0 - c.beta2.powf(self.step as f64));
        // The average follows quickly at first, so that it does not remember the random start.
        let decay = c.ema_decay.min((1.0 + self.step as f64) / (10.0 + self.step as f64));
        let rates = Rates { rate, scale, bias1, bias2, decay };
        self.slots.par_iter_mut().for_each(|slot| tch::no_grad(|| slot.update(&c, &rates)));
        for (live, average) in self.averages.values_mut() {
            let _ = average.lerp_(live, 1.0 - decay);
        }
    }

    /// The averaged weights and buffers by name.
    #[must_use]
    pub fn averaged(&self) -> BTreeMap<String, Tensor> {
        let buffers = self.averages.iter().map(|(n, (_, average))| (n.clone(), average));
        let weights = self.slots.iter().map(|slot| (slot.name.clone(), &slot.average));
        buffers.chain(weights).map(|(name, t)| (name, t.copy())).collect()
    }

    /// Everything that a resumed run needs besides the number of steps, by name.
    #[must_use]
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let mut state = BTreeMap::new();
        for slot in &self.slots {
            for (kind, tensor) in [
                ("live", &slot.variable),
                ("first", &slot.first),
                ("second", &slot.second),
                ("average", &slot.average),
            ] {
                state.insert(format!("{kind}.{}", slot.name), tensor.detach().copy());
            }
        }
        for (name, (live, average)) in &self.averages {
            state.insert(format!("live.{name}"), live.copy());
            state.insert(format!("average.{name}"), average.copy());
        }
        state
    }

    /// Goes on from a saved state; `false`, and nothing is changed, when it belongs to another
    /// network.
    #[must_use]
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>, steps: u64) -> bool {
        let live = self.averages.iter().flat_map(|(name, (live, average))| {
            [(format!("live.{name}"), live), (format!("average.{name}"), average)]
        });
        let kept = self.slots.iter().flat_map(|slot| {
            let named = |kind: &str| format!("{kind}.{}", slot.name);
            [
                (named("live"), &slot.variable),
                (named("first"), &slot.first),
                (named("second"), &slot.second),
                (named("average"), &slot.average),
            ]
        });
        let found: Option<Vec<(&Tensor, &Tensor)>> = live
            .chain(kept)
            .map(|(key, target)| {
                let saved = state.get(&key).filter(|saved| saved.size() == target.size())?;
                Some((target, saved))
            })
            .collect();
        let Some(found) = found else { return false };
        tch::no_grad(|| {
            for (target, saved) in found {
                target.shallow_clone().copy_(saved);
            }
        });
        self.step = steps;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, nn};

    fn quadratic(steps: usize, resume_at: Option<usize>) -> Vec<f32> {
        let build = || {
            let vs = VarStore::new(Device::Cpu);
            let x = vs.root().var("x", &[2, 2], nn::Init::Const(3.0));
            (vs, x)
        };
        let config = OptimizerConfig { learning_rate: 0.1, ..Default::default() };
        let (mut vs, mut x) = build();
        let mut optimizer = AdamW::new(&vs, config.clone());
        for step in 0..steps {
            if resume_at == Some(step) {
                let (state, done) = (optimizer.state(), optimizer.steps());
                (vs, x) = build();
                optimizer = AdamW::new(&vs, config.clone());
                assert!(optimizer.restore(&state, done));
            }
            let loss = (&x - 1.0).square().sum(Kind::Float);
            optimizer.step(steps as u64, || loss.backward());
        }
        Vec::try_from(x.detach().view([-1])).expect("flat")
    }

    #[test]
    fn finds_the_minimum_and_resumes_exactly() {
        let straight = quadratic(300, None);
        assert!(straight.iter().all(|x| (x - 1.0).abs() < 0.05), "{straight:?}");
        assert_eq!(straight, quadratic(300, Some(120)));
    }

    #[test]
    fn schedule_warms_up_and_decays() {
        let config = OptimizerConfig { learning_rate: 1.0, ..Default::default() };
        assert!(config.learning_rate_at(0, 1000) < 0.05);
        assert!((config.learning_rate_at(50, 1000) - 1.0).abs() < 1e-3);
        assert!((config.learning_rate_at(1000, 1000) - 0.01).abs() < 1e-9);
    }
}
