//! `formant eval enhance`: an enhancer on mixtures whose first part is the speech.

use clap::Args;
use formant_models::tasks::Task;
use formant_models::tasks::enhance::{EnhanceOptions, Enhancer};

use super::evaluate;
use super::mixtures::{Mixtures, MixturesArgs, MixturesPlan};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::settings::Settings;
use crate::tasks::{tell_precision, use_threads};

/// What `formant eval enhance` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant eval enhance --manifest mixtures.tsv --split test --csv scores.csv"
)]
pub(super) struct EvalEnhanceArgs {
    #[command(flatten)]
    mixtures: MixturesArgs,
}

/// An enhancer to be measured.
#[derive(Debug)]
pub(super) struct EvalEnhancePlan {
    mixtures: MixturesPlan,
    options: EnhanceOptions,
}

pub(super) fn resolve(
    typed: &EvalEnhanceArgs,
    settings: &Settings,
) -> Result<EvalEnhancePlan, Failure> {
    let seed = settings.seed.unwrap_or(0);
    Ok(EvalEnhancePlan {
        mixtures: MixturesPlan::of(&typed.mixtures, "enhance", settings)?,
        options: EnhanceOptions { seed, ..EnhanceOptions::default() },
    })
}

pub(super) fn run(
    plan: EvalEnhancePlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    use_threads(settings);
    tell_precision(&plan.mixtures.load, messages);
    let items = plan.mixtures.items()?;
    let enhancer = Enhancer::load(&plan.mixtures.model, &plan.mixtures.load)?;
    let task = Mixtures::new(
        &plan.mixtures,
        Box::new(|mixture, _| Ok(vec![enhancer.process(&mixture.view(), &plan.options)?.0])),
    );
    evaluate(task, &items, settings, messages)
}
