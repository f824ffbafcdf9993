//! From an opened input to outputs that have their names, block by block, so that length costs no
//! memory.

use std::collections::VecDeque;
use std::path::Path;

use formant_audio_core::decode::split_channels;
use formant_audio_core::encode::{AudioWriter, WriteOptions, WriteReport, finish_group};
use formant_audio_core::level::NullMeter;
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, Error, Warning};
use formant_models::LoadOptions;
use serde_json::{Value, json};

use super::{AudioToAudio, Made, Offset, Process, Session};
use crate::batch::{self, Done, Lane};
use crate::commands::Work;
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::identity::{self, FileId};
use crate::inputs::Input;
use crate::messages::Messages;
use crate::outputs::{Target, channel_targets, target_of};
use crate::writing::create;
use crate::{interrupt, json as lines, tasks};

/// Works on all recordings. The process is made when Ctrl-C is listened for already.
pub(crate) fn run<P: Process>(
    plan: &AudioToAudio,
    options: batch::Options,
    messages: &Messages,
    process: impl FnOnce() -> Result<P, Failure>,
) -> Result<Outcome, Failure> {
    let work = |process: &mut P, input: &Input, lane: &Lane<'_>| {
        recording(plan, &*process, input, lane, options.json)
    };
    batch::run(&plan.sources.list, options, messages, process, work)
}

/// The work of a network on all recordings, which is loaded when Ctrl-C is listened for already.
pub(crate) fn of_network<P: Process + 'static>(
    files: AudioToAudio,
    load: LoadOptions,
    process: impl FnOnce(&LoadOptions, &Messages) -> Result<P, Failure> + 'static,
) -> Work {
    Box::new(move |settings, messages| {
        tasks::use_threads(settings);
        tasks::tell_precision(&load, messages);
        run(&files, settings.one_by_one(), messages, || process(&load, messages))
    })
}

/// Works on one recording.
pub(crate) fn recording<P: Process>(
    plan: &AudioToAudio,
    process: &P,
    input: &Input,
    lane: &Lane<'_>,
    json: bool,
) -> Result<Done, Failure> {
    let target = target_of(&plan.targets, lane.index)?;
    // Outputs are looked for before the input is opened, unless what it holds names them.
    if !plan.each && !plan.existing.admits_any(&process.outputs(target))? {
        return Ok(Done::Skipped);
    }
    let process = &process.prepared(&plan.sources, input)?;
    let mut reader = lane.open(&plan.sources, input)?;
    let places = match plan.each {
        true => channel_targets(target, reader.spec().layout)?,
        false => vec![target.clone()],
    };
    let groups: Vec<Vec<Target>> = places.iter().map(|place| process.outputs(place)).collect();
    let all = groups.concat();
    if !plan.existing.admits_any(&all)? {
        return Ok(Done::Skipped);
    }
    let own = |path: &&Path| FileId::of(path).is_some_and(|file| plan.inputs.contains(&file));
    if let Some(path) = all.iter().filter_map(Target::path).find(own) {
        return Err(identity::own_input(path));
    }
    let spec = match plan.each {
        true => AudioSpec::mono(reader.spec().rate),
        false => reader.spec(),
    };
    let made_spec = process.output_spec(spec);
    let write = WriteOptions { tags: reader.info().tags.clone(), ..plan.write.clone() };
    let start = |targets| {
        let sum = process.adds_up().then(|| Sum::new(made_spec));
        Track::new(process.start(spec)?, targets, made_spec, sum, &write)
    };
    let mut tracks: Vec<_> = groups.into_iter().map(start).collect::<Result<_, Failure>>()?;

    // Blocks may be longer than anyone wants to wait for.
    let stretch = spec.rate.max(1) as usize;
    let start = reader.start();
    if plan.offset == Offset::Tell && start != 0.0 {
        let text = format!(
            "{}: the audio begins at {start:.3} s of its file; --keep-offset keeps that",
            lane.name
        );
        lane.note(&text)?;
    }
    let offset = if plan.offset == Offset::Keep { frames_of(start, spec.rate)? } else { 0 };
    let silence = AudioBuf::silence(spec, stretch);
    let mut late = usize::try_from(offset).unwrap_or(0);
    while late > 0 {
        interrupt::check()?;
        let piece = silence.view().slice(0..late.min(stretch));
        tracks.iter_mut().try_for_each(|track| track.push(&piece))?;
        late -= late.min(stretch);
    }
    let mut early = usize::try_from(-offset).unwrap_or(0);
    while let Some(block) = reader.next_block()? {
        let parts = match plan.each {
            true => split_channels(&block.view()),
            false => vec![block],
        };
        let frames = parts.first().map_or(0, AudioBuf::frames);
        let cut = early.min(frames);
        early -= cut;
        for from in (cut..frames).step_by(stretch) {
            interrupt::check()?;
            let to = frames.min(from + stretch);
            for (track, part) in tracks.iter_mut().zip(&parts) {
                track.push(&part.view().slice(from..to))?;
            }
        }
    }
    interrupt::check()?;
    let info = reader.info().clone();
    if info.found_frames == 0 {
        return Err(Error::Empty.into());
    }

    let mut outputs = Vec::new();
    let mut ended = Vec::new();
    for mut track in tracks {
        let ending = track.session.finish()?;
        track.outputs.take(ending.blocks)?;
        outputs.append(&mut track.outputs.writers);
        ended.push((track.outputs, ending.report, ending.warnings));
    }
    // All outputs of an input share one gain where they are scaled, and appear together.
    let mut files = finish_group(outputs).map_err(Failure::of_writing)?.into_iter();
    lane.warn(&info.warnings);
    for (outputs, report, mut warnings) in ended {
        let null = outputs.sum.map(|sum| sum.meter.result());
        let files: Vec<_> = files.by_ref().take(outputs.targets.len()).collect();
        warnings.extend(files.iter().flat_map(WriteReport::warnings));
        lane.warn(&warnings);
        let (input, targets) = (lane.name.as_str(), outputs.targets);
        let made = Made { input, targets, files, spec: made_spec, report, null };
        tell(process, &made, &[info.warnings.clone(), warnings].concat(), json, lane)?;
    }
    Ok(Done::Worked)
}

/// The longest time from the start of a file to that of its audio that is believed, in seconds.
const MAX_OFFSET: f64 = 24.0 * 3600.0;

/// An offset in frames.
fn frames_of(start: f64, rate: u32) -> Result<i64, Failure> {
    if start.abs() <= MAX_OFFSET {
        return Ok((start * f64::from(rate)).round() as i64);
    }
    let why = format!("the audio begins at {start:.0} s of its file, more than a day away");
    Err(Failure::new(Kind::Input, "", why).help("leave out --keep-offset"))
}

fn tell<P: Process>(
    process: &P,
    made: &Made<'_, P::Report>,
    warnings: &[Warning],
    json: bool,
    lane: &Lane<'_>,
) -> Result<(), Failure> {
    if json {
        let mut line = json!({
            "input": made.input,
            "rate": made.spec.rate,
            "channels": made.spec.channels(),
            "frames": made.frames(),
            "duration": made.seconds(),
            "warnings": lines::warnings(warnings),
        });
        if let (Value::Object(line), Value::Object(own)) = (&mut line, process.fields(made)) {
            line.extend(own);
        }
        lane.tell(&lines::line(process.command(), &line))?;
    } else if let Some(text) = process.printed(made) {
        lane.tell(&text)?;
    }
    process.notes(made).iter().try_for_each(|note| lane.note(note))
}

/// A session and its outputs.
struct Track<S> {
    session: S,
    outputs: Outputs,
}

impl<S: Session> Track<S> {
    fn new(
        session: S,
        targets: Vec<Target>,
        spec: AudioSpec,
        sum: Option<Sum>,
        write: &WriteOptions,
    ) -> Result<Self, Failure> {
        let writer = |target| create(target, spec, write);
        let writers = targets.iter().map(writer).collect::<Result<_, _>>()?;
        Ok(Self { session, outputs: Outputs { targets, writers, sum } })
    }

    fn push(&mut self, block: &AudioView<'_>) -> Result<(), Failure> {
        if let Some(sum) = &mut self.outputs.sum {
            sum.heard(block);
        }
        let blocks = self.session.push(block)?;
        self.outputs.take(blocks)
    }
}

/// The outputs of a session, on their way.
struct Outputs {
    targets: Vec<Target>,
    writers: Vec<AudioWriter>,
    sum: Option<Sum>,
}

impl Outputs {
    /// Writes blocks, one an output or none at all.
    fn take(&mut self, blocks: Vec<AudioBuf>) -> Result<(), Failure> {
        if let Some(sum) = &mut self.sum {
            sum.given(&blocks)?;
        }
        let mut pairs = self.writers.iter_mut().zip(blocks);
        pairs.try_for_each(|(writer, block)| {
            writer.write(&block.view()).map_err(Failure::of_writing)
        })
    }
}

/// The sum of the outputs beside the input, mixed to one channel where the outputs have one.
struct Sum {
    spec: AudioSpec,
    /// Channels of the input for which no outputs have come yet.
    waiting: Vec<VecDeque<f32>>,
    meter: NullMeter,
}

impl Sum {
    fn new(spec: AudioSpec) -> Self {
        let waiting = vec![VecDeque::new(); spec.channels()];
        Self { spec, waiting, meter: NullMeter::default() }
    }

    fn heard(&mut self, block: &AudioView<'_>) {
        match self.waiting.as_mut_slice() {
            [mono] => mono.extend(block.to_mono()),
            several => {
                for (channel, waiting) in several.iter_mut().enumerate() {
                    waiting.extend(block.channel(channel));
                }
            }
        }
    }

    fn given(&mut self, blocks: &[AudioBuf]) -> Result<(), Failure> {
        let heard = self.waiting.first().map_or(0, VecDeque::len);
        let count = blocks.first().map_or(0, AudioBuf::frames).min(heard);
        if count == 0 {
            return Ok(());
        }
        let planes = self.waiting.iter_mut().flat_map(|waiting| waiting.drain(..count)).collect();
        let input = AudioBuf::from_planar(self.spec, planes)?;
        let parts: Vec<_> = blocks.iter().map(|block| block.view().slice(0..count)).collect();
        Ok(self.meter.push(&parts, &input.view())?)
    }
}

#[cfg(test)]
mod tests {
    use formant_audio_core::ChannelLayout;

    use super::*;

    #[test]
    fn outputs_may_come_later_than_the_input_and_in_other_blocks() {
        let spec = AudioSpec { rate: 8_000, layout: ChannelLayout::Stereo };
        let planes: Vec<f32> = (0..200).map(|n| n as f32 / 200.0).collect();
        let input = AudioBuf::from_planar(spec, planes).expect("two channels");
        let part = |gain: f32, range: std::ops::Range<usize>| {
            let mut part = input.view().slice(range).to_owned();
            part.as_planar_mut().iter_mut().for_each(|sample| *sample *= gain);
            part
        };
        let mut sum = Sum::new(spec);
        sum.heard(&input.view().slice(0..60));
        sum.given(&[]).expect("nothing is ready");
        sum.heard(&input.view().slice(60..100));
        for range in [0..33, 33..100] {
            sum.given(&[part(0.25, range.clone()), part(0.75, range)]).expect("as long");
        }
        let result = sum.meter.result();
        assert_eq!(result.frames, 100);
        assert!(result.residual_dbfs.is_none_or(|db| db < -120.0), "{result:?}");
    }
}
