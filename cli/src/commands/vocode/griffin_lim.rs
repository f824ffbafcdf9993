//! The options of `--method griffin-lim`.

use clap::Args;
use formant_audio_core::features::{FeatureConfig, presets};
use formant_audio_core::griffin_lim::GriffinLimOptions;
use formant_models::tasks::vocode::{GriffinLimVocoder, USUAL_PRESET};

use crate::failure::Failure;
use crate::settings::Settings;

/// What a search for phases takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "With --method griffin-lim")]
pub(super) struct GriffinLimArgs {
    /// Steps of the search [default: 32].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    iterations: Option<u32>,
    /// Front end of recordings, and of spectrograms whose file does not name it; `formant features
    /// --list-presets` shows all [default: periodwave].
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
}

impl GriffinLimArgs {
    /// The first option that was given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let iterations = self.iterations.map(|_| "--iterations");
        iterations.or(self.preset.as_ref().map(|_| "--preset"))
    }

    /// Finds out what was meant, with so many passes behind the search.
    pub(super) fn resolve(&self, refine: Refine, settings: &Settings) -> Result<Search, Failure> {
        let usual = GriffinLimOptions::default();
        let options = GriffinLimOptions {
            iterations: self.iterations.map_or(usual.iterations, |steps| steps as usize),
            seed: settings.seed.unwrap_or(0),
            ..usual
        };
        let front_end = presets::by_name(self.preset.as_deref().unwrap_or(USUAL_PRESET))?;
        let (vocoder, passes) = refine.of(GriffinLimVocoder::new(&front_end, options)?)?;
        Ok(Search { vocoder, options, refine, passes, is_chosen: self.preset.is_some() })
    }
}

/// How many passes bring the waveform nearer to the spectrogram.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refine {
    /// So many, or none where the front end has no mel bands or no logarithm to compare.
    Usual(usize),
    /// So many.
    Asked(usize),
}

impl Refine {
    fn of(
        self,
        vocoder: GriffinLimVocoder,
    ) -> Result<(GriffinLimVocoder, usize), formant_models::Error> {
        let front_end = vocoder.front_end();
        let passes = match self {
            Self::Usual(_) if front_end.mel.is_none() || front_end.log.is_none() => 0,
            Self::Usual(passes) | Self::Asked(passes) => passes,
        };
        Ok((vocoder.refined(passes)?, passes))
    }
}

/// A search for phases.
#[derive(Debug, Clone)]
pub(super) struct Search {
    pub(super) vocoder: GriffinLimVocoder,
    pub(super) options: GriffinLimOptions,
    refine: Refine,
    /// Passes behind the search.
    pub(super) passes: usize,
    /// Whether its front end was asked for.
    pub(super) is_chosen: bool,
}

impl Search {
    /// The search for spectrograms of a file that states this front end.
    ///
    /// # Errors
    /// Why no waveform can be made of them.
    pub(super) fn of_front_end(&self, stated: &FeatureConfig) -> Result<Self, String> {
        if self.is_chosen {
            return Ok(self.clone());
        }
        let vocoder = GriffinLimVocoder::new(stated, self.options);
        let refined = vocoder.and_then(|vocoder| self.refine.of(vocoder));
        let (vocoder, passes) = refined.map_err(|error| error.to_string())?;
        Ok(Self { vocoder, passes, ..self.clone() })
    }
}
