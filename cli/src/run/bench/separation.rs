//! Networks that part a recording: voices, and speech from noise.

use std::path::Path;

use formant_audio_core::AudioBuf;
use formant_audio_core::resample::{Quality, resample};
use formant_models::LoadOptions;
use formant_models::arch::mossformer::{MossformerCard, MossformerConfig};
use formant_models::tasks::enhance::{EnhanceOptions, Enhancer};
use formant_models::tasks::separate::Separator;

use super::{Measured, of_network, random_name, time};
use crate::failure::Failure;
use crate::plan::{BenchPlan, Settings, read_json};

/// The voices of all of the audio at once.
pub(super) fn apart(
    plan: &BenchPlan,
    settings: &Settings,
    audio: &AudioBuf,
) -> Result<Measured, Failure> {
    let load = LoadOptions { device: settings.device };
    let device = load.device.resolve()?;
    let (separator, name) = match (&plan.config, &plan.model) {
        (Some(path), _) => {
            (Separator::random(moss_card(path)?, device)?, random_name("separate", path))
        }
        (None, Some(source)) => (Separator::load(source, &load)?, "separate".to_owned()),
        (None, None) => return Err(no_model("separate")),
    };
    let audio = resample(&audio.view(), separator.sample_rate(), Quality::High)?;
    let mut output = Vec::new();
    let wall = time(plan, || {
        output = separator.run(audio.channel(0))?.concat();
        Ok(())
    })?;
    Ok(of_network(name, &audio, wall, device, &output))
}

/// All of the audio without noise, at once.
pub(super) fn cleaned(
    plan: &BenchPlan,
    settings: &Settings,
    audio: &AudioBuf,
) -> Result<Measured, Failure> {
    let load = LoadOptions { device: settings.device };
    let device = load.device.resolve()?;
    let (enhancer, name) = match (&plan.config, &plan.model) {
        (Some(path), _) => {
            (Enhancer::random(moss_card(path)?, device)?, random_name("enhance", path))
        }
        (None, Some(source)) => (Enhancer::load(source, &load)?, "enhance".to_owned()),
        (None, None) => return Err(no_model("enhance")),
    };
    let audio = resample(&audio.view(), enhancer.sample_rate(), Quality::High)?;
    let options =
        EnhanceOptions { window_seconds: audio.duration() + 1.0, ..EnhanceOptions::default() };
    let mut output = Vec::new();
    let wall = time(plan, || {
        output = enhancer.enhance(&audio.view(), &options)?.channel(0).to_vec();
        Ok(())
    })?;
    Ok(of_network(name, &audio, wall, device, &output))
}

/// The card of a network of the MossFormer family whose sizes are in a file, at the rate of the
/// published ones.
fn moss_card(sizes: &Path) -> Result<MossformerCard, Failure> {
    let config: MossformerConfig = read_json(sizes)?;
    let rate = if config.separates() { 16_000 } else { 48_000 };
    Ok(MossformerCard::published(config, rate)?)
}

fn no_model(job: &str) -> Failure {
    Failure::usage(job, "there is nothing to time").help("name a model with --model or --config")
}
