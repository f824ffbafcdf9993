//! The network: encoder and generator.

use tch::{Kind, Tensor};

use super::config::HifiSrConfig;
use crate::arch::generator::{FrozenGenerator, Generator};
use crate::arch::mossformer::{FrozenMaskEstimator, MaskEstimator};
use crate::error::Result;
use crate::network::{NetworkInfo, NoTrace, Trace};
use crate::params::Params;

/// From log-mel spectrograms `[batch, frames, bands]` to samples `[batch, 1, frames * hop]`.
#[derive(Debug, Clone)]
pub struct HifiSr {
    encoder: MaskEstimator,
    generator: Generator,
    parameters: u64,
}

impl HifiSr {
    /// All parameters under `params`: the encoder's below `mossformer_ckpt`, the generator's below
    /// `generator_ckpt`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when a size is impossible; as [`Params::get`].
    pub fn new(params: &Params<'_>, config: &HifiSrConfig) -> Result<Self> {
        config.validate()?;
        let (latents, before) = (config.encoder.final_channels(), params.elements());
        Ok(Self {
            encoder: MaskEstimator::new(&params.sub("mossformer_ckpt"), &config.encoder)?,
            generator: Generator::new(&params.sub("generator_ckpt"), &config.generator, latents)?,
            parameters: params.elements() - before,
        })
    }

    /// Facts about the network. It sees all frames.
    #[must_use]
    pub fn info(&self) -> NetworkInfo {
        let (architecture, parameters) = ("hifi-sr".to_owned(), self.parameters);
        NetworkInfo { architecture, parameters, ..self.encoder.info() }
    }

    /// The samples.
    pub fn forward(&self, mel: &Tensor) -> Tensor {
        self.forward_traced(mel, &mut NoTrace)
    }

    /// As [`HifiSr::forward`]; intermediate activations go to `trace`.
    pub fn forward_traced(&self, mel: &Tensor, trace: &mut dyn Trace) -> Tensor {
        let latents = self.encoder.forward_traced(mel, trace).transpose(1, 2);
        trace.record("latent", &latents);
        self.generator.forward_traced(&latents, trace)
    }

    /// The first half of [`HifiSr::forward`]: spectrograms to latents `[batch, channels, frames]`.
    pub fn encode(&self, mel: &Tensor) -> Tensor {
        self.encoder.forward(mel).transpose(1, 2)
    }

    /// The second half of [`HifiSr::forward`], which sees a few frames only: a stretch of latents to
    /// its samples.
    pub fn generate(&self, latents: &Tensor) -> Tensor {
        self.generator.forward_traced(latents, &mut NoTrace)
    }

    /// The same without a gradient, which computes the same faster, and in memory that hardly grows
    /// with the frames.
    #[must_use]
    pub fn freeze(self) -> FrozenHifiSr {
        let (encoder, generator) = (self.encoder.freeze(), FrozenGenerator::new(self.generator));
        FrozenHifiSr { encoder, generator }
    }
}

/// A [`HifiSr`] without a gradient.
#[derive(Debug, Clone)]
pub struct FrozenHifiSr {
    encoder: FrozenMaskEstimator,
    generator: FrozenGenerator,
}

impl FrozenHifiSr {
    /// Makes the matrix products and convolutions in numbers of `kind`.
    pub fn set_kind(&mut self, kind: Kind) {
        self.encoder.set_kind(kind);
        self.generator.set_kind(kind);
    }

    /// As [`HifiSr::forward`].
    pub fn forward(&self, mel: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        self.generator.forward(&self.encoder.forward(mel).transpose(1, 2))
    }
}
