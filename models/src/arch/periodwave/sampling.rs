//! From noise to a waveform: the steps of the solver, and what changes them.

use formant_audio_core::mel_correction::MOST_PASSES;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Most steps: the authors use 16 at most.
const MOST_STEPS: usize = 256;

/// How a step is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// One call of the network a step.
    #[default]
    Euler,
    /// Two calls a step.
    Midpoint,
}

/// Weights of the ways up of the paths, both 1 as trained. They take high-frequency noise from the
/// models that need many steps; the authors recommend 0.9 and 1.1.
///
/// Source: Si et al., "FreeU" (arXiv 2309.11497).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FreeU {
    /// Of what was seen on the way down.
    pub skip: f64,
    /// Of what comes from below.
    pub backbone: f64,
}

impl FreeU {
    /// As trained.
    pub const OFF: Self = Self { skip: 1.0, backbone: 1.0 };
    /// What the authors recommend.
    pub const RECOMMENDED: Self = Self { skip: 0.9, backbone: 1.1 };
}

/// How a waveform is drawn. Turbo models are made for exactly 2 or 4 Euler steps at temperature 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// Steps from noise to waveform.
    pub steps: usize,
    /// How each is made.
    pub solver: Solver,
    /// Factor of the noise.
    pub temperature: f64,
    /// Makes steps shorter at the beginning where it is negative; 0 is off, and -1 what the authors use
    /// with codecs.
    pub sway: f64,
    /// Weights of the ways up.
    pub free_u: FreeU,
    /// Passes that bring the mel values of the waveform nearer to the wanted ones, behind the network;
    /// the authors have none.
    pub refine: usize,
}

impl Default for Sampling {
    /// That of the Turbo models.
    fn default() -> Self {
        Self {
            steps: 4,
            solver: Solver::Euler,
            temperature: 1.0,
            sway: 0.0,
            free_u: FreeU::OFF,
            refine: 0,
        }
    }
}

/// What the result of a call is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// The state that the network saw.
    Seen,
    /// The state that the call before saw.
    Before,
}

/// A call of the network: the next state is `base + scale * v(state, time)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Call {
    /// Time of the flow, from 0 to 1.
    pub time: f32,
    /// Factor of what the network says.
    pub scale: f32,
    /// What it is added to.
    pub base: Base,
}

impl Sampling {
    /// The sampling of models that are not Turbo.
    #[must_use]
    pub fn many_steps() -> Self {
        Self { steps: 16, solver: Solver::Midpoint, temperature: 0.667, ..Self::default() }
    }

    /// Refuses numbers out of range.
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting.
    pub fn validate(&self) -> Result<()> {
        if !(1..=MOST_STEPS).contains(&self.steps) {
            let reason = format!("{} is not from 1 to {MOST_STEPS}", self.steps);
            return Err(Error::config("steps", reason));
        }
        if self.refine > MOST_PASSES {
            let reason = format!("{} is not from 0 to {MOST_PASSES}", self.refine);
            return Err(Error::config("refine", reason));
        }
        let FreeU { skip, backbone } = self.free_u;
        for (name, value, [low, high]) in [
            ("temperature", self.temperature, [0.0, 10.0]),
            ("sway", self.sway, [-1.0, 1.0]),
            ("free_u", skip, [0.0, 10.0]),
            ("free_u", backbone, [0.0, 10.0]),
        ] {
            if !(low..=high).contains(&value) {
                return Err(Error::config(name, format!("{value} is not from {low} to {high}")));
            }
        }
        Ok(())
    }

    /// The calls of the network, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        let grid = |step: usize| -> f32 {
            let t = step as f64 / self.steps as f64;
            let quarter = std::f64::consts::FRAC_PI_2;
            (t + self.sway * ((quarter * t).cos() - 1.0 + t)) as f32
        };
        let mut calls = Vec::with_capacity(2 * self.steps);
        let mut time = grid(0);
        for step in 0..self.steps {
            // As the reference does it: rounding does not add up.
            let length = grid(step + 1) - time;
            match self.solver {
                Solver::Euler => calls.push(Call { time, scale: length, base: Base::Seen }),
                Solver::Midpoint => {
                    let half = length / 2.0;
                    calls.push(Call { time, scale: half, base: Base::Seen });
                    calls.push(Call { time: time + half, scale: length, base: Base::Before });
                }
            }
            time += length;
        }
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_from_noise_to_the_waveform() {
        let times = |sampling: Sampling| -> Vec<f32> {
            sampling.calls().iter().map(|call| call.time).collect()
        };
        assert_eq!(times(Sampling::default()), [0.0, 0.25, 0.5, 0.75]);
        let midpoint = Sampling { steps: 2, solver: Solver::Midpoint, ..Default::default() };
        assert_eq!(times(midpoint), [0.0, 0.25, 0.5, 0.75]);
        let swayed = times(Sampling { steps: 2, sway: -1.0, ..Default::default() });
        assert!((swayed[1] - (1.0 - std::f32::consts::FRAC_1_SQRT_2)).abs() < 1e-6, "{swayed:?}");
        for sampling in [midpoint, Sampling { steps: 7, sway: -1.0, ..Sampling::default() }] {
            let whole = sampling
                .calls()
                .into_iter()
                .filter(|call| sampling.solver == Solver::Euler || call.base == Base::Before);
            let sum: f32 = whole.map(|call| call.scale).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused_by_name() {
        Sampling::default().validate().expect("sound");
        Sampling::many_steps().validate().expect("sound");
        for (name, sampling) in [
            ("steps", Sampling { steps: 0, ..Default::default() }),
            ("steps", Sampling { steps: 1 << 20, ..Default::default() }),
            ("refine", Sampling { refine: 1001, ..Default::default() }),
            ("temperature", Sampling { temperature: f64::NAN, ..Default::default() }),
            ("sway", Sampling { sway: -3.0, ..Default::default() }),
            (
                "free_u",
                Sampling { free_u: FreeU { skip: -1.0, ..FreeU::OFF }, ..Default::default() },
            ),
        ] {
            let error = sampling.validate().expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
