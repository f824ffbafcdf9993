//! `formant plot`: waveforms and spectrograms as PNG.

mod contour;
mod words;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use contour::Contour;
use formant_audio_core::decode::{BlockReader, DecodeOptions};
use formant_audio_core::plot::{
    AxisScale, Image, Overlay, PlotItem, PlotOptions, SoundTrace, TraceOptions, WordMark, compare,
    render,
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

/// Rates up to this are those of speech, whose spectrograms are drawn on the mel scale, in Hz.
const SPEECH_RATE: u32 = 24_000;

/// What `--scale` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScaleArg {
    /// Of frequencies.
    Frequency(AxisScale),
    /// Of the picture.
    Density(u32),
}

impl ScaleArg {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "linear" => Self::Frequency(AxisScale::Linear),
            "log" => Self::Frequency(AxisScale::Log),
            "mel" => Self::Frequency(AxisScale::Mel),
            _ => match text.parse() {
                Ok(density @ 1..=4) => Self::Density(density),
                _ => return Err("use linear, log, mel, or a size from 1 to 4".to_owned()),
            },
        })
    }
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
    /// Frequency scale: linear, log or mel [default: mel for rates up to 24 kHz, otherwise linear]. A
    /// number from 1 to 4 draws the same picture with as many pixels in each direction. May be given
    /// twice.
    #[arg(long, value_parser = ScaleArg::parse, value_name = "SCALE|N")]
    scale: Vec<ScaleArg>,
    /// Draw the words of a file over the spectrogram: subtitles (srt, vtt), a TextGrid, or the JSON
    /// lines of transcribe or spot.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["compare", "no_spectrogram"])]
    words: Option<PathBuf>,
    /// Draw the pitch over the spectrogram, from 60 to 500 Hz.
    #[arg(long, conflicts_with_all = ["compare", "no_spectrogram"])]
    pitch: bool,
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
    /// Where none is given, the rate decides.
    scale: Option<AxisScale>,
    words: Vec<WordMark>,
    pitch: bool,
}

impl PlotPlan {
    /// The options for a picture of sounds of these rates.
    fn options(&self, rates: impl IntoIterator<Item = u32>) -> PlotOptions {
        let speech = rates.into_iter().all(|rate| rate <= SPEECH_RATE);
        let usual = if speech { AxisScale::Mel } else { AxisScale::Linear };
        PlotOptions { frequency_scale: self.scale.unwrap_or(usual), ..self.options.clone() }
    }
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
    if let PlotTask::Each { sources, .. } | PlotTask::Together { sources, .. } = &task
        && typed.words.is_some()
        && !sources.list.single
    {
        let why = "is about one recording, and there are several inputs";
        return Err(Failure::usage("--words", why).help("draw each with its own words"));
    }
    if let PlotTask::Together { target, .. } | PlotTask::Compare { target, .. } = &task {
        check_stdout(&[Some(target.clone())], settings)?;
    }
    match &task {
        PlotTask::Each { targets, .. } => refuse_terminal(targets)?,
        PlotTask::Together { target, .. } | PlotTask::Compare { target, .. } => {
            refuse_terminal(&[Some(target.clone())])?;
        }
    }
    let (mut scale, mut density) = (None, None);
    for said in &typed.scale {
        let again = match *said {
            ScaleArg::Frequency(frequency) => scale.replace(frequency).is_some(),
            ScaleArg::Density(pixels) => density.replace(pixels).is_some(),
        };
        if again {
            return Err(Failure::usage("--scale", "is given twice for the same thing")
                .help("give one frequency scale and one number"));
        }
    }
    let mut words = typed.words.as_deref().map(words::read).transpose()?.unwrap_or_default();
    let (start, _) = typed.part.resolve()?.bounds(None);
    for word in &mut words {
        word.start -= start;
        word.end -= start;
    }
    // One that is asked for is there.
    let waveform_height = (typed.height / 5 * 2).max(1);
    let options = PlotOptions {
        width: typed.width,
        columns: typed.columns,
        waveform_height: if typed.no_waveform { 0 } else { waveform_height },
        spectrogram_height: if typed.no_spectrogram { 0 } else { typed.height },
        density: density.unwrap_or(1),
        min_frequency: typed.f_min,
        max_frequency: typed.f_max,
        range_db: typed.range,
        n_fft: typed.n_fft,
        ..PlotOptions::default()
    };
    let (existing, pitch) = (Existing::of(&typed.output), typed.pitch);
    Ok(PlotPlan { task, existing, options, scale, words, pitch })
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
        let options = plan.options([item.trace.spec().rate]);
        write_image(&render(&[item], &options)?, target)?;
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
    let options = plan.options(items.iter().map(|item| item.trace.spec().rate));
    write_image(&render(&items, &options)?, target)?;
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
    let mut contour = plan.pitch.then(|| Contour::new(spec.rate));
    while let Some(block) = reader.next_block()? {
        interrupt::check()?;
        trace.push(&block.view())?;
        if let Some(contour) = &mut contour {
            contour.push(&block.view())?;
        }
    }
    let pitch = contour.map(Contour::finish).transpose()?.unwrap_or_default();
    let overlay = Overlay { words: plan.words.clone(), pitch };
    let item = PlotItem { title: title(Path::new(name)), trace: trace.finish(), overlay };
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
    let options = plan.options([first.rate()]);
    Ok(compare((&title_a, &first.view()), (&title_b, &second.view()), &options)?)
}

fn line(names: &[String], target: &Target, warnings: &[Warning], settings: &Settings) -> String {
    if !settings.json {
        return String::new();
    }
    let (output, warnings) = (target.name(), lines::warnings(warnings));
    lines::line("plot", &json!({"inputs": names, "output": output, "warnings": warnings}))
}
