//! `formant convert` and `formant resample`: decode, choose channels, change the rate, write.
//! Block by block, so that length costs no memory.

use formant_audio_core::decode::{ChannelSelect, SourceInfo};
use formant_audio_core::encode::{AudioWriter, WriteOptions, WriteReport, finish_group};
use formant_audio_core::resample::StreamResampler;
use formant_audio_core::{AudioBuf, AudioSpec};
use serde_json::json;

use super::{
    Converter, any_admitted, channel_targets, clock, create, target_of, warn, write_failure,
};
use crate::batch::{self, Done, Lane};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::Input;
use crate::messages::Messages;
use crate::outputs::{Target, Underway, begin};
use crate::plan::{Settings, TranscodePlan};
use crate::{interrupt, json as lines};

pub(crate) fn run(
    plan: &TranscodePlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    let work = |(): &mut (), input: &Input, lane: &Lane<'_>| {
        transcode(plan, input, target_of(&plan.targets, lane)?, settings, lane)
    };
    batch::run(&plan.sources.list.entries, settings.batch(), messages, || Ok(()), work)
}

fn transcode(
    plan: &TranscodePlan,
    input: &Input,
    target: &Target,
    settings: &Settings,
    lane: &Lane<'_>,
) -> Result<Done, Failure> {
    let each = plan.channels == Some(ChannelSelect::Each);
    // Without `each` there is one output, whatever the input holds.
    if !each && !plan.existing.admits(target)? {
        return Ok(Done::Skipped);
    }
    let mut reader = plan.sources.open(input)?;
    let spec = reader.spec();
    let targets = if each { channel_targets(target, spec.layout)? } else { vec![target.clone()] };
    if !any_admitted(plan.existing, &targets)? {
        return Ok(Done::Skipped);
    }
    let one = match plan.channels {
        None => spec,
        Some(_) => AudioSpec::mono(spec.rate),
    };
    let options = WriteOptions { tags: reader.info().tags.clone(), ..plan.write.clone() };
    let _underway: Vec<Underway> = targets.iter().map(begin).collect::<Result<_, _>>()?;
    let mut converters: Vec<Converter> =
        targets.iter().map(|t| converter(plan, t, one, &options)).collect::<Result<_, _>>()?;
    while let Some(block) = reader.next_block()? {
        interrupt::check()?;
        for (converter, part) in converters.iter_mut().zip(select(plan.channels, block)) {
            converter.push(&part.view())?;
        }
    }
    let info = reader.info().clone();
    if info.found_frames == 0 {
        return Err(formant_audio_core::Error::Empty.into());
    }
    let writers: Vec<AudioWriter> =
        converters.into_iter().map(Converter::finish).collect::<Result<_, _>>()?;
    let reports = finish_group(writers).map_err(write_failure)?;
    warn(lane, &info.warnings);
    for (target, report) in targets.iter().zip(&reports) {
        tell(plan, target, &info, report, settings, lane)?;
    }
    Ok(Done::Worked)
}

fn converter(
    plan: &TranscodePlan,
    target: &Target,
    spec: AudioSpec,
    options: &WriteOptions,
) -> Result<Converter, Failure> {
    let resampler = match plan.rate {
        Some(rate) if rate != spec.rate => Some(StreamResampler::new(spec, rate, plan.quality)?),
        _ => None,
    };
    let spec = resampler.as_ref().map_or(spec, StreamResampler::output_spec);
    let writer = create(target, spec, options)?;
    Ok(Converter { resampler, writer })
}

fn select(channels: Option<ChannelSelect>, block: AudioBuf) -> Vec<AudioBuf> {
    match channels {
        None => vec![block],
        Some(select) => select.apply(&block.view()),
    }
}

fn tell(
    plan: &TranscodePlan,
    target: &Target,
    info: &SourceInfo,
    report: &WriteReport,
    settings: &Settings,
    lane: &Lane<'_>,
) -> Result<(), Failure> {
    let rate = plan.rate.unwrap_or(info.rate);
    let channels = if plan.channels.is_some() { 1 } else { info.layout.count() };
    let duration = report.frames as f64 / f64::from(rate.max(1));
    let written = report.warnings();
    warn(lane, &written);
    if settings.json {
        let all: Vec<_> = info.warnings.iter().chain(&written).cloned().collect();
        lane.print(&lines::line(
            plan.command,
            &json!({
                "input": lane.name,
                "output": target.name(),
                "container": report.container,
                "bits": report.format,
                "rate": rate,
                "channels": channels,
                "frames": report.frames,
                "duration": duration,
                "peak": report.peak,
                "clipped": report.clipped,
                "limited": report.limited,
                "gain": report.gain,
                "warnings": lines::warnings(&all),
            }),
        ))?;
    }
    lane.messages.note(&format!(
        "{} -> {} ({}, {rate} Hz, {channels} channel{})",
        lane.name,
        target.name(),
        clock(duration),
        if channels == 1 { "" } else { "s" }
    ));
    if report.limited > 0 {
        lane.messages.note(&format!("  {} frames were limited", report.limited));
    }
    Ok(())
}
