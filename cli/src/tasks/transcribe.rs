//! Recognizers: which one, with which language model, and how it decides.

use formant_audio_core::text;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use formant_models::arch::squeezeformer::NemoRelease;
use formant_models::decoding::{Fusion, FusionOptions, Hotwords, NgramModel};
use formant_models::registry::{Bundled, bundled_lm, default_for};
use formant_models::tasks::transcribe::{
    Decoding, ErrorRates, MeasuredQuality, Segmentation, TranscribeOptions, Transcriber,
};
use formant_models::{DeviceChoice, LoadOptions, ModelSource};

use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::settings::Settings;
use crate::tasks::load_options_f32;

/// The published model that is recommended for English speech of all kinds.
const ENGLISH: &str = "squeezeformer-medium-en";

/// Where recordings are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CutArg {
    /// At pauses; stretches without speech are skipped.
    Pauses,
    /// By length alone; everything is transcribed.
    Length,
}

/// Releases of NeMo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NemoArg {
    /// Up to 2.4: how the published checkpoints were scored.
    V1,
    /// From 2.5 on.
    V2,
}

/// Which recognizer, and how it decides.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Recognition options")]
pub(crate) struct RecognizerArgs {
    /// A name from `formant models list`, a .nemo file, a WeNet folder, or a file of formant's own.
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) model: Option<String>,
    /// Language model: an ARPA file, gzipped or not; none disables the model's own.
    #[arg(long, value_name = "FILE|none")]
    pub(crate) lm: Option<PathBuf>,
    /// Weight of the language model [default: the model's, otherwise 0.5].
    #[arg(long, value_name = "WEIGHT")]
    pub(crate) alpha: Option<f32>,
    /// Bonus for each word [default: the model's, otherwise 1.5].
    #[arg(long, value_name = "WEIGHT", allow_negative_numbers = true)]
    pub(crate) beta: Option<f32>,
    /// Beam width of the search [default: greedy, or 16 where a search is needed].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) beam: Option<u16>,
    /// Words and phrases to expect: a text file, one a line, or a list separated by commas; a
    /// number after a colon is the bonus for each letter [default: 1.5].
    #[arg(long, value_name = "FILE|LIST")]
    pub(crate) hotwords: Option<String>,
    /// Where recordings are cut.
    #[arg(long, value_enum, default_value = "pauses", value_name = "WHERE")]
    pub(crate) cut: CutArg,
    /// Maximum length of a segment for the network, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0)]
    pub(crate) window: f64,
    /// Segments in one batch of the network [default: 1 on a CPU, 8 on a GPU].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) batch_size: Option<u16>,
    /// NeMo release whose behavior .nemo files follow.
    #[arg(long, value_enum, default_value = "v2", value_name = "RELEASE")]
    pub(crate) nemo: NemoArg,
}

/// Which language model.
#[derive(Debug, Clone, PartialEq, Eq)]
enum LanguageModel {
    /// The model's own, if it has one.
    Own,
    None,
    File(PathBuf),
}

/// A recognizer and how it decides.
#[derive(Debug)]
pub(crate) struct RecognizerPlan {
    /// `None` is the default model.
    asked: Option<ModelSource>,
    release: NemoRelease,
    load: LoadOptions,
    lm: LanguageModel,
    alpha: Option<f32>,
    beta: Option<f32>,
    /// Everything but the language model.
    pub(crate) options: TranscribeOptions,
    /// `None` is what suits the device.
    batch_size: Option<usize>,
}

impl RecognizerArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(&self, settings: &Settings) -> Result<RecognizerPlan, Failure> {
        let load = load_options_f32(settings, "recognizers")?;
        let lm = match &self.lm {
            None => LanguageModel::Own,
            Some(name) if name.as_os_str() == "none" => LanguageModel::None,
            Some(path) => LanguageModel::File(path.clone()),
        };
        let segmentation = match self.cut {
            CutArg::Pauses => Segmentation::default(),
            CutArg::Length => Segmentation::Length,
        };
        Ok(RecognizerPlan {
            asked: self.model.as_deref().map(ModelSource::named),
            release: match self.nemo {
                NemoArg::V1 => NemoRelease::V1,
                NemoArg::V2 => NemoRelease::V2,
            },
            load,
            lm,
            alpha: self.alpha,
            beta: self.beta,
            options: TranscribeOptions {
                segmentation,
                window: self.window,
                beam: self.beam.map(usize::from),
                hotwords: self.hotwords.as_deref().map(hotwords).transpose()?.map(Arc::new),
                ..TranscribeOptions::default()
            },
            batch_size: self.batch_size.map(usize::from),
        })
    }
}

/// A file with a phrase a line, or phrases separated by commas; `phrase:2.5` has its own boost.
fn hotwords(text: &str) -> Result<Hotwords, Failure> {
    let path = Path::new(text);
    let list = match path.exists() && !path.is_dir() {
        true => text::read(path, text::MAX_TEXT)?,
        false => text.replace(',', "\n"),
    };
    let phrases = Hotwords::listed(&list);
    if phrases.is_empty() {
        return Err(Failure::usage("--hotwords", format!("`{text}` names no words"))
            .help("give a text file with a phrase a line, or phrases separated by commas"));
    }
    Ok(Hotwords::new(phrases)?)
}

impl RecognizerPlan {
    /// The model that was asked for, or the default.
    fn source(&self) -> Result<ModelSource, Failure> {
        Ok(ModelSource::or_default(self.asked.clone(), "transcribe")?)
    }

    /// Loads recognizer and language model.
    pub(crate) fn load(&self) -> Result<Recognizer, Failure> {
        let transcriber = Transcriber::load_release(&self.source()?, self.release, &self.load)?;
        let mut options = self.options.clone();
        let on_cuda = match self.load.device {
            DeviceChoice::Cpu => false,
            device => device.resolve()?.is_cuda(),
        };
        options.batch = self.batch_size.unwrap_or(if on_cuda { 8 } else { 1 });
        options.fusion = fusion(self, &transcriber)?.map(Arc::new);
        let mut recognizer = Recognizer { transcriber, options };
        recognizer.take_own_beam(self)?;
        Ok(recognizer)
    }

    /// Says which model was used where none was named, how good it is, and where better ones are.
    pub(crate) fn tell_default(
        &self,
        recognizer: &Recognizer,
        messages: &Messages,
    ) -> Result<(), Failure> {
        if let (None, Ok(bundled)) = (&self.asked, default_for("transcribe")) {
            let quality = MeasuredQuality::of(recognizer.transcriber.provenance())?;
            let own = self.lm == LanguageModel::Own && recognizer.options.fusion.is_some();
            messages.note(&default_note(bundled, quality.as_ref(), own));
        }
        Ok(())
    }
}

/// A recognizer that is ready. Clones share its weights.
#[derive(Clone)]
pub(crate) struct Recognizer {
    pub(crate) transcriber: Transcriber,
    pub(crate) options: TranscribeOptions,
}

impl Recognizer {
    /// The width of the search that belongs to the model's own language model.
    fn take_own_beam(&mut self, plan: &RecognizerPlan) -> Result<(), Failure> {
        let uses_own = plan.lm == LanguageModel::Own && self.options.fusion.is_some();
        if plan.options.beam.is_none() && uses_own {
            let own = Decoding::of(self.transcriber.provenance())?;
            self.options.beam = own.map(|decoding| decoding.beam);
        }
        Ok(())
    }
}

/// The language model with its weights: those that were typed, else those of the model's card. A
/// bundled language model is used by itself only where the card says how it weighs.
fn fusion(plan: &RecognizerPlan, transcriber: &Transcriber) -> Result<Option<Fusion>, Failure> {
    let own = Decoding::of(transcriber.provenance())?;
    let model = match &plan.lm {
        LanguageModel::None => None,
        LanguageModel::File(path) => Some(NgramModel::read(path).map_err(|error| {
            // A wrong file on the command line is an input, not a model of ours.
            Failure::new(Kind::Input, "", error.to_string()).help("give an ARPA file, or --lm none")
        })?),
        LanguageModel::Own => match plan.source()? {
            ModelSource::Bundled(name) => bundled_lm(&name)
                .filter(|_| own.is_some() || plan.alpha.is_some())
                .map(|bytes| NgramModel::parse(bytes, Path::new(&name)))
                .transpose()?,
            _ => None,
        },
    };
    let Some(model) = model else {
        if plan.alpha.or(plan.beta).is_some() {
            return Err(Failure::usage("--alpha, --beta", "there is no language model to weigh")
                .help("name one with --lm FILE"));
        }
        return Ok(None);
    };
    let usual = FusionOptions::default();
    let options = FusionOptions {
        alpha: plan.alpha.or(own.map(|own| own.alpha)).unwrap_or(usual.alpha),
        beta: plan.beta.or(own.map(|own| own.beta)).unwrap_or(usual.beta),
        ..usual
    };
    Ok(Some(Fusion::new(model, transcriber.tokenizer(), options)?))
}

fn default_note(bundled: &Bundled, quality: Option<&MeasuredQuality>, own_lm: bool) -> String {
    let lm = if own_lm { ", with its language model (--lm none leaves it out)" } else { "" };
    // What the decoding in use comes to; `models info` has the rest.
    let rate = |rates: &ErrorRates| if own_lm { rates.wer_lm.or(rates.wer) } else { rates.wer };
    let quality = quality.map_or_else(String::new, |quality| {
        let sets = quality.0.iter();
        let sets = sets.filter_map(|(set, rates)| Some((set, 100.0 * rate(rates)?)));
        let sets: Vec<String> = sets.map(|(set, rate)| format!("{rate:.1} % in {set}")).collect();
        let sets = sets.join(", ");
        format!("; words wrong, measured on speakers who were not in training: {sets}")
    });
    format!(
        "model: {} ({}){lm}{quality}; for any other English speech, `formant models pull {ENGLISH}` \
         fetches a model once, and `--model {ENGLISH}` uses it; `formant models list --task transcribe` \
         shows all",
        bundled.name, bundled.summary
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hotwords_come_as_a_list_or_a_file() {
        assert!(hotwords("new york:2.5, oslo").is_ok());
        assert!(hotwords(" , ").is_err());
        assert!(hotwords("oslo:1e9").is_err());
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), "# places\noslo\n\nnew york: 3\n").expect("written");
        assert!(hotwords(&file.path().display().to_string()).is_ok());
    }

    #[test]
    fn the_default_says_how_good_it_is() {
        let bundled = default_for("transcribe").expect("there is one");
        let plain = default_note(bundled, None, false);
        assert!(
            plain.starts_with("model: asr-an4 (")
                && plain.contains("models pull squeezeformer-medium-en`")
        );
        let known = formant_models::registry::published(ENGLISH).expect("a row");
        assert!(known.can_be_pulled() && known.task == "transcribe");
        assert!(!plain.contains("measured") && !plain.contains("--lm"), "{plain}");
        let provenance = json!({"quality": {"an4_test": {"wer": 0.066, "wer_lm": 0.04}}});
        let quality = MeasuredQuality::of(&provenance).expect("sound");
        let whole = default_note(bundled, quality.as_ref(), true);
        assert!(whole.contains(": 4.0 % in an4_test;") && whole.contains("--lm none"), "{whole}");
        let greedy = default_note(bundled, quality.as_ref(), false);
        assert!(greedy.contains(": 6.6 % in an4_test;"), "{greedy}");
    }
}
