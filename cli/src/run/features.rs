//! `formant features`: log-mel, filter-bank and cepstral features of files.

use formant_audio_core::decode::{BlockReader, ChannelSelect};
use formant_audio_core::features::{FeatureStream, presets};
use formant_audio_core::resample::{Quality, StreamResampler};
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, Warning};
use serde_json::json;

use super::rows::{Facts, RowWriter};
use super::{clock, warn};
use crate::batch::{self, Done, Lane};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::Input;
use crate::messages::Messages;
use crate::outputs::{Target, Underway, begin};
use crate::plan::{FeaturesPlan, FeaturesTask, Settings};
use crate::{interrupt, json as lines, stdout};

pub(crate) fn run(
    task: FeaturesTask,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    match task {
        FeaturesTask::ListPresets => list_presets(settings),
        FeaturesTask::PrintConfig(config) => {
            let text = serde_json::to_string_pretty(&config);
            let text = text.map_err(|error| super::internal("configuration", error))?;
            stdout::print(&format!("{text}\n"))?;
            Ok(Outcome::done())
        }
        FeaturesTask::Compute(plan) => {
            let work =
                |(): &mut (), input: &Input, lane: &Lane<'_>| compute(&plan, input, settings, lane);
            let entries = &plan.sources.list.entries;
            batch::run(entries, settings.batch(), messages, || Ok(()), work)
        }
    }
}

fn list_presets(settings: &Settings) -> Result<Outcome, Failure> {
    for (name, summary) in presets::PRESETS {
        let text = match settings.json {
            true => lines::line("preset", &json!({"name": name, "summary": summary})),
            false => format!("{name:<18} {summary}\n"),
        };
        stdout::print(&text)?;
    }
    Ok(Outcome::done())
}

fn compute(
    plan: &FeaturesPlan,
    input: &Input,
    settings: &Settings,
    lane: &Lane<'_>,
) -> Result<Done, Failure> {
    let target = super::target_of(&plan.targets, lane)?;
    let each = plan.channels == ChannelSelect::Each;
    if !each && !plan.existing.admits(target)? {
        return Ok(Done::Skipped);
    }
    let mut reader = plan.sources.open(input)?;
    let targets = match each {
        true => super::channel_targets(target, reader.spec().layout)?,
        false => vec![target.clone()],
    };
    if !super::any_admitted(plan.existing, &targets)? {
        return Ok(Done::Skipped);
    }
    let _underway: Vec<Underway> = targets.iter().map(begin).collect::<Result<_, _>>()?;
    let fronts = targets.iter().map(|_| Front::new(plan, reader.spec().rate));
    let mut fronts: Vec<Front> = fronts.collect::<Result<_, _>>()?;
    let writers = targets.iter().map(|t| RowWriter::new(t, plan.format, plan.plan.bins()));
    let mut writers: Vec<RowWriter> = writers.collect::<Result<_, _>>()?;
    feed(plan, &mut reader, &mut fronts, &mut writers)?;
    let info = reader.info().clone();
    warn(lane, &info.warnings);
    for (target, writer) in targets.iter().zip(writers) {
        let facts = Facts { title: &lane.name, config: plan.plan.config() };
        let frames = writer.finish(&facts)?;
        tell(plan, target, frames, &info.warnings, settings, lane)?;
    }
    Ok(Done::Worked)
}

/// The whole input through one front end a channel.
fn feed(
    plan: &FeaturesPlan,
    reader: &mut BlockReader,
    fronts: &mut [Front],
    writers: &mut [RowWriter],
) -> Result<(), Failure> {
    while let Some(block) = reader.next_block()? {
        interrupt::check()?;
        let parts = plan.channels.apply(&block.view());
        for ((front, writer), part) in fronts.iter_mut().zip(&mut *writers).zip(parts) {
            front.push(&part, writer)?;
        }
    }
    for (front, writer) in fronts.iter_mut().zip(writers) {
        front.finish(plan, writer)?;
    }
    Ok(())
}

/// From samples at the input's rate to rows.
struct Front {
    resampler: Option<StreamResampler>,
    kind: Kind,
    rows: Vec<f32>,
}

/// Front ends whose rows depend on the whole signal wait for its end.
enum Kind {
    Stream(Box<FeatureStream>),
    Whole(Vec<f32>),
}

impl Front {
    fn new(plan: &FeaturesPlan, rate: u32) -> Result<Self, Failure> {
        let front = &plan.plan;
        let to = front.sample_rate();
        let resampler = match rate == to {
            true => None,
            false => Some(StreamResampler::new(AudioSpec::mono(rate), to, Quality::High)?),
        };
        let kind = match *front.config() == front.config().streamable() {
            true => Kind::Stream(Box::new(front.stream())),
            false => Kind::Whole(Vec::new()),
        };
        Ok(Self { resampler, kind, rows: Vec::new() })
    }

    fn push(&mut self, part: &AudioBuf, writer: &mut RowWriter) -> Result<(), Failure> {
        match &mut self.resampler {
            None => self.take(&part.view(), writer),
            Some(resampler) => {
                let piece = resampler.push(&part.view())?;
                self.take(&piece.view(), writer)
            }
        }
    }

    fn take(&mut self, piece: &AudioView<'_>, writer: &mut RowWriter) -> Result<(), Failure> {
        match &mut self.kind {
            Kind::Whole(samples) => {
                samples.extend_from_slice(piece.channel(0));
                Ok(())
            }
            Kind::Stream(stream) => {
                self.rows.clear();
                stream.push_into(piece.channel(0), &mut self.rows);
                writer.push(&self.rows)
            }
        }
    }

    fn finish(&mut self, plan: &FeaturesPlan, writer: &mut RowWriter) -> Result<(), Failure> {
        if let Some(resampler) = &mut self.resampler {
            let tail = resampler.finish()?;
            self.take(&tail.view(), writer)?;
        }
        match &mut self.kind {
            Kind::Whole(samples) => {
                let matrix = plan.plan.compute(samples)?;
                writer.push(&matrix.iter().copied().collect::<Vec<f32>>())
            }
            Kind::Stream(stream) => {
                self.rows.clear();
                stream.finish_into(&mut self.rows);
                writer.push(&self.rows)
            }
        }
    }
}

fn tell(
    plan: &FeaturesPlan,
    target: &Target,
    frames: usize,
    warnings: &[Warning],
    settings: &Settings,
    lane: &Lane<'_>,
) -> Result<(), Failure> {
    let config = plan.plan.config();
    let bins = plan.plan.bins();
    if settings.json {
        lane.print(&lines::line(
            "features",
            &json!({
                "input": lane.name,
                "output": target.name(),
                "preset": plan.preset,
                "frames": frames,
                "bins": bins,
                "rate": config.sample_rate,
                "hop_length": config.hop_length,
                "warnings": lines::warnings(warnings),
            }),
        ))?;
    }
    let seconds = (frames * config.hop_length) as f64 / f64::from(config.sample_rate.max(1));
    lane.messages.note(&format!(
        "{} -> {} ({frames} frames x {bins} bins, {}, {})",
        lane.name,
        target.name(),
        plan.preset,
        clock(seconds)
    ));
    Ok(())
}
