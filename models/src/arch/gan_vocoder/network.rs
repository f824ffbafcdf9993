//! The network, whatever its layout.

use tch::{Kind, Tensor};

use super::config::GanVocoderConfig;
use super::melgan::MelGan;
use crate::arch::generator::{Ending, FrozenGenerator, Generator, Style};
use crate::error::Result;
use crate::network::{NetworkInfo, NoTrace, Trace};
use crate::params::Params;

/// Spectrograms `[batch, bands, frames]` to samples `[batch, 1, frames * hop]` within -1 and 1.
#[derive(Debug, Clone)]
pub struct GanVocoder {
    form: Form<Generator>,
    info: NetworkInfo,
}

#[derive(Debug, Clone)]
enum Form<G> {
    Generator(G),
    MelGan(MelGan),
}

impl GanVocoder {
    /// All parameters under `params`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when a size is impossible; as [`Params::get`].
    pub fn new(params: &Params<'_>, config: &GanVocoderConfig) -> Result<Self> {
        config.validate()?;
        let before = params.elements();
        let generator = |generator, ends| {
            Generator::styled(params, generator, config.bands(), ends).map(Form::Generator)
        };
        let form = match config {
            GanVocoderConfig::HifiGan(config) => {
                generator(&config.generator, (Style::Leaky, Ending::default()))?
            }
            GanVocoderConfig::Bigvgan(config) => generator(&config.generator, config.style())?,
            GanVocoderConfig::Melgan(config) => Form::MelGan(MelGan::new(params, config)?),
        };
        let minimum = match &form {
            Form::Generator(_) => 1,
            Form::MelGan(network) => network.minimum_frames(),
        };
        let info = NetworkInfo {
            architecture: config.name().to_owned(),
            parameters: params.elements() - before,
            lookahead_frames: usize::MAX,
            minimum_frames: minimum as usize,
            frames_per_output: 1,
        };
        Ok(Self { form, info })
    }

    /// Facts about the network.
    #[must_use]
    pub fn info(&self) -> NetworkInfo {
        self.info.clone()
    }

    /// The samples.
    pub fn forward(&self, mel: &Tensor) -> Tensor {
        self.forward_traced(mel, &mut NoTrace)
    }

    /// As [`GanVocoder::forward`]; intermediate activations go to `trace`.
    pub fn forward_traced(&self, mel: &Tensor, trace: &mut dyn Trace) -> Tensor {
        match &self.form {
            Form::Generator(network) => network.forward_traced(mel, trace),
            Form::MelGan(network) => network.forward(mel, trace),
        }
    }

    /// The same without a gradient, which computes the same faster where kernels take the layers.
    #[must_use]
    pub fn freeze(self) -> FrozenGanVocoder {
        let form = match self.form {
            Form::Generator(network) => Form::Generator(FrozenGenerator::new(network)),
            Form::MelGan(network) => Form::MelGan(network),
        };
        FrozenGanVocoder { form }
    }
}

/// A [`GanVocoder`] without a gradient.
#[derive(Debug, Clone)]
pub struct FrozenGanVocoder {
    form: Form<FrozenGenerator>,
}

impl FrozenGanVocoder {
    /// Makes the convolutions in numbers of `kind`; MelGAN stays as it is.
    pub fn set_kind(&mut self, kind: Kind) {
        if let Form::Generator(network) = &mut self.form {
            network.set_kind(kind);
        }
    }

    /// As [`GanVocoder::forward`].
    pub fn forward(&self, mel: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        match &self.form {
            Form::Generator(network) => network.forward(mel),
            Form::MelGan(network) => network.forward(mel, &mut NoTrace),
        }
    }
}
