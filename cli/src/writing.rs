//! How audio outputs are written.

use clap::{Args, ValueEnum};
use formant_audio_core::AudioSpec;
use formant_audio_core::encode::{AudioWriter, ClipPolicy, Container, SampleFormat, WriteOptions};

use crate::draft::make_folder;
use crate::failure::Failure;
use crate::outputs::{OutputArgs, Target, names_file};
use crate::settings::Settings;

/// Kinds of audio files that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// RIFF WAVE; RF64 beyond 4 GiB.
    Wav,
    /// RF64 from the start.
    Rf64,
    /// FLAC, lossless compression, up to 24 bits.
    Flac,
    /// Little-endian samples without a header.
    Raw,
}

/// Kinds of samples that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SampleArg {
    /// 16-bit integers.
    S16,
    /// 24-bit integers.
    S24,
    /// 32-bit integers.
    S32,
    /// 32-bit floating point, which never clips.
    F32,
}

/// What happens to samples beyond full scale in integer files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClipPolicyArg {
    /// Clip them and count them.
    Clip,
    /// Scale all outputs of an input by one gain.
    Scale,
    /// Reduce the gain of loud passages.
    Limit,
}

/// How audio is written.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Writing options")]
pub(crate) struct WriteArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Kind of file [default: by the output's extension, otherwise wav].
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) format: Option<FormatArg>,
    /// Kind of sample [default: f32, for flac s24].
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) bits: Option<SampleArg>,
    /// What happens to samples beyond full scale in integer files.
    #[arg(long, value_enum, default_value = "clip", value_name = "POLICY")]
    pub(crate) clip_policy: ClipPolicyArg,
    /// Add triangular dither, drawn from --seed, to 16-bit files.
    #[arg(long)]
    pub(crate) dither: bool,
}

impl WriteArgs {
    /// Kind of file and how it is written; `single` where there is one input.
    pub(crate) fn resolve(
        &self,
        single: bool,
        settings: &Settings,
    ) -> Result<(Container, WriteOptions), Failure> {
        let container = self.container(single)?;
        let format = self.bits.map(|bits| match bits {
            SampleArg::S16 => SampleFormat::S16,
            SampleArg::S24 => SampleFormat::S24,
            SampleArg::S32 => SampleFormat::S32,
            SampleArg::F32 => SampleFormat::F32,
        });
        if container == Container::Flac
            && matches!(format, Some(SampleFormat::S32 | SampleFormat::F32))
        {
            return Err(Failure::usage("--bits", "FLAC holds 16 or 24 bits").help("use s16 or s24"));
        }
        let write = WriteOptions {
            format,
            container: Some(container),
            clip: match self.clip_policy {
                ClipPolicyArg::Clip => ClipPolicy::Clip,
                ClipPolicyArg::Scale => ClipPolicy::Scale,
                ClipPolicyArg::Limit => ClipPolicy::Limit,
            },
            dither: self.dither.then(|| settings.seed.unwrap_or(0)),
            ..WriteOptions::default()
        };
        Ok((container, write))
    }

    /// By `--format`, else by the extension of a single output file, else WAV.
    fn container(&self, single: bool) -> Result<Container, Failure> {
        match (self.format, &self.output.output) {
            (Some(FormatArg::Wav), _) => Ok(Container::Wav),
            (Some(FormatArg::Rf64), _) => Ok(Container::Rf64),
            (Some(FormatArg::Flac), _) => Ok(Container::Flac),
            (Some(FormatArg::Raw), _) => Ok(Container::Raw),
            (None, Some(path)) if path.extension().is_some() && names_file(path, single) => {
                refuse_lossy(path)?;
                Ok(Container::from_path(path)?)
            }
            (None, _) => Ok(Container::Wav),
        }
    }
}

/// Names the way to the formats that people ask for most and that are not written.
fn refuse_lossy(path: &std::path::Path) -> Result<(), Failure> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let encoder = match ending.as_str() {
        "opus" | "ogg" => "opusenc",
        "mp3" => "lame",
        "m4a" | "aac" => "ffmpeg",
        _ => return Ok(()),
    };
    let why = "formant writes no lossy formats, only wav, rf64, flac or raw";
    Err(Failure::usage(path.display().to_string(), why)
        .help(format!("write a .flac or .wav file, and encode that with {encoder}")))
}

/// The extension of files of this kind.
pub(crate) fn extension(container: Container) -> &'static str {
    match container {
        Container::Wav | Container::Rf64 => "wav",
        Container::Flac => "flac",
        Container::Raw => "raw",
    }
}

/// Begins the audio file of a target.
pub(crate) fn create(
    target: &Target,
    spec: AudioSpec,
    options: &WriteOptions,
) -> Result<AudioWriter, Failure> {
    make_folder(target)?;
    let writer = match target {
        Target::Stdout => {
            let stdout = std::io::BufWriter::new(std::io::stdout());
            AudioWriter::to_stream(Box::new(stdout), spec, options)
        }
        Target::File(path) => AudioWriter::create(path, spec, options),
    };
    writer.map_err(Failure::of_writing)
}
