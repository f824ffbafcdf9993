//! `formant bench`: speed and memory, a JSON line a job.

use std::time::Instant;

use formant_audio_core::decode::{BlockReader, DecodeOptions, decode_file};
use formant_audio_core::encode::{SampleFormat, WriteOptions, write_wav};
use formant_audio_core::features::{FeaturePlan, presets};
use formant_audio_core::resample::{Quality, resample};
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, ChannelLayout};
use formant_models::arch::ecapa::EcapaConfig;
use formant_models::arch::lmuformer::LmuFormerConfig;
use formant_models::arch::mel_roformer::MelRoformerConfig;
use formant_models::tasks::speaker::{EmbedOptions, SpeakerCard, SpeakerEmbedder, SpeechOnly};
use formant_models::tasks::spot::{Activation, DetectionDefaults, SpotCard, SpotOptions, Spotter};
use formant_models::tasks::stems::{Augment, StemSeparator, StemsCard, StemsModel, StemsOptions};
use serde_json::json;

use super::{speaker, spot, stems, use_few_threads, use_threads, write_failure};
use crate::args::BenchJob;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::plan::{BenchPlan, Settings, SpeakerModel, SpotModel, read_json};
use crate::{interrupt, json as lines, stdout};

/// What a job came to.
struct Measured {
    /// Name with what distinguishes it, such as `features whisper`.
    name: String,
    audio_seconds: f64,
    /// One entry a run.
    wall: Vec<f64>,
    threads: i32,
    device: String,
}

pub(super) fn run(
    plan: &BenchPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_few_threads(settings);
    let audio = match &plan.input {
        Some(path) => {
            let clip = decode_file(path, &DecodeOptions::default())?;
            AudioBuf::from_mono(clip.audio.rate(), clip.audio.view().to_mono())
        }
        None => generate(44_100, plan.seconds, settings.seed.unwrap_or(0)),
    };
    for job in &plan.jobs {
        interrupt::check()?;
        let measured = match job {
            BenchJob::Decode => decode(plan, &audio)?,
            BenchJob::Resample => to_16k(plan, &audio)?,
            BenchJob::Features => features(plan, &audio)?,
            BenchJob::Spot => words(plan, settings, &audio)?,
            BenchJob::Speaker => voices(plan, settings, &audio)?,
            BenchJob::Stems => stems_of_music(plan, settings, &audio)?,
        };
        report(&measured, messages)?;
    }
    Ok(Outcome::done())
}

/// Noise with the rhythm of speech, the same for the same seed.
fn generate(rate: u32, seconds: f64, seed: u64) -> AudioBuf {
    let frames = (seconds * f64::from(rate)).round() as usize;
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let samples = (0..frames).map(|n| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let noise = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
        let syllable = (n as f32 / rate as f32 * 4.0 * std::f32::consts::TAU).sin().max(0.0);
        0.3 * noise * syllable
    });
    AudioBuf::from_mono(rate, samples.collect())
}

/// Wall-clock seconds of every run, after one that warms up.
fn time(
    plan: &BenchPlan,
    mut work: impl FnMut() -> Result<(), Failure>,
) -> Result<Vec<f64>, Failure> {
    work()?;
    (0..plan.repeat)
        .map(|_| {
            interrupt::check()?;
            let began = Instant::now();
            work()?;
            Ok(began.elapsed().as_secs_f64())
        })
        .collect()
}

fn on_one_core(name: String, audio: &AudioBuf, wall: Vec<f64>) -> Measured {
    Measured { name, audio_seconds: audio.duration(), wall, threads: 1, device: "cpu".to_owned() }
}

fn decode(plan: &BenchPlan, audio: &AudioBuf) -> Result<Measured, Failure> {
    let folder =
        tempfile::tempdir().map_err(|e| Failure::output("temporary folder".as_ref(), &e))?;
    let (path, name) = match &plan.input {
        Some(path) => (path.clone(), "decode input".to_owned()),
        None => {
            let path = folder.path().join("bench.wav");
            let options =
                WriteOptions { format: Some(SampleFormat::S16), ..WriteOptions::default() };
            write_wav(&path, &audio.view(), &options).map_err(write_failure)?;
            (path, "decode wav".to_owned())
        }
    };
    let wall = time(plan, || {
        let mut reader = BlockReader::open(&path, &DecodeOptions::default())?;
        while reader.next_block()?.is_some() {}
        Ok(())
    })?;
    Ok(on_one_core(name, audio, wall))
}

fn to_16k(plan: &BenchPlan, audio: &AudioBuf) -> Result<Measured, Failure> {
    let wall = time(plan, || {
        std::hint::black_box(resample(&audio.view(), 16_000, Quality::High)?);
        Ok(())
    })?;
    Ok(on_one_core(format!("resample {} to 16000", audio.rate()), audio, wall))
}

fn features(plan: &BenchPlan, audio: &AudioBuf) -> Result<Measured, Failure> {
    let front = FeaturePlan::new(&presets::by_name(&plan.preset)?)?;
    let audio = resample(&audio.view(), front.sample_rate(), Quality::High)?;
    let wall = time(plan, || {
        std::hint::black_box(front.compute(audio.channel(0))?);
        Ok(())
    })?;
    Ok(on_one_core(format!("features {}", plan.preset), &audio, wall))
}

fn words(plan: &BenchPlan, settings: &Settings, audio: &AudioBuf) -> Result<Measured, Failure> {
    let load = formant_models::LoadOptions { device: settings.device };
    let device = load.device.resolve()?;
    let (spotter, name) = match &plan.config {
        Some(path) => {
            let config: LmuFormerConfig = read_json(path)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (
                Spotter::random(random_card(config)?, device)?,
                format!("spot {name} (random weights)"),
            )
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
    Ok(Measured {
        name,
        audio_seconds: audio.duration(),
        wall,
        threads: tch::get_num_threads(),
        device: name_of(device),
    })
}

fn name_of(device: tch::Device) -> String {
    match device {
        tch::Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}

/// Embeddings of all of the audio, in pieces of the model's length.
fn voices(plan: &BenchPlan, settings: &Settings, audio: &AudioBuf) -> Result<Measured, Failure> {
    let load = formant_models::LoadOptions { device: settings.device };
    let device = load.device.resolve()?;
    // Noise is no speech, so that pauses are not looked for.
    let embed = EmbedOptions { speech_only: SpeechOnly::No };
    let (embedder, name) = match &plan.config {
        Some(path) => {
            let config: EcapaConfig = read_json(path)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let card = SpeakerCard::published(config)?;
            (SpeakerEmbedder::random(card, device)?, format!("speaker {name} (random weights)"))
        }
        None => {
            let model = SpeakerModel { source: plan.model.clone(), load, embed };
            (speaker::load(&model)?, "speaker".to_owned())
        }
    };
    let audio = resample(&audio.view(), embedder.sample_rate(), Quality::High)?;
    let wall = time(plan, || {
        std::hint::black_box(embedder.embed(&audio.view(), &embed)?).ok();
        Ok(())
    })?;
    Ok(Measured {
        name,
        audio_seconds: audio.duration(),
        wall,
        threads: tch::get_num_threads(),
        device: name_of(device),
    })
}

/// Stems of all of the audio: in one piece where it is no longer than a chunk, else in chunks.
fn stems_of_music(
    plan: &BenchPlan,
    settings: &Settings,
    audio: &AudioBuf,
) -> Result<Measured, Failure> {
    // Unlike the small networks this one gains from all cores.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    use_threads(&Settings { threads: settings.threads.or(Some(cores)), ..*settings });
    let load = formant_models::LoadOptions { device: settings.device };
    let device = load.device.resolve()?;
    let (separator, name) = match &plan.config {
        Some(path) => {
            let config: MelRoformerConfig = read_json(path)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let model = StemsModel::random(StemsCard::of_config(config), device)?;
            (StemSeparator::new(vec![model])?, format!("stems {name} (random weights)"))
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
    let chunk = tch::Tensor::from_slice(audio.as_planar()).view([1, i64::from(channels), -1]);
    let wall = time(plan, || {
        if in_one_piece {
            let _ = std::hint::black_box(model.separate(&chunk, Augment::No)?);
        } else {
            let _ =
                std::hint::black_box(separator.separate(&audio.view(), &StemsOptions::default())?);
        }
        Ok(())
    })?;
    Ok(Measured {
        name,
        audio_seconds: audio.duration(),
        wall,
        threads: tch::get_num_threads(),
        device: name_of(device),
    })
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

fn report(measured: &Measured, messages: &Messages) -> Result<(), Failure> {
    let mut wall = measured.wall.clone();
    wall.sort_by(f64::total_cmp);
    let median = wall.get(wall.len() / 2).copied().unwrap_or(f64::NAN);
    let rtf = median / measured.audio_seconds;
    stdout::print(&lines::line(
        "bench",
        &json!({
            "job": measured.name,
            "audio_seconds": measured.audio_seconds,
            "wall_seconds": median,
            "wall_seconds_min": wall.first(),
            "runs": wall.len(),
            "rtf": rtf,
            "peak_memory_bytes": peak_memory(),
            "threads": measured.threads,
            "precision": "f32",
            "device": measured.device,
        }),
    ))?;
    messages.note(&format!("{}: {:.0} times as fast as the audio", measured.name, 1.0 / rtf));
    Ok(())
}

/// The most memory that this process has had, where the system tells (Linux).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_audio_is_loud_and_repeats() {
        let audio = generate(8000, 1.0, 3);
        assert_eq!(audio.frames(), 8000);
        assert_eq!(audio, generate(8000, 1.0, 3));
        assert!(audio.channel(0).iter().any(|x| x.abs() > 0.2));
        assert!(audio.channel(0).iter().all(|x| x.abs() <= 0.3));
    }
}
