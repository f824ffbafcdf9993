//! `formant eval separate`: a separator on mixtures, speakers in the order that fits best.

use clap::Args;
use formant_models::tasks::Task;
use formant_models::tasks::separate::{SeparateOptions, Separator};

use super::evaluate;
use super::mixtures::{Mixtures, MixturesArgs, MixturesPlan};
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::settings::Settings;
use crate::tasks::{tell_precision, use_threads};

/// What `formant eval separate` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant eval separate --manifest mixtures.tsv --split test --csv scores.csv"
)]
pub(super) struct EvalSeparateArgs {
    #[command(flatten)]
    mixtures: MixturesArgs,
}

pub(super) fn resolve(
    typed: &EvalSeparateArgs,
    settings: &Settings,
) -> Result<MixturesPlan, Failure> {
    MixturesPlan::of(&typed.mixtures, "separate", settings)
}

pub(super) fn run(
    plan: MixturesPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    use_threads(settings);
    tell_precision(&plan.load, messages);
    let items = plan.items()?;
    let separator = Separator::load(&plan.model, &plan.load)?;
    let task = Mixtures::new(
        &plan,
        Box::new(|mixture, parts| {
            if separator.voices() != parts {
                let why = format!("{parts} parts for a model of {}", separator.voices());
                return Err(Failure::new(Kind::Input, "mixture", why));
            }
            Ok(separator.process(&mixture.view(), &SeparateOptions::default())?.0)
        }),
    );
    evaluate(task, &items, settings, messages)
}
