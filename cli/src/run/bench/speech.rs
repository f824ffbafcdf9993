//! Networks for speech: words, voices, and what is said.

use formant_audio_core::features::presets;
use formant_audio_core::resample::{Quality, resample};
use formant_audio_core::{AudioBuf, AudioView};
use formant_models::LoadOptions;
use formant_models::arch::ecapa::EcapaConfig;
use formant_models::arch::lmuformer::LmuFormerConfig;
use formant_models::arch::squeezeformer::{CtcCard, CtcModel, SqueezeformerConfig, Vocabulary};
use formant_models::tasks::speaker::{EmbedOptions, SpeakerCard, SpeakerEmbedder, SpeechOnly};
use formant_models::tasks::spot::{Activation, DetectionDefaults, SpotCard, SpotOptions, Spotter};
use formant_models::tasks::transcribe::Transcriber;

use super::{Measured, of_network, random_name, time};
use crate::failure::Failure;
use crate::plan::{BenchPlan, Settings, SpeakerModel, SpotModel, read_json};
use crate::run::{speaker, spot, transcribe};

pub(super) fn words(
    plan: &BenchPlan,
    settings: &Settings,
    audio: &AudioBuf,
) -> Result<Measured, Failure> {
    let load = LoadOptions { device: settings.device, ..LoadOptions::default() };
    let device = load.device.resolve()?;
    let (spotter, name) = match &plan.config {
        Some(path) => {
            let config: LmuFormerConfig = read_json(path)?;
            (Spotter::random(random_card(config)?, device)?, random_name("spot", path))
        }
        None => {
            let model = SpotModel { source: plan.model.clone(), labels: None, load };
            (spot::load(&model)?, "spot".to_owned())
        }
    };
    let audio = resample(&audio.view(), spotter.sample_rate(), Quality::High)?;
    let wall = time(plan, || {
        let mut session = spotter.start(&SpotOptions::default())?;
        // Blocks of 0.1 s, as a stream brings them.
        for block in audio.channel(0).chunks(spotter.sample_rate() as usize / 10) {
            session.push(&AudioView::from_mono(audio.rate(), block))?;
        }
        session.finish()?;
        Ok(())
    })?;
    Ok(of_network(name, &audio, wall, device, &[]))
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
    plan: &BenchPlan,
    settings: &Settings,
    audio: &AudioBuf,
) -> Result<Measured, Failure> {
    let load = LoadOptions { device: settings.device, ..LoadOptions::default() };
    let device = load.device.resolve()?;
    // Noise is no speech, so that pauses are not looked for.
    let embed = EmbedOptions { speech_only: SpeechOnly::No };
    let (embedder, name) = match &plan.config {
        Some(path) => {
            let config: EcapaConfig = read_json(path)?;
            let card = SpeakerCard::published(config)?;
            (SpeakerEmbedder::random(card, device)?, random_name("speaker", path))
        }
        None => {
            let model = SpeakerModel { source: plan.model.clone(), load, embed };
            (speaker::load(&model)?, "speaker".to_owned())
        }
    };
    let audio = resample(&audio.view(), embedder.sample_rate(), Quality::High)?;
    let mut output = Vec::new();
    let wall = time(plan, || {
        let heard = embedder.embed(&audio.view(), &embed)?;
        output = heard.map(|embedding| embedding.values).unwrap_or_default();
        Ok(())
    })?;
    Ok(of_network(name, &audio, wall, device, &output))
}

/// Log-probabilities of all of the audio at once.
pub(super) fn recognition(
    plan: &BenchPlan,
    settings: &Settings,
    audio: &AudioBuf,
) -> Result<Measured, Failure> {
    let load = LoadOptions { device: settings.device, ..LoadOptions::default() };
    let device = load.device.resolve()?;
    let (transcriber, name) = match &plan.config {
        Some(path) => {
            let card = random_ctc_card(read_json(path)?)?;
            let model = CtcModel::random(card, device)?;
            (Transcriber::of_model(model)?, random_name("transcribe", path))
        }
        None => {
            let source = transcribe::source(plan.model.as_ref())?;
            (Transcriber::load(&source, &load)?, "transcribe".to_owned())
        }
    };
    let audio = resample(&audio.view(), transcriber.sample_rate(), Quality::High)?;
    let mut output = Vec::new();
    let wall = time(plan, || {
        output = transcriber.log_probs(audio.channel(0))?.into_raw_vec_and_offset().0;
        Ok(())
    })?;
    Ok(of_network(name, &audio, wall, device, &output))
}

/// A recogniser's card around a network's sizes: the reference's front end with as many bands, and
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
