//! What listens in a session, as its options say.

use std::ffi::c_char;
use std::path::Path;
use std::sync::Arc;

use formant_audio_core::vad::VadOptions;
use formant_models::decoding::Hotwords;
use formant_models::tasks::Task;
use formant_models::tasks::enhance::{EnhanceOptions, Enhancer, LiveOptions};
use formant_models::tasks::speaker::{SpeakerEmbedder, Voices};
use formant_models::tasks::spot::{SpotOptions, Spotter};
use formant_models::tasks::transcribe::{TranscribeOptions, Transcriber};
use formant_models::{LoadOptions, ModelSource, Precision};
use formant_streaming::Session;
use formant_streaming::source::{Pace, Source, StreamInfo};
use formant_streaming::task::{EnhanceTask, SpeakerTask, SpotTask, TranscribeTask, VadTask};

use crate::enhanced::Enhanced;
use crate::failure::{Failure, text};
use crate::options::FormantOptions;

/// A session of `source` with its tasks, and its enhanced audio.
///
/// # Safety
/// The texts in `options` are null or end with a null byte.
pub(crate) unsafe fn session(
    options: &FormantOptions,
    source: impl Source + 'static,
) -> Result<(Session, Option<Enhanced>), Failure> {
    // SAFETY: the caller vouches for the texts.
    let read = |name: &str, value: *const c_char| unsafe { text(name, value) };
    let load = LoadOptions {
        precision: precision(read("precision", options.precision)?)?,
        ..LoadOptions::default()
    };
    let info = source.info();
    let mut session = Session::new(source);
    if let Some(name) = read("spot_model", options.spot_model)? {
        let tuning = SpotOptions {
            threshold: given("spot_threshold", options.spot_threshold, 0.0..=1.0)?,
            thresholds: listed(read("spot_thresholds", options.spot_thresholds)?)
                .map(threshold)
                .collect::<Result<_, _>>()?,
            words: listed(read("spot_words", options.spot_words)?).map(str::to_owned).collect(),
            ..SpotOptions::default()
        };
        let spotter = Spotter::load(&model("spot", name)?, &load)?;
        session = session.task(SpotTask::new(spotter, tuning)?);
    }
    if let Some(name) = read("transcribe_model", options.transcribe_model)? {
        let tuning = TranscribeOptions {
            hotwords: hotwords(read("hotwords", options.hotwords)?)?,
            partials: (options.partial_ms > 0).then(|| f64::from(options.partial_ms) / 1e3),
            ..TranscribeOptions::default()
        };
        let transcriber = Transcriber::load(&model("transcribe", name)?, &load)?;
        session = session.task(TranscribeTask::new(transcriber, tuning)?);
    }
    if let Some(name) = read("speaker_model", options.speaker_model)? {
        let voices = read("voices", options.voices)?;
        let voices = voices.ok_or_else(|| Failure::argument("voices", "is null"))?;
        let threshold = given("speaker_threshold", options.speaker_threshold, -1e3..=1e3)?;
        let embedder = SpeakerEmbedder::load(&model("speaker", name)?, &load)?;
        let scorer = embedder.scorer();
        let scorer = match threshold {
            Some(threshold) => scorer.with_threshold(threshold.into()),
            None => scorer,
        };
        session =
            session.task(SpeakerTask::new(embedder, Voices::read(Path::new(voices))?, scorer)?);
    }
    if options.vad > 0 {
        let usual = VadOptions::default();
        let threshold = given("vad_threshold", options.vad_threshold, 0.0..=1.0)?;
        let threshold = threshold.unwrap_or(usual.threshold);
        session = session.task(VadTask::new(VadOptions { threshold, ..usual })?);
    }
    let Some(name) = read("enhance_model", options.enhance_model)? else {
        return Ok((session, None));
    };
    let limit = given("attenuation_limit_db", options.attenuation_limit_db, 0.0..=1e3)?;
    let tuning = EnhanceOptions { attenuation_limit_db: limit, ..EnhanceOptions::default() };
    let (enhance, enhanced) =
        enhancement(&model("enhance", name)?, &load, tuning, options.enhance_latency_ms, &info)?;
    Ok((session.task(enhance), Some(enhanced)))
}

fn enhancement(
    model: &ModelSource,
    load: &LoadOptions,
    tuning: EnhanceOptions,
    latency_ms: u32,
    source: &StreamInfo,
) -> Result<(EnhanceTask, Enhanced), Failure> {
    let usual = LiveOptions::default();
    let latency_seconds = match latency_ms {
        0 => usual.latency_seconds,
        given => f64::from(given) / 1e3,
    };
    let live = LiveOptions { latency_seconds, ..usual };
    let task = EnhanceTask::new(Enhancer::load(model, load)?, tuning, live, source)?;
    let (enhanced, sink) = Enhanced::new((source.pace == Pace::Live).then_some(task.output_rate()));
    Ok((task.to_sink(sink), enhanced))
}

/// A named model, or the default one of a task.
fn model(task: &str, name: &str) -> Result<ModelSource, Failure> {
    let asked = (!name.is_empty()).then(|| ModelSource::named(name));
    Ok(ModelSource::or_default(asked, task)?)
}

fn precision(name: Option<&str>) -> Result<Precision, Failure> {
    match name {
        None | Some("" | "f32") => Ok(Precision::F32),
        Some("bf16") => Ok(Precision::Bf16),
        Some(_) => Err(Failure::argument("precision", "is neither f32 nor bf16")),
    }
}

/// A number in `range`; none for 0.
fn given(
    name: &str,
    value: f32,
    range: std::ops::RangeInclusive<f32>,
) -> Result<Option<f32>, Failure> {
    if !range.contains(&value) {
        let why = format!("is not between {} and {}", range.start(), range.end());
        return Err(Failure::argument(name, &why));
    }
    Ok((value != 0.0).then_some(value))
}

/// What stands between commas.
fn listed(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// A word and the score that it needs.
fn threshold(text: &str) -> Result<(String, f32), Failure> {
    let found = text.rsplit_once('=').and_then(|(word, score)| {
        let score: f32 = score.trim().parse().ok()?;
        (0.0..=1.0).contains(&score).then(|| (word.trim().to_owned(), score))
    });
    found.ok_or_else(|| {
        let why = format!("`{text}` is no word with a score from 0 to 1, such as yes=0.8");
        Failure::argument("spot_thresholds", &why)
    })
}

fn hotwords(list: Option<&str>) -> Result<Option<Arc<Hotwords>>, Failure> {
    let lines = list.unwrap_or_default().replace(',', "\n");
    let phrases = Hotwords::listed(&lines);
    Ok((!phrases.is_empty()).then(|| Hotwords::new(phrases)).transpose()?.map(Arc::new))
}
