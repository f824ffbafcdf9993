//! `formant eval separate` and `eval enhance`: SI-SDR and SDR of a model on mixtures whose parts are
//! known.

use std::path::PathBuf;

use clap::Args;
use formant_audio_core::AudioBuf;
use formant_audio_core::metrics::separation::{sdr, si_sdr, si_sdr_sources};
use formant_models::tasks::Task;
use formant_models::tasks::enhance::{EnhanceOptions, Enhancer};
use formant_models::tasks::separate::{SeparateOptions, Separator};
use formant_models::{LoadOptions, ModelSource};
use formant_training::separation::{MixtureFiles, mixtures_of};
use formant_training::{Recording, manifest};
use serde::Serialize;

use super::{Evaluation, Summary, Tally, evaluate, figures, mean, of_split, write};
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::json as lines;
use crate::messages::Messages;
use crate::outputs::{Target, check_stdout};
use crate::settings::Settings;
use crate::{table, tasks};

/// What both commands take.
#[derive(Debug, Args)]
pub(super) struct MixturesArgs {
    /// Mixtures and their sources: a table with the columns path and label (and split). Rows labelled
    /// `mix`, `s1`, `s2` are grouped by file name.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// Use rows of this split only.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Name of a bundled or published model, or a file or folder.
    #[arg(long, value_name = "NAME|PATH")]
    model: Option<String>,
    /// Write the scores of every mixture to this file, separated by commas; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// A model to be measured on mixtures.
#[derive(Debug)]
pub(super) struct MixturesPlan {
    model: ModelSource,
    load: LoadOptions,
    csv: Option<Target>,
    manifest: PathBuf,
    split: Option<String>,
}

impl MixturesPlan {
    /// The plan for the command of this name.
    pub(super) fn of(
        typed: &MixturesArgs,
        task: &str,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let csv = typed.csv.as_deref().map(|path| Target::of(Some(path)));
        check_stdout(std::slice::from_ref(&csv), settings)?;
        Ok(Self {
            model: tasks::model(typed.model.as_deref(), task)?,
            load: tasks::load_options(settings)?,
            csv,
            manifest: typed.manifest.clone(),
            split: typed.split.clone(),
        })
    }

    /// Mixtures of the manifest.
    fn items(&self) -> Result<Vec<MixtureFiles>, Failure> {
        let rows = manifest::read_whole(&self.manifest)?;
        let items = mixtures_of(of_split(rows, &self.manifest, self.split.as_deref())?);
        if items.is_empty() {
            let why = "no mixture with its parts in it";
            return Err(Failure::usage(self.manifest.display().to_string(), why).help(
                "label files mix, s1, s2, ... and end their names so: talk_mix.wav, talk_s1.wav",
            ));
        }
        Ok(items)
    }
}

/// Scores of one mixture, in dB.
#[derive(Debug, Serialize)]
struct Score {
    mixture: String,
    si_sdr: Option<f64>,
    si_sdri: Option<f64>,
    sdr: Option<f64>,
}

/// Measures a separator, speakers in the order that fits best.
pub(super) fn separate(
    plan: MixturesPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    measure(&plan, settings, messages, |separator: &Separator, mixture, parts| {
        if separator.voices() != parts {
            let why = format!("{parts} parts for a model of {}", separator.voices());
            return Err(Failure::new(Kind::Input, "mixture", why));
        }
        Ok(separator.process(&mixture.view(), &SeparateOptions::default())?.0)
    })
}

/// Measures an enhancer; the first part of a mixture is the speech.
pub(super) fn enhance(
    plan: MixturesPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    let options = EnhanceOptions { seed: settings.seed.unwrap_or(0), ..Default::default() };
    measure(&plan, settings, messages, |enhancer: &Enhancer, mixture, _| {
        Ok(vec![enhancer.process(&mixture.view(), &options)?.0])
    })
}

/// Measures a model by what it makes of a mixture of so many parts: as many signals, or the first of
/// them.
fn measure<T: Task>(
    plan: &MixturesPlan,
    settings: &Settings,
    messages: &Messages,
    process: impl Fn(&T, &AudioBuf, usize) -> Result<Vec<AudioBuf>, Failure>,
) -> Result<Outcome, Failure> {
    tasks::use_threads(settings);
    tasks::tell_precision(&plan.load, messages);
    let items = plan.items()?;
    let model = T::load(&plan.model, &plan.load)?;
    let process = |mixture: &AudioBuf, parts| process(&model, mixture, parts);
    let task = Mixtures { process, csv: plan.csv.as_ref(), scores: Vec::new() };
    evaluate(task, &items, settings, messages)
}

/// What a model makes of a mixture, and the scores of all mixtures.
struct Mixtures<'a, P> {
    process: P,
    csv: Option<&'a Target>,
    scores: Vec<Score>,
}

impl<P: Fn(&AudioBuf, usize) -> Result<Vec<AudioBuf>, Failure>> Evaluation for Mixtures<'_, P> {
    type Item = MixtureFiles;
    const UNIT: &'static str = "mixtures";

    fn name(&self, item: &MixtureFiles) -> String {
        item.mixture.display().to_string()
    }

    fn measure(&mut self, item: &MixtureFiles) -> Result<Option<String>, Failure> {
        let mixture = mono(&item.mixture.clone().into())?;
        let references: Vec<AudioBuf> =
            item.sources.iter().map(|path| mono(&path.clone().into())).collect::<Result<_, _>>()?;
        let estimates = (self.process)(&mixture, references.len())?;
        let [si_sdr, si_sdri, sdr] = score(&mixture, &references, &estimates)?;
        let score = Score { mixture: item.mixture.display().to_string(), si_sdr, si_sdri, sdr };
        let line = lines::line("mixture", &score);
        self.scores.push(score);
        Ok(Some(line))
    }

    fn finish(self, tally: &mut Tally) -> Result<Summary, Failure> {
        write(self.csv, || score_table(&self.scores))?;
        let [si_sdr, si_sdri, sdr] =
            [|s: &Score| s.si_sdr, |s: &Score| s.si_sdri, |s: &Score| s.sdr]
                .map(|of: fn(&Score) -> Option<f64>| mean(self.scores.iter().map(of)));
        let decibel = |value: Option<f64>| value.map_or("-".to_owned(), |x| format!("{x:.2} dB"));
        let text = format!(
            "{} mixtures, {} failed\nSI-SDR {}, improvement {}, SDR {}\n",
            tally.done,
            tally.failed.len(),
            decibel(si_sdr),
            decibel(si_sdri),
            decibel(sdr)
        );
        let figures = figures([("si_sdr", si_sdr), ("si_sdri", si_sdri), ("sdr", sdr)]);
        Ok(Summary { details: String::new(), figures, text })
    }
}

/// A recording, or the part of it that a row is about, mixed to one channel.
pub(super) fn mono(recording: &Recording) -> Result<AudioBuf, Failure> {
    let clip = recording.open()?.read_to_end()?;
    Ok(AudioBuf::from_mono(clip.audio.rate(), clip.audio.view().to_mono()))
}

/// SI-SDR, its improvement over the mixture, and SDR, in dB.
fn score(
    mixture: &AudioBuf,
    references: &[AudioBuf],
    estimates: &[AudioBuf],
) -> Result<[Option<f64>; 3], Failure> {
    let heard = mixture.channel(0);
    if estimates.len() < references.len() {
        // Of an enhanced mixture the speech alone is compared.
        let (reference, estimate) = (&references[0], &estimates[0]);
        let after = si_sdr(reference.channel(0), estimate.channel(0))?;
        let before = si_sdr(reference.channel(0), heard)?;
        let gain = after.zip(before).map(|(after, before)| after - before);
        return Ok([after, gain, Some(sdr(&reference.view(), &estimate.view())?)]);
    }
    fn rows(list: &[AudioBuf]) -> Vec<&[f32]> {
        list.iter().map(|audio| audio.channel(0)).collect()
    }
    let scores = si_sdr_sources(&rows(references), &rows(estimates), Some(heard))?;
    let mut sum = 0.0;
    for (reference, &estimate) in references.iter().zip(&scores.permutation) {
        sum += sdr(&reference.view(), &estimates[estimate].view())?;
    }
    let sdr = sum / references.len() as f64;
    Ok([scores.mean_si_sdr_db, scores.mean_si_sdr_improvement_db, Some(sdr)])
}

fn score_table(scores: &[Score]) -> Result<Vec<u8>, Failure> {
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.3}"));
    let row = |score: &Score| {
        let [a, b, c] = [score.si_sdr, score.si_sdri, score.sdr].map(number);
        [score.mixture.clone(), a, b, c]
    };
    table::with_header(b',', ["mixture", "si_sdr", "si_sdri", "sdr"], scores.iter().map(row))
}
