//! `formant separate`: a file a voice, written as it comes.

use std::collections::VecDeque;

use formant_audio_core::encode::{AudioWriter, WriteOptions, finish_group};
use formant_audio_core::level::{NullMeter, NullTest};
use formant_audio_core::{AudioBuf, AudioSpec, AudioView};
use formant_models::tasks::separate::{SeparationReport, Separator};
use formant_models::tasks::{Task, TaskSession};
use serde_json::json;

use super::{
    any_admitted, clock, create, target_of, tell_precision, use_threads, warn, write_failure,
};
use crate::batch::{self, Done, Lane};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::Input;
use crate::messages::Messages;
use crate::outputs::{Target, Underway, begin};
use crate::plan::{SeparatePlan, Settings, VOICE};
use crate::{interrupt, json as lines};

pub(crate) fn run(
    plan: &SeparatePlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_threads(settings);
    tell_precision(&plan.load, messages);
    let work = |separator: &mut Separator, input: &Input, lane: &Lane<'_>| {
        separate(plan, separator, input, target_of(&plan.targets, lane)?, settings, lane)
    };
    // One network fills the machine.
    let options = batch::Options { jobs: settings.jobs.unwrap_or(1), json: settings.json };
    batch::run(&plan.sources.list.entries, options, messages, || load(plan), work)
}

fn load(plan: &SeparatePlan) -> Result<Separator, Failure> {
    Ok(Separator::load(&plan.model, &plan.load)?)
}

/// The file of voice number `n`, from 1.
fn numbered(target: &Target, n: usize) -> Target {
    let named = match target {
        Target::File(path) => {
            path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with(VOICE))
        }
        Target::Stdout => false,
    };
    match named {
        true => target.with_suffix(&n.to_string()),
        false => target.with_suffix(&format!("{VOICE}{n}")),
    }
}

fn separate(
    plan: &SeparatePlan,
    separator: &Separator,
    input: &Input,
    target: &Target,
    settings: &Settings,
    lane: &Lane<'_>,
) -> Result<Done, Failure> {
    let targets: Vec<Target> = (1..=separator.voices()).map(|n| numbered(target, n)).collect();
    if !any_admitted(plan.existing, &targets)? {
        return Ok(Done::Skipped);
    }
    let mut reader = plan.sources.open(input)?;
    let rate = reader.spec().rate;
    let total = reader.declared_frames();
    let options = WriteOptions { tags: reader.info().tags.clone(), ..plan.write.clone() };
    let _underway: Vec<Underway> = targets.iter().map(begin).collect::<Result<_, _>>()?;
    let mut writers: Vec<AudioWriter> = targets
        .iter()
        .map(|target| create(target, AudioSpec::mono(rate), &options))
        .collect::<Result<_, _>>()?;
    let mut session = separator.start(&plan.options)?;
    let mut sum = Sum::default();
    let bar = lane.messages.bar(total.unwrap_or(0), "frames");
    while let Some(block) = reader.next_block()? {
        // Blocks may be longer than what one wants to wait for.
        let block = match plan.channels {
            None => block,
            Some(select) => select.apply(&block.view()).swap_remove(0),
        };
        for from in (0..block.frames()).step_by(rate.max(1) as usize) {
            interrupt::check()?;
            let to = block.frames().min(from + rate as usize);
            let part = block.view().slice(from..to);
            sum.heard(&part);
            let parts = session.push(&part)?;
            sum.given(rate, &parts)?;
            write(&mut writers, parts)?;
            bar.inc((to - from) as u64);
        }
    }
    let (rest, report) = session.finish()?;
    sum.given(rate, &rest)?;
    write(&mut writers, rest)?;
    bar.finish_and_clear();
    let written = finish_group(writers).map_err(write_failure)?;
    let info = reader.info().clone();
    let mut warnings = info.warnings.clone();
    warnings.extend(report.warnings.iter().cloned());
    warnings.extend(written.iter().flat_map(|report| report.warnings()));
    warn(lane, &warnings);
    let difference = sum.null.result();
    tell(lane, &targets, &report, &difference);
    if settings.json {
        lane.print(&lines::line(
            "separate",
            &json!({
                "input": lane.name,
                "outputs": targets.iter().map(Target::name).collect::<Vec<_>>(),
                "rate": rate,
                "frames": written.first().map(|report| report.frames),
                "report": report,
                "null_test": difference,
                "peaks": written.iter().map(|report| report.peak).collect::<Vec<_>>(),
                "clipped": written.iter().map(|report| report.clipped).collect::<Vec<_>>(),
                "warnings": lines::warnings(&warnings),
            }),
        ))?;
    }
    Ok(Done::Worked)
}

fn write(writers: &mut [AudioWriter], parts: Vec<AudioBuf>) -> Result<(), Failure> {
    let mut pairs = writers.iter_mut().zip(parts);
    pairs.try_for_each(|(writer, part)| writer.write(&part.view()).map_err(write_failure))
}

/// The sum of the voices beside the recording, mixed to one channel.
#[derive(Default)]
struct Sum {
    /// What was heard and whose voices have not come yet.
    waiting: VecDeque<f32>,
    null: NullMeter,
}

impl Sum {
    fn heard(&mut self, part: &AudioView<'_>) {
        self.waiting.extend(part.to_mono());
    }

    fn given(&mut self, rate: u32, voices: &[AudioBuf]) -> Result<(), Failure> {
        let count = voices.first().map_or(0, AudioBuf::frames).min(self.waiting.len());
        let mix = AudioBuf::from_mono(rate, self.waiting.drain(..count).collect());
        let parts: Vec<AudioView<'_>> =
            voices.iter().map(|voice| voice.view().slice(0..count)).collect();
        Ok(self.null.push(&parts, &mix.view())?)
    }
}

fn tell(lane: &Lane<'_>, targets: &[Target], report: &SeparationReport, null: &NullTest) {
    let rest = null.residual_dbfs.map_or("nothing".to_owned(), |db| format!("{db:.1} dBFS"));
    let length = clock(report.seconds);
    lane.messages
        .note(&format!("{} ({length}; sum of the voices minus recording: {rest})", lane.name));
    for (target, source) in targets.iter().zip(&report.sources.sources) {
        let level = source.level_db.map_or("silent".to_owned(), |db| format!("{db:.1} dB"));
        let state = if source.active { "" } else { ", nothing of its own" };
        lane.messages.note(&format!(
            "  -> {}: alone for {}, {level}{state}",
            target.name(),
            clock(source.seconds)
        ));
    }
    if report.single_speaker {
        lane.messages.note("  probably one person speaks: the other outputs mean nothing");
    }
}
