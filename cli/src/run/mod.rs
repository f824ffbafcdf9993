//! What was planned is done here, one file a command.

mod completions;
mod doctor;
mod enhance;
mod features;
mod formats;
mod info;
mod listen;
mod models;
pub(crate) mod plot;
mod rows;
mod separate;
pub(crate) mod speaker;
pub(crate) mod spot;
pub(crate) mod stems;
mod transcode;
pub(crate) mod transcribe;

use formant_audio_core::encode::AudioWriter;
use formant_audio_core::resample::StreamResampler;
use formant_audio_core::{AudioView, ChannelLayout, Warning};
use formant_models::LoadOptions;

use crate::batch::Lane;
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::outputs::{Existing, Target};
use crate::plan::{Action, Plan, Settings};

/// Does what was planned.
pub(crate) fn run(plan: Plan, messages: &Messages) -> Result<Outcome, Failure> {
    let settings = plan.settings;
    match plan.action {
        Action::Info(plan) => info::run(&plan, &settings, messages),
        Action::Transcode(plan) => transcode::run(&plan, &settings, messages),
        Action::Features(task) => features::run(task, &settings, messages),
        Action::Plot(plan) => plot::run(&plan, &settings, messages),
        Action::Transcribe(plan) => transcribe::run(*plan, &settings, messages),
        Action::Separate(plan) => separate::run(&plan, &settings, messages),
        Action::Enhance(plan) => enhance::run(&plan, &settings, messages),
        Action::Stems(plan) => stems::run(*plan, &settings, messages),
        Action::Spot(task) => spot::run(task, &settings, messages),
        Action::Speaker(plan) => speaker::run(*plan, &settings, messages),
        Action::Listen(task) => listen::run(task, &settings, messages),
        Action::Work(work) => work(&settings, messages),
        Action::Models(plan) => models::run(plan, &settings, messages),
        Action::Doctor => doctor::run(&settings),
        Action::Formats => formats::run(&settings),
        Action::Completions(shell) => completions::run(shell),
    }
}

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

fn set_threads(threads: usize) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
}

/// Shows what was odd about an input or output.
fn warn(lane: &Lane<'_>, warnings: &[Warning]) {
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
fn target_of<'a>(targets: &'a [Option<Target>], lane: &Lane<'_>) -> Result<&'a Target, Failure> {
    targets
        .get(lane.index)
        .and_then(Option::as_ref)
        .ok_or_else(|| internal("outputs", "an input has none"))
}

/// An output a channel: `talk_left.wav` and `talk_right.wav`, or `talk_ch1.wav` and so on.
fn channel_targets(target: &Target, layout: ChannelLayout) -> Result<Vec<Target>, Failure> {
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
fn any_admitted(existing: Existing, targets: &[Target]) -> Result<bool, Failure> {
    let admitted: Vec<bool> =
        targets.iter().map(|target| existing.admits(target)).collect::<Result<_, _>>()?;
    Ok(admitted.contains(&true))
}

/// `0:03.700`, `1:02:03.000`.
fn clock(seconds: f64) -> String {
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
