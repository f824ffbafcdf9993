//! Networks that return audio: overlapping speakers, speech from noise, the stems of music, a wider
//! band, waveforms of spectrograms, and sounds.

use std::ops::ControlFlow;
use std::path::Path;

use formant_audio_core::features::{FeaturePlan, presets};
use formant_audio_core::resample::{Quality, resample};
use formant_audio_core::{AudioBuf, AudioSpec, ChannelLayout};
use formant_models::arch::gan_vocoder::{GanVocoderCard, GanVocoderConfig};
use formant_models::arch::hifi_sr::HifiSrCard;
use formant_models::arch::mel_roformer::MelRoformerConfig;
use formant_models::arch::mossformer::{MossformerCard, MossformerConfig};
use formant_models::arch::periodwave::PeriodWaveCard;
use formant_models::arch::specmaskgit::{SpecMaskGitCard, SpecMaskGitConfig};
use formant_models::arch::specvqgan::{SpecVqganCard, SpecVqganConfig};
use formant_models::tasks::Task;
use formant_models::tasks::enhance::{EnhanceOptions, Enhancer};
use formant_models::tasks::generate::{GenerateOptions, Generator, Parts, VocoderPart};
use formant_models::tasks::separate::Separator;
use formant_models::tasks::stems::{Augment, StemSeparator, StemsCard, StemsModel, StemsOptions};
use formant_models::tasks::superres::SuperResolver;
use formant_models::tasks::vocode::{VocodeOptions, Vocoder};
use formant_models::{LoadOptions, Model};
use tch::Tensor;

use super::{Job, Network};
use crate::failure::Failure;
use crate::json::read_file;

/// The speakers of all of the audio at once.
pub(super) fn speakers(
    network: &Network,
    load: &LoadOptions,
    audio: &AudioBuf,
) -> Result<Job, Failure> {
    let mut separator = network.make(
        load,
        |sizes, device| Ok(Separator::random(moss_card(sizes)?, device)?),
        |source| Separator::load(source, load),
    )?;
    separator.set_precision(load.precision);
    let audio = resample(&audio.view(), separator.sample_rate(), Quality::High)?;
    let input = audio.clone();
    let work = move || Ok(separator.run(input.channel(0))?.concat());
    Job::of_network(network, *load, &audio, Box::new(work))
}

/// All of the audio without noise, at once.
pub(super) fn speech(
    network: &Network,
    load: &LoadOptions,
    audio: &AudioBuf,
) -> Result<Job, Failure> {
    let mut enhancer = network.make(
        load,
        |sizes, device| Ok(Enhancer::random(moss_card(sizes)?, device)?),
        |source| Enhancer::load(source, load),
    )?;
    enhancer.set_precision(load.precision);
    let audio = resample(&audio.view(), enhancer.sample_rate(), Quality::High)?;
    let usual = EnhanceOptions::default();
    let window_seconds = usual.window_seconds.max(audio.duration() + 1.0);
    let options = EnhanceOptions { window_seconds, ..usual };
    let input = audio.clone();
    let work = move || Ok(enhancer.process(&input.view(), &options)?.0.into_planar());
    Job::of_network(network, *load, &audio, Box::new(work))
}

/// The card of a network of the MossFormer family whose sizes are in a file, at the rate of the
/// published ones.
fn moss_card(sizes: &Path) -> Result<MossformerCard, Failure> {
    let config: MossformerConfig = read_file(sizes)?;
    let rate = if config.separates() { 16_000 } else { 48_000 };
    Ok(MossformerCard::published(config, rate)?)
}

/// The full band of all of the audio, at once: front end and network.
pub(super) fn band(
    network: &Network,
    load: &LoadOptions,
    audio: &AudioBuf,
) -> Result<Job, Failure> {
    let mut resolver = network.make(
        load,
        |sizes, device| {
            let card = HifiSrCard::published(read_file(sizes)?)?;
            Ok(SuperResolver::random(card, device)?)
        },
        |source| SuperResolver::load(source, load),
    )?;
    resolver.set_precision(load.precision);
    let audio = resample(&audio.view(), resolver.sample_rate(), Quality::High)?;
    let input = audio.clone();
    let work = move || Ok(resolver.generate(input.channel(0))?);
    Job::of_network(network, *load, &audio, Box::new(work))
}

/// The waveform of the spectrogram of all of the audio.
pub(super) fn waveform(
    network: &Network,
    load: &LoadOptions,
    audio: &AudioBuf,
) -> Result<Job, Failure> {
    let mut vocoder = network.make(
        load,
        |sizes, device| {
            let card = PeriodWaveCard::published(read_file(sizes)?)?;
            Ok(Vocoder::random(card, device)?)
        },
        |source| Vocoder::load(source, load),
    )?;
    vocoder.set_precision(load.precision);
    let audio = resample(&audio.view(), vocoder.sample_rate(), Quality::High)?;
    let plan = FeaturePlan::new(vocoder.front_end()?)?;
    let rows = plan.compute(audio.channel(0))?.into_raw_vec_and_offset().0;
    // As the command does it: threads share the paths, and libtorch has one.
    let threads = tch::get_num_threads();
    let options = VocodeOptions {
        threads: usize::try_from(threads).unwrap_or(1),
        ..VocodeOptions::default()
    };
    let work = move || {
        tch::set_num_threads(1);
        let made = vocoder.process_mel(&rows, &options);
        tch::set_num_threads(threads);
        Ok(made?)
    };
    Job::of_network(network, *load, &audio, Box::new(work))
}

/// Sizes of a generator's networks.
#[derive(Debug, serde::Deserialize)]
struct Sizes {
    transformer: SpecMaskGitConfig,
    tokenizer: SpecVqganConfig,
    /// Without one, phases are searched for.
    vocoder: Option<GanVocoderConfig>,
}

/// A sound that is as long as the audio.
pub(super) fn sound(
    network: &Network,
    load: &LoadOptions,
    audio: &AudioBuf,
) -> Result<Job, Failure> {
    let generator = network.make(
        load,
        |sizes, device| {
            let Sizes { transformer, tokenizer, vocoder } = read_file(sizes)?;
            let frontend = presets::by_name("specmaskgit")?;
            let tokenizer = SpecVqganCard { frontend, ..SpecVqganCard::published(tokenizer)? };
            let vocoder = vocoder.map(|config| {
                let model = Model::random(GanVocoderCard::published(config)?, device)?;
                Ok::<_, formant_models::Error>(VocoderPart::Gan(Box::new(model)))
            });
            let parts = Parts {
                transformer: Model::random(SpecMaskGitCard::sized(transformer), device)?,
                tokenizer: Model::random(tokenizer, device)?,
                vocoder: vocoder.transpose()?,
                text: None,
            };
            Ok(Generator::new(parts, load.precision)?)
        },
        |source| Generator::load(source, load),
    )?;
    let options = GenerateOptions { seconds: audio.duration(), ..GenerateOptions::default() };
    let work = move || {
        let made = generator.generate(&options, &mut |_| ControlFlow::Continue(()))?;
        Ok(made.map_or(Vec::new(), |made| made.samples))
    };
    Job::of_network(network, *load, audio, Box::new(work))
}

/// Stems of all of the audio: in one piece where it is no longer than a chunk, else in chunks.
pub(super) fn stems(
    network: &Network,
    load: &LoadOptions,
    audio: &AudioBuf,
) -> Result<Job, Failure> {
    let separator = network.make(
        load,
        |sizes, device| {
            let config: MelRoformerConfig = read_file(sizes)?;
            let mut model = StemsModel::random(StemsCard::of_config(config), device)?;
            model.set_precision(load.precision);
            Ok(StemSeparator::new(vec![model])?)
        },
        |source| StemSeparator::load(source, load),
    )?;
    let card = separator.models()[0].card();
    let audio = resample(&audio.view(), card.sample_rate(), Quality::High)?;
    let channels = if card.config.stereo { 2 } else { 1 };
    let layout = ChannelLayout::from_count(channels);
    let spec = AudioSpec { rate: audio.rate(), layout };
    let planes = std::iter::repeat_n(audio.channel(0), channels.into()).flatten().copied();
    let audio = AudioBuf::from_planar(spec, planes.collect())?;
    let in_one_piece = audio.frames() <= card.demix.chunk_size;
    let chunk = Tensor::from_slice(audio.as_planar()).view([1, i64::from(channels), -1]);
    let input = audio.clone();
    let work = move || {
        if in_one_piece {
            let stems = separator.models()[0].separate(&chunk, Augment::No)?;
            return Ok(Vec::try_from(stems.view([-1])).map_err(formant_models::Error::from)?);
        }
        let (stems, _) = separator.process(&input.view(), &StemsOptions::default())?;
        Ok(stems.iter().flat_map(|(_, audio)| audio.as_planar()).copied().collect())
    };
    Job::of_network(network, *load, &audio, Box::new(work))
}
