//! `formant bench`: speed and memory, a JSON line a job.
//!
//! One loop times all jobs; what a job does is in `front_end`, `speech`, `sources` and `generation`.

mod front_end;
mod generation;
mod sources;
mod speech;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use formant_audio_core::AudioBuf;
use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_models::registry::{BUNDLED, default_for};
use formant_models::tasks::enhance::Enhancer;
use formant_models::tasks::generate::Generator;
use formant_models::tasks::separate::Separator;
use formant_models::tasks::speaker::SpeakerEmbedder;
use formant_models::tasks::spot::Spotter;
use formant_models::tasks::stems::StemSeparator;
use formant_models::tasks::superres::SuperResolver;
use formant_models::tasks::transcribe::Transcriber;
use formant_models::tasks::vocode::Vocoder;
use formant_models::tasks::{Task, task};
use formant_models::{LoadOptions, ModelSource, Precision};
use serde_json::json;
use tch::Device;

use self::generation::PARTS;
use super::{Work, work};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::settings::Settings;
use crate::tasks::{load_options, use_few_threads, use_threads};
use crate::{interrupt, json as lines, processors, stdout};

/// Steps without a network that can be timed.
const STEPS: [(&str, &str); 3] = [
    ("decode", "Decoding of the input, or of a generated WAV file"),
    ("resample", "44.1 kHz to 16 kHz"),
    ("features", "A feature preset"),
];

/// How a network is made ready to be timed on audio.
type Make = fn(&Network, &LoadOptions, &AudioBuf) -> Result<Job, Failure>;

/// How the network of a task is timed, and whether it computes in 16 bits too; the order is that of the
/// jobs.
const NETWORKS: [(&str, Make, bool); 9] = [
    (Spotter::NAME, speech::words, false),
    (SpeakerEmbedder::NAME, speech::voices, false),
    (Transcriber::NAME, speech::text, false),
    (Separator::NAME, sources::speakers, true),
    (Enhancer::NAME, sources::speech, true),
    (StemSeparator::NAME, sources::stems, true),
    (SuperResolver::NAME, sources::band, true),
    (Vocoder::NAME, sources::waveform, true),
    (Generator::NAME, sources::sound, true),
];

/// How the network of a job is made ready, and whether it computes in 16 bits too.
fn network_job(name: &str) -> Option<(Make, bool)> {
    let task =
        NETWORKS.iter().find(|(task, ..)| *task == name).map(|(_, make, bf16)| (*make, *bf16));
    task.or_else(|| PARTS.iter().find(|(part, ..)| *part == name).map(|(_, make, _)| (*make, true)))
}

/// Names of all jobs, with what they time.
fn jobs() -> PossibleValuesParser {
    let networks = NETWORKS.iter().filter_map(|(name, ..)| task(name));
    let parts = PARTS.iter().map(|(name, _, help)| (*name, *help));
    let all = STEPS.into_iter().chain(networks.map(|task| (task.name, task.summary))).chain(parts);
    PossibleValuesParser::new(all.map(|(name, help)| PossibleValue::new(name).help(help)))
}

/// The bundled models of a task.
fn bundled(task: &str) -> impl Iterator<Item = ModelSource> {
    let models = BUNDLED.iter().filter(move |model| model.task == task);
    models.map(|model| ModelSource::Bundled(model.name.to_owned()))
}

/// What `formant bench` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant bench spot --threads 1")]
pub(crate) struct BenchArgs {
    /// Jobs to time, each with every bundled model of its task [default: all].
    #[arg(value_parser = jobs(), value_name = "JOB")]
    which: Vec<String>,
    /// Seconds of audio.
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    seconds: f64,
    /// Number of runs; the median is reported.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    repeat: u16,
    /// Skip the warm-up run, for runs of minutes.
    #[arg(long)]
    cold: bool,
    /// A recording, instead of generated audio.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Feature preset.
    #[arg(long, default_value = "whisper", value_name = "NAME")]
    preset: String,
    /// Model for one job: a bundled model's name, or a file.
    #[arg(long, value_name = "NAME|FILE")]
    model: Option<String>,
    /// Random weights for a network of the sizes in this JSON file, instead of a model.
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    config: Option<PathBuf>,
}

/// What is timed, and how.
#[derive(Debug)]
struct BenchPlan {
    jobs: Vec<String>,
    network: Option<Network>,
    seconds: f64,
    repeat: usize,
    cold: bool,
    input: Option<PathBuf>,
    preset: String,
    load: LoadOptions,
}

/// Which network a job times.
#[derive(Debug, Clone)]
enum Network {
    Model(ModelSource),
    /// Random weights, by the sizes in a file.
    Random(PathBuf),
}

impl BenchArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        Ok(work(plan(self, settings)?, run))
    }
}

fn plan(typed: BenchArgs, settings: &Settings) -> Result<BenchPlan, Failure> {
    if !(typed.seconds > 0.0 && typed.seconds <= 86_400.0) {
        return Err(Failure::usage("--seconds", "give more than 0 and at most 86400"));
    }
    let jobs = match typed.which.is_empty() {
        true => {
            let ready = NETWORKS.iter().map(|(name, ..)| *name);
            let ready = ready.filter(|name| bundled(name).next().is_some());
            STEPS.iter().map(|(name, _)| *name).chain(ready).map(str::to_owned).collect()
        }
        false => typed.which,
    };
    let network = match (typed.config, typed.model) {
        (Some(sizes), _) => Some(Network::Random(sizes)),
        (None, Some(name)) => Some(Network::Model(ModelSource::named(&name))),
        (None, None) => None,
    };
    let networks = || jobs.iter().filter_map(|job| network_job(job));
    if network.is_some() && networks().count() != 1 {
        return Err(Failure::usage("--model, --config", "this is for one network")
            .help("name its job, such as `formant bench spot --model NAME`"));
    }
    let part = PARTS.iter().find(|(part, ..)| jobs.iter().any(|job| job == part));
    if let (Some((name, ..)), None) = (part, &network) {
        let why = format!("no model comes with the program that `{name}` times");
        return Err(
            Failure::usage("--model, --config", why).help("name a model, or a file with sizes")
        );
    }
    let load = match networks().any(|(_, precision)| precision) {
        true => load_options(settings)?,
        // All others run in f32.
        false => LoadOptions { device: settings.device, ..LoadOptions::default() },
    };
    Ok(BenchPlan {
        jobs,
        network,
        seconds: typed.seconds,
        repeat: typed.repeat.into(),
        cold: typed.cold,
        input: typed.input,
        preset: typed.preset,
        load,
    })
}

fn run(plan: BenchPlan, settings: &Settings, messages: &Messages) -> Result<Outcome, Failure> {
    interrupt::install()?;
    let audio = match &plan.input {
        Some(path) => {
            let clip = decode_file(path, &DecodeOptions::default())?;
            AudioBuf::from_mono(clip.audio.rate(), clip.audio.view().to_mono())
        }
        None => generate(44_100, plan.seconds, settings.seed.unwrap_or(0)),
    };
    for name in &plan.jobs {
        for network in networks(&plan, name)? {
            interrupt::check()?;
            // Unlike the small networks that of stems gains from all cores.
            match name == StemSeparator::NAME {
                true => use_threads(&Settings {
                    threads: settings.threads.or(Some(processors::count())),
                    ..*settings
                }),
                false => use_few_threads(settings),
            }
            let network = network.as_ref();
            let mut job = match (network_job(name), network) {
                (Some((make, _)), Some(network)) => make(network, &plan.load, &audio)?,
                _ if name == "decode" => front_end::decode(&plan, &audio)?,
                _ if name == "resample" => front_end::to_16k(&audio),
                _ => front_end::features(&plan, &audio)?,
            };
            let (wall, output) = time(&plan, &mut job)?;
            report(name, network, &job, &wall, &output, messages)?;
        }
    }
    Ok(Outcome::done())
}

/// The networks that a job times: that of the command line, or all bundled ones of the task.
fn networks(plan: &BenchPlan, job: &str) -> Result<Vec<Option<Network>>, Failure> {
    if network_job(job).is_none() {
        return Ok(vec![None]);
    }
    if plan.network.is_some() {
        return Ok(vec![plan.network.clone()]);
    }
    let networks: Vec<_> = bundled(job).map(|source| Some(Network::Model(source))).collect();
    if networks.is_empty() {
        // The failure says where there are models.
        default_for(job)?;
    }
    Ok(networks)
}

/// A job that is ready to be timed.
struct Job {
    /// What distinguishes it from others of its kind, such as `whisper`; may be empty.
    detail: String,
    /// Length of the audio.
    seconds: f64,
    threads: i32,
    device: Device,
    precision: Precision,
    work: Box<Run>,
}

/// One run; what a network answers.
type Run = dyn FnMut() -> Result<Vec<f32>, Failure>;

impl Job {
    /// A job of a network on `audio`.
    fn of_network(
        network: &Network,
        load: LoadOptions,
        audio: &AudioBuf,
        work: Box<Run>,
    ) -> Result<Self, Failure> {
        let detail = match network {
            Network::Model(_) => String::new(),
            Network::Random(sizes) => {
                let name = sizes.file_stem().unwrap_or_default().to_string_lossy();
                format!("{name} (random weights)")
            }
        };
        Ok(Self {
            detail,
            seconds: audio.duration(),
            threads: tch::get_num_threads(),
            device: load.device.resolve()?,
            precision: load.precision,
            work,
        })
    }
}

impl Network {
    /// The network itself, loaded or with random weights.
    fn make<T>(
        &self,
        load: &LoadOptions,
        random: impl FnOnce(&Path, Device) -> Result<T, Failure>,
        loaded: impl FnOnce(&ModelSource) -> formant_models::Result<T>,
    ) -> Result<T, Failure> {
        match self {
            Self::Random(sizes) => random(sizes, load.device.resolve()?),
            Self::Model(source) => Ok(loaded(source)?),
        }
    }
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

/// Wall-clock seconds of every run, after one that warms up unless the first is to count, and what the
/// last answered.
fn time(plan: &BenchPlan, job: &mut Job) -> Result<(Vec<f64>, Vec<f32>), Failure> {
    if !plan.cold {
        (job.work)()?;
    }
    let (mut wall, mut output) = (Vec::with_capacity(plan.repeat), Vec::new());
    for _ in 0..plan.repeat {
        interrupt::check()?;
        let began = Instant::now();
        output = (job.work)()?;
        wall.push(began.elapsed().as_secs_f64());
    }
    Ok((wall, output))
}

fn rms(values: &[f32]) -> Option<f64> {
    let squares: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
    (!values.is_empty()).then(|| (squares / values.len() as f64).sqrt())
}

fn name_of(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}

fn report(
    which: &str,
    network: Option<&Network>,
    job: &Job,
    wall: &[f64],
    output: &[f32],
    messages: &Messages,
) -> Result<(), Failure> {
    let mut sorted = wall.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
    let rtf = median / job.seconds;
    let name = format!("{which} {}", job.detail);
    let model = match network {
        Some(Network::Model(ModelSource::Path(path))) => Some(path.display().to_string()),
        Some(Network::Model(ModelSource::Bundled(name) | ModelSource::Published(name))) => {
            Some(name.clone())
        }
        _ => None,
    };
    stdout::print(&lines::line(
        "bench",
        &json!({
            "job": name.trim_end(),
            "model": model,
            "audio_seconds": job.seconds,
            "wall_seconds": median,
            "wall_seconds_min": sorted.first(),
            "runs": wall.len(),
            "run_seconds": wall,
            "rtf": rtf,
            "peak_memory_bytes": peak_memory(),
            "threads": job.threads,
            "precision": job.precision,
            "device": name_of(job.device),
            // For comparisons with other implementations.
            "output_rms": rms(output),
        }),
    ))?;
    messages.note(&format!("{}: {:.0} times as fast as the audio", name.trim_end(), 1.0 / rtf));
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
    use formant_models::tasks::TASKS;

    use super::*;

    #[test]
    fn generated_audio_is_loud_and_repeats() {
        let audio = generate(8000, 1.0, 3);
        assert_eq!(audio.frames(), 8000);
        assert_eq!(audio, generate(8000, 1.0, 3));
        assert!(audio.channel(0).iter().any(|x| x.abs() > 0.2));
        assert!(audio.channel(0).iter().all(|x| x.abs() <= 0.3));
    }

    #[test]
    fn every_task_is_a_job() {
        for task in TASKS {
            assert!(network_job(task.name).is_some(), "{}", task.name);
        }
        assert_eq!(NETWORKS.len(), TASKS.len());
    }
}
