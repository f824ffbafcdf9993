//! Loads a checkpoint that may make no sense, runs it on a moment of noise, and judges how that ended.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::ops::ControlFlow;
use std::path::Path;

use formant_audio_core::AudioView;
use formant_models::arch::clap::ClapTextModel;
use formant_models::arch::gan_vocoder::GanVocoderModel;
use formant_models::arch::specmaskgit::{Conditions, SeededNoise, SpecMaskGitModel, Step};
use formant_models::arch::specvqgan::SpecVqganModel;
use formant_models::tasks::Task;
use formant_models::tasks::enhance::Enhancer;
use formant_models::tasks::separate::Separator;
use formant_models::tasks::speaker::SpeakerEmbedder;
use formant_models::tasks::spot::Spotter;
use formant_models::tasks::stems::StemSeparator;
use formant_models::tasks::superres::SuperResolver;
use formant_models::tasks::transcribe::Transcriber;
use formant_models::tasks::vocode::Vocoder;
use formant_models::{Error, LoadOptions, ModelSource, Result};
use tch::{Device, Tensor, kind::FLOAT_CPU};

/// What a number is replaced by, as JSON text.
pub(crate) const VALUES: [&str; 8] =
    ["0", "-1", "2", "65536", "2147483647", "4294967296", "1e308", "NaN"];
/// Most processor time of one checkpoint, in seconds.
const MOST_SECONDS: f64 = 2.0;
/// Most memory above that before, in bytes.
const MOST_MEMORY: u64 = 500 << 20;

/// Loads a checkpoint and runs it on a moment of noise.
pub(crate) type Run = fn(&Path) -> Result<()>;

fn noise(rate: u32) -> Vec<f32> {
    let mut state = 1u32;
    (0..rate)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        })
        .collect()
}

fn source(path: &Path) -> ModelSource {
    ModelSource::Path(path.to_owned())
}

pub(crate) fn spot(path: &Path) -> Result<()> {
    let spotter = Spotter::load(&source(path), &LoadOptions::default())?;
    spotter.classify(&AudioView::from_mono(16_000, &noise(4_000))).map(drop)
}

pub(crate) fn speaker(path: &Path) -> Result<()> {
    let embedder = SpeakerEmbedder::load(&source(path), &LoadOptions::default())?;
    embedder.process(&AudioView::from_mono(16_000, &noise(4_000)), &Default::default()).map(drop)
}

pub(crate) fn transcribe(path: &Path) -> Result<()> {
    let transcriber = Transcriber::load(&source(path), &LoadOptions::default())?;
    transcriber.process(&AudioView::from_mono(16_000, &noise(4_000)), &Default::default()).map(drop)
}

pub(crate) fn separate(path: &Path) -> Result<()> {
    let separator = Separator::load(&source(path), &LoadOptions::default())?;
    separator.process(&AudioView::from_mono(8_000, &noise(2_000)), &Default::default()).map(drop)
}

pub(crate) fn enhance(path: &Path) -> Result<()> {
    let enhancer = Enhancer::load(&source(path), &LoadOptions::default())?;
    enhancer.process(&AudioView::from_mono(48_000, &noise(9_600)), &Default::default()).map(drop)
}

pub(crate) fn stems(path: &Path) -> Result<()> {
    let separator = StemSeparator::load(&source(path), &LoadOptions::default())?;
    let mix = noise(8_000);
    separator.process(&AudioView::from_mono(44_100, &mix), &Default::default()).map(drop)
}

pub(crate) fn superres(path: &Path) -> Result<()> {
    let resolver = SuperResolver::load(&source(path), &LoadOptions::default())?;
    resolver.process(&AudioView::from_mono(16_000, &noise(1_600)), &Default::default()).map(drop)
}

pub(crate) fn vocode(path: &Path) -> Result<()> {
    let vocoder = Vocoder::load(&source(path), &LoadOptions::default())?;
    vocoder.process(&AudioView::from_mono(22_050, &noise(2_000)), &Default::default()).map(drop)
}

pub(crate) fn gan_vocode(path: &Path) -> Result<()> {
    let model = GanVocoderModel::load(&source(path), Device::Cpu)?;
    let mel = Tensor::rand([1, model.card.config.bands(), 8], FLOAT_CPU);
    let _ = model.network.freeze().forward(&mel);
    Ok(())
}

pub(crate) fn tokenize(path: &Path) -> Result<()> {
    let model = SpecVqganModel::load(&source(path), Device::Cpu)?;
    let frames = 2 * model.card.config.factor();
    let mel = Tensor::rand([1, 1, model.card.bands() as i64, frames], FLOAT_CPU);
    let _guard = tch::no_grad_guard();
    let _ = model.network.decode(&model.network.encode(&mel));
    Ok(())
}

pub(crate) fn fill(path: &Path) -> Result<()> {
    let model = SpecMaskGitModel::load(&source(path), Device::Cpu)?;
    let config = model.card.config;
    let masked = vec![config.mask(); config.tokens() as usize];
    let noise = SeededNoise { seed: 1, columns: config.grid_w as usize, first_column: 0 };
    let wanted = Some(Tensor::ones([1, config.cond_dim], FLOAT_CPU));
    let conditions = Conditions { wanted, unwanted: None };
    let network = model.network.freeze();
    let go = |_: &Step<'_>| ControlFlow::Continue(());
    network.sample(&masked, &conditions, &model.card.sampling, &noise, go).map(drop)
}

pub(crate) fn describe(path: &Path) -> Result<()> {
    let model = ClapTextModel::load(&source(path), Device::Cpu)?;
    model.network.embed(&[0, 5, 2]).map(drop)
}

/// Processor seconds of this process.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 =
        after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// Runs one checkpoint; what is wrong with how it ended.
pub(crate) fn verdict(run: Run, path: &Path) -> Option<String> {
    // Begins a new peak of the memory in use.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let (seconds, memory) = (processor_seconds(), status("VmRSS:"));
    let result = std::panic::catch_unwind(|| run(path));
    let seconds = processor_seconds() - seconds;
    let memory = status("VmHWM:").saturating_sub(memory);
    match result {
        Err(_) => return Some("panicked".to_owned()),
        Ok(
            Err(
                Error::Card { .. }
                | Error::Mismatch(_)
                | Error::Unsupported { .. }
                | Error::Missing { .. }
                | Error::Limit { .. },
            )
            | Ok(()),
        ) => {}
        Ok(Err(error)) => return Some(format!("does not blame the checkpoint: {error:?}")),
    }
    if seconds > MOST_SECONDS {
        return Some(format!("took {seconds:.1} s"));
    }
    (memory > MOST_MEMORY).then(|| format!("took {} MB", memory >> 20))
}
