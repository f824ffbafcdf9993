//! `formant eval vocode`: how far recordings change on the way through their spectrograms, by a network or
//! by the method that needs none, beside what plain Griffin-Lim makes of the same spectrograms.

use std::path::PathBuf;

use clap::Args;
use formant_audio_core::features::{FeatureConfig, FeaturePlan};
use formant_audio_core::griffin_lim::{GriffinLim, GriffinLimOptions};
use formant_audio_core::metrics::multi_resolution::multi_resolution_distance;
use formant_audio_core::metrics::spectral::mel_distance;
use formant_audio_core::metrics::voice::voice_distance;
use formant_audio_core::resample::{Quality, resample};
use formant_models::tasks::Task;
use formant_models::tasks::vocode::{GriffinLimVocoder, VocodeOptions, Vocoder};
use formant_models::{LoadOptions, ModelSource};
use formant_training::manifest::{self, Row};
use serde::Serialize;
use serde_json::json;

use super::mixtures::mono;
use super::{Evaluation, Summary, Tally, beside, evaluate, figures, mean, of_split, write};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::outputs::Target;
use crate::settings::Settings;
use crate::tasks::{self, tell_precision, use_threads};
use crate::{json as lines, table};

/// What `formant eval vocode` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant eval vocode --manifest speech.tsv --split test")]
pub(super) struct EvalVocodeArgs {
    /// Recordings: a table with the column path (and split), or a folder.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// Use rows of this split only.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Name of a published model, or a file or folder [default: the method of `formant vocode` without
    /// one].
    #[arg(long, value_name = "NAME|PATH")]
    model: Option<String>,
    /// Write the scores of each recording to this file, as comma-separated values.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Replace that file.
    #[arg(long)]
    overwrite: bool,
}

/// A model to be measured.
#[derive(Debug)]
pub(super) struct EvalVocodePlan {
    /// The network; without one, what `vocode` does then.
    model: Option<ModelSource>,
    load: LoadOptions,
    options: VocodeOptions,
    manifest: PathBuf,
    split: Option<String>,
    csv: Option<Target>,
}

pub(super) fn resolve(
    typed: &EvalVocodeArgs,
    settings: &Settings,
) -> Result<EvalVocodePlan, Failure> {
    Ok(EvalVocodePlan {
        model: match typed.model.as_deref() {
            Some(name) => Some(tasks::model(Some(name), Vocoder::NAME)?),
            None => None,
        },
        load: tasks::load_options(settings)?,
        options: VocodeOptions { seed: settings.seed.unwrap_or(0), ..VocodeOptions::default() },
        manifest: typed.manifest.clone(),
        split: typed.split.clone(),
        csv: beside(typed.csv.as_ref(), typed.overwrite)?,
    })
}

pub(super) fn run(
    plan: EvalVocodePlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    use_threads(settings);
    tell_precision(&plan.load, messages);
    let rows = manifest::read(&plan.manifest)?;
    let rows = of_split(rows, &plan.manifest, plan.split.as_deref())?;
    let vocoder = match &plan.model {
        Some(model) => Measured::Network(Box::new(Vocoder::load(model, &plan.load)?)),
        None => Measured::GriffinLim(Box::new(GriffinLimVocoder::usual(plan.options.seed)?)),
    };
    let front_end = match &vocoder {
        Measured::Network(vocoder) => vocoder.front_end()?.streamable(),
        Measured::GriffinLim(vocoder) => vocoder.front_end().clone(),
    };
    let task = Recordings {
        features: FeaturePlan::new(&front_end)?,
        griffin_lim: GriffinLim::new(&front_end, GriffinLimOptions::default())?,
        front_end,
        vocoder,
        plan: &plan,
        scores: Vec::new(),
    };
    evaluate(task, &rows, settings, messages)
}

/// How far what comes out is from what went in.
#[derive(Debug, Clone, Copy, Serialize)]
struct Distances {
    /// Mean absolute difference of log-mel values, in their unit (nepers).
    mel: f64,
    multi_resolution: f64,
    periodicity: Option<f64>,
    voiced_f1: Option<f64>,
    pitch_cents: Option<f64>,
}

/// The figures in the order of columns.
const COLUMNS: [&str; 5] =
    ["mel_distance", "multi_resolution", "periodicity_rmse", "voiced_f1", "pitch_rmse_cents"];

impl Distances {
    fn figures(self) -> [Option<f64>; 5] {
        let Self { mel, multi_resolution, periodicity, voiced_f1, pitch_cents } = self;
        [Some(mel), Some(multi_resolution), periodicity, voiced_f1, pitch_cents]
    }
}

/// The distances of one recording.
#[derive(Debug, Serialize)]
struct Score {
    input: String,
    vocoded: Distances,
    griffin_lim: Distances,
}

/// What is measured.
enum Measured {
    Network(Box<Vocoder>),
    GriffinLim(Box<GriffinLimVocoder>),
}

/// A model, and the scores of all recordings.
struct Recordings<'a> {
    vocoder: Measured,
    front_end: FeatureConfig,
    features: FeaturePlan,
    griffin_lim: GriffinLim,
    plan: &'a EvalVocodePlan,
    scores: Vec<Score>,
}

impl Recordings<'_> {
    fn distances(&self, original: &[f32], made: &[f32]) -> Result<Distances, Failure> {
        let mel = |samples: &[f32]| self.features.compute(samples);
        let voice = voice_distance(original, made, self.front_end.sample_rate)?;
        Ok(Distances {
            mel: mel_distance(mel(original)?.view(), mel(made)?.view())?,
            multi_resolution: multi_resolution_distance(original, made)?,
            periodicity: voice.periodicity_rmse,
            voiced_f1: voice.voiced_f1,
            pitch_cents: voice.pitch_rmse_cents,
        })
    }
}

impl Evaluation for Recordings<'_> {
    type Item = Row;
    const UNIT: &'static str = "recordings";

    fn name(&self, row: &Row) -> String {
        row.recording().to_string()
    }

    fn measure(&mut self, row: &Row) -> Result<Option<String>, Failure> {
        let mono = mono(&row.recording())?;
        let original = resample(&mono.view(), self.front_end.sample_rate, Quality::High)?;
        let samples = original.channel(0);
        let (vocoded, _) = match &self.vocoder {
            Measured::Network(vocoder) => vocoder.process(&original.view(), &self.plan.options)?,
            Measured::GriffinLim(vocoder) => vocoder.process(&original.view())?,
        };
        let again = self.griffin_lim.process(self.features.compute(samples)?.view())?;
        let count = samples.len().min(vocoded.frames()).min(again.len());
        if count == 0 {
            // Less than a hop makes no frame.
            let (have, need) = (samples.len(), self.front_end.hop_length);
            return Err(formant_audio_core::Error::TooShort { have, need }.into());
        }
        let original = &samples[..count];
        let score = Score {
            input: self.name(row),
            vocoded: self.distances(original, &vocoded.channel(0)[..count])?,
            griffin_lim: self.distances(original, &again[..count])?,
        };
        let line = lines::line("recording", &score);
        self.scores.push(score);
        Ok(Some(line))
    }

    fn finish(self, tally: &mut Tally) -> Result<Summary, Failure> {
        write(self.plan.csv.as_ref(), || score_table(&self.scores))?;
        let means = |of: fn(&Score) -> Distances| {
            let column = |at: usize| mean(self.scores.iter().map(|score| of(score).figures()[at]));
            [0, 1, 2, 3, 4].map(column)
        };
        let (vocoded, griffin_lim) = (means(|s| s.vocoded), means(|s| s.griffin_lim));
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |x| format!("{x:.3}"));
        let mut text = format!("{}, {} failed\n", tally.recordings(), tally.failed.len());
        let names = [
            "log-mel distance",
            "multi-resolution distance",
            "periodicity error",
            "voiced frames (F1)",
            "pitch error (cents)",
        ];
        for (at, name) in names.into_iter().enumerate() {
            let (made, plain) = (number(vocoded[at]), number(griffin_lim[at]));
            text += &format!("{name:<26} {made:>8}, of Griffin-Lim {plain:>8}\n");
        }
        let mut figures = figures(std::array::from_fn::<_, 5, _>(|at| (COLUMNS[at], vocoded[at])));
        let plain = COLUMNS.into_iter().zip(griffin_lim);
        figures.extend(plain.map(|(name, value)| (format!("griffin_lim_{name}"), json!(value))));
        Ok(Summary { details: String::new(), figures, text })
    }
}

fn score_table(scores: &[Score]) -> Result<Vec<u8>, Failure> {
    let cell = |value: Option<f64>| value.map_or_else(String::new, |x| format!("{x:.4}"));
    let plain = COLUMNS.map(|name| format!("griffin_lim_{name}"));
    let header: [&str; 11] = std::array::from_fn(|at| match at {
        0 => "input",
        1..=5 => COLUMNS[at - 1],
        _ => &plain[at - 6],
    });
    let row = |score: &Score| -> [String; 11] {
        let [made, plain] = [score.vocoded.figures(), score.griffin_lim.figures()];
        std::array::from_fn(|at| match at {
            0 => score.input.clone(),
            1..=5 => cell(made[at - 1]),
            _ => cell(plain[at - 6]),
        })
    };
    table::with_header(b',', header, scores.iter().map(row))
}
