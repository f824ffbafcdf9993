//! `formant superres`: recordings with a full band at 48 kHz.

use clap::Args;
use formant_audio_core::AudioSpec;
use formant_models::tasks::Task;
use formant_models::tasks::superres::{SuperResOptions, SuperResReport, SuperResolver};
use serde_json::{Value, json};

use super::Work;
use crate::audio_to_audio::{self, AudioToAudioArgs, Made, Process, Session};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::tasks;
use crate::times::clock;

/// What `formant superres` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant superres call.wav -o wide.wav")]
pub(crate) struct SuperresArgs {
    #[command(flatten)]
    files: AudioToAudioArgs,
    /// Name of a bundled or published model, or a file or folder [default: superres-speech].
    #[arg(long, value_name = "NAME|PATH")]
    model: Option<String>,
    /// Highest frequency of the recordings in Hz [default: measured for each channel].
    #[arg(long, value_name = "HZ")]
    cutoff: Option<f64>,
    /// Length of a window in seconds; shorter recordings are processed in one piece [default: the
    /// model's, or 20].
    #[arg(long, value_name = "SECONDS")]
    window: Option<f64>,
    /// Overlap with the neighboring window in seconds [default: a quarter of the window, up to 2].
    #[arg(long, value_name = "SECONDS")]
    overlap: Option<f64>,
}

impl SuperresArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let load = tasks::load_options(settings)?;
        let files = self.files.resolve_for_network("_48k", settings)?;
        let model = tasks::model(self.model.as_deref(), "superres")?;
        let options = SuperResOptions {
            cutoff_hz: self.cutoff,
            window_seconds: self.window,
            overlap_seconds: self.overlap,
        };
        Ok(audio_to_audio::of_network(files, load, move |load, _| {
            Ok(Widening { resolver: SuperResolver::load(&model, load)?, options })
        }))
    }
}

/// A super-resolution network and its options.
#[derive(Clone)]
struct Widening {
    resolver: SuperResolver,
    options: SuperResOptions,
}

impl Process for Widening {
    type Report = SuperResReport;

    fn command(&self) -> &'static str {
        "superres"
    }

    fn output_spec(&self, input: AudioSpec) -> AudioSpec {
        AudioSpec { rate: self.resolver.sample_rate(), ..input }
    }

    fn start(&self, _: AudioSpec) -> Result<impl Session<Report = SuperResReport>, Failure> {
        Ok(self.resolver.start(&self.options)?)
    }

    fn fields(&self, made: &Made<'_, SuperResReport>) -> Value {
        json!({
            "output": made.targets[0].name(),
            "cutoff_hz": made.report.cutoff_hz,
            "widened": made.report.widened,
            "low_band_db": made.report.low_band_db,
            "peak": made.files[0].peak,
            "clipped": made.files[0].clipped,
        })
    }

    fn notes(&self, made: &Made<'_, SuperResReport>) -> Vec<String> {
        let (output, length) = (made.targets[0].name(), clock(made.seconds()));
        let edges = made.report.cutoff_hz.iter().map(|hz| format!("{:.1}", hz / 1000.0));
        let edges = edges.collect::<Vec<_>>().join(", ");
        let done = match made.report.widened {
            0.0 => format!("a band up to {edges} kHz, or silence: nothing added"),
            _ => {
                let kept = made.report.low_band_db.map_or_else(
                    || "the band below is unchanged".to_owned(),
                    |db| format!("change below: {db:.0} dB relative to the input"),
                );
                format!("band up to {edges} kHz widened; {kept}")
            }
        };
        vec![format!("{} -> {output} ({length}, {done})", made.input)]
    }
}
