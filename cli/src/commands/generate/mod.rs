//! `formant generate`: sounds of words, and what the same networks do to recordings.

mod origin;
mod prompts;
mod recordings;
mod sounds;

use std::path::PathBuf;

use clap::Args;
use formant_models::tasks::Task;
use formant_models::tasks::generate::{Edit, GenerateOptions, Generator, PartSources};
use formant_models::{LoadOptions, ModelSource};
use serde_json::json;

use self::origin::Origin;
use self::recordings::Recordings;
use self::sounds::Sounds;
use super::Work;
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::reading::time;
use crate::settings::Settings;
use crate::writing::WriteArgs;
use crate::{json as lines, stdout, tasks};

/// What `formant generate` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant generate \"rain on leaves\" -o rain.wav\n\
    Example: formant generate --prompts list.jsonl -o out/\n\
    Example: formant generate rain --inpaint talk.wav --from 1.2 --to 1.4\n\n\
    The tokenizer is `tokenizer.safetensors` beside the model, unless --tokenizer names one. The same \
    seed gives the same bytes whatever --count, --jobs and --threads say.")]
pub(crate) struct GenerateArgs {
    /// What the sound is; any sound where this is empty.
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    /// What the sound is not.
    #[arg(long, value_name = "TEXT")]
    negative: Option<String>,
    /// Length of the sound, or of what follows --continue [default: 10].
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Steps of a window of tokens [default: the model's].
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// How much more than the text says is done; 0 is twice as fast [default: the model's].
    #[arg(long, value_name = "FACTOR")]
    guidance: Option<f64>,
    /// Factor of the noise in the choice of tokens [default: the model's].
    #[arg(long, value_name = "FACTOR")]
    temperature: Option<f64>,
    /// Sounds to make; each has the seed of the one before it plus one [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: Option<u32>,
    /// Make the sounds of a file of JSON lines with `text`, and perhaps `id`, `seconds`, `seed` and
    /// `negative`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "count"])]
    prompts: Option<PathBuf>,
    /// Keep the best of so many sounds, by a model that compares sounds and texts.
    #[arg(long, value_name = "N")]
    best_of: Option<u32>,
    /// Write a `.json` beside each sound that says how it was made.
    #[arg(long)]
    provenance: bool,
    /// Print the words that the model knows, and end.
    #[arg(long)]
    list_words: bool,
    #[command(flatten)]
    models: ModelArgs,
    #[command(flatten)]
    recordings: RecordingArgs,
    #[command(flatten)]
    write: WriteArgs,
}

/// The networks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Networks")]
struct ModelArgs {
    /// Transformer: a file that `formant train generate` made.
    #[arg(long, value_name = "NAME|PATH")]
    model: Option<String>,
    /// Tokenizer that the transformer was trained with [default: tokenizer.safetensors beside it].
    #[arg(long, value_name = "NAME|PATH")]
    tokenizer: Option<String>,
    /// HiFi-GAN, BigVGAN, MelGAN or PeriodWave for the tokenizer's spectrogram [default: a search for
    /// phases, without a network].
    #[arg(long, value_name = "NAME|PATH")]
    vocoder: Option<String>,
    /// CLAP checkpoint that reads the text, for models without words of their own.
    #[arg(long, value_name = "NAME|PATH")]
    text_encoder: Option<String>,
}

/// What is done with recordings.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recordings")]
struct RecordingArgs {
    /// Widen the band of a recording.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["count", "prompts", "inpaint", "continued"])]
    extend_bandwidth: Option<PathBuf>,
    /// Highest frequency of that recording in Hz [default: measured for each channel].
    #[arg(long, value_name = "HZ", requires = "extend_bandwidth")]
    cutoff: Option<f64>,
    /// Replace a part of a recording, from --from to --to.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["count", "prompts", "continued"], requires_all = ["from", "to"])]
    inpaint: Option<PathBuf>,
    /// Start of the part, in seconds or as h:mm:ss.
    #[arg(long, value_name = "TIME", value_parser = time, requires = "inpaint")]
    from: Option<f64>,
    /// End of the part.
    #[arg(long, value_name = "TIME", value_parser = time, requires = "inpaint")]
    to: Option<f64>,
    /// Continue a recording for --seconds.
    #[arg(long = "continue", value_name = "FILE", conflicts_with_all = ["count", "prompts"])]
    continued: Option<PathBuf>,
}

impl RecordingArgs {
    /// The recording, and what is done with it.
    fn edit(&self, seconds: f64) -> Option<(&PathBuf, Edit)> {
        let widen = |file| (file, Edit::ExtendBandwidth { cutoff_hz: self.cutoff });
        let fill = |file| {
            let (from, to) = (self.from.unwrap_or(0.0), self.to.unwrap_or(0.0));
            (file, Edit::Inpaint { from, to })
        };
        let longer = |file| (file, Edit::Continue { seconds });
        let widened = self.extend_bandwidth.as_ref().map(widen);
        widened.or(self.inpaint.as_ref().map(fill)).or(self.continued.as_ref().map(longer))
    }
}

/// How sounds are made, whichever they are.
#[derive(Debug, Clone)]
struct Common {
    sources: PartSources,
    load: LoadOptions,
    /// Whether each has a `.json` beside it.
    has_provenance: bool,
}

impl GenerateArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        if self.best_of.is_some_and(|count| count != 1) {
            let why = "needs CLAP's network for sounds, which is not part of formant";
            return Err(Failure::usage("--best-of", why)
                .help("make several with --count, and choose among them"));
        }
        let usual = GenerateOptions::default();
        let options = GenerateOptions {
            text: self.text.clone().unwrap_or_default(),
            negative: self.negative.clone().unwrap_or_default(),
            seconds: self.seconds.unwrap_or(usual.seconds),
            seed: settings.seed.unwrap_or(usual.seed),
            steps: self.steps,
            guidance: self.guidance,
            temperature: self.temperature,
            ..usual
        };
        let load = tasks::load_options(settings)?;
        let common =
            Common { sources: self.models.resolve()?, load, has_provenance: self.provenance };
        if self.list_words {
            return Ok(Box::new(move |settings, _| list_words(&common, settings)));
        }
        if let Some((file, edit)) = self.recordings.edit(options.seconds) {
            let options = GenerateOptions { edit, ..options };
            let plan = Recordings::resolve(file, options, &self.write, &common, settings)?;
            return Ok(Box::new(move |settings, messages| plan.run(&common, settings, messages)));
        }
        let (text, prompts) = (self.text.is_some(), self.prompts.as_deref());
        if !text && prompts.is_none() {
            return Err(Failure::usage("TEXT", "is missing")
                .help("say what the sound is; \"\" makes any sound, and --list-words says what can be asked for"));
        }
        let count = self.count.unwrap_or(1);
        let plan = Sounds::resolve(options, count, prompts, &self.write, &common, settings)?;
        Ok(Box::new(move |settings, messages| plan.run(&common, settings, messages)))
    }
}

impl ModelArgs {
    fn resolve(&self) -> Result<PartSources, Failure> {
        let named = |name: &Option<String>, task: &str| -> Result<Option<ModelSource>, Failure> {
            name.as_deref().map(|name| tasks::model(Some(name), task)).transpose()
        };
        Ok(PartSources {
            transformer: tasks::model(self.model.as_deref(), Generator::NAME)?,
            tokenizer: named(&self.tokenizer, Generator::NAME)?,
            vocoder: named(&self.vocoder, "vocode")?,
            text: named(&self.text_encoder, Generator::NAME)?,
        })
    }
}

/// Loads the networks. Sounds are what the processors share, each of which has one thread: how sums are
/// rounded depends on their number, and the same seed gives the same bytes.
fn load(common: &Common, messages: &Messages) -> Result<(Generator, Origin), Failure> {
    tch::set_num_threads(1);
    tasks::tell_precision(&common.load, messages);
    let of_model = |error: formant_models::Error| {
        let failure = Failure::from(error);
        let kind = if failure.kind == Kind::Usage { Kind::Model } else { failure.kind };
        Failure { kind, ..failure }
    };
    let generator = Generator::load_parts(&common.sources, &common.load).map_err(of_model)?;
    if common.sources.vocoder.is_none() {
        messages.detail("waveforms by a search for phases; --vocoder names a network");
    }
    Ok((generator, Origin::of(&common.sources).map_err(of_model)?))
}

fn list_words(common: &Common, settings: &Settings) -> Result<Outcome, Failure> {
    let (generator, _) = load(common, &Messages::silent())?;
    let Some(words) = generator.words() else {
        return Err(Failure::new(
            Kind::Model,
            "--list-words",
            "this model has no words of its own",
        )
        .help("with --text-encoder it takes any English text"));
    };
    for word in words {
        let text = match settings.json {
            true => lines::line("word", &json!({ "word": word })),
            false => format!("{word}\n"),
        };
        stdout::print(&text)?;
    }
    Ok(Outcome::done())
}
