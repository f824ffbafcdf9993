//! The recogniser that was asked for, with its language model, or the default one.

use std::path::Path;
use std::sync::Arc;

use formant_models::decoding::{Fusion, FusionOptions, NgramModel};
use formant_models::registry::{Bundled, bundled_lm, default_for};
use formant_models::tasks::transcribe::{
    Decoding, ErrorRates, Quality, TranscribeOptions, Transcriber,
};
use formant_models::{DeviceChoice, ModelSource};

use crate::commands::transcribe::{LanguageModel, RecognizerPlan};
use crate::failure::{Failure, Kind};
use crate::messages::Messages;

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

/// The model that was asked for, or the default.
pub(crate) fn source(asked: Option<&ModelSource>) -> Result<ModelSource, Failure> {
    Ok(ModelSource::or_default(asked.cloned(), "transcribe")?)
}

/// Loads recogniser and language model.
pub(crate) fn load(plan: &RecognizerPlan) -> Result<Recognizer, Failure> {
    let transcriber =
        Transcriber::load_release(&source(plan.source.as_ref())?, plan.release, &plan.load)?;
    let mut options = plan.options.clone();
    let on_cuda = match plan.load.device {
        DeviceChoice::Cpu => false,
        device => device.resolve()?.is_cuda(),
    };
    options.batch = plan.batch_size.unwrap_or(if on_cuda { 8 } else { 1 });
    options.fusion = fusion(plan, &transcriber)?.map(Arc::new);
    let mut recognizer = Recognizer { transcriber, options };
    recognizer.take_own_beam(plan)?;
    Ok(recognizer)
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
        LanguageModel::Own => match source(plan.source.as_ref())? {
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

/// Says which model was used where none was named, how good it is, and where better ones are.
pub(crate) fn tell_default(
    plan: &RecognizerPlan,
    recognizer: &Recognizer,
    messages: &Messages,
) -> Result<(), Failure> {
    if let (None, Ok(bundled)) = (&plan.source, default_for("transcribe")) {
        let quality = Quality::of(recognizer.transcriber.provenance())?;
        let own = plan.lm == LanguageModel::Own && recognizer.options.fusion.is_some();
        messages.note(&default_note(bundled, quality.as_ref(), own));
    }
    Ok(())
}

fn default_note(bundled: &Bundled, quality: Option<&Quality>, own_lm: bool) -> String {
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
        "model: {} ({}){lm}{quality}; for other speech, `formant models list --task transcribe` shows \
         published models, `formant models pull NAME` fetches one, --model NAME uses it",
        bundled.name, bundled.summary
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_default_says_how_good_it_is() {
        let bundled = default_for("transcribe").expect("there is one");
        let plain = default_note(bundled, None, false);
        assert!(plain.starts_with("model: asr-an4 (") && plain.contains("models pull NAME"));
        assert!(!plain.contains("measured") && !plain.contains("--lm"), "{plain}");
        let provenance = json!({"quality": {"an4_test": {"wer": 0.066, "wer_lm": 0.04}}});
        let quality = Quality::of(&provenance).expect("sound");
        let whole = default_note(bundled, quality.as_ref(), true);
        assert!(whole.contains(": 4.0 % in an4_test;") && whole.contains("--lm none"), "{whole}");
        let greedy = default_note(bundled, quality.as_ref(), false);
        assert!(greedy.contains(": 6.6 % in an4_test;"), "{greedy}");
    }
}
