//! The networks of a generator: where they come from, and whether they fit each other.

use std::path::Path;

use formant_audio_core::features::FeatureConfig;
use tch::Device;

use crate::arch::clap::ClapTextModel;
use crate::arch::gan_vocoder::GanVocoderModel;
use crate::arch::periodwave::PeriodWaveModel;
use crate::arch::specmaskgit::SpecMaskGitModel;
use crate::arch::specvqgan::SpecVqganModel;
use crate::checkpoint::Architecture;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::registry::{self, Located};
use crate::source::ModelSource;
use crate::tasks::vocode::mel_differences;

/// The tokenizer that is looked for beside a transformer.
const USUAL_TOKENIZER: &str = "tokenizer.safetensors";

/// Where the networks of a generator come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartSources {
    /// Fills grids of tokens.
    pub transformer: ModelSource,
    /// Makes spectrograms of tokens; `tokenizer.safetensors` beside the transformer if not given.
    pub tokenizer: Option<ModelSource>,
    /// Makes waveforms of spectrograms; a search for phases if not given.
    pub vocoder: Option<ModelSource>,
    /// Makes embeddings of descriptions, for transformers without words of their own.
    pub text: Option<ModelSource>,
}

impl PartSources {
    /// A transformer with what belongs to it.
    #[must_use]
    pub fn of(transformer: ModelSource) -> Self {
        Self { transformer, tokenizer: None, vocoder: None, text: None }
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// [`Error::Config`] when none is given and none is beside the transformer.
    pub fn tokenizer(&self) -> Result<ModelSource> {
        if let Some(given) = &self.tokenizer {
            return Ok(given.clone());
        }
        let path = match &self.transformer {
            ModelSource::Bundled(name) => {
                return Ok(ModelSource::Bundled(format!("{name}-tokenizer")));
            }
            ModelSource::Path(path) if !path.is_dir() => {
                path.parent().unwrap_or(Path::new("")).join(USUAL_TOKENIZER)
            }
            other => match registry::locate(other)? {
                Located::Path(folder) => folder.join(USUAL_TOKENIZER),
                Located::Bundled(model) => Path::new(model.name).join(USUAL_TOKENIZER),
            },
        };
        if path.is_file() {
            return Ok(ModelSource::Path(path));
        }
        let reason =
            format!("{} is missing; give the one that the model was trained with", path.display());
        Err(Error::config("tokenizer", reason))
    }

    /// Loads the networks.
    ///
    /// # Errors
    /// What reading the checkpoints says.
    pub fn load(&self, device: Device) -> Result<Parts> {
        let vocoder = match &self.vocoder {
            None => None,
            Some(source)
                if registry::architecture(source)? == Some(Architecture::PeriodwaveTurbo) =>
            {
                Some(VocoderPart::PeriodWave(Box::new(Model::load(source, device)?)))
            }
            Some(source) => Some(VocoderPart::Gan(Box::new(Model::load(source, device)?))),
        };
        let text = self.text.as_ref().map(|source| Model::load(source, device)).transpose()?;
        Ok(Parts {
            transformer: Model::load(&self.transformer, device)?,
            tokenizer: Model::load(&self.tokenizer()?, device)?,
            vocoder,
            text,
        })
    }
}

/// A network that makes waveforms of spectrograms.
#[derive(Debug, Clone)]
pub enum VocoderPart {
    /// In one pass.
    Gan(Box<GanVocoderModel>),
    /// In steps from noise.
    PeriodWave(Box<PeriodWaveModel>),
}

impl VocoderPart {
    /// The spectrogram that it takes, where it takes one.
    fn front_end(&self) -> Option<&FeatureConfig> {
        match self {
            Self::Gan(model) => Some(&model.card.frontend),
            Self::PeriodWave(model) => model.card.frontend.as_ref(),
        }
    }
}

/// The networks that make sounds.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Fills grids of tokens.
    pub transformer: SpecMaskGitModel,
    /// Makes spectrograms of tokens.
    pub tokenizer: SpecVqganModel,
    /// Makes waveforms of spectrograms; a search for phases where there is none.
    pub vocoder: Option<VocoderPart>,
    /// Makes embeddings of descriptions, for transformers without words of their own.
    pub text: Option<ClapTextModel>,
}

impl Parts {
    /// Refuses parts that do not fit each other.
    ///
    /// # Errors
    /// [`Error::Config`] naming what does not fit, and both numbers.
    pub(super) fn check(&self) -> Result<()> {
        let (transformer, tokenizer) = (&self.transformer.card.config, &self.tokenizer.card);
        if transformer.codebook_size != tokenizer.config.n_embed {
            let reason = format!(
                "the transformer has {}, the tokenizer {}",
                transformer.codebook_size, tokenizer.config.n_embed
            );
            return Err(Error::config("codebook_size", reason));
        }
        let bands = tokenizer.bands() as i64;
        if transformer.grid_h.saturating_mul(tokenizer.config.factor()) != bands {
            let reason = format!(
                "{} rows of {} bands for a tokenizer of {bands}",
                transformer.grid_h,
                tokenizer.config.factor()
            );
            return Err(Error::config("grid_h", reason));
        }
        let from = &tokenizer.frontend;
        if from.affine.is_some_and(|map| !(map.scale.is_normal() && map.offset.is_finite())) {
            return Err(Error::config("frontend.affine", "has no way back"));
        }
        if let Some(text) = &self.text
            && text.card.config.joint_embed != transformer.cond_dim
        {
            let reason = format!(
                "embeddings of {} dimensions for a transformer that takes {}",
                text.card.config.joint_embed, transformer.cond_dim
            );
            return Err(Error::config("text encoder", reason));
        }
        let Some(vocoder) = &self.vocoder else { return Ok(()) };
        let Some(to) = vocoder.front_end() else {
            let reason = "takes EnCodec embeddings, [frames, 128], and no spectrograms";
            return Err(Error::config("vocoder", reason));
        };
        // Both may map the same logarithms to ranges of their own.
        let plain = |config: &FeatureConfig| FeatureConfig { affine: None, ..config.clone() };
        let differences = mel_differences(&plain(from), &plain(to));
        if !differences.is_empty() {
            let reason = format!(
                "takes another spectrogram than the tokenizer makes: {}",
                differences.join("; ")
            );
            return Err(Error::config("vocoder", reason));
        }
        Ok(())
    }
}
