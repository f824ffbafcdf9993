//! `formant plot`: waveforms and spectrograms as PNG.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use formant_audio_core::decode::{BlockReader, ChannelSelect, DecodeOptions, decode_file};
use formant_audio_core::plot::{Image, PlotItem, Trace, TraceOptions, compare, render};
use formant_audio_core::resample::{Quality, resample};
use formant_audio_core::{AudioBuf, AudioSpec, Warning};
use serde_json::json;

use super::warn;
use crate::batch::{self, Done, Lane};
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::inputs::Input;
use crate::messages::Messages;
use crate::outputs::{self, Target};
use crate::plan::{PlotPlan, PlotTask, Settings, Sources};
use crate::{interrupt, json as lines, stdout};

pub(super) fn run(
    plan: &PlotPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    match &plan.task {
        PlotTask::Each { sources, targets } => each(plan, sources, targets, settings, messages),
        PlotTask::Together { sources, target } => {
            together(plan, sources, target, settings, messages)
        }
        PlotTask::Compare { a, b, decode, target } => {
            if !plan.existing.admits(target)? {
                messages.note("the output is there already");
                return Ok(Outcome::done());
            }
            let image = comparison(plan, a, b, decode, messages)?;
            save(&image, target)?;
            let names = [a, b].map(|path| path.display().to_string());
            stdout::print(&line(&names, target, &[], settings))?;
            messages.note(&format!("{} and {} -> {}", names[0], names[1], target.name()));
            Ok(Outcome::done())
        }
    }
}

fn each(
    plan: &PlotPlan,
    sources: &Sources,
    targets: &[Option<Target>],
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    let work = |(): &mut (), input: &Input, lane: &Lane<'_>| {
        let target = super::target_of(targets, lane)?;
        if !plan.existing.admits(target)? {
            return Ok(Done::Skipped);
        }
        let (item, warnings) = trace(plan, &mut sources.open(input)?, &lane.name)?;
        save(&render(&[item], &plan.options)?, target)?;
        warn(lane, &warnings);
        lane.print(&line(std::slice::from_ref(&lane.name), target, &warnings, settings))?;
        lane.messages.note(&format!("{} -> {}", lane.name, target.name()));
        Ok(Done::Worked)
    };
    batch::run(&sources.list.entries, settings.batch(), messages, || Ok(()), work)
}

/// All inputs in one picture; those that can't be read are left out of it.
fn together(
    plan: &PlotPlan,
    sources: &Sources,
    target: &Target,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    if !plan.existing.admits(target)? {
        messages.note("the output is there already");
        return Ok(Outcome::done());
    }
    let traces = Mutex::new(Vec::new());
    let work = |(): &mut (), input: &Input, lane: &Lane<'_>| {
        let (item, warnings) = trace(plan, &mut sources.open(input)?, &lane.name)?;
        warn(lane, &warnings);
        let mut traces = traces.lock().unwrap_or_else(PoisonError::into_inner);
        traces.push((lane.index, lane.name.clone(), item, warnings));
        Ok(Done::Worked)
    };
    let outcome = batch::run(&sources.list.entries, settings.batch(), messages, || Ok(()), work)?;
    let mut traces = traces.into_inner().unwrap_or_else(PoisonError::into_inner);
    let interrupted = matches!(outcome, Outcome::Worked { interrupted: true, .. });
    if traces.is_empty() || interrupted {
        return Ok(outcome);
    }
    traces.sort_by_key(|(index, ..)| *index);
    let names: Vec<String> = traces.iter().map(|(_, name, ..)| name.clone()).collect();
    let warnings: Vec<Warning> = traces.iter().flat_map(|(.., list)| list.clone()).collect();
    let items: Vec<PlotItem> = traces.into_iter().map(|(_, _, item, _)| item).collect();
    save(&render(&items, &plan.options)?, target)?;
    stdout::print(&line(&names, target, &warnings, settings))?;
    messages.note(&format!("{} inputs -> {}", names.len(), target.name()));
    Ok(outcome)
}

fn trace(
    plan: &PlotPlan,
    reader: &mut BlockReader,
    name: &str,
) -> Result<(PlotItem, Vec<Warning>), Failure> {
    let mono = !matches!(plan.channels, None | Some(ChannelSelect::Each));
    let spec = if mono { AudioSpec::mono(reader.spec().rate) } else { reader.spec() };
    let options =
        TraceOptions { n_fft: plan.options.n_fft, expected_frames: reader.declared_frames() };
    let mut trace = Trace::new(spec, &options)?;
    while let Some(block) = reader.next_block()? {
        interrupt::check()?;
        trace.push(&select(plan, block).view())?;
    }
    let item = PlotItem { title: title(Path::new(name)), trace: trace.finish() };
    Ok((item, reader.info().warnings.clone()))
}

fn title(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The channels that are drawn, in one buffer.
fn select(plan: &PlotPlan, audio: AudioBuf) -> AudioBuf {
    match plan.channels {
        None | Some(ChannelSelect::Each) => audio,
        Some(select) => select.apply(&audio.view()).pop().unwrap_or(audio),
    }
}

/// Both files at the first one's rate; mono where their channels differ.
fn comparison(
    plan: &PlotPlan,
    a: &Path,
    b: &Path,
    decode: &DecodeOptions,
    messages: &Messages,
) -> Result<Image, Failure> {
    let read = |path: &Path| -> Result<AudioBuf, Failure> {
        let clip = decode_file(path, decode)?;
        for warning in &clip.info.warnings {
            messages.warning(&path.display().to_string(), warning);
        }
        Ok(select(plan, clip.audio))
    };
    let (mut first, mut second) = (read(a)?, read(b)?);
    let second_name = b.display().to_string();
    if first.spec().layout != second.spec().layout {
        messages.warning(&second_name, "the channels differ; both are mixed to one");
        let mix = |audio: &AudioBuf| AudioBuf::from_mono(audio.rate(), audio.view().to_mono());
        (first, second) = (mix(&first), mix(&second));
    }
    if first.rate() != second.rate() {
        let text = format!("taken from {} Hz to {} Hz", second.rate(), first.rate());
        messages.warning(&second_name, text);
        second = resample(&second.view(), first.rate(), Quality::High)?;
    }
    let (title_a, title_b) = (title(a), title(b));
    Ok(compare((&title_a, &first.view()), (&title_b, &second.view()), &plan.options)?)
}

pub(crate) fn save(image: &Image, target: &Target) -> Result<(), Failure> {
    let refused = |error: formant_audio_core::Error| {
        Failure::new(Kind::Output, target.name(), error.to_string())
    };
    let png = image.to_png().map_err(refused)?;
    let _underway = outputs::begin(target)?;
    outputs::write(target, &png)
}

fn line(names: &[String], target: &Target, warnings: &[Warning], settings: &Settings) -> String {
    if !settings.json {
        return String::new();
    }
    let (output, warnings) = (target.name(), lines::warnings(warnings));
    lines::line("plot", &json!({"inputs": names, "output": output, "warnings": warnings}))
}
