//! `formant enhance`: a cleaned recording for every recording, written as it comes.

use formant_audio_core::AudioSpec;
use formant_audio_core::encode::{WriteOptions, finish_group};
use formant_models::tasks::enhance::Enhancer;
use formant_models::tasks::{Task, TaskSession};
use serde_json::json;

use super::{clock, create, target_of, tell_precision, use_threads, warn, write_failure};
use crate::batch::{self, Done, Lane};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::Input;
use crate::messages::Messages;
use crate::outputs::{Target, begin};
use crate::plan::{EnhancePlan, Settings};
use crate::{interrupt, json as lines};

pub(crate) fn run(
    plan: &EnhancePlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_threads(settings);
    tell_precision(&plan.load, messages);
    let work = |enhancer: &mut Enhancer, input: &Input, lane: &Lane<'_>| {
        enhance(plan, enhancer, input, target_of(&plan.targets, lane)?, settings, lane)
    };
    // One network fills the machine.
    let options = batch::Options { jobs: settings.jobs.unwrap_or(1), json: settings.json };
    batch::run(&plan.sources.list.entries, options, messages, || load(plan), work)
}

fn load(plan: &EnhancePlan) -> Result<Enhancer, Failure> {
    Ok(Enhancer::load(&plan.model, &plan.load)?)
}

fn enhance(
    plan: &EnhancePlan,
    enhancer: &Enhancer,
    input: &Input,
    target: &Target,
    settings: &Settings,
    lane: &Lane<'_>,
) -> Result<Done, Failure> {
    if !plan.existing.admits(target)? {
        return Ok(Done::Skipped);
    }
    let mut reader = plan.sources.open(input)?;
    let rate = reader.spec().rate;
    let total = reader.declared_frames();
    let spec = match plan.channels {
        None => reader.spec(),
        Some(_) => AudioSpec::mono(rate),
    };
    let options = WriteOptions { tags: reader.info().tags.clone(), ..plan.write.clone() };
    let _underway = begin(target)?;
    let mut writer = create(target, spec, &options)?;
    let mut session = enhancer.start(&plan.options)?;
    let bar = lane.messages.bar(total.unwrap_or(0), "frames");
    while let Some(block) = reader.next_block()? {
        let block = match plan.channels {
            None => block,
            Some(select) => select.apply(&block.view()).swap_remove(0),
        };
        for from in (0..block.frames()).step_by(rate.max(1) as usize) {
            interrupt::check()?;
            let to = block.frames().min(from + rate as usize);
            let part = session.push(&block.view().slice(from..to))?;
            writer.write(&part.view()).map_err(write_failure)?;
            bar.inc((to - from) as u64);
        }
    }
    let (rest, report) = session.finish()?;
    writer.write(&rest.view()).map_err(write_failure)?;
    bar.finish_and_clear();
    let written = finish_group(vec![writer]).map_err(write_failure)?;
    let mut warnings = reader.info().warnings.clone();
    warnings.extend(report.warnings.iter().cloned());
    warnings.extend(written.iter().flat_map(|report| report.warnings()));
    warn(lane, &warnings);
    let removed = report.removed_db.map_or("nothing".to_owned(), |db| format!("{db:.1} dB"));
    lane.messages.note(&format!(
        "{} -> {} ({}, {removed} taken away)",
        lane.name,
        target.name(),
        clock(report.seconds)
    ));
    if settings.json {
        let file = written.first();
        lane.print(&lines::line(
            "enhance",
            &json!({
                "input": lane.name,
                "output": target.name(),
                "rate": rate,
                "channels": spec.channels(),
                "frames": file.map(|report| report.frames),
                "duration": report.seconds,
                "removed_db": report.removed_db,
                "peak": file.map(|report| report.peak),
                "clipped": file.map(|report| report.clipped),
                "warnings": lines::warnings(&warnings),
            }),
        ))?;
    }
    Ok(Done::Worked)
}
