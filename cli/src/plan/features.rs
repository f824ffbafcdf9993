//! `features`: the front end with everything that was changed about it.

use formant_audio_core::decode::ChannelSelect;
use formant_audio_core::features::{
    CepstrumConfig, Dither, FeatureConfig, FeaturePlan, Lifter, presets,
};

use super::{Settings, Sources, check_stdout, read_json};
use crate::args::{FeatureFormat, FeaturesArgs};
use crate::failure::Failure;
use crate::outputs::{self, Existing, Naming, SuffixWhen, Target};

/// What `features` does.
#[derive(Debug)]
pub(crate) enum FeaturesTask {
    ListPresets,
    PrintConfig(Box<FeatureConfig>),
    Compute(Box<FeaturesPlan>),
}

/// Features of files.
#[derive(Debug)]
pub(crate) struct FeaturesPlan {
    pub(crate) sources: Sources,
    pub(crate) targets: Vec<Option<Target>>,
    pub(crate) existing: Existing,
    pub(crate) format: FeatureFormat,
    pub(crate) channels: ChannelSelect,
    /// The preset's name, or that of the file with the configuration.
    pub(crate) preset: String,
    pub(crate) plan: FeaturePlan,
}

pub(crate) fn resolve(typed: &FeaturesArgs, settings: &Settings) -> Result<FeaturesTask, Failure> {
    if typed.list_presets {
        return Ok(FeaturesTask::ListPresets);
    }
    let config = config(typed, settings)?;
    let plan = FeaturePlan::new(&config)?;
    if typed.print_config {
        return Ok(FeaturesTask::PrintConfig(Box::new(config)));
    }
    let sources = Sources::of(&typed.input, &typed.audio)?;
    let format = format(typed, sources.list.single)?;
    let preset = match &typed.config {
        Some(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        None => typed.preset.clone(),
    };
    let naming = Naming {
        suffix: format!("_{preset}"),
        suffix_when: SuffixWhen::Always,
        extension: extension(format).to_owned(),
    };
    let targets = outputs::assign(&typed.output, &sources.list, &naming)?;
    check_stdout(&targets, settings)?;
    let existing = Existing::of(&typed.output);
    let channels = typed.channels;
    let plan = FeaturesPlan { sources, targets, existing, format, channels, preset, plan };
    Ok(FeaturesTask::Compute(Box::new(plan)))
}

/// The preset or file, with what the command line changes.
fn config(typed: &FeaturesArgs, settings: &Settings) -> Result<FeatureConfig, Failure> {
    let mut config = match &typed.config {
        Some(path) => read_json(path)?,
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
    match (typed.format, &typed.output.output) {
        (Some(format), _) => Ok(format),
        (None, Some(path)) if single && !path.is_dir() => {
            let Some(found) = path.extension() else { return Ok(FeatureFormat::Npy) };
            let format = known.into_iter().find(|f| found.eq_ignore_ascii_case(extension(*f)));
            format.ok_or_else(|| {
                let why = "features are not written to such files";
                Failure::usage(path.display().to_string(), why)
                    .help("use .npy, .npz, .png or .csv, or say which with --format")
            })
        }
        _ => Ok(FeatureFormat::Npy),
    }
}
