//! `formant enhance`: recordings without their noise.

use clap::Args;
use formant_audio_core::AudioSpec;
use formant_models::tasks::Task;
use formant_models::tasks::enhance::{EnhanceOptions, EnhancementReport, Enhancer};
use serde_json::{Value, json};

use super::Work;
use crate::audio_to_audio::{self, AudioToAudioArgs, Made, Process, Session};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::tasks::{self, enhance::CleaningArgs};
use crate::times::clock;

/// What `formant enhance` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant enhance noisy.wav --attenuation-limit 20 -o clean.wav")]
pub(crate) struct EnhanceArgs {
    #[command(flatten)]
    files: AudioToAudioArgs,
    /// A bundled or published model's name, or a file or folder.
    #[arg(long, value_name = "NAME|PATH")]
    model: Option<String>,
    #[command(flatten)]
    cleaning: CleaningArgs,
    /// Length of a window in seconds; shorter recordings are processed in one piece.
    #[arg(long, default_value_t = 20.0, value_name = "SECONDS")]
    window: f64,
    /// Overlap with the neighboring window in seconds.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    overlap: f64,
}

impl EnhanceArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let load = tasks::load_options(settings)?;
        let files = self.files.resolve_for_network("_enhanced", settings)?;
        let model = tasks::model(self.model.as_deref(), "enhance")?;
        let options = EnhanceOptions {
            window_seconds: self.window,
            overlap_seconds: self.overlap,
            ..self.cleaning.options(settings)
        };
        Ok(audio_to_audio::of_network(files, load, move |load, _| {
            Ok(Enhancement { enhancer: Enhancer::load(&model, load)?, options })
        }))
    }
}

/// An enhancer and its options.
#[derive(Clone)]
struct Enhancement {
    enhancer: Enhancer,
    options: EnhanceOptions,
}

impl Process for Enhancement {
    type Report = EnhancementReport;

    fn command(&self) -> &'static str {
        "enhance"
    }

    fn start(&self, _: AudioSpec) -> Result<impl Session<Report = EnhancementReport>, Failure> {
        Ok(self.enhancer.start(&self.options)?)
    }

    fn fields(&self, made: &Made<'_, EnhancementReport>) -> Value {
        json!({
            "output": made.targets[0].name(),
            "removed_db": made.report.removed_db,
            "peak": made.files[0].peak,
            "clipped": made.files[0].clipped,
        })
    }

    fn notes(&self, made: &Made<'_, EnhancementReport>) -> Vec<String> {
        let (output, length) = (made.targets[0].name(), clock(made.seconds()));
        let removed = match made.report.removed_db {
            Some(db) => format!("removed noise at {db:.1} dB relative to the input"),
            None => "nothing removed".to_owned(),
        };
        vec![format!("{} -> {output} ({length}, {removed})", made.input)]
    }
}
