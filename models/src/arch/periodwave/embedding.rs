//! The embedding of the time of the flow and of a path's period.

use tch::nn::Init;
use tch::{Kind, Tensor};

use super::config::PeriodWaveConfig;
use crate::error::Result;
use crate::nn::linear::Linear;
use crate::params::{Params, Weight};

/// Longest wavelength of the sinusoids, and the factor of the time, from 0 to 1.
const LONGEST: f64 = 10_000.0;
const TIME_SCALE: f64 = 1000.0;

/// Time and period to a vector for each path.
#[derive(Debug, Clone)]
pub(super) struct Embedding {
    periods: Weight,     // [paths, dim]
    frequencies: Weight, // [dim / 2]
    mlp: [Linear; 2],
    scale: f64,
}

impl Embedding {
    pub(super) fn new(params: &Params<'_>, config: &PeriodWaveConfig) -> Result<Self> {
        let (hidden, dim) = (config.hidden_dim, config.embedding_dim());
        let begin = Init::Randn { mean: 0.0, stdev: 1.0 / (hidden as f64).sqrt() };
        let half = dim / 2;
        let falls = -LONGEST.ln() / (half - 1) as f64;
        let frequency = |i: i64| (TIME_SCALE * (i as f64 * falls).exp()) as f32;
        let frequencies: Vec<f32> = (0..half).map(frequency).collect();
        let paths = config.periods.len() as i64;
        Ok(Self {
            periods: params.sub("period_emb").get("weight", &[paths, dim], begin)?,
            frequencies: Tensor::from_slice(&frequencies).to_device(params.device()).into(),
            mlp: [
                Linear::new(&params.sub("mlp.0"), 2 * dim, 4 * hidden)?,
                Linear::new(&params.sub("mlp.2"), 4 * hidden, hidden)?,
            ],
            // Also where the vectors have half as many dimensions: so it was trained.
            scale: (hidden as f64).sqrt(),
        })
    }

    /// Times `[batch]` to `[batch, paths, hidden]`.
    pub(super) fn forward(&self, times: &Tensor) -> Tensor {
        let angles = times.to_kind(Kind::Float).unsqueeze(1) * &*self.frequencies;
        let time = Tensor::cat(&[angles.sin(), angles.cos()], 1);
        let size = [times.size()[0], self.periods.size()[0], time.size()[1]];
        let time = time.unsqueeze(1).expand(size, false);
        let period = (&*self.periods * self.scale).unsqueeze(0).expand(size, false);
        let both = Tensor::cat(&[time, period], 2);
        self.mlp[1].forward(&self.mlp[0].forward(&both).silu())
    }
}
