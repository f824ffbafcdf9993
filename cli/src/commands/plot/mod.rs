//! `formant plot`: waveforms and spectrograms as PNG.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::{Args, ValueEnum};
use formant_audio_core::decode::{BlockReader, DecodeOptions};
use formant_audio_core::plot::{
    AxisScale, Image, PlotItem, PlotOptions, SoundTrace, TraceOptions, compare, render,
};
use formant_audio_core::resample::{Quality, resample};
use formant_audio_core::{AudioBuf, Warning};
use serde_json::json;

use super::{Work, work};
use crate::batch::{self, Done, Lane};
use crate::draft::write_image;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::{Input, InputArgs};
use crate::messages::Messages;
use crate::outputs::{
    Existing, Naming, OutputArgs, SuffixWhen, Target, assign, check_stdout, kind_of_ending,
    names_file, refuse_terminal, target_of,
};
use crate::reading::{AudioArgs, Part, PartArgs, Sources};
use crate::settings::Settings;
use crate::{interrupt, json as lines, stdout};

/// Frequency scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScaleArg {
    /// Linear.
    Linear,
    /// Logarithmic.
    Log,
    /// Mel scale.
    Mel,
}

/// What `formant plot` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant plot before.wav after.wav -o both.png\n\n\
    Several inputs and a PNG file after -o make one picture; otherwise each input has its own.")]
pub(crate) struct PlotArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    audio: AudioArgs,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Draw two files and their difference.
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["inputs", "files_from", "shard"])]
    compare: Vec<PathBuf>,
    /// Width in pixels.
    #[arg(long, default_value_t = 1200, value_name = "PIXELS")]
    width: u32,
    /// Height of each spectrogram in pixels; that of waveforms is two fifths of it.
    #[arg(long, default_value_t = 240, value_name = "PIXELS")]
    height: u32,
    /// Number of inputs side by side.
    #[arg(long, default_value_t = 1, value_name = "N")]
    columns: usize,
    /// Frequency scale.
    #[arg(long, value_enum, default_value = "linear", value_name = "SCALE")]
    scale: ScaleArg,
    /// Lowest frequency in Hz.
    #[arg(long, value_name = "HZ")]
    f_min: Option<f64>,
    /// Highest frequency in Hz.
    #[arg(long, value_name = "HZ")]
    f_max: Option<f64>,
    /// Dynamic range of the colors in dB.
    #[arg(long, default_value_t = 80.0, value_name = "DB")]
    range: f64,
    /// Window length in samples, even [default: about 40 ms].
    #[arg(long, value_name = "N")]
    n_fft: Option<usize>,
    /// Omit the waveform.
    #[arg(long)]
    no_waveform: bool,
    /// Omit the spectrogram.
    #[arg(long, conflicts_with = "no_waveform")]
    no_spectrogram: bool,
}

impl PlotArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = plan(&self, settings)?;
        Ok(work(plan, |plan, settings, messages| run(&plan, settings, messages)))
    }
}

/// What `plot` does.
#[derive(Debug)]
struct PlotPlan {
    task: PlotTask,
    existing: Existing,
    options: PlotOptions,
}

/// Which pictures.
#[derive(Debug)]
enum PlotTask {
    /// One an input.
    Each { sources: Sources, targets: Vec<Option<Target>> },
    /// One of all inputs.
    Together { sources: Sources, target: Target },
    /// Two files and their difference.
    Compare { a: PathBuf, b: PathBuf, decode: DecodeOptions, part: Part, target: Target },
}

fn plan(typed: &PlotArgs, settings: &Settings) -> Result<PlotPlan, Failure> {
    // Pictures are PNG files: another ending would be a lie.
    kind_of_ending(&typed.output, true, &[("png", ())])?;
    let task = match &typed.compare[..] {
        [a, b] => {
            let decode = typed.audio.decode_options();
            PlotTask::Compare {
                a: a.clone(),
                b: b.clone(),
                decode,
                part: typed.part.resolve()?,
                target: comparison_target(typed, a, b),
            }
        }
        _ => pictures(typed, settings)?,
    };
    if let PlotTask::Together { target, .. } | PlotTask::Compare { target, .. } = &task {
        check_stdout(&[Some(target.clone())], settings)?;
    }
    match &task {
        PlotTask::Each { targets, .. } => refuse_terminal(targets)?,
        PlotTask::Together { target, .. } | PlotTask::Compare { target, .. } => {
            refuse_terminal(&[Some(target.clone())])?;
        }
    }
    // One that is asked for is there.
    let waveform_height = (typed.height / 5 * 2).max(1);
    let options = PlotOptions {
        width: typed.width,
        columns: typed.columns,
        waveform_height: if typed.no_waveform { 0 } else { waveform_height },
        spectrogram_height: if typed.no_spectrogram { 0 } else { typed.height },
        frequency_scale: match typed.scale {
            ScaleArg::Linear => AxisScale::Linear,
            ScaleArg::Log => AxisScale::Log,
            ScaleArg::Mel => AxisScale::Mel,
        },
        min_frequency: typed.f_min,
        max_frequency: typed.f_max,
        range_db: typed.range,
        n_fft: typed.n_fft,
        ..PlotOptions::default()
    };
    Ok(PlotPlan { task, existing: Existing::of(&typed.output), options })
}

fn pictures(typed: &PlotArgs, settings: &Settings) -> Result<PlotTask, Failure> {
    let mut sources = Sources::of_channels(&typed.input, &typed.audio)?;
    sources.part = typed.part.resolve()?;
    let output = typed.output.output.as_ref();
    let one_file = output.filter(|path| {
        let png = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
        (png && names_file(path, true)) || path.as_os_str() == "-"
    });
    if let Some(path) = one_file.filter(|_| !sources.list.single) {
        return Ok(PlotTask::Together { sources, target: Target::of(Some(path)) });
    }
    let naming = Naming { suffix: "", suffix_when: SuffixWhen::Always, extension: "png" };
    let targets = assign(&typed.output, &mut sources.list, naming, settings)?;
    Ok(PlotTask::Each { sources, targets })
}

/// `a_vs_b.png` beside `a`, unless `-o` says otherwise.
fn comparison_target(typed: &PlotArgs, a: &std::path::Path, b: &std::path::Path) -> Target {
    let stem = |path: &std::path::Path| {
        path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    };
    let name = format!("{}_vs_{}.png", stem(a), stem(b));
    match &typed.output.output {
        Some(path) if path.as_os_str() == "-" => Target::Stdout,
        Some(path) if !names_file(path, true) => Target::File(path.join(name)),
        Some(path) => Target::File(path.clone()),
        None => Target::File(a.with_file_name(name)),
    }
}

fn run(plan: &PlotPlan, settings: &Settings, messages: &Messages) -> Result<Outcome, Failure> {
    match &plan.task {
        PlotTask::Each { sources, targets } => each(plan, sources, targets, settings, messages),
        PlotTask::Together { sources, target } => {
            together(plan, sources, target, settings, messages)
        }
        PlotTask::Compare { a, b, decode, part, target } => {
            if !plan.existing.admits(target)? {
                messages.note("the output is there already");
                return Ok(Outcome::done());
            }
            let image = comparison(plan, [a, b], decode, *part, messages)?;
            write_image(&image, target)?;
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
        let target = target_of(targets, lane.index)?;
        if !plan.existing.admits(target)? {
            return Ok(Done::Skipped);
        }
        let (item, warnings) =
            trace(plan, &mut lane.open(sources, input)?, sources.part, &lane.name)?;
        write_image(&render(&[item], &plan.options)?, target)?;
        lane.warn(&warnings);
        lane.tell(&line(std::slice::from_ref(&lane.name), target, &warnings, settings))?;
        lane.note(&format!("{} -> {}", lane.name, target.name()))?;
        Ok(Done::Worked)
    };
    batch::run(&sources.list, settings.batch(), messages, || Ok(()), work)
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
        let (item, warnings) =
            trace(plan, &mut lane.open(sources, input)?, sources.part, &lane.name)?;
        lane.warn(&warnings);
        let mut traces = traces.lock().unwrap_or_else(PoisonError::into_inner);
        traces.push((lane.index, lane.name.clone(), item, warnings));
        Ok(Done::Worked)
    };
    let outcome = batch::run(&sources.list, settings.batch(), messages, || Ok(()), work)?;
    let mut traces = traces.into_inner().unwrap_or_else(PoisonError::into_inner);
    let interrupted = matches!(outcome, Outcome::Worked { interrupted: true, .. });
    if traces.is_empty() || interrupted {
        return Ok(outcome);
    }
    traces.sort_by_key(|(index, ..)| *index);
    let names: Vec<String> = traces.iter().map(|(_, name, ..)| name.clone()).collect();
    let warnings: Vec<Warning> = traces.iter().flat_map(|(.., list)| list.clone()).collect();
    let items: Vec<PlotItem> = traces.into_iter().map(|(_, _, item, _)| item).collect();
    write_image(&render(&items, &plan.options)?, target)?;
    stdout::print(&line(&names, target, &warnings, settings))?;
    messages.note(&format!("{} inputs -> {}", names.len(), target.name()));
    Ok(outcome)
}

fn trace(
    plan: &PlotPlan,
    reader: &mut BlockReader,
    part: Part,
    name: &str,
) -> Result<(PlotItem, Vec<Warning>), Failure> {
    let spec = reader.spec();
    let expected_frames = reader.declared_frames().map(|total| part.frames(total, spec.rate));
    let options = TraceOptions { n_fft: plan.options.n_fft, expected_frames };
    let mut trace = SoundTrace::new(spec, &options)?;
    while let Some(block) = reader.next_block()? {
        interrupt::check()?;
        trace.push(&block.view())?;
    }
    let item = PlotItem { title: title(Path::new(name)), trace: trace.finish() };
    Ok((item, reader.info().warnings.clone()))
}

fn title(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Both files at the first one's rate; mono where their channels differ.
fn comparison(
    plan: &PlotPlan,
    [a, b]: [&Path; 2],
    decode: &DecodeOptions,
    part: Part,
    messages: &Messages,
) -> Result<Image, Failure> {
    let read = |path: &Path| -> Result<AudioBuf, Failure> {
        let clip = part.of(BlockReader::open(path, decode)?).read_to_end()?;
        for warning in &clip.info.warnings {
            messages.warning(&path.display().to_string(), warning);
        }
        Ok(clip.audio)
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

fn line(names: &[String], target: &Target, warnings: &[Warning], settings: &Settings) -> String {
    if !settings.json {
        return String::new();
    }
    let (output, warnings) = (target.name(), lines::warnings(warnings));
    lines::line("plot", &json!({"inputs": names, "output": output, "warnings": warnings}))
}
