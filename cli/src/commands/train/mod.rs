//! `formant train`: trains a model on recordings of the user.
//!
//! What all trainings of networks do is here; a file a task says what its data and figures are.

pub(super) mod generate;
pub(super) mod lm;
pub(super) mod separate;
mod shown;
pub(super) mod speaker;
pub(super) mod spot;
pub(super) mod stems;
pub(super) mod superres;
pub(super) mod tokenizer;
pub(super) mod transcribe;
pub(super) mod vocode;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use formant_models::ModelSource;
use formant_training::progress::Progress;
use formant_training::{Changes, Recipe, TrainPaths, Trained};
use serde::Serialize;
use serde_json::{Value, json};

use self::shown::Shown;
use super::{Work, work};
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::outputs::{Existing, Target};
use crate::settings::Settings;
use crate::tasks::use_threads;
use crate::{draft, interrupt, json as lines, stdout};

/// What `formant train` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant train spot --data my-words/ --out my-words.safetensors")]
pub(crate) struct TrainArgs {
    #[command(subcommand)]
    command: TrainCommand,
}

/// What can be trained, by the names of the commands that use it.
#[derive(Debug, Subcommand)]
enum TrainCommand {
    /// Train a keyword spotter on words of your own.
    Spot(spot::TrainSpotArgs),
    /// Train a speaker embedder.
    Speaker(speaker::TrainSpeakerArgs),
    /// Train a speech recognizer.
    #[command(alias = "asr")]
    Transcribe(transcribe::TrainTranscribeArgs),
    /// Estimate an n-gram language model for a recognizer.
    Lm(lm::TrainLmArgs),
    /// Train a separator of overlapping speakers, or an enhancer of speech.
    Separate(separate::TrainSeparateArgs),
    /// Train a separator of vocals and accompaniment.
    Stems(stems::TrainStemsArgs),
    /// Train a network that widens the band of recordings to 48 kHz.
    Superres(superres::TrainSuperresArgs),
    /// Train a tokenizer of the spectrograms of sounds.
    Tokenizer(tokenizer::TrainTokenizerArgs),
    /// Train a transformer that makes sounds of words, over the tokens of a tokenizer.
    Generate(generate::TrainGenerateArgs),
    /// Train a vocoder.
    Vocode(vocode::TrainVocodeArgs),
}

/// What the trainings of all networks take.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training options")]
struct TrainingArgs {
    /// The model file to write.
    #[arg(long, short = 'o', visible_alias = "output", value_name = "FILE")]
    out: PathBuf,
    /// Noise: table or folder; may be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    noise: Vec<PathBuf>,
    /// Start from the weights of this model: the name of a bundled one, or a file.
    #[arg(long, value_name = "NAME|FILE")]
    start: Option<String>,
    /// A recipe as JSON; missing fields have their defaults.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Epochs, instead of the recipe's.
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Batches in an epoch, instead of the recipe's.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Size of a batch, instead of the recipe's: examples, or seconds of speech for `transcribe`.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Cache the decoded recordings in this file, so that the next training starts faster.
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,
    /// Replace an existing model file.
    #[arg(long)]
    overwrite: bool,
}

impl TrainArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        match self.command {
            TrainCommand::Spot(typed) => spot::resolve(typed, settings),
            TrainCommand::Speaker(typed) => speaker::resolve(typed, settings),
            TrainCommand::Transcribe(typed) => transcribe::resolve(typed, settings),
            TrainCommand::Lm(typed) => Ok(work(lm::resolve(typed)?, lm::run)),
            TrainCommand::Separate(typed) => separate::resolve(typed, settings),
            TrainCommand::Stems(typed) => stems::resolve(typed, settings),
            TrainCommand::Superres(typed) => superres::resolve(typed, settings),
            TrainCommand::Tokenizer(typed) => tokenizer::resolve(typed, settings),
            TrainCommand::Generate(typed) => generate::resolve(typed, settings),
            TrainCommand::Vocode(typed) => vocode::resolve(typed, settings),
        }
    }
}

/// The training of a network as functions: of sources `S`, a recipe `R`, data `D`, a model `M` to begin
/// with, and figures `F`.
#[derive(Clone, Copy)]
struct Network<S, R, D, M, F> {
    start: fn(&ModelSource) -> formant_models::Result<M>,
    provenance: fn(&M) -> &Value,
    /// The recipe for a training that begins with a model, where that differs.
    starting_from: Option<fn(R, &M) -> formant_training::Result<R>>,
    /// Names of the data by their kind, for the card of the model.
    names: fn(&S) -> Vec<(&'static str, Value)>,
    load: fn(&S, &R, Option<&Path>, &dyn Progress) -> formant_training::Result<D>,
    /// How many data there are, in words.
    describe: fn(&D) -> String,
    /// Looks for data that the model to begin with gets wrong; what was found, in words.
    mine: Option<Mine<D, M>>,
    train: Train<R, D, M, F>,
    /// The figures on the data for validation.
    figures: fn(&F) -> String,
    /// What the JSON line says beside the outcome.
    details: fn(&D) -> Value,
}

type Mine<D, M> = fn(&mut D, &M, &dyn Progress) -> formant_training::Result<String>;

type Train<R, D, M, F> = fn(
    &D,
    &R,
    &TrainPaths,
    Option<&M>,
    Value,
    &dyn Progress,
) -> formant_training::Result<Trained<F>>;

/// A training of a network: where its data are, and its recipe.
#[derive(Debug)]
struct NetworkPlan<S, R> {
    sources: S,
    recipe: R,
    paths: TrainPaths,
    cache: Option<PathBuf>,
    start: Option<ModelSource>,
}

impl<S: 'static, R: Recipe + 'static, D: 'static, M: 'static, F: Serialize + 'static>
    Network<S, R, D, M, F>
{
    /// The work for what was typed, once it is clear that the model may be written; `change` puts
    /// options of the task into the recipe.
    fn resolve(
        self,
        typed: TrainingArgs,
        sources: S,
        settings: &Settings,
        change: impl FnOnce(&mut R),
    ) -> Result<Work, Failure> {
        admit(&typed.out, typed.overwrite)?;
        let recipe = typed.recipe.as_deref();
        let mut recipe = recipe.map_or_else(|| Ok(R::default()), lines::read_file)?;
        change(&mut recipe);
        recipe.change(&Changes {
            epochs: typed.epochs,
            steps_per_epoch: typed.steps,
            batch: typed.batch,
            seed: settings.seed,
        });
        recipe.validate()?;
        let plan = NetworkPlan {
            sources,
            recipe,
            paths: TrainPaths::of(typed.out),
            cache: typed.cache,
            start: typed.start.as_deref().map(ModelSource::named),
        };
        Ok(Box::new(move |settings, messages| self.run(plan, settings, messages)))
    }

    /// Trains, with bars on the way and figures at the end.
    fn run(
        self,
        plan: NetworkPlan<S, R>,
        settings: &Settings,
        messages: &Messages,
    ) -> Result<Outcome, Failure> {
        interrupt::install()?;
        use_threads(settings);
        // Hours of work need a place in the end.
        let outputs = [Some(&plan.paths.output), plan.cache.as_ref()].into_iter().flatten();
        outputs.cloned().map(Target::File).try_for_each(|target| draft::probe(&target))?;
        let progress = Shown::new(messages, settings.json);
        let start = plan.start.as_ref().map(self.start).transpose()?;
        let recipe = match (&start, self.starting_from) {
            (Some(start), Some(adapt)) => adapt(plan.recipe, start)?,
            _ => plan.recipe,
        };
        let mut data = (self.load)(&plan.sources, &recipe, plan.cache.as_deref(), &progress)?;
        progress.clear();
        messages.note(&(self.describe)(&data));
        if let (Some(start), Some(mine)) = (&start, self.mine) {
            let found = mine(&mut data, start, &progress)?;
            progress.clear();
            messages.note(&found);
        }
        let mut card = json!({ "program": concat!("formant ", env!("CARGO_PKG_VERSION")) });
        for (kind, names) in (self.names)(&plan.sources) {
            card[kind] = names;
        }
        card["start"] = json!(start.as_ref().map(self.provenance));
        let outcome = (self.train)(&data, &recipe, &plan.paths, start.as_ref(), card, &progress)
            .map_err(|error| stopped(error, &plan.paths))?;
        progress.clear();
        let output = plan.paths.output.display().to_string();
        let text = if settings.json {
            let mut result = (self.details)(&data);
            result["outcome"] = json!(outcome);
            result["output"] = output.into();
            lines::line("trained", &result)
        } else {
            let Trained { best_epoch, figures, parameters, seconds } = outcome;
            let (figures, epochs) = ((self.figures)(&figures), recipe.course().epochs);
            format!(
                "{figures}\n{output}: {parameters} parameters, epoch {best_epoch} of {epochs}, \
                 {seconds:.0} s\n"
            )
        };
        stdout::print(&text)?;
        Ok(Outcome::done())
    }
}

/// The failure of a training; where it was stopped, it says what is left.
fn stopped(error: formant_training::Error, paths: &TrainPaths) -> Failure {
    let told = error.to_string();
    let mut failure = Failure::from(error);
    if failure.kind == Kind::Interrupted && paths.partial.is_file() {
        let partial = paths.partial.display();
        failure.why = format!(
            "{told} (with the same or other --epochs), or rename {partial}, the best model so far, to \
             keep it"
        );
    }
    failure
}

fn admit(output: &Path, overwrite: bool) -> Result<bool, Failure> {
    Existing::overwrite(overwrite).admits(&Target::File(output.to_owned()))
}

/// Names of files, each with that of its folder: what a model tells of its data is read by others, whom
/// the rest of the path does not concern.
fn names(paths: &[impl AsRef<Path>]) -> Vec<String> {
    paths.iter().map(|path| name(path.as_ref())).collect()
}

fn name(path: &Path) -> String {
    let parts: Vec<_> = path.iter().collect();
    let last: PathBuf = parts[parts.len().saturating_sub(2)..].iter().collect();
    last.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_data_is_not_told() {
        let paths = ["/home/jo/data/voices/list.tsv", "list.tsv", "voices/list.tsv"];
        assert_eq!(names(&paths), ["voices/list.tsv", "list.tsv", "voices/list.tsv"]);
    }
}
