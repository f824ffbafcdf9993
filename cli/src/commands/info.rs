//! `formant info`: what a file holds.

use clap::Args;
use formant_audio_core::decode::SourceInfo;
use formant_audio_core::level::{LevelMeter, LevelReport};
use serde_json::{Map, Value};

use super::{Work, work};
use crate::batch::{self, Done, Lane};
use crate::escape::one_line;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::{Input, InputArgs};
use crate::messages::Messages;
use crate::reading::{AudioArgs, Sources};
use crate::settings::Settings;
use crate::times::clock;
use crate::{interrupt, json};

/// What `formant info` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant info --levels talk.mp3")]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    audio: AudioArgs,
    /// Measure peaks, RMS, loudness and clipping too.
    #[arg(long)]
    levels: bool,
    /// Read headers only: fast, but lengths are those that the header declares.
    #[arg(long, conflicts_with = "levels")]
    header_only: bool,
}

impl InfoArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, _: &Settings) -> Result<Work, Failure> {
        let depth = match (self.header_only, self.levels) {
            (true, _) => Depth::Header,
            (false, true) => Depth::Levels,
            (false, false) => Depth::Decode,
        };
        let sources = Sources::of(&self.input, &self.audio)?;
        Ok(work(InfoPlan { sources, depth }, run))
    }
}

/// What `info` does.
#[derive(Debug)]
struct InfoPlan {
    sources: Sources,
    depth: Depth,
}

/// How closely `info` looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Header,
    Decode,
    Levels,
}

fn run(plan: InfoPlan, settings: &Settings, messages: &Messages) -> Result<Outcome, Failure> {
    let work = |(): &mut (), input: &Input, lane: &Lane<'_>| {
        let (info, levels) = look(&plan, input, lane)?;
        lane.print(&match settings.json {
            true => json_line(&plan, &lane.name, &info, levels.as_ref()),
            false => text(&plan, &lane.name, &info, levels.as_ref()),
        })?;
        lane.warn(&info.warnings);
        Ok(Done::Worked)
    };
    batch::run(&plan.sources.list, settings.batch(), messages, || Ok(()), work)
}

fn look(
    plan: &InfoPlan,
    input: &Input,
    lane: &Lane<'_>,
) -> Result<(SourceInfo, Option<LevelReport>), Failure> {
    let mut reader = lane.open(&plan.sources, input)?;
    let mut meter = (plan.depth == Depth::Levels).then(|| LevelMeter::new(reader.spec()));
    if plan.depth != Depth::Header {
        while let Some(block) = reader.next_block()? {
            interrupt::check()?;
            if let Some(meter) = &mut meter {
                meter.push(&block.view())?;
            }
        }
    }
    Ok((reader.info().clone(), meter.map(|meter| meter.report())))
}

/// Frames, as far as this depth knows them.
fn frames(plan: &InfoPlan, info: &SourceInfo) -> Option<u64> {
    match plan.depth {
        Depth::Header => info.declared_frames,
        _ => Some(info.found_frames),
    }
}

fn json_line(
    plan: &InfoPlan,
    name: &str,
    info: &SourceInfo,
    levels: Option<&LevelReport>,
) -> String {
    let mut fields = match serde_json::to_value(info) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let frames = frames(plan, info);
    fields.remove("path");
    fields.insert("input".to_owned(), name.into());
    fields.insert("format".to_owned(), format_name(info).into());
    fields.insert("layout".to_owned(), info.layout.to_string().into());
    fields.insert("channels".to_owned(), info.layout.count().into());
    fields.insert("frames".to_owned(), frames.into());
    fields.insert("duration".to_owned(), frames.map(|frames| seconds(frames, info.rate)).into());
    fields.insert("warnings".to_owned(), json::warnings(&info.warnings).into());
    if plan.depth == Depth::Header {
        fields.insert("found_frames".to_owned(), Value::Null);
    }
    if let Some(levels) = levels {
        let levels = serde_json::to_value(levels).unwrap_or(Value::Null);
        fields.insert("levels".to_owned(), levels);
    }
    json::line("info", &fields)
}

fn seconds(frames: u64, rate: u32) -> f64 {
    frames as f64 / f64::from(rate.max(1))
}

/// Codec, numbers and container in words: `pcm, 24-bit integer in 32 bits, in wav`.
fn format_name(info: &SourceInfo) -> String {
    let mut text = info.codec.clone();
    if let Some(bits) = info.bits_per_sample {
        let kind = if info.float { "float" } else { "integer" };
        text += &format!(", {bits}-bit {kind}");
        if let Some(container) = info.container_bits.filter(|container| *container != bits) {
            text += &format!(" in {container} bits");
        }
    }
    format!("{text}, in {}", info.container)
}

fn text(plan: &InfoPlan, name: &str, info: &SourceInfo, levels: Option<&LevelReport>) -> String {
    let mut lines = vec![
        one_line(name).into(),
        row("format", format_name(info)),
        row("rate", format!("{} Hz", info.rate)),
        row("channels", format!("{} ({})", info.layout.count(), info.layout)),
        row("length", length(plan, info)),
    ];
    if info.trimmed_delay > 0 || info.trimmed_padding > 0 {
        let (start, end) = (info.trimmed_delay, info.trimmed_padding);
        lines.push(row("trimmed", format!("{start} frames at the start, {end} at the end")));
    }
    if info.start != 0.0 {
        lines.push(row("start", format!("{:.3} s on the clock of the file", info.start)));
    }
    for (name, value) in &info.tags {
        lines.push(row(&one_line(name), value.lines().next().unwrap_or_default()));
    }
    if let Some(levels) = levels {
        lines.extend(level_rows(levels));
    }
    lines.join("\n") + "\n"
}

fn row(name: &str, value: impl std::fmt::Display) -> String {
    format!("  {name:<11} {value}")
}

fn length(plan: &InfoPlan, info: &SourceInfo) -> String {
    match frames(plan, info) {
        None => "not in the header; leave out --header-only".to_owned(),
        Some(frames) => {
            let mut text = format!("{}, {frames} frames", clock(seconds(frames, info.rate)));
            if let Some(declared) = info.declared_frames.filter(|declared| *declared != frames) {
                text += &format!(" (the header promises {declared})");
            }
            text
        }
    }
}

fn level_rows(levels: &LevelReport) -> Vec<String> {
    let db = |value: Option<f64>, unit: &str| {
        value.map_or_else(|| "silent".to_owned(), |value| format!("{value:.2} {unit}"))
    };
    let all = &levels.overall;
    let mut rows = vec![
        row(
            "peak",
            format!(
                "{}, true peak {}",
                db(all.sample_peak_dbfs, "dBFS"),
                db(all.true_peak_dbtp, "dBTP")
            ),
        ),
        row("rms", db(all.rms_dbfs, "dBFS")),
        row("dc offset", format!("{:.6}", all.dc_offset)),
    ];
    if let Some(lufs) = levels.loudness.integrated_lufs {
        let range = levels.loudness.range_lu.map(|lu| format!(", range {lu:.1} LU"));
        rows.push(row("loudness", format!("{lufs:.1} LUFS{}", range.unwrap_or_default())));
    }
    if all.clipped_samples > 0 {
        let (samples, runs) = (all.clipped_samples, all.clip_runs);
        rows.push(row(
            "clipped",
            format!("{samples} samples at full scale, {runs} runs of 3 or more"),
        ));
    }
    rows
}
