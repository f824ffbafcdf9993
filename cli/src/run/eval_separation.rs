//! `formant eval separation` and `eval enhance`: what a model gains in SI-SDR and SDR on mixtures
//! whose parts are known.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::metrics::separation::{sdr, si_sdr, si_sdr_sources};
use formant_audio_core::{AudioBuf, AudioView};
use formant_models::tasks::enhance::{EnhanceOptions, Enhancer};
use formant_models::tasks::separate::{SeparateOptions, Separator};
use formant_training::manifest;
use serde::Serialize;

use super::eval::of_split;
use super::{tell_precision, use_threads};
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::outputs::{self, begin};
use crate::plan::{EvalSeparationPlan, Measured, Settings};
use crate::{interrupt, json as lines, stdout};

/// A mixture and the files of what it is made of.
struct Item {
    mixture: PathBuf,
    sources: Vec<PathBuf>,
}

/// What a model made of one mixture, in dB.
#[derive(Debug, Serialize)]
struct Score {
    mixture: String,
    si_sdr: Option<f64>,
    si_sdri: Option<f64>,
    sdr: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Summary {
    items: usize,
    failed: usize,
    si_sdr: Option<f64>,
    si_sdri: Option<f64>,
    sdr: Option<f64>,
}

/// The model that is measured.
enum Model {
    Separator(Box<Separator>),
    Enhancer(Box<Enhancer>, EnhanceOptions),
}

impl Model {
    fn sources(&self, mixture: &AudioView<'_>, wanted: usize) -> Result<Vec<AudioBuf>, Failure> {
        Ok(match self {
            Self::Separator(separator) => {
                if separator.voices() != wanted {
                    let why = format!("{wanted} parts for a model of {}", separator.voices());
                    return Err(Failure::new(Kind::Input, "mixture", why));
                }
                separator.separate(mixture, &SeparateOptions::default())?.voices
            }
            Self::Enhancer(enhancer, options) => vec![enhancer.enhance(mixture, options)?],
        })
    }
}

pub(super) fn run(
    plan: &EvalSeparationPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_threads(settings);
    tell_precision(&plan.load, messages);
    let items = items(plan)?;
    let model = match plan.measured {
        Measured::Separation => {
            Model::Separator(Box::new(Separator::load(&plan.model, &plan.load)?))
        }
        Measured::Enhancement => {
            let options = EnhanceOptions { seed: plan.seed, ..EnhanceOptions::default() };
            Model::Enhancer(Box::new(Enhancer::load(&plan.model, &plan.load)?), options)
        }
    };
    let bar = messages.bar(items.len() as u64, "mixtures");
    let (mut scores, mut failed) = (Vec::new(), 0);
    for item in &items {
        if interrupt::requested() {
            break;
        }
        match score(&model, item) {
            Ok(score) => {
                if settings.json {
                    stdout::print(&lines::line("mixture", &score))?;
                }
                scores.push(score);
            }
            Err(failure) => {
                messages.failure(&failure);
                failed += 1;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mean = |of: fn(&Score) -> Option<f64>| {
        let values: Vec<f64> = scores.iter().filter_map(of).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let summary = Summary {
        items: scores.len(),
        failed,
        si_sdr: mean(|score| score.si_sdr),
        si_sdri: mean(|score| score.si_sdri),
        sdr: mean(|score| score.sdr),
    };
    if let Some(target) = &plan.csv {
        let _underway = begin(target)?;
        outputs::write(target, table(&scores).as_bytes())?;
    }
    stdout::print(&match settings.json {
        true => lines::line("summary", &summary),
        false => text(&summary),
    })?;
    Ok(Outcome::Worked {
        done: summary.items,
        failed: vec![Kind::Input; failed],
        interrupted: interrupt::requested(),
    })
}

/// Files of the manifest that belong together: equal names but for `_mix`, `_s1`, `_s2`, ...
fn items(plan: &EvalSeparationPlan) -> Result<Vec<Item>, Failure> {
    let rows = of_split(manifest::read(&plan.manifest)?, &plan.manifest, plan.split.as_deref())?;
    let mut groups: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for row in rows {
        let stem = row.path.with_extension("").display().to_string();
        if let Some(name) = stem.strip_suffix(&format!("_{}", row.label)) {
            groups.entry(name.to_owned()).or_default().insert(row.label, row.path);
        }
    }
    let items: Vec<Item> = groups
        .into_values()
        .filter_map(|mut files| {
            let mixture = files.remove("mix")?;
            let sources: Vec<PathBuf> =
                (1..).map_while(|n| files.remove(&format!("s{n}"))).collect();
            (!sources.is_empty()).then_some(Item { mixture, sources })
        })
        .collect();
    if items.is_empty() {
        let why = "no mixture with its parts in it";
        return Err(Failure::usage(plan.manifest.display().to_string(), why).help(
            "label files mix, s1, s2, ... and end their names so: talk_mix.wav, talk_s1.wav",
        ));
    }
    Ok(items)
}

fn mono(path: &Path) -> Result<AudioBuf, Failure> {
    let clip = decode_file(path, &DecodeOptions::default())?;
    Ok(AudioBuf::from_mono(clip.audio.rate(), clip.audio.view().to_mono()))
}

fn score(model: &Model, item: &Item) -> Result<Score, Failure> {
    let mixture = mono(&item.mixture)?;
    let references: Vec<AudioBuf> =
        item.sources.iter().map(|path| mono(path)).collect::<Result<_, _>>()?;
    let estimates = model.sources(&mixture.view(), references.len())?;
    let name = item.mixture.display().to_string();
    let heard = mixture.channel(0);
    if estimates.len() < references.len() {
        // Of an enhanced mixture the speech alone is compared.
        let (reference, estimate) = (&references[0], &estimates[0]);
        let after = si_sdr(reference.channel(0), estimate.channel(0))?;
        let before = si_sdr(reference.channel(0), heard)?;
        return Ok(Score {
            mixture: name,
            si_sdr: after,
            si_sdri: after.zip(before).map(|(after, before)| after - before),
            sdr: Some(sdr(&reference.view(), &estimate.view())?),
        });
    }
    fn rows(list: &[AudioBuf]) -> Vec<&[f32]> {
        list.iter().map(|audio| audio.channel(0)).collect()
    }
    let (wanted, found) = (rows(&references), rows(&estimates));
    let scores = si_sdr_sources(&wanted, &found, Some(heard))?;
    let mut sum = 0.0;
    for (reference, &estimate) in references.iter().zip(&scores.permutation) {
        sum += sdr(&reference.view(), &estimates[estimate].view())?;
    }
    Ok(Score {
        mixture: name,
        si_sdr: scores.mean_si_sdr_db,
        si_sdri: scores.mean_si_sdr_improvement_db,
        sdr: Some(sum / references.len() as f64),
    })
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.3}"))
}

fn table(scores: &[Score]) -> String {
    let mut text = "mixture,si_sdr,si_sdri,sdr\n".to_owned();
    for score in scores {
        let name = match score.mixture.contains([',', '"']) {
            true => format!("\"{}\"", score.mixture.replace('"', "\"\"")),
            false => score.mixture.clone(),
        };
        let [a, b, c] = [score.si_sdr, score.si_sdri, score.sdr].map(number);
        text += &format!("{name},{a},{b},{c}\n");
    }
    text
}

fn text(summary: &Summary) -> String {
    let decibel = |value: Option<f64>| value.map_or("-".to_owned(), |x| format!("{x:.2} dB"));
    format!(
        "{} mixtures, {} failed\nSI-SDR {}, improvement {}, SDR {}\n",
        summary.items,
        summary.failed,
        decibel(summary.si_sdr),
        decibel(summary.si_sdri),
        decibel(summary.sdr)
    )
}
