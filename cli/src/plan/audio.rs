//! `info`, `convert` and `resample`. The latter two mean the same: decode, choose channels, change
//! the rate, write.

use formant_audio_core::decode::ChannelSelect;
use formant_audio_core::encode::{ClipPolicy, Container, SampleFormat, WriteOptions};
use formant_audio_core::resample::Quality;

use crate::args::{
    AudioArgs, ClipPolicyArg, ConvertArgs, FormatArg, InfoArgs, InputArgs, OutputArgs, QualityArg,
    ResampleArgs, SampleArg, WriteArgs,
};
use crate::failure::Failure;
use crate::outputs::{self, Existing, Naming, SuffixWhen, Target};
use crate::plan::{Settings, Sources, check_stdout};

/// What `info` does.
#[derive(Debug)]
pub(crate) struct InfoPlan {
    pub(crate) sources: Sources,
    pub(crate) depth: InfoDepth,
}

/// How closely `info` looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InfoDepth {
    Header,
    Decode,
    Levels,
}

/// What `convert` and `resample` do.
#[derive(Debug)]
pub(crate) struct TranscodePlan {
    /// Name of the command, as results call it.
    pub(crate) command: &'static str,
    pub(crate) sources: Sources,
    /// One an entry of the list.
    pub(crate) targets: Vec<Option<Target>>,
    pub(crate) existing: Existing,
    /// `None` keeps the channels as they are.
    pub(crate) channels: Option<ChannelSelect>,
    /// `None` keeps the rate.
    pub(crate) rate: Option<u32>,
    pub(crate) quality: Quality,
    pub(crate) write: WriteOptions,
}

pub(crate) fn info(typed: &InfoArgs) -> Result<InfoPlan, Failure> {
    let depth = match (typed.header_only, typed.levels) {
        (true, _) => InfoDepth::Header,
        (false, true) => InfoDepth::Levels,
        (false, false) => InfoDepth::Decode,
    };
    Ok(InfoPlan { sources: Sources::of(&typed.input, &typed.audio)?, depth })
}

pub(crate) fn convert(typed: &ConvertArgs, settings: &Settings) -> Result<TranscodePlan, Failure> {
    let request = Request {
        command: "convert",
        input: &typed.input,
        audio: &typed.audio,
        write: &typed.write,
        rate: typed.rate,
        quality: Quality::High,
    };
    request.resolve(settings)
}

pub(crate) fn resample(
    typed: &ResampleArgs,
    settings: &Settings,
) -> Result<TranscodePlan, Failure> {
    let request = Request {
        command: "resample",
        input: &typed.input,
        audio: &typed.audio,
        write: &typed.write,
        rate: Some(typed.rate),
        quality: match typed.quality {
            QualityArg::Fast => Quality::Fast,
            QualityArg::High => Quality::High,
            QualityArg::Best => Quality::Best,
        },
    };
    request.resolve(settings)
}

struct Request<'a> {
    command: &'static str,
    input: &'a InputArgs,
    audio: &'a AudioArgs,
    write: &'a WriteArgs,
    rate: Option<u32>,
    quality: Quality,
}

impl Request<'_> {
    fn resolve(self, settings: &Settings) -> Result<TranscodePlan, Failure> {
        let sources = Sources::of(self.input, self.audio)?;
        let (container, write) = writing(self.write, sources.list.single, settings)?;
        let naming = Naming {
            suffix: self.suffix(),
            suffix_when: if self.rate.is_some() {
                SuffixWhen::Always
            } else {
                SuffixWhen::SameExtension
            },
            extension: extension(container).to_owned(),
        };
        let targets = outputs::assign(&self.write.output, &sources.list, &naming)?;
        check_stdout(&targets, settings)?;
        Ok(TranscodePlan {
            command: self.command,
            sources,
            targets,
            existing: Existing::of(&self.write.output),
            channels: self.write.channels,
            rate: self.rate,
            quality: self.quality,
            write,
        })
    }

    /// Tells the output from an input of the same kind beside it.
    fn suffix(&self) -> String {
        match self.rate {
            Some(rate) if rate % 1000 == 0 => format!("_{}k", rate / 1000),
            Some(rate) => format!("_{rate}"),
            None => "_converted".to_owned(),
        }
    }
}

/// Kind of file and how it is written.
pub(crate) fn writing(
    typed: &WriteArgs,
    single: bool,
    settings: &Settings,
) -> Result<(Container, WriteOptions), Failure> {
    let container = container(typed.format, &typed.output, single)?;
    let write = WriteOptions {
        format: typed.bits.map(sample_format),
        container: Some(container),
        clip: clip_policy(typed.clip_policy),
        dither: typed.dither.then(|| settings.seed.unwrap_or(0)),
        ..WriteOptions::default()
    };
    check_sample_format(container, write.format)?;
    Ok((container, write))
}

/// By `--format`, else by the extension of a single output file, else WAV.
pub(crate) fn container(
    format: Option<FormatArg>,
    output: &OutputArgs,
    single: bool,
) -> Result<Container, Failure> {
    if let Some(format) = format {
        return Ok(match format {
            FormatArg::Wav => Container::Wav,
            FormatArg::Rf64 => Container::Rf64,
            FormatArg::Flac => Container::Flac,
            FormatArg::Raw => Container::Raw,
        });
    }
    match &output.output {
        Some(path) if single && !path.is_dir() && path.extension().is_some() => {
            Ok(Container::from_path(path)?)
        }
        _ => Ok(Container::Wav),
    }
}

pub(crate) fn clip_policy(typed: ClipPolicyArg) -> ClipPolicy {
    match typed {
        ClipPolicyArg::Clip => ClipPolicy::Clip,
        ClipPolicyArg::Scale => ClipPolicy::Scale,
        ClipPolicyArg::Limit => ClipPolicy::Limit,
    }
}

pub(crate) fn extension(container: Container) -> &'static str {
    match container {
        Container::Wav | Container::Rf64 => "wav",
        Container::Flac => "flac",
        Container::Raw => "raw",
    }
}

pub(crate) fn sample_format(typed: SampleArg) -> SampleFormat {
    match typed {
        SampleArg::S16 => SampleFormat::S16,
        SampleArg::S24 => SampleFormat::S24,
        SampleArg::S32 => SampleFormat::S32,
        SampleArg::F32 => SampleFormat::F32,
    }
}

pub(crate) fn check_sample_format(
    container: Container,
    format: Option<SampleFormat>,
) -> Result<(), Failure> {
    match (container, format) {
        (Container::Flac, Some(SampleFormat::S32 | SampleFormat::F32)) => {
            Err(Failure::usage("--bits", "FLAC holds 16 or 24 bits").help("use s16 or s24"))
        }
        _ => Ok(()),
    }
}
