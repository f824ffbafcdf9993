//! `formant vad`: where somebody speaks, as text, annotations, or files of the speech alone.

mod find;
mod split;

use clap::{Args, ValueEnum};
use formant_audio_core::vad::VadOptions;
use serde_json::json;

use self::find::{Found, find};
use super::{Work, work};
use crate::batch::{self, Done, Lane};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::{Input, InputArgs};
use crate::marks::{Mark, MarkFormat};
use crate::messages::Messages;
use crate::outputs::{Existing, Naming, OutputArgs, Results, SuffixWhen, assign_shared};
use crate::reading::{AudioArgs, ClockArgs, PartArgs, Sources};
use crate::settings::Settings;
use crate::spans::{SpanFormat, Style};
use crate::times::{clock, to_millis};
use crate::{draft, json as lines, table};

/// Kinds of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VadFormat {
    /// Columns for people: start and end.
    Text,
    /// A JSON object a line; the same as --json.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
    /// NIST's rich transcription: a line a segment.
    Rttm,
    /// SubRip subtitles.
    Srt,
    /// WebVTT subtitles.
    Vtt,
    /// A label track of Audacity.
    Labels,
    /// Praat's annotation.
    #[value(name = "textgrid", alias = "TextGrid")]
    TextGrid,
    /// The speech itself: a WAV file a segment, with the channels and the rate of the input.
    Wav,
}

impl SpanFormat for VadFormat {
    const TEXT: Self = Self::Text;
    const JSONL: Self = Self::Jsonl;
    const ENDINGS: &'static [(&'static str, Self)] = &[
        ("txt", Self::Text),
        ("csv", Self::Csv),
        ("jsonl", Self::Jsonl),
        ("json", Self::Jsonl),
        ("rttm", Self::Rttm),
        ("srt", Self::Srt),
        ("vtt", Self::Vtt),
        ("TextGrid", Self::TextGrid),
    ];

    fn marks(self) -> Option<MarkFormat> {
        match self {
            Self::Srt => Some(MarkFormat::Srt),
            Self::Vtt => Some(MarkFormat::Vtt),
            Self::Labels => Some(MarkFormat::Labels),
            Self::TextGrid => Some(MarkFormat::TextGrid),
            _ => None,
        }
    }

    fn shares(self) -> bool {
        self.marks().is_none() && self != Self::Wav
    }

    fn heading(self) -> &'static str {
        if self == Self::Csv { "input,start,end\n" } else { "" }
    }
}

/// What `formant vad` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant vad meeting.mp3 -o meeting.rttm\n\n\
    -o FILE takes the segments of all inputs as txt, csv, jsonl or rttm, by its extension; srt, vtt, \
    TextGrid and labels are a file an input, wav (with -o FOLDER/) a file a segment.")]
pub(crate) struct VadArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    audio: AudioArgs,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    clock: ClockArgs,
    #[command(flatten)]
    detection: DetectionArgs,
    /// Output format [default: by the output's extension, otherwise text].
    #[arg(long, value_enum, value_name = "KIND")]
    format: Option<VadFormat>,
    /// Write times as h:mm:ss.mmm instead of seconds, in text and csv.
    #[arg(long)]
    timecode: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// How decisions become segments.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Detection options")]
struct DetectionArgs {
    /// Probability from which speech begins, between 0.15 and 1.
    #[arg(long, value_name = "SHARE", default_value_t = VadOptions::default().threshold)]
    threshold: f32,
    /// Minimum length of speech in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = VadOptions::default().min_speech)]
    min_speech: f64,
    /// Minimum length of a pause in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = VadOptions::default().min_silence)]
    min_silence: f64,
    /// Time that is added to both ends of a segment, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = VadOptions::default().padding)]
    padding: f64,
    /// Maximum length of a segment in seconds [default: no limit].
    #[arg(long, value_name = "SECONDS")]
    max_speech: Option<f64>,
}

impl DetectionArgs {
    fn options(self) -> VadOptions {
        let Self { threshold, min_speech, min_silence, padding, max_speech } = self;
        VadOptions { threshold, min_speech, min_silence, padding, max_speech }
    }
}

impl VadArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = plan(&self, settings)?;
        Ok(work(plan, run))
    }
}

/// Speech to be found.
#[derive(Debug)]
struct VadPlan {
    sources: Sources,
    clock: ClockArgs,
    options: VadOptions,
    style: Style<VadFormat>,
    output: Results,
    existing: Existing,
}

fn plan(typed: &VadArgs, settings: &Settings) -> Result<VadPlan, Failure> {
    let format = SpanFormat::of(typed.format, &typed.output, settings)?;
    let mut sources = Sources::of(&typed.input, &typed.audio)?;
    sources.part = typed.part.resolve()?;
    let naming = Naming {
        suffix: "_speech",
        suffix_when: SuffixWhen::SameExtension,
        extension: match format {
            VadFormat::Wav => "wav",
            _ => format.extension(),
        },
    };
    if format == VadFormat::Wav {
        split::check(typed.output.output.as_deref(), &sources)?;
    }
    let list = &mut sources.list;
    let output = assign_shared(&typed.output, list, naming, format.shares(), settings)?;
    let several = !sources.list.single && matches!(output, Results::Gathered(_));
    Ok(VadPlan {
        sources,
        clock: typed.clock,
        options: typed.detection.options(),
        style: Style { format, timecode: typed.timecode, several },
        output,
        existing: Existing::of(&typed.output),
    })
}

fn run(plan: VadPlan, settings: &Settings, messages: &Messages) -> Result<Outcome, Failure> {
    let work = |(): &mut (), input: &Input, lane: &Lane<'_>| recording(&plan, input, lane);
    let worker = || {
        // A wrong number is one error, not one an input.
        formant_audio_core::vad::VoiceDetector::new(find::RATE, &plan.options)?;
        Ok(())
    };
    let (list, options) = (&plan.sources.list, settings.batch());
    let format = plan.style.format;
    let json = format == VadFormat::Jsonl;
    let heading = format.heading();
    let gathering = batch::Gathering { existing: plan.existing, heading, json };
    batch::run_to(&plan.output, gathering, list, options, messages, worker, work)
}

fn recording(plan: &VadPlan, input: &Input, lane: &Lane<'_>) -> Result<Done, Failure> {
    let target = plan.output.own(lane.index)?;
    let format = plan.style.format;
    if let Some(target) = target
        && format != VadFormat::Wav
        && !plan.existing.admits(target)?
    {
        return Ok(Done::Skipped);
    }
    let mut reader = lane.open(&plan.sources, input)?;
    let offset = plan.clock.offset(&mut reader) + plan.sources.part.bounds(None).0;
    let Found { segments, seconds, warnings } = find(&mut reader, &plan.options)?;
    lane.warn(&warnings);
    let speech: f64 = segments.iter().map(|[start, end]| end - start).sum();
    let mut end = json!({
        "input": lane.name,
        "segments": segments.len(),
        "speech": to_millis(speech),
        "duration": seconds,
        "warnings": lines::warnings(&warnings),
    });
    let told: Vec<[f64; 2]> = segments.iter().map(|span| span.map(|time| time + offset)).collect();
    match target {
        None => {
            for span in &told {
                lane.print(&line(plan.style, &lane.name, *span)?)?;
            }
            if format == VadFormat::Jsonl {
                lane.print(&lines::line("vad", &end))?;
            }
        }
        Some(target) => {
            let output = match format {
                VadFormat::Wav => {
                    let files = split::write(plan, input, target, &segments)?;
                    let Some(files) = files else { return Ok(Done::Skipped) };
                    end["outputs"] = files.clone().into();
                    format!("{} files, {} and on", files.len(), target.name())
                }
                _ => {
                    let text = file(plan.style, &lane.name, &told, seconds + offset)?;
                    draft::write(target, text.as_bytes())?;
                    end["output"] = target.name().into();
                    target.name()
                }
            };
            if lane.json {
                lane.tell(&lines::line("vad", &end))?;
            }
            let count = segments.len();
            lane.note(&format!(
                "{} -> {output} ({count} segments, {} of {})",
                lane.name,
                clock(speech),
                clock(seconds)
            ))?;
        }
    }
    if segments.is_empty() {
        lane.messages.detail(&format!("{}: no speech", lane.name));
    }
    Ok(Done::Worked)
}

/// The segments of a recording, as a file of its own.
fn file(
    style: Style<VadFormat>,
    name: &str,
    segments: &[[f64; 2]],
    duration: f64,
) -> Result<String, Failure> {
    let mark = |&[start, end]: &[f64; 2]| Mark { start, end, text: "speech".to_owned() };
    let marks = || segments.iter().map(mark).collect();
    style.file(marks, "speech", duration, segments.iter().map(|span| line(style, name, *span)))
}

fn line(style: Style<VadFormat>, name: &str, [start, end]: [f64; 2]) -> Result<String, Failure> {
    Ok(match style.format {
        VadFormat::Csv => table::row(&[name, &style.cell(start), &style.cell(end)])?,
        VadFormat::Rttm => {
            let stem = std::path::Path::new(name).file_stem().unwrap_or_default();
            let file = stem.to_string_lossy().replace(char::is_whitespace, "_");
            let file = if file.is_empty() { "-" } else { &file };
            let length = to_millis(end) - to_millis(start);
            format!("SPEAKER {file} 1 {start:.3} {length:.3} <NA> <NA> speech <NA> <NA>\n")
        }
        VadFormat::Jsonl => {
            let (start, end) = (to_millis(start), to_millis(end));
            lines::line("speech", &json!({"input": name, "start": start, "end": end}))
        }
        _ => format!("{}\n", style.columns(name, start, end)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_as_lines() {
        let text = |format, timecode| {
            let style = Style { format, timecode, several: true };
            line(style, "in/a b.wav", [1.0, 2.5]).expect("text")
        };
        assert_eq!(text(VadFormat::Text, false), "in/a b.wav:     1.00     2.50\n");
        assert_eq!(text(VadFormat::Csv, true), "in/a b.wav,0:01.000,0:02.500\n");
        let rttm = "SPEAKER a_b 1 1.000 1.500 <NA> <NA> speech <NA> <NA>\n";
        assert_eq!(text(VadFormat::Rttm, false), rttm);
        let parsed: serde_json::Value =
            serde_json::from_str(&text(VadFormat::Jsonl, false)).expect("JSON");
        assert_eq!((&parsed["type"], &parsed["end"]), (&json!("speech"), &json!(2.5)));
    }
}
