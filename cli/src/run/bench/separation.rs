//! Networks that part a recording: voices, speech from noise, and the stems of music.

use std::path::Path;

use formant_audio_core::resample::{Quality, resample};
use formant_audio_core::{AudioBuf, AudioSpec, ChannelLayout};
use formant_models::arch::mel_roformer::MelRoformerConfig;
use formant_models::arch::mossformer::{MossformerCard, MossformerConfig};
use formant_models::tasks::enhance::{EnhanceOptions, Enhancer};
use formant_models::tasks::separate::Separator;
use formant_models::tasks::stems::{Augment, StemSeparator, StemsCard, StemsModel, StemsOptions};
use tch::Tensor;

use super::{Measured, of_network, random_name, time};
use crate::failure::Failure;
use crate::plan::{BenchPlan, Settings, load_options, read_json};
use crate::run::{stems, use_threads};

/// The voices of all of the audio at once.
pub(super) fn apart(
    plan: &BenchPlan,
    settings: &Settings,
    audio: &AudioBuf,
) -> Result<Measured, Failure> {
    let load = load_options(settings)?;
    let device = load.device.resolve()?;
    let (mut separator, name) = match (&plan.config, &plan.model) {
        (Some(path), _) => {
            (Separator::random(moss_card(path)?, device)?, random_name("separate", path))
        }
        (None, Some(source)) => (Separator::load(source, &load)?, "separate".to_owned()),
        (None, None) => return Err(no_model("separate")),
    };
    separator.set_precision(load.precision);
    let audio = resample(&audio.view(), separator.sample_rate(), Quality::High)?;
    let mut output = Vec::new();
    let wall = time(plan, || {
        output = separator.run(audio.channel(0))?.concat();
        Ok(())
    })?;
    let measured = of_network(name, &audio, wall, device, &output);
    Ok(Measured { precision: load.precision, ..measured })
}

/// All of the audio without noise, at once.
pub(super) fn cleaned(
    plan: &BenchPlan,
    settings: &Settings,
    audio: &AudioBuf,
) -> Result<Measured, Failure> {
    let load = load_options(settings)?;
    let device = load.device.resolve()?;
    let (mut enhancer, name) = match (&plan.config, &plan.model) {
        (Some(path), _) => {
            (Enhancer::random(moss_card(path)?, device)?, random_name("enhance", path))
        }
        (None, Some(source)) => (Enhancer::load(source, &load)?, "enhance".to_owned()),
        (None, None) => return Err(no_model("enhance")),
    };
    enhancer.set_precision(load.precision);
    let audio = resample(&audio.view(), enhancer.sample_rate(), Quality::High)?;
    let usual = EnhanceOptions::default();
    let window_seconds = usual.window_seconds.max(audio.duration() + 1.0);
    let options = EnhanceOptions { window_seconds, ..usual };
    let mut output = Vec::new();
    let wall = time(plan, || {
        output = enhancer.enhance(&audio.view(), &options)?.channel(0).to_vec();
        Ok(())
    })?;
    let measured = of_network(name, &audio, wall, device, &output);
    Ok(Measured { precision: load.precision, ..measured })
}

/// The card of a network of the MossFormer family whose sizes are in a file, at the rate of the
/// published ones.
fn moss_card(sizes: &Path) -> Result<MossformerCard, Failure> {
    let config: MossformerConfig = read_json(sizes)?;
    let rate = if config.separates() { 16_000 } else { 48_000 };
    Ok(MossformerCard::published(config, rate)?)
}

/// Stems of all of the audio: in one piece where it is no longer than a chunk, else in chunks.
pub(super) fn stems_of_music(
    plan: &BenchPlan,
    settings: &Settings,
    audio: &AudioBuf,
) -> Result<Measured, Failure> {
    // Unlike the small networks this one gains from all cores.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    use_threads(&Settings { threads: settings.threads.or(Some(cores)), ..*settings });
    let load = load_options(settings)?;
    let device = load.device.resolve()?;
    let (separator, name) = match &plan.config {
        Some(path) => {
            let config: MelRoformerConfig = read_json(path)?;
            let mut model = StemsModel::random(StemsCard::of_config(config), device)?;
            model.set_precision(load.precision);
            (StemSeparator::new(vec![model])?, random_name("stems", path))
        }
        None => (stems::load_only(plan.model.as_ref(), load)?, "stems".to_owned()),
    };
    let model = &separator.models()[0];
    let audio = resample(&audio.view(), model.card().sample_rate(), Quality::High)?;
    let channels = if model.card().config.stereo { 2 } else { 1 };
    let layout = ChannelLayout::from_count(channels);
    let spec = AudioSpec { rate: audio.rate(), layout };
    let planes = std::iter::repeat_n(audio.channel(0), channels.into()).flatten().copied();
    let audio = AudioBuf::from_planar(spec, planes.collect())?;
    let in_one_piece = audio.frames() <= model.card().demix.chunk_size;
    let chunk = Tensor::from_slice(audio.as_planar()).view([1, i64::from(channels), -1]);
    let mut output = Vec::new();
    let wall = time(plan, || {
        output = if in_one_piece {
            let stems = model.separate(&chunk, Augment::No)?;
            Vec::<f32>::try_from(stems.view([-1])).map_err(formant_models::Error::from)?
        } else {
            let stems = separator.separate(&audio.view(), &StemsOptions::default())?;
            stems.iter().flat_map(|(_, audio)| audio.as_planar()).copied().collect()
        };
        Ok(())
    })?;
    let measured = of_network(name, &audio, wall, device, &output);
    Ok(Measured { precision: load.precision, ..measured })
}

fn no_model(job: &str) -> Failure {
    Failure::usage(job, "there is nothing to time").help("name a model with --model or --config")
}
