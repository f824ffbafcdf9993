//! Stem separators: which models, and how they work on a mix.

use clap::{Args, ValueEnum};
use formant_models::registry;
use formant_models::tasks::stems::{Augment, DemixConfig, EndRule, StemSeparator, StemsOptions};
use formant_models::{LoadOptions, ModelSource};

use crate::failure::Failure;
use crate::messages::Messages;
use crate::settings::Settings;
use crate::tasks::load_options;

/// Rules for the ends of a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EndsArg {
    /// As the Music-Source-Separation-Training programs.
    TrainingKit,
    /// As the vocal model's own program.
    VocalModel,
}

/// Which model, and how it works on a mix.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Separation options")]
pub(crate) struct DemixArgs {
    /// A name from `formant models list`, a checkpoint with its .yaml beside it, or a file that
    /// `formant train stems` wrote.
    #[arg(long, value_name = "NAME|PATH")]
    model: Option<String>,
    /// Average with this model too; may be repeated.
    #[arg(long, value_name = "NAME|PATH")]
    ensemble: Vec<String>,
    /// Stems to write, separated by commas [default: all].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    stems: Vec<String>,
    /// Length of a chunk in seconds [default: as the model was trained].
    #[arg(long, value_name = "SECONDS")]
    chunk: Option<f64>,
    /// Number of chunks that cover each sample; more is smoother and slower [default: the model's].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    overlap: Option<u8>,
    /// Chunks in one batch of the network. It changes the ends of the result slightly.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    batch_size: Option<u16>,
    /// Number of shifted runs to average over.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    shifts: u8,
    /// Average over the mix, the mix with swapped channels, and the inverted mix: three times the
    /// work.
    #[arg(long)]
    augment: bool,
    /// How chunks at the ends are faded.
    #[arg(long, value_enum, default_value = "training-kit", value_name = "RULE")]
    ends: EndsArg,
    /// Keep the DC component in the stems, as the vocal model's own program does.
    #[arg(long)]
    keep_dc: bool,
}

/// The models and how they work on a mix.
#[derive(Debug)]
pub(crate) struct DemixPlan {
    /// `None` is the default model.
    model: Option<ModelSource>,
    ensemble: Vec<ModelSource>,
    load: LoadOptions,
    stems: Vec<String>,
    chunk_seconds: Option<f64>,
    overlap: Option<usize>,
    batch_size: Option<usize>,
    ends: EndRule,
    shifts: usize,
    augment: bool,
    keep_dc: bool,
}

impl DemixArgs {
    /// Whether a single stem is asked for by its name.
    pub(crate) fn names_one_stem(&self) -> bool {
        self.stems.len() == 1
    }

    /// Names of the stems, or those that published networks have.
    pub(crate) fn possible_stems(&self) -> Vec<&str> {
        const PUBLISHED: [&str; 7] =
            ["vocals", "instrumental", "other", "drums", "bass", "guitar", "piano"];
        match self.stems.as_slice() {
            [] => PUBLISHED.to_vec(),
            named => named.iter().map(String::as_str).collect(),
        }
    }

    /// Finds out what was meant.
    pub(crate) fn resolve(&self, settings: &Settings) -> Result<DemixPlan, Failure> {
        if self.chunk.is_some_and(|seconds| !(seconds > 0.0 && seconds <= 600.0)) {
            return Err(Failure::usage("--chunk", "give more than 0 and at most 600 seconds"));
        }
        Ok(DemixPlan {
            model: self.model.as_deref().map(ModelSource::named),
            ensemble: self.ensemble.iter().map(|name| ModelSource::named(name)).collect(),
            load: load_options(settings)?,
            stems: self.stems.clone(),
            chunk_seconds: self.chunk,
            overlap: self.overlap.map(usize::from),
            batch_size: self.batch_size.map(usize::from),
            ends: match self.ends {
                EndsArg::TrainingKit => EndRule::TrainingKit,
                EndsArg::VocalModel => EndRule::VocalModel,
            },
            shifts: usize::from(self.shifts),
            augment: self.augment,
            keep_dc: self.keep_dc,
        })
    }
}

impl DemixPlan {
    /// How the networks are loaded.
    pub(crate) fn load_options(&self) -> &LoadOptions {
        &self.load
    }

    /// Loads the models that were asked for, or the default one.
    pub(crate) fn load(&self) -> Result<StemSeparator, Failure> {
        let others = self.ensemble.iter().cloned().map(Some);
        let sources = std::iter::once(self.model.clone()).chain(others);
        let sources: Vec<ModelSource> = sources
            .map(|asked| ModelSource::or_default(asked, "stems"))
            .collect::<Result<_, _>>()?;
        let mut separator = StemSeparator::ensemble(&sources, &self.load)?;
        if self.keep_dc {
            separator.keep_dc();
        }
        Ok(separator)
    }

    /// Says which model was used where none was named.
    pub(crate) fn tell_default(&self, messages: &Messages) {
        if let (None, Ok(bundled)) = (&self.model, registry::default_for("stems")) {
            messages.note(&format!(
                "model {}: {}; `formant models list --task stems` shows larger ones",
                bundled.name, bundled.summary
            ));
        }
    }

    /// How mixes are worked on, for this separator.
    pub(crate) fn options(&self, separator: &StemSeparator) -> Result<StemsOptions, Failure> {
        let card = separator.models()[0].card();
        let mut demix: DemixConfig = card.demix;
        if let Some(seconds) = self.chunk_seconds {
            // Whole hops, as the reference needs it.
            let hop = card.config.stft_hop_length.max(1) as f64;
            let hops = (seconds * f64::from(card.sample_rate()) / hop).round().max(1.0);
            demix.chunk_size = (hops * hop) as usize;
            if demix.chunk_size as i64 <= card.config.stft_n_fft {
                return Err(Failure::usage("--chunk", "shorter than the network's transform"));
            }
        }
        demix.num_overlap = self.overlap.unwrap_or(demix.num_overlap);
        demix.batch_size = self.batch_size.unwrap_or(demix.batch_size);
        demix.ends = self.ends;
        Ok(StemsOptions {
            demix: Some(demix),
            shifts: self.shifts,
            augment: if self.augment { Augment::Yes } else { Augment::No },
            stems: self.stems.clone(),
        })
    }
}
