//! The networks behind sound from words, each by itself: tokens by a masked transformer, their
//! spectrogram, and its samples.

use std::path::Path;

use formant_audio_core::AudioBuf;
use formant_audio_core::features::FeaturePlan;
use formant_audio_core::resample::{Quality, resample};
use formant_models::arch::gan_vocoder::{GanVocoderCard, GanVocoderModel};
use formant_models::arch::specmaskgit::{SpecMaskGitCard, SpecMaskGitModel};
use formant_models::arch::specvqgan::{SpecVqganCard, SpecVqganModel};
use formant_models::model::{Arch, Model};
use formant_models::{LoadOptions, Precision};
use tch::{Device, Kind, Tensor};

use super::{Job, Make, Network};
use crate::failure::Failure;
use crate::json::read_file;

/// Parts of a task that can be timed, and what each does.
pub(super) const PARTS: [(&str, Make, &str); 3] = [
    ("tokens", tokens, "16 calls of a masked transformer, both passes of guidance in each"),
    ("tokenizer", spectrogram, "The spectrogram of ten seconds of tokens"),
    ("gan-vocoder", samples, "The samples of a spectrogram by HiFi-GAN, BigVGAN or MelGAN"),
];

/// Calls of the transformer.
const CALLS: usize = 16;
/// Tokens side by side in ten seconds, where the tokenizer is not asked.
const COLUMNS: i64 = 53;
/// Samples of a column of tokens.
const COLUMN: f64 = 16.0 * 256.0;
const RATE: f64 = 22_050.0;

/// A model, or one with random weights of the sizes in a file.
fn model<A: Arch>(
    network: &Network,
    load: &LoadOptions,
    card: impl FnOnce(&Path) -> Result<A::Card, Failure>,
) -> Result<Model<A>, Failure> {
    let random = |sizes: &Path, device| Ok(Model::<A>::random(card(sizes)?, device)?);
    network.make(load, random, |source| Model::load(source, load.device.resolve()?))
}

/// A job on as much audio as `columns` of tokens are.
fn job(
    network: &Network,
    load: &LoadOptions,
    columns: i64,
    work: impl Fn() -> Tensor + 'static,
) -> Result<Job, Failure> {
    let seconds = columns as f64 * COLUMN / RATE;
    let work = move || {
        let _guard = tch::no_grad_guard();
        numbers(&work())
    };
    let empty = AudioBuf::from_mono(RATE as u32, Vec::new());
    Ok(Job { seconds, ..Job::of_network(network, *load, &empty, Box::new(work))? })
}

fn numbers(x: &Tensor) -> Result<Vec<f32>, Failure> {
    let flat = x.to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view([-1]);
    Vec::try_from(flat)
        .map_err(|error: tch::TchError| Failure::internal("output", error.to_string()))
}

/// Calls on a grid that is all masked.
fn tokens(network: &Network, load: &LoadOptions, _: &AudioBuf) -> Result<Job, Failure> {
    let card = |sizes: &Path| Ok(SpecMaskGitCard::sized(read_file(sizes)?));
    let model: SpecMaskGitModel = model(network, load, card)?;
    let (config, device) = (model.card.config.clone(), model.device());
    let mut transformer = model.network.freeze();
    if load.precision != Precision::F32 {
        transformer.set_kind(load.precision.kind());
    }
    let size = config.cond_dim;
    let described = Tensor::full([1, size], (size as f64).powf(-0.5), (Kind::Float, device));
    let grid = Tensor::full([2, config.tokens()], config.mask(), (Kind::Int64, device));
    job(network, load, config.grid_w, move || {
        let said = transformer.condition(&described);
        let conditions = Tensor::cat(&[said, transformer.no_condition()], 0);
        let mut logits = transformer.forward(&grid, &conditions);
        for _ in 1..CALLS {
            logits = transformer.forward(&grid, &conditions);
        }
        logits
    })
}

/// The decoder on tokens of all kinds.
fn spectrogram(network: &Network, load: &LoadOptions, _: &AudioBuf) -> Result<Job, Failure> {
    let card = |sizes: &Path| Ok(SpecVqganCard::published(read_file(sizes)?)?);
    let model: SpecVqganModel = model(network, load, card)?;
    let (codes, rows) = (model.card.config.n_embed, 80 / model.card.config.factor());
    let tokens = Tensor::arange(rows * COLUMNS, (Kind::Int64, model.device())) * 7919;
    let tokens = tokens.remainder(codes).view([1, rows, COLUMNS]);
    let decoder = model.network.freeze();
    job(network, load, COLUMNS, move || decoder.decode(&tokens))
}

/// The vocoder on the spectrogram of all of the audio.
fn samples(network: &Network, load: &LoadOptions, audio: &AudioBuf) -> Result<Job, Failure> {
    let card = |sizes: &Path| Ok(GanVocoderCard::published(read_file(sizes)?)?);
    let model: GanVocoderModel = model(network, load, card)?;
    let (front_end, device) = (model.card.frontend.clone(), model.device());
    let mut vocoder = model.network.freeze();
    if load.precision != Precision::F32 {
        vocoder.set_kind(load.precision.kind());
    }
    let audio = resample(&audio.view(), front_end.sample_rate, Quality::High)?;
    let rows = FeaturePlan::new(&front_end)?.compute(audio.channel(0))?;
    let (frames, bands) = rows.dim();
    let rows = Tensor::from_slice(&rows.into_raw_vec_and_offset().0);
    let rows = rows.view([1, frames as i64, bands as i64]).transpose(1, 2).contiguous();
    let rows = rows.to_device(device);
    let work = move || numbers(&vocoder.forward(&rows));
    Job::of_network(network, *load, &audio, Box::new(work))
}
