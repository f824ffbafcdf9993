//! Runs of commands that read audio and write audio, and what runs of all commands share.

pub(crate) mod enhance;
pub(crate) mod info;
pub(crate) mod rows;
pub(crate) mod separate;
pub(crate) mod transcode;

use formant_audio_core::encode::{AudioWriter, WriteOptions};
use formant_audio_core::resample::StreamResampler;
use formant_audio_core::{AudioSpec, AudioView, ChannelLayout, Warning};
use formant_models::LoadOptions;

use crate::batch::Lane;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::outputs::{Existing, Target};
use crate::plan::Settings;

/// Tells libtorch how many threads a network may use.
pub(crate) fn use_threads(settings: &Settings) {
    if let Some(threads) = settings.threads {
        set_threads(threads);
    }
}

/// Warns where numbers of 16 bits make networks slower instead of faster.
pub(crate) fn tell_precision(load: &LoadOptions, messages: &Messages) {
    if load.precision.is_native() {
        return;
    }
    if load.device.resolve().is_ok_and(|device| device == tch::Device::Cpu) {
        let text = "this processor has no instructions for it, and f32 is faster";
        messages.warning("--precision bf16", text);
    }
}

/// As [`use_threads`], for networks so small that a second thread costs more than it helps: one
/// unless more are asked for. Recordings are what `--jobs` spreads over the cores.
pub(crate) fn use_few_threads(settings: &Settings) {
    set_threads(settings.threads.unwrap_or(1));
}

pub(crate) fn set_threads(threads: usize) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
}

/// Shows what was odd about an input or output.
pub(crate) fn warn(lane: &Lane<'_>, warnings: &[Warning]) {
    for warning in warnings {
        lane.messages.warning(&lane.name, warning);
    }
}

/// A failure to write, which the library reports as it reports failures to read.
pub(crate) fn write_failure(error: formant_audio_core::Error) -> Failure {
    match error {
        formant_audio_core::Error::Io { path, source } => Failure::output(&path, &source),
        other => other.into(),
    }
}

/// Begins the audio file of a target.
pub(crate) fn create(
    target: &Target,
    spec: AudioSpec,
    options: &WriteOptions,
) -> Result<AudioWriter, Failure> {
    let writer = match target {
        Target::Stdout => {
            let stdout = std::io::BufWriter::new(std::io::stdout());
            AudioWriter::to_stream(Box::new(stdout), spec, options)
        }
        Target::File(path) => AudioWriter::create(path, spec, options),
    };
    writer.map_err(write_failure)
}

/// One output on its way: the rate is changed where it must be.
struct Converter {
    resampler: Option<StreamResampler>,
    writer: AudioWriter,
}

impl Converter {
    fn push(&mut self, block: &AudioView<'_>) -> Result<(), Failure> {
        match &mut self.resampler {
            None => self.writer.write(block).map_err(write_failure),
            Some(resampler) => {
                let piece = resampler.push(block)?;
                self.writer.write(&piece.view()).map_err(write_failure)
            }
        }
    }

    fn finish(mut self) -> Result<AudioWriter, Failure> {
        if let Some(resampler) = &mut self.resampler {
            let tail = resampler.finish()?;
            self.writer.write(&tail.view()).map_err(write_failure)?;
        }
        Ok(self.writer)
    }
}

/// The output of the input in `lane`.
pub(crate) fn target_of<'a>(
    targets: &'a [Option<Target>],
    lane: &Lane<'_>,
) -> Result<&'a Target, Failure> {
    targets
        .get(lane.index)
        .and_then(Option::as_ref)
        .ok_or_else(|| internal("outputs", "an input has none"))
}

/// An output a channel: `talk_left.wav` and `talk_right.wav`, or `talk_ch1.wav` and so on.
pub(crate) fn channel_targets(
    target: &Target,
    layout: ChannelLayout,
) -> Result<Vec<Target>, Failure> {
    if *target == Target::Stdout {
        return Err(Failure::usage("--channels each", "makes several files")
            .help("name a file or folder with -o"));
    }
    Ok(match layout {
        ChannelLayout::Mono => vec![target.clone()],
        ChannelLayout::Stereo => {
            ["_left", "_right"].iter().map(|side| target.with_suffix(side)).collect()
        }
        other => (1..=other.count()).map(|n| target.with_suffix(&format!("_ch{n}"))).collect(),
    })
}

/// Whether any of the outputs is still to be made.
pub(crate) fn any_admitted(existing: Existing, targets: &[Target]) -> Result<bool, Failure> {
    let admitted: Vec<bool> =
        targets.iter().map(|target| existing.admits(target)).collect::<Result<_, _>>()?;
    Ok(admitted.contains(&true))
}

/// `0:03.700`, `1:02:03.000`.
pub(crate) fn clock(seconds: f64) -> String {
    let millis = (seconds * 1000.0).round().max(0.0) as u64;
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let (seconds, millis) = (rest / 1000, rest % 1000);
    match minutes / 60 {
        0 => format!("{minutes}:{seconds:02}.{millis:03}"),
        hours => format!("{hours}:{:02}:{seconds:02}.{millis:03}", minutes % 60),
    }
}

/// A failure of the program itself.
pub(crate) fn internal(what: &str, why: impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Internal, what, why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_have_names_of_their_own() {
        let target = Target::File("out/talk.wav".into());
        let names = |layout| -> Vec<String> {
            let targets = channel_targets(&target, layout).expect("a file");
            targets.iter().map(Target::name).collect()
        };
        assert_eq!(names(ChannelLayout::Mono), ["out/talk.wav"]);
        assert_eq!(names(ChannelLayout::Stereo), ["out/talk_left.wav", "out/talk_right.wav"]);
        assert_eq!(names(ChannelLayout::Quad)[3], "out/talk_ch4.wav");
        let failure = channel_targets(&Target::Stdout, ChannelLayout::Mono).expect_err("stdout");
        assert_eq!(failure.kind, Kind::Usage);
    }

    #[test]
    fn clocks() {
        assert_eq!(clock(3.7), "0:03.700");
        assert_eq!(clock(59.9996), "1:00.000");
        assert_eq!(clock(3723.5), "1:02:03.500");
    }
}
