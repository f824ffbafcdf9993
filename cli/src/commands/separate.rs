//! `formant separate`: overlapping speakers, each to a file of its own.

use std::path::Path;

use clap::{Args, ValueEnum};
use formant_audio_core::AudioSpec;
use formant_models::tasks::Task;
use formant_models::tasks::separate::{Levels, SeparateOptions, SeparationReport, Separator};
use serde_json::{Value, json};

use super::Work;
use crate::audio_to_audio::{self, AudioToAudioArgs, Made, Process, Session};
use crate::failure::Failure;
use crate::outputs::{SuffixWhen, Target};
use crate::settings::Settings;
use crate::tasks;
use crate::times::clock;

/// Levels of the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LevelsArg {
    /// Outputs add up to the recording, where the network masks it.
    Mixture,
    /// As the network returns them.
    Network,
}

/// What `formant separate` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant separate meeting.wav -o voices/")]
pub(crate) struct SeparateArgs {
    #[command(flatten)]
    files: AudioToAudioArgs,
    /// A bundled or published model's name, or a file or folder.
    #[arg(long, value_name = "NAME|PATH")]
    model: Option<String>,
    /// Length of a window in seconds.
    #[arg(long, default_value_t = 8.0, value_name = "SECONDS")]
    window: f64,
    /// Overlap with the neighboring window in seconds.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    overlap: f64,
    /// Levels of the outputs.
    #[arg(long, value_enum, default_value = "mixture", value_name = "WHICH")]
    levels: LevelsArg,
    /// Scale each output to this peak; relative levels are lost [default when given: 0.5].
    #[arg(long, value_name = "PEAK", num_args = 0..=1, default_missing_value = "0.5")]
    peak_normalize: Option<f32>,
}

/// Comes behind the name of the recording, and the number of the speaker behind it.
const VOICE: &str = "_voice";

/// The most speakers that published networks separate.
const MAX_VOICES: usize = 3;

/// The files of so many voices.
fn voices(target: &Target, count: usize) -> Vec<Target> {
    let stem = target.path().and_then(Path::file_stem);
    let named = stem.is_some_and(|stem| stem.to_string_lossy().ends_with(VOICE));
    let suffix = if named { "" } else { VOICE };
    (1..=count).map(|n| target.with_suffix(&format!("{suffix}{n}"))).collect()
}

impl SeparateArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let load = tasks::load_options(settings)?;
        self.files.audio.refuse_each()?;
        let group = |target: &Target| voices(target, MAX_VOICES);
        let mut files = self.files.resolve(VOICE, SuffixWhen::Always, group, settings)?;
        files.refuse_stdout("every voice is a file of its own")?;
        if let Some(peak) = self.peak_normalize.filter(|peak| !(0.0..=1.0).contains(peak)) {
            return Err(Failure::usage("--peak-normalize", format!("{peak} is not from 0 to 1")));
        }
        files.write.normalize_peak = self.peak_normalize;
        let options = SeparateOptions {
            window_seconds: self.window,
            overlap_seconds: self.overlap,
            levels: match self.levels {
                LevelsArg::Mixture => Levels::Mixture,
                LevelsArg::Network => Levels::Network,
            },
        };
        let model = tasks::model(self.model.as_deref(), "separate")?;
        Ok(audio_to_audio::of_network(files, load, move |load, _| {
            Ok(Separation { separator: Separator::load(&model, load)?, options })
        }))
    }
}

/// A separator and its options.
#[derive(Clone)]
struct Separation {
    separator: Separator,
    options: SeparateOptions,
}

impl Process for Separation {
    type Report = SeparationReport;

    fn command(&self) -> &'static str {
        "separate"
    }

    fn outputs(&self, target: &Target) -> Vec<Target> {
        voices(target, self.separator.voices())
    }

    fn output_spec(&self, input: AudioSpec) -> AudioSpec {
        AudioSpec::mono(input.rate)
    }

    fn adds_up(&self) -> bool {
        true
    }

    fn start(&self, _: AudioSpec) -> Result<impl Session<Report = SeparationReport>, Failure> {
        Ok(self.separator.start(&self.options)?)
    }

    fn fields(&self, made: &Made<'_, SeparationReport>) -> Value {
        json!({
            "outputs": made.names(),
            "report": made.report,
            "null_test": made.null,
            "peaks": made.files.iter().map(|file| file.peak).collect::<Vec<_>>(),
            "clipped": made.files.iter().map(|file| file.clipped).collect::<Vec<_>>(),
        })
    }

    fn notes(&self, made: &Made<'_, SeparationReport>) -> Vec<String> {
        let residual = made.null.and_then(|null| null.residual_dbfs);
        let residual = residual.map_or("nothing".to_owned(), |db| format!("{db:.1} dBFS"));
        let length = clock(made.seconds());
        let mut notes =
            vec![format!("{} ({length}; sum of outputs minus input: {residual})", made.input)];
        for (output, source) in made.names().iter().zip(&made.report.sources.sources) {
            let level = source.level_db.map_or("silent".to_owned(), |db| format!("{db:.1} dB"));
            let state = if source.active { "" } else { ", no speaker of its own" };
            let seconds = clock(source.seconds);
            notes.push(format!("  -> {output}: active alone for {seconds}, {level}{state}"));
        }
        if made.report.single_speaker {
            notes.push("  probably a single speaker: ignore the other outputs".to_owned());
        }
        notes
    }
}
