//! `formant stems`: mixes in, a file for each stem out, chunk by chunk, so that length costs no
//! memory.

use std::sync::{Mutex, PoisonError};

use formant_audio_core::Warning;
use formant_audio_core::encode::{AudioWriter, WriteOptions, WriteReport, finish_group};
use formant_audio_core::level::{LevelMeter, LevelReport, NullMeter, NullTest};
use formant_models::ModelSource;
use formant_models::registry;
use formant_models::tasks::stems::{
    Augment, DemixConfig, StemSeparator, StemsBlock, StemsOptions, StemsSession,
};
use serde_json::json;

use super::{any_admitted, clock, internal, tell_precision, use_threads, warn, write_failure};
use crate::batch::{self, Done, Lane};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::Input;
use crate::messages::Messages;
use crate::outputs::{Target, Underway, begin};
use crate::plan::{SeparationPlan, Settings, StemsPlan};
use crate::{interrupt, json as lines};

pub(super) fn run(
    plan: StemsPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    use_threads(settings);
    tell_precision(&plan.separation.load, messages);
    let first = load(&plan.separation)?;
    tell_default(&plan.separation, messages);
    // A wrong name or number is one error, not one an input.
    let spec = formant_audio_core::AudioSpec::mono(first.models()[0].card().sample_rate());
    first.start(spec, &options(&plan.separation, &first)?)?;
    let first = Mutex::new(Some(first));
    let worker = || {
        let ready = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        ready.map_or_else(|| load(&plan.separation), Ok)
    };
    let work = |separator: &mut StemSeparator, input: &Input, lane: &Lane<'_>| {
        Job { plan: &plan, separator, lane, json: settings.json }.run(input)
    };
    // A network has all cores.
    let options = batch::Options { jobs: settings.jobs.unwrap_or(1), json: settings.json };
    batch::run(&plan.sources.list.entries, options, messages, worker, work)
}

/// Loads the models that were asked for, or the default one.
pub(crate) fn load(plan: &SeparationPlan) -> Result<StemSeparator, Failure> {
    let first = source(plan.model.as_ref())?;
    let sources: Vec<ModelSource> = std::iter::once(first).chain(plan.ensemble.clone()).collect();
    let mut separator = StemSeparator::load(&sources, &plan.load)?;
    if plan.keep_dc {
        separator.keep_dc();
    }
    Ok(separator)
}

fn source(model: Option<&ModelSource>) -> Result<ModelSource, Failure> {
    Ok(match model {
        Some(source) => source.clone(),
        None => registry::default_for("stems")?.source(),
    })
}

/// Says which model was used where none was named.
pub(crate) fn tell_default(plan: &SeparationPlan, messages: &Messages) {
    if let (None, Ok(bundled)) = (&plan.model, registry::default_for("stems")) {
        messages.note(&format!(
            "model {}: {}; `formant models list --task stems` shows larger ones",
            bundled.name, bundled.summary
        ));
    }
}

/// How mixes are worked on, for this separator.
pub(crate) fn options(
    plan: &SeparationPlan,
    separator: &StemSeparator,
) -> Result<StemsOptions, Failure> {
    let card = separator.models()[0].card();
    let mut demix: DemixConfig = card.demix;
    if let Some(seconds) = plan.chunk_seconds {
        // Whole hops, as the reference needs it.
        let hop = card.config.stft_hop_length.max(1) as f64;
        let hops = (seconds * f64::from(card.sample_rate()) / hop).round().max(1.0);
        demix.chunk_size = (hops * hop) as usize;
        if demix.chunk_size as i64 <= card.config.stft_n_fft {
            return Err(Failure::usage("--chunk", "shorter than the network's transform"));
        }
    }
    demix.num_overlap = plan.overlap.unwrap_or(demix.num_overlap);
    demix.batch_size = plan.batch_size.unwrap_or(demix.batch_size);
    demix.ends = plan.ends;
    Ok(StemsOptions {
        demix: Some(demix),
        shifts: plan.shifts,
        augment: if plan.augment { Augment::Yes } else { Augment::No },
        stems: plan.stems.clone(),
    })
}

/// One mix.
struct Job<'a> {
    plan: &'a StemsPlan,
    separator: &'a StemSeparator,
    lane: &'a Lane<'a>,
    json: bool,
}

/// The files of the stems on their way.
struct Files {
    writers: Vec<AudioWriter>,
    meters: Vec<LevelMeter>,
    null: NullMeter,
}

impl Files {
    fn take(&mut self, block: &StemsBlock) -> Result<(), Failure> {
        let parts: Vec<_> = block.stems.iter().map(|stem| stem.view()).collect();
        self.null.push(&parts, &block.mix.view())?;
        for ((writer, meter), part) in self.writers.iter_mut().zip(&mut self.meters).zip(&parts) {
            meter.push(part)?;
            writer.write(part).map_err(write_failure)?;
        }
        Ok(())
    }
}

impl Job<'_> {
    fn run(&self, input: &Input) -> Result<Done, Failure> {
        let plan = self.plan;
        let options = options(&plan.separation, self.separator)?;
        let names = match options.stems.as_slice() {
            [] => self.separator.stems(),
            names => names,
        };
        let place = plan.places.get(self.lane.index).and_then(Option::as_ref);
        let place = place.ok_or_else(|| internal("outputs", "an input has none"))?;
        let targets: Vec<Target> = names.iter().map(|stem| plan.target(place, stem)).collect();
        if !any_admitted(plan.existing, &targets)? {
            return Ok(Done::Skipped);
        }
        let mut reader = plan.sources.open(input)?;
        let spec = reader.spec();
        let session = self.separator.start(spec, &options)?;
        let write = WriteOptions { tags: reader.info().tags.clone(), ..plan.write.clone() };
        let _underway: Vec<Underway> = targets.iter().map(begin).collect::<Result<_, _>>()?;
        let writer = |target: &Target| match target {
            Target::File(path) => AudioWriter::create(path, spec, &write).map_err(write_failure),
            Target::Stdout => Err(internal("outputs", "stems go to files")),
        };
        let mut files = Files {
            writers: targets.iter().map(writer).collect::<Result<_, _>>()?,
            meters: targets.iter().map(|_| LevelMeter::new(spec)).collect(),
            null: NullMeter::default(),
        };
        self.separate(&mut reader, session, &mut files)?;
        let info = reader.info().clone();
        warn(self.lane, &info.warnings);
        let reports = finish_group(files.writers).map_err(write_failure)?;
        let levels: Vec<LevelReport> = files.meters.iter().map(LevelMeter::report).collect();
        // The stems of a choice do not add up to the mix.
        let all = names.len() == self.separator.stems().len();
        let difference = all.then(|| files.null.result());
        self.tell(names, &reports, &levels, difference.as_ref(), &info.warnings)?;
        Ok(Done::Worked)
    }

    fn separate(
        &self,
        reader: &mut formant_audio_core::decode::BlockReader,
        mut session: StemsSession<'_>,
        files: &mut Files,
    ) -> Result<(), Failure> {
        let rate = u64::from(reader.spec().rate.max(1));
        let total = reader.declared_frames().unwrap_or(0) / rate;
        let bar = self.lane.messages.bar(total, &format!("s of {}", self.lane.name));
        while let Some(block) = reader.next_block()? {
            interrupt::check()?;
            if let Some(block) = session.push(&block.view())? {
                files.take(&block)?;
            }
            bar.set_position(session.returned() as u64 / rate);
        }
        interrupt::check()?;
        if let Some(block) = session.finish()? {
            files.take(&block)?;
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn tell(
        &self,
        names: &[String],
        reports: &[WriteReport],
        levels: &[LevelReport],
        difference: Option<&NullTest>,
        warnings: &[Warning],
    ) -> Result<(), Failure> {
        let stems = || names.iter().zip(reports).zip(levels);
        for ((_, report), _) in stems() {
            warn(self.lane, &report.warnings());
        }
        if self.json {
            let stems: Vec<_> = stems()
                .map(|((name, report), level)| {
                    json!({
                        "stem": name,
                        "output": report.path.display().to_string(),
                        "frames": report.frames,
                        "bits": report.format,
                        "clipped": report.clipped,
                        "limited": report.limited,
                        "gain": report.gain,
                        "peak": level.overall.peak,
                        "sample_peak_dbfs": level.overall.sample_peak_dbfs,
                        "true_peak_dbtp": level.overall.true_peak_dbtp,
                        "rms_dbfs": level.overall.rms_dbfs,
                        "samples_over_full_scale": level.overall.clipped_samples,
                        "loudness": level.loudness,
                    })
                })
                .collect();
            let result = json!({
                "input": self.lane.name,
                "stems": stems,
                "null_test": difference,
                "warnings": lines::warnings(warnings),
            });
            self.lane.print(&lines::line("stems", &result))?;
        } else if self.plan.report {
            self.lane.print(&report_text(&self.lane.name, stems(), difference))?;
        }
        for ((_, report), level) in stems() {
            let seconds = report.frames as f64 / f64::from(level.rate.max(1));
            let output = report.path.display();
            let text = format!("{} -> {output} ({})", self.lane.name, clock(seconds));
            self.lane.messages.note(&text);
            if report.gain != 1.0 {
                let text = format!("  all stems times {:.4}, so that none clips", report.gain);
                self.lane.messages.note(&text);
            }
        }
        Ok(())
    }
}

/// Peaks of the stems, and the null test, as a table.
fn report_text<'a>(
    name: &str,
    stems: impl Iterator<Item = ((&'a String, &'a WriteReport), &'a LevelReport)>,
    null: Option<&NullTest>,
) -> String {
    let db = |value: Option<f64>| value.map_or("-inf".to_owned(), |db| format!("{db:.2}"));
    let mut text = format!(
        "{name}\n{:<16} {:>10} {:>10} {:>10} {:>8} {:>8}\n",
        "stem", "peak dBFS", "true dBTP", "RMS dBFS", "over", "clipped"
    );
    for ((stem, report), level) in stems {
        let all = &level.overall;
        text += &format!(
            "{stem:<16} {:>10} {:>10} {:>10} {:>8} {:>8}\n",
            db(all.sample_peak_dbfs),
            db(all.true_peak_dbtp),
            db(all.rms_dbfs),
            all.clipped_samples,
            report.clipped
        );
    }
    match null {
        Some(null) => {
            text += &format!(
                "null test (sum of the stems minus the mix): {} dBFS, peak {} dBFS\n",
                db(null.residual_dbfs),
                db(null.residual_peak_dbfs)
            );
        }
        None => text += "null test: only with all stems\n",
    }
    text
}
