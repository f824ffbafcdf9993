//! `separate` and `enhance`: which model, which recordings, where results go.

use formant_audio_core::decode::ChannelSelect;
use formant_audio_core::encode::WriteOptions;
use formant_models::tasks::enhance::EnhanceOptions;
use formant_models::tasks::separate::{Levels, SeparateOptions};
use formant_models::{LoadOptions, ModelSource};

use crate::args::{CleaningArgs, EnhanceArgs, LevelsArg, Precision, SeparateArgs, WriteArgs};
use crate::failure::Failure;
use crate::outputs::{self, Existing, Naming, SuffixWhen, Target};
use crate::plan::audio::{extension, writing};
use crate::plan::{Settings, Sources, check_stdout};

/// Comes behind the name of the recording, and the number of the voice behind it.
pub(crate) const VOICE: &str = "_voice";

/// Voices to be parted.
#[derive(Debug)]
pub(crate) struct SeparatePlan {
    pub(crate) model: ModelSource,
    pub(crate) load: LoadOptions,
    pub(crate) sources: Sources,
    /// One an entry of the list, without the number of the voice.
    pub(crate) targets: Vec<Option<Target>>,
    pub(crate) existing: Existing,
    pub(crate) channels: Option<ChannelSelect>,
    pub(crate) options: SeparateOptions,
    pub(crate) write: WriteOptions,
}

/// Recordings to be cleaned.
#[derive(Debug)]
pub(crate) struct EnhancePlan {
    pub(crate) model: ModelSource,
    pub(crate) load: LoadOptions,
    pub(crate) sources: Sources,
    /// One an entry of the list.
    pub(crate) targets: Vec<Option<Target>>,
    pub(crate) existing: Existing,
    pub(crate) channels: Option<ChannelSelect>,
    pub(crate) options: EnhanceOptions,
    pub(crate) write: WriteOptions,
}

pub(crate) fn separate(typed: &SeparateArgs, settings: &Settings) -> Result<SeparatePlan, Failure> {
    let load = load_options(settings)?;
    let place = Place::of(&typed.write, &typed.input, &typed.audio, VOICE, settings)?;
    if place.targets.iter().flatten().any(|target| *target == Target::Stdout) {
        return Err(Failure::usage("-o -", "every voice is a file of its own")
            .help("name a file or folder with -o"));
    }
    if let Some(peak) = typed.peak_normalize.filter(|peak| !(0.0..=1.0).contains(peak)) {
        return Err(Failure::usage("--peak-normalize", format!("{peak} is not from 0 to 1")));
    }
    Ok(SeparatePlan {
        model: model(typed.model.as_deref(), "separate")?,
        load,
        sources: place.sources,
        targets: place.targets,
        existing: Existing::of(&typed.write.output),
        channels: one_channel(typed.write.channels)?,
        options: SeparateOptions {
            window_seconds: typed.window,
            overlap_seconds: typed.overlap,
            levels: match typed.levels {
                LevelsArg::Mixture => Levels::Mixture,
                LevelsArg::Network => Levels::Network,
            },
        },
        write: WriteOptions { normalize_peak: typed.peak_normalize, ..place.write },
    })
}

pub(crate) fn enhance(typed: &EnhanceArgs, settings: &Settings) -> Result<EnhancePlan, Failure> {
    let load = load_options(settings)?;
    let place = Place::of(&typed.write, &typed.input, &typed.audio, "_enhanced", settings)?;
    Ok(EnhancePlan {
        model: model(typed.model.as_deref(), "enhance")?,
        load,
        sources: place.sources,
        targets: place.targets,
        existing: Existing::of(&typed.write.output),
        channels: one_channel(typed.write.channels)?,
        options: EnhanceOptions {
            window_seconds: typed.window,
            overlap_seconds: typed.overlap,
            ..cleaning(&typed.cleaning, settings)
        },
        write: place.write,
    })
}

/// How noise is taken away, windows apart.
pub(crate) fn cleaning(typed: &CleaningArgs, settings: &Settings) -> EnhanceOptions {
    EnhanceOptions {
        dither: typed.front_end_dither,
        seed: settings.seed.unwrap_or(0),
        attenuation_limit_db: typed.attenuation_limit,
        mix: typed.mix,
        ..EnhanceOptions::default()
    }
}

/// The model of this name, or the task's default.
pub(crate) fn model(name: Option<&str>, task: &str) -> Result<ModelSource, Failure> {
    Ok(ModelSource::or_default(name.map(ModelSource::named), task)?)
}

pub(crate) fn load_options(settings: &Settings) -> Result<LoadOptions, Failure> {
    let precision = match settings.precision {
        Precision::Auto | Precision::F32 => formant_models::Precision::F32,
        Precision::Bf16 => formant_models::Precision::Bf16,
        Precision::F16 => {
            let failure = Failure::usage("--precision", "these networks have no f16");
            return Err(failure.help("use bf16, or f32"));
        }
    };
    Ok(LoadOptions { device: settings.device, precision })
}

fn one_channel(select: Option<ChannelSelect>) -> Result<Option<ChannelSelect>, Failure> {
    match select {
        Some(ChannelSelect::Each) => {
            Err(Failure::usage("--channels", "`each` is not for networks").help(
                "use mix, left or right, or convert the recording with --channels each first",
            ))
        }
        other => Ok(other),
    }
}

/// What all commands that write a recording for a recording need.
struct Place {
    sources: Sources,
    targets: Vec<Option<Target>>,
    write: WriteOptions,
}

impl Place {
    fn of(
        typed: &WriteArgs,
        input: &crate::args::InputArgs,
        audio: &crate::args::AudioArgs,
        suffix: &str,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let sources = Sources::of(input, audio)?;
        let (container, write) = writing(typed, sources.list.single, settings)?;
        let naming = Naming {
            suffix: suffix.to_owned(),
            suffix_when: SuffixWhen::Always,
            extension: extension(container).to_owned(),
        };
        let targets = outputs::assign(&typed.output, &sources.list, &naming)?;
        check_stdout(&targets, settings)?;
        Ok(Self { sources, targets, write })
    }
}
