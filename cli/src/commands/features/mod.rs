//! `formant features`: log-mel, filter-bank and cepstral features of files.

mod rows;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use formant_audio_core::decode::{BlockReader, split_channels};
use formant_audio_core::features::{
    CepstrumConfig, Dither, FeatureConfig, FeaturePlan, Lifter, LongFeatures, presets,
};
use formant_audio_core::mix::MonoMixer;
use formant_audio_core::resample::{Quality, StreamResampler};
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, Warning};
use serde_json::json;

use self::rows::{Facts, RowWriter};
use super::{Work, work};
use crate::batch::{self, Done, Lane};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::{Input, InputArgs};
use crate::messages::Messages;
use crate::outputs::{
    Existing, Naming, OutputArgs, SuffixWhen, Target, assign, channel_targets, kind_of_ending,
    refuse_terminal, target_of,
};
use crate::reading::{AudioArgs, Sources};
use crate::settings::Settings;
use crate::times::clock;
use crate::{interrupt, json as lines, stdout};

/// Kinds of files for features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FeatureFormat {
    /// NumPy array of float32, frames by bins.
    Npy,
    /// NumPy archive with `features`, `sample_rate`, `hop_length`, and all settings in `front_end`.
    Npz,
    /// A picture.
    Png,
    /// Comma-separated values, one line a frame.
    Csv,
}

/// What `formant features` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant features talk.wav --preset whisper -o talk.npy")]
pub(crate) struct FeaturesArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    audio: AudioArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Name of a front-end preset; --list-presets shows all.
    #[arg(long, default_value = "librosa", value_name = "NAME")]
    preset: String,
    /// List the presets and exit.
    #[arg(long)]
    list_presets: bool,
    /// Read the front end from a JSON file, as --print-config writes it.
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// Print all parameters of the front end as JSON and exit.
    #[arg(long)]
    print_config: bool,
    /// Kind of file [default: by the output's extension, otherwise npy].
    #[arg(long, value_enum, value_name = "KIND")]
    format: Option<FeatureFormat>,
    /// Sample rate in Hz that inputs are resampled to, instead of the preset's.
    #[arg(long, value_name = "HZ", help_heading = "Instead of the preset's")]
    rate: Option<u32>,
    /// Transform length in samples.
    #[arg(long, value_name = "N", help_heading = "Instead of the preset's")]
    n_fft: Option<usize>,
    /// Window length in samples.
    #[arg(long, value_name = "N", help_heading = "Instead of the preset's")]
    win_length: Option<usize>,
    /// Hop between frames in samples.
    #[arg(long, value_name = "N", help_heading = "Instead of the preset's")]
    hop_length: Option<usize>,
    /// Mel bands.
    #[arg(long, value_name = "N", help_heading = "Instead of the preset's")]
    n_mels: Option<usize>,
    /// Lowest frequency of the mel bands in Hz.
    #[arg(long, value_name = "HZ", help_heading = "Instead of the preset's")]
    f_min: Option<f64>,
    /// Highest frequency of the mel bands in Hz.
    #[arg(long, value_name = "HZ", help_heading = "Instead of the preset's")]
    f_max: Option<f64>,
    /// Cepstral coefficients.
    #[arg(long, value_name = "N", help_heading = "Instead of the preset's")]
    n_mfcc: Option<usize>,
    /// Dither of this amount on the preset's sample scale, drawn from --seed.
    #[arg(long, value_name = "AMOUNT", help_heading = "Instead of the preset's")]
    dither: Option<f32>,
}

impl FeaturesArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = plan(&self, settings)?;
        Ok(work(plan, run))
    }
}

/// What `features` does.
#[derive(Debug)]
enum FeaturesTask {
    ListPresets,
    PrintConfig(Box<FeatureConfig>),
    Compute(Box<FeaturesPlan>),
}

/// Features of files.
#[derive(Debug)]
struct FeaturesPlan {
    sources: Sources,
    targets: Vec<Option<Target>>,
    existing: Existing,
    format: FeatureFormat,
    /// Whether every channel has an output of its own; else channels are mixed.
    each: bool,
    /// The preset's name, or that of the file with the configuration.
    preset: String,
    plan: FeaturePlan,
}

fn plan(typed: &FeaturesArgs, settings: &Settings) -> Result<FeaturesTask, Failure> {
    if typed.list_presets {
        return Ok(FeaturesTask::ListPresets);
    }
    let config = config(typed, settings)?;
    let plan = FeaturePlan::new(&config)?;
    if typed.print_config {
        return Ok(FeaturesTask::PrintConfig(Box::new(config)));
    }
    let mut sources = Sources::of_channels(&typed.input, &typed.audio)?;
    let format = format(typed, sources.list.single)?;
    let preset = match &typed.config {
        Some(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        None => typed.preset.clone(),
    };
    let naming = Naming {
        suffix: &format!("_{preset}"),
        suffix_when: SuffixWhen::Always,
        extension: extension(format),
    };
    let targets = assign(&typed.output, &mut sources.list, naming, settings)?;
    if format != FeatureFormat::Csv {
        refuse_terminal(&targets)?;
    }
    let existing = Existing::of(&typed.output);
    let each = typed.audio.each();
    let plan = FeaturesPlan { sources, targets, existing, format, each, preset, plan };
    Ok(FeaturesTask::Compute(Box::new(plan)))
}

/// The preset or file, with what the command line changes.
fn config(typed: &FeaturesArgs, settings: &Settings) -> Result<FeatureConfig, Failure> {
    let mut config = match &typed.config {
        Some(path) => lines::read_file(path)?,
        None => presets::by_name(&typed.preset)?,
    };
    let set = |value: &mut usize, typed: Option<usize>| *value = typed.unwrap_or(*value);
    config.sample_rate = typed.rate.unwrap_or(config.sample_rate);
    set(&mut config.n_fft, typed.n_fft);
    // A shorter transform takes a longer window with it, unless both were given.
    if typed.n_fft.is_some_and(|n_fft| n_fft < config.win_length) && typed.win_length.is_none() {
        config.win_length = config.n_fft;
    }
    set(&mut config.win_length, typed.win_length);
    set(&mut config.hop_length, typed.hop_length);
    if typed.n_mels.is_some() || typed.f_min.is_some() || typed.f_max.is_some() {
        let mut mel = config.mel.take().unwrap_or_default();
        set(&mut mel.n_mels, typed.n_mels);
        mel.f_min = typed.f_min.unwrap_or(mel.f_min);
        mel.f_max = typed.f_max.unwrap_or(mel.f_max);
        config.mel = Some(mel);
    }
    if let Some(n_mfcc) = typed.n_mfcc {
        let lifter = config.cepstrum.map_or(Lifter::None, |cepstrum| cepstrum.lifter);
        config.cepstrum = Some(CepstrumConfig { n_mfcc, lifter });
    }
    if let Some(amount) = typed.dither {
        config.dither = Some(Dither { amount, seed: settings.seed.unwrap_or(0) });
    }
    Ok(config)
}

fn extension(format: FeatureFormat) -> &'static str {
    match format {
        FeatureFormat::Npy => "npy",
        FeatureFormat::Npz => "npz",
        FeatureFormat::Png => "png",
        FeatureFormat::Csv => "csv",
    }
}

/// By `--format`, else by the extension of a single output file, else NPY.
fn format(typed: &FeaturesArgs, single: bool) -> Result<FeatureFormat, Failure> {
    let known = [FeatureFormat::Npy, FeatureFormat::Npz, FeatureFormat::Png, FeatureFormat::Csv];
    let known = known.map(|format| (extension(format), format));
    Ok(match typed.format {
        Some(format) => format,
        None => kind_of_ending(&typed.output, single, &known)?.unwrap_or(FeatureFormat::Npy),
    })
}

fn run(task: FeaturesTask, settings: &Settings, messages: &Messages) -> Result<Outcome, Failure> {
    match task {
        FeaturesTask::ListPresets => list_presets(settings),
        FeaturesTask::PrintConfig(config) => {
            let text = serde_json::to_string_pretty(&config);
            let text = text.map_err(|error| Failure::internal("configuration", error))?;
            stdout::print(&format!("{text}\n"))?;
            Ok(Outcome::done())
        }
        FeaturesTask::Compute(plan) => {
            let work =
                |(): &mut (), input: &Input, lane: &Lane<'_>| compute(&plan, input, settings, lane);
            batch::run(&plan.sources.list, settings.batch(), messages, || Ok(()), work)
        }
    }
}

fn list_presets(settings: &Settings) -> Result<Outcome, Failure> {
    for (name, summary) in presets::PRESETS {
        let text = match settings.json {
            true => lines::line("preset", &json!({"name": name, "summary": summary})),
            false => format!("{name:<18} {summary}\n"),
        };
        stdout::print(&text)?;
    }
    Ok(Outcome::done())
}

fn compute(
    plan: &FeaturesPlan,
    input: &Input,
    settings: &Settings,
    lane: &Lane<'_>,
) -> Result<Done, Failure> {
    let target = target_of(&plan.targets, lane.index)?;
    if !plan.each && !plan.existing.admits(target)? {
        return Ok(Done::Skipped);
    }
    let mut reader = lane.open(&plan.sources, input)?;
    let targets = match plan.each {
        true => channel_targets(target, reader.spec().layout)?,
        false => vec![target.clone()],
    };
    if !plan.existing.admits_any(&targets)? {
        return Ok(Done::Skipped);
    }
    let fronts = targets.iter().map(|_| Front::new(plan, reader.spec().rate));
    let fronts: Vec<Front> = fronts.collect::<Result<_, _>>()?;
    let writers = targets.iter().map(|t| RowWriter::new(t, plan.format, plan.plan.bins()));
    let mut writers: Vec<RowWriter> = writers.collect::<Result<_, _>>()?;
    let mixed = feed(plan, &mut reader, fronts, &mut writers)?;
    let warnings = [reader.info().warnings.clone(), mixed].concat();
    lane.warn(&warnings);
    for (target, writer) in targets.iter().zip(writers) {
        let facts = Facts { title: &lane.name, config: plan.plan.config() };
        let frames = writer.finish(&facts)?;
        tell(plan, target, frames, &warnings, settings, lane)?;
    }
    Ok(Done::Worked)
}

/// The whole input through one front end a channel; what there is to say about the mix.
fn feed(
    plan: &FeaturesPlan,
    reader: &mut BlockReader,
    mut fronts: Vec<Front>,
    writers: &mut [RowWriter],
) -> Result<Vec<Warning>, Failure> {
    let spec = reader.spec();
    let mut mixer = MonoMixer::new(spec.rate, spec.layout);
    while let Some(block) = reader.next_block()? {
        interrupt::check()?;
        let parts = match plan.each {
            true => split_channels(&block.view()),
            false => vec![AudioBuf::from_mono(spec.rate, mixer.push(&block.view()))],
        };
        for ((front, writer), part) in fronts.iter_mut().zip(&mut *writers).zip(parts) {
            front.push(&part, writer)?;
        }
    }
    fronts.into_iter().zip(writers).try_for_each(|(front, writer)| front.finish(writer))?;
    Ok(mixer.warnings())
}

/// From samples at the input's rate to rows.
struct Front {
    resampler: Option<StreamResampler>,
    features: LongFeatures,
    rows: Vec<f32>,
}

impl Front {
    fn new(plan: &FeaturesPlan, rate: u32) -> Result<Self, Failure> {
        let front = &plan.plan;
        let to = front.sample_rate();
        let resampler = match rate == to {
            true => None,
            false => Some(StreamResampler::new(AudioSpec::mono(rate), to, Quality::High)?),
        };
        let features = front.long().map_err(Failure::of_writing)?;
        Ok(Self { resampler, features, rows: Vec::new() })
    }

    fn push(&mut self, part: &AudioBuf, writer: &mut RowWriter) -> Result<(), Failure> {
        match &mut self.resampler {
            None => self.take(&part.view(), writer),
            Some(resampler) => {
                let piece = resampler.push(&part.view())?;
                self.take(&piece.view(), writer)
            }
        }
    }

    fn take(&mut self, piece: &AudioView<'_>, writer: &mut RowWriter) -> Result<(), Failure> {
        self.rows.clear();
        let taken = self.features.push(piece.channel(0), &mut self.rows);
        taken.map_err(Failure::of_writing)?;
        writer.push(&self.rows)
    }

    fn finish(mut self, writer: &mut RowWriter) -> Result<(), Failure> {
        if let Some(mut resampler) = self.resampler.take() {
            let tail = resampler.finish()?;
            self.take(&tail.view(), writer)?;
        }
        let Self { features, mut rows, .. } = self;
        rows.clear();
        let waited = features.finish(&mut rows).map_err(Failure::of_writing)?;
        writer.push(&rows)?;
        let Some(mut waited) = waited else { return Ok(()) };
        while waited.next_into(&mut rows).map_err(Failure::of_writing)? {
            interrupt::check()?;
            writer.push(&rows)?;
        }
        Ok(())
    }
}

fn tell(
    plan: &FeaturesPlan,
    target: &Target,
    frames: usize,
    warnings: &[Warning],
    settings: &Settings,
    lane: &Lane<'_>,
) -> Result<(), Failure> {
    let config = plan.plan.config();
    let bins = plan.plan.bins();
    if settings.json {
        lane.tell(&lines::line(
            "features",
            &json!({
                "input": lane.name,
                "output": target.name(),
                "preset": plan.preset,
                "frames": frames,
                "bins": bins,
                "rate": config.sample_rate,
                "hop_length": config.hop_length,
                "warnings": lines::warnings(warnings),
            }),
        ))?;
    }
    let seconds = (frames * config.hop_length) as f64 / f64::from(config.sample_rate.max(1));
    lane.note(&format!(
        "{} -> {} ({frames} frames x {bins} bins, {}, {})",
        lane.name,
        target.name(),
        plan.preset,
        clock(seconds)
    ))
}
