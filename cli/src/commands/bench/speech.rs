//! Networks for speech: words, voices, and what is said. They run in f32.

use formant_audio_core::features::presets;
use formant_audio_core::resample::{Quality, resample};
use formant_audio_core::{AudioBuf, AudioView};
use formant_models::LoadOptions;
use formant_models::arch::lmuformer::LmuFormerConfig;
use formant_models::arch::squeezeformer::{CtcCard, CtcModel, SqueezeformerConfig, Vocabulary};
use formant_models::tasks::speaker::{EmbedOptions, SpeakerCard, SpeakerEmbedder, SpeechOnly};
use formant_models::tasks::spot::{Activation, DetectionDefaults, SpotCard, SpotOptions, Spotter};
use formant_models::tasks::transcribe::Transcriber;
use formant_models::tasks::{Task, TaskSession};

use super::{Job, Network};
use crate::failure::Failure;
use crate::json::read_file;

/// The same device, and f32.
fn in_f32(load: &LoadOptions) -> LoadOptions {
    LoadOptions { device: load.device, ..LoadOptions::default() }
}

/// Words in all of the audio, as a stream.
pub(super) fn words(
    network: &Network,
    load: &LoadOptions,
    audio: &AudioBuf,
) -> Result<Job, Failure> {
    let load = in_f32(load);
    let spotter = network.make(
        &load,
        |sizes, device| Ok(Spotter::random(random_card(read_file(sizes)?)?, device)?),
        |source| Spotter::load(source, &load),
    )?;
    let audio = resample(&audio.view(), spotter.sample_rate(), Quality::High)?;
    let input = audio.clone();
    let work = move || {
        let mut session = spotter.start(&SpotOptions::default())?;
        // Blocks of 0.1 s, as a stream brings them.
        for block in input.channel(0).chunks(spotter.sample_rate() as usize / 10) {
            session.push(&AudioView::from_mono(input.rate(), block))?;
        }
        session.finish()?;
        Ok(Vec::new())
    };
    Job::of_network(network, load, &audio, Box::new(work))
}

/// A model card around a network's sizes: the reference's front end with as many bands.
fn random_card(config: LmuFormerConfig) -> Result<SpotCard, Failure> {
    let mut frontend = presets::by_name("lmuformer")?;
    frontend.target_frames = None;
    if let Some(mel) = &mut frontend.mel {
        mel.n_mels = usize::try_from(config.in_channels).unwrap_or(0);
    }
    let window_frames = usize::try_from(config.seq_len).unwrap_or(1);
    Ok(SpotCard {
        labels: (0..config.num_classes).map(|answer| answer.to_string()).collect(),
        background: Vec::new(),
        activation: Activation::Softmax,
        detection: DetectionDefaults { window_frames, ..DetectionDefaults::default() },
        provenance: serde_json::Value::Null,
        config,
        frontend,
    })
}

/// Embeddings of all of the audio, in pieces of the model's length.
pub(super) fn voices(
    network: &Network,
    load: &LoadOptions,
    audio: &AudioBuf,
) -> Result<Job, Failure> {
    let load = in_f32(load);
    let embedder = network.make(
        &load,
        |sizes, device| {
            Ok(SpeakerEmbedder::random(SpeakerCard::published(read_file(sizes)?)?, device)?)
        },
        |source| SpeakerEmbedder::load(source, &load),
    )?;
    let audio = resample(&audio.view(), embedder.sample_rate(), Quality::High)?;
    let input = audio.clone();
    let work = move || {
        // Noise is no speech, so that pauses are not looked for.
        let embed = EmbedOptions { speech_only: SpeechOnly::No };
        let (heard, _) = embedder.process(&input.view(), &embed)?;
        Ok(heard.map(|embedding| embedding.values).unwrap_or_default())
    };
    Job::of_network(network, load, &audio, Box::new(work))
}

/// Log-probabilities of all of the audio at once.
pub(super) fn text(
    network: &Network,
    load: &LoadOptions,
    audio: &AudioBuf,
) -> Result<Job, Failure> {
    let load = in_f32(load);
    let transcriber = network.make(
        &load,
        |sizes, device| {
            let card = random_ctc_card(read_file(sizes)?)?;
            Ok(Transcriber::of_model(CtcModel::random(card, device)?)?)
        },
        |source| Transcriber::load(source, &load),
    )?;
    let audio = resample(&audio.view(), transcriber.sample_rate(), Quality::High)?;
    let input = audio.clone();
    let work = move || Ok(transcriber.log_probs(input.channel(0))?.into_raw_vec_and_offset().0);
    Job::of_network(network, load, &audio, Box::new(work))
}

/// A recognizer's card around a network's sizes: the reference's front end with as many bands, and
/// numbers for its pieces.
fn random_ctc_card(config: SqueezeformerConfig) -> Result<CtcCard, Failure> {
    let (preset, bins, pieces) = match &config {
        SqueezeformerConfig::Nemo(c) => ("nemo", c.feat_in, config.vocabulary() - 1),
        SqueezeformerConfig::Wenet(c) => ("wenet", c.input_dim, config.vocabulary()),
    };
    let mut frontend = presets::by_name(preset)?;
    if let Some(mel) = &mut frontend.mel {
        mel.n_mels = usize::try_from(bins).unwrap_or(0);
    }
    let pieces = (0..pieces).map(|piece| piece.to_string()).collect();
    let vocabulary = Vocabulary { pieces, ..Vocabulary::default() };
    Ok(CtcCard { config, frontend, vocabulary, provenance: serde_json::Value::Null })
}
