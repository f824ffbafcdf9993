//! `formant eval superres`: log-spectral distance of widened recordings to their originals, beside
//! that of plain resampling.

use std::path::PathBuf;

use clap::Args;
use formant_audio_core::AudioBuf;
use formant_audio_core::metrics::spectral::{LsdOptions, lsd};
use formant_audio_core::resample::{Quality, resample};
use formant_models::tasks::Task;
use formant_models::tasks::superres::{SuperResOptions, SuperResolver};
use formant_models::{LoadOptions, ModelSource};
use formant_training::manifest::{self, Row};
use serde::Serialize;
use serde_json::{Value, json};

use super::mixtures::mono;
use super::{Evaluation, Summary, Tally, beside, evaluate, figures, mean, of_split, write};
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::outputs::Target;
use crate::settings::Settings;
use crate::tasks::{self, tell_precision, use_threads};
use crate::{json as lines, table};

/// What `formant eval superres` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant eval superres --manifest wide.tsv --source-rate 16000")]
pub(super) struct EvalSuperresArgs {
    /// Recordings with a full band: a table with the column path (and split), or a folder.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// Use rows of this split only.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Name of a bundled or published model, or a file or folder [default: superres-speech].
    #[arg(long, value_name = "NAME|PATH")]
    model: Option<String>,
    /// Sample rate in Hz from which recordings are brought back.
    #[arg(long, default_value_t = 16_000, value_name = "HZ", value_parser = clap::value_parser!(u32).range(4_000..=32_000))]
    source_rate: u32,
    /// Write the scores of each recording to this file, as comma-separated values.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Replace that file.
    #[arg(long)]
    overwrite: bool,
}

/// A model to be measured.
#[derive(Debug)]
pub(super) struct EvalSuperresPlan {
    model: ModelSource,
    load: LoadOptions,
    manifest: PathBuf,
    split: Option<String>,
    source_rate: u32,
    csv: Option<Target>,
}

pub(super) fn resolve(
    typed: &EvalSuperresArgs,
    settings: &Settings,
) -> Result<EvalSuperresPlan, Failure> {
    Ok(EvalSuperresPlan {
        model: tasks::model(typed.model.as_deref(), "superres")?,
        load: tasks::load_options(settings)?,
        manifest: typed.manifest.clone(),
        split: typed.split.clone(),
        source_rate: typed.source_rate,
        csv: beside(typed.csv.as_ref(), typed.overwrite)?,
    })
}

pub(super) fn run(
    plan: EvalSuperresPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    use_threads(settings);
    tell_precision(&plan.load, messages);
    let rows = manifest::read(&plan.manifest)?;
    let rows = of_split(rows, &plan.manifest, plan.split.as_deref())?;
    let resolver = SuperResolver::load(&plan.model, &plan.load)?;
    evaluate(Recordings { resolver, plan: &plan, scores: Vec::new() }, &rows, settings, messages)
}

/// Distances of one recording to its original.
#[derive(Debug, Serialize)]
struct Score {
    input: String,
    lsd: f64,
    lsd_resampled: f64,
}

/// A model, and the scores of all recordings.
struct Recordings<'a> {
    resolver: SuperResolver,
    plan: &'a EvalSuperresPlan,
    scores: Vec<Score>,
}

impl Recordings<'_> {
    /// Distances compare only where this is equal.
    fn protocol(&self) -> Value {
        let LsdOptions { n_fft, hop_length } = LsdOptions::default();
        json!({
            "source_rate": self.plan.source_rate,
            "rate": self.resolver.sample_rate(),
            "n_fft": n_fft,
            "hop_length": hop_length,
            "window": "hann",
            "set": self.plan.manifest.display().to_string(),
            "split": self.plan.split,
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
        let rate = self.resolver.sample_rate();
        let mono = mono(&row.recording())?;
        if mono.rate() <= self.plan.source_rate {
            let why = format!("it is at {} Hz and has no wider band", mono.rate());
            return Err(Failure::new(Kind::Input, self.name(row), why));
        }
        let to = |audio: &AudioBuf, rate| resample(&audio.view(), rate, Quality::High);
        let original = to(&mono, rate)?;
        let narrow = to(&original, self.plan.source_rate)?;
        let resampled = to(&narrow, rate)?;
        let (widened, _) = self.resolver.process(&narrow.view(), &SuperResOptions::default())?;
        let count = original.frames().min(resampled.frames()).min(widened.frames());
        let distance = |audio: &AudioBuf| {
            let options = LsdOptions::default();
            lsd(&original.channel(0)[..count], &audio.channel(0)[..count], &options)
        };
        let score = Score {
            input: self.name(row),
            lsd: distance(&widened)?,
            lsd_resampled: distance(&resampled)?,
        };
        let line = lines::line("recording", &score);
        self.scores.push(score);
        Ok(Some(line))
    }

    fn finish(self, tally: &mut Tally) -> Result<Summary, Failure> {
        write(self.plan.csv.as_ref(), || score_table(&self.scores))?;
        let lsd = mean(self.scores.iter().map(|score| Some(score.lsd)));
        let lsd_resampled = mean(self.scores.iter().map(|score| Some(score.lsd_resampled)));
        let LsdOptions { n_fft, hop_length } = LsdOptions::default();
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |x| format!("{x:.3}"));
        let text = format!(
            "{}, {} failed\nlog-spectral distance {}, of plain resampling {}\n\
             {} Hz to {} Hz, {n_fft} points, hop {hop_length}, Hann window; distances of other \
             protocols do not compare\n",
            tally.recordings(),
            tally.failed.len(),
            number(lsd),
            number(lsd_resampled),
            self.plan.source_rate,
            self.resolver.sample_rate(),
        );
        let mut figures = figures([("lsd", lsd), ("lsd_resampled", lsd_resampled)]);
        figures.insert("protocol".to_owned(), self.protocol());
        Ok(Summary { details: String::new(), figures, text })
    }
}

fn score_table(scores: &[Score]) -> Result<Vec<u8>, Failure> {
    let row = |score: &Score| {
        let [lsd, resampled] = [score.lsd, score.lsd_resampled].map(|x| format!("{x:.4}"));
        [score.input.clone(), lsd, resampled]
    };
    table::with_header(b',', ["input", "lsd", "lsd_resampled"], scores.iter().map(row))
}
