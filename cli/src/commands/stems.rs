//! `formant stems`: mixes in, a file for each stem out, chunk by chunk, so that length costs no
//! memory.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::{Args, ValueEnum};
use formant_audio_core::Warning;
use formant_audio_core::encode::{AudioWriter, WriteOptions, WriteReport, finish_group};
use formant_audio_core::level::{LevelMeter, LevelReport, NullMeter, NullTest};
use formant_models::registry;
use formant_models::tasks::stems::{
    Augment, DemixConfig, EndRule, StemSeparator, StemsBlock, StemsOptions, StemsSession,
};
use formant_models::tasks::{Task, TaskSession};
use formant_models::{LoadOptions, ModelSource};
use serde_json::json;

use crate::args::{AudioArgs, ClipPolicyArg, FormatArg, InputArgs, OutputArgs, SampleArg};
use crate::batch::{Done, Lane};
use crate::commands::spot::model_source;
use crate::commands::{Work, work};
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::inputs::{Input, InputList};
use crate::messages::Messages;
use crate::outputs::{Existing, Target, Underway, begin};
use crate::plan::audio::{check_sample_format, clip_policy, container, extension, sample_format};
use crate::plan::{Settings, Sources, load_options};
use crate::run::{
    any_admitted, clock, create, internal, tell_precision, use_threads, warn, write_failure,
};
use crate::{batch, interrupt, json as lines};

/// Whose rule at the ends of a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EndsArg {
    /// That of the Music-Source-Separation-Training programs.
    TrainingKit,
    /// That of the vocal model's own program.
    VocalModel,
}

/// Which model, and how it works on a mix.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Separation options")]
pub(crate) struct SeparationArgs {
    /// A name from `formant models list`, a checkpoint with its .yaml beside it, or a file that
    /// `formant train stems` wrote.
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) model: Option<String>,
    /// Average with this model too; may be repeated.
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) ensemble: Vec<String>,
    /// Stems wanted, separated by commas [default: all there are].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) stems: Vec<String>,
    /// Seconds of the chunks that the network hears [default: as the model was trained].
    #[arg(long, value_name = "SECONDS")]
    pub(crate) chunk: Option<f64>,
    /// How many chunks hear each moment; more is smoother and slower [default: the model's].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) overlap: Option<u8>,
    /// Chunks that the network hears side by side. It changes the ends of the result a little.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) batch_size: Option<u16>,
    /// Average over runs whose chunks begin at that many other places.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(crate) shifts: u8,
    /// Average over the mix, its mirror image and its negative: three times the work.
    #[arg(long)]
    pub(crate) augment: bool,
    /// How chunks at the ends are faded.
    #[arg(long, value_enum, default_value = "training-kit", value_name = "RULE")]
    pub(crate) ends: EndsArg,
    /// Keep what lies at 0 Hz in the stems, as the vocal model's own program does.
    #[arg(long)]
    pub(crate) keep_dc: bool,
}

/// What `formant stems` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant stems song.flac --stems vocals,instrumental -o stems/")]
pub(crate) struct StemsArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) separation: SeparationArgs,
    /// Name of each file, from {name} of the input and {stem}; a slash makes a folder
    /// [default: {name}_{stem}].
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) template: Option<String>,
    /// Print peaks, clipping, loudness of each stem, and what is left of the mix when all stems
    /// are taken from it.
    #[arg(long)]
    pub(crate) report: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Kind of file [default: by the output's extension, else wav].
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) format: Option<FormatArg>,
    /// Kind of sample [default: f32, for flac s24].
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) bits: Option<SampleArg>,
    /// What happens to samples beyond full scale in integer files; scale uses one gain for all
    /// stems.
    #[arg(long, value_enum, default_value = "clip", value_name = "POLICY")]
    pub(crate) clip_policy: ClipPolicyArg,
    /// Add triangular dither, drawn from --seed, to 16-bit files.
    #[arg(long)]
    pub(crate) dither: bool,
}

impl StemsArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = plan(&self, settings)?;
        Ok(work(plan, run))
    }
}

/// The models and how they work on a mix.
#[derive(Debug)]
pub(crate) struct SeparationPlan {
    /// `None` is the default model.
    pub(crate) model: Option<ModelSource>,
    pub(crate) ensemble: Vec<ModelSource>,
    pub(crate) load: LoadOptions,
    pub(crate) stems: Vec<String>,
    pub(crate) chunk_seconds: Option<f64>,
    pub(crate) overlap: Option<usize>,
    pub(crate) batch_size: Option<usize>,
    pub(crate) ends: EndRule,
    pub(crate) shifts: usize,
    pub(crate) augment: bool,
    pub(crate) keep_dc: bool,
}

/// Where the stems of one input go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// One stem, this file.
    Exact(PathBuf),
    /// Each stem a file of its own.
    Named {
        folder: PathBuf,
        /// What `{name}` stands for.
        name: String,
    },
}

/// Mixes to be separated.
#[derive(Debug)]
pub(crate) struct StemsPlan {
    pub(crate) separation: SeparationPlan,
    pub(crate) sources: Sources,
    /// One an entry of the list.
    pub(crate) places: Vec<Option<Place>>,
    pub(crate) template: String,
    pub(crate) extension: &'static str,
    pub(crate) existing: Existing,
    pub(crate) write: WriteOptions,
    pub(crate) report: bool,
}

impl StemsPlan {
    /// The file of a stem.
    pub(crate) fn target(&self, place: &Place, stem: &str) -> Target {
        Target::File(match place {
            Place::Exact(path) => path.clone(),
            Place::Named { folder, name } => {
                let text = self.template.replace("{name}", name).replace("{stem}", stem);
                folder.join(format!("{text}.{}", self.extension))
            }
        })
    }
}

pub(crate) fn separation(
    typed: &SeparationArgs,
    settings: &Settings,
) -> Result<SeparationPlan, Failure> {
    if typed.chunk.is_some_and(|seconds| !(seconds > 0.0 && seconds <= 600.0)) {
        return Err(Failure::usage("--chunk", "give more than 0 and at most 600 seconds"));
    }
    Ok(SeparationPlan {
        model: typed.model.as_deref().map(model_source),
        ensemble: typed.ensemble.iter().map(|name| model_source(name)).collect(),
        load: load_options(settings)?,
        stems: typed.stems.clone(),
        chunk_seconds: typed.chunk,
        overlap: typed.overlap.map(usize::from),
        batch_size: typed.batch_size.map(usize::from),
        ends: match typed.ends {
            EndsArg::TrainingKit => EndRule::TrainingKit,
            EndsArg::VocalModel => EndRule::VocalModel,
        },
        shifts: usize::from(typed.shifts),
        augment: typed.augment,
        keep_dc: typed.keep_dc,
    })
}

fn plan(typed: &StemsArgs, settings: &Settings) -> Result<StemsPlan, Failure> {
    let sources = Sources::of(&typed.input, &typed.audio)?;
    let container = container(typed.format, &typed.output, sources.list.single)?;
    let one = typed.separation.stems.len() == 1;
    let template = typed.template.clone().unwrap_or_else(|| "{name}_{stem}".to_owned());
    if !template.contains("{stem}") && !one {
        let why = "needs {stem} where there is more than one";
        return Err(Failure::usage("--template", why).help("use something like {name}_{stem}"));
    }
    let places = places(typed, &sources.list, one && typed.template.is_none())?;
    let write = WriteOptions {
        format: typed.bits.map(sample_format),
        container: Some(container),
        clip: clip_policy(typed.clip_policy),
        dither: typed.dither.then(|| settings.seed.unwrap_or(0)),
        ..WriteOptions::default()
    };
    check_sample_format(container, write.format)?;
    let plan = StemsPlan {
        separation: separation(&typed.separation, settings)?,
        sources,
        places,
        template,
        extension: extension(container),
        existing: Existing::of(&typed.output),
        write,
        report: typed.report,
    };
    find_conflicts(&plan)?;
    Ok(plan)
}

/// Where the stems of every input go; failed entries have no place.
fn places(typed: &StemsArgs, list: &InputList, exact: bool) -> Result<Vec<Option<Place>>, Failure> {
    let stem_of = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let parent = |path: &Path| path.parent().unwrap_or(Path::new("")).to_owned();
    let place = |input: &Input| -> Result<Place, Failure> {
        let Some(output) = &typed.output.output else {
            let Some(path) = &input.path else {
                return Err(Failure::usage("-", "the stems of standard input need a place")
                    .help("name a folder with -o"));
            };
            return Ok(Place::Named { folder: parent(path), name: stem_of(path) });
        };
        let text = output.to_string_lossy();
        if text == "-" {
            return Err(
                Failure::usage("-o -", "stems go to files").help("name a file or folder with -o")
            );
        }
        let names_folder = output.is_dir() || text.ends_with(['/', std::path::MAIN_SEPARATOR]);
        if list.single && !names_folder && output.extension().is_some() {
            return Ok(match exact {
                true => Place::Exact(output.clone()),
                false => Place::Named { folder: parent(output), name: stem_of(output) },
            });
        }
        let folder = output.join(parent(&input.relative));
        Ok(Place::Named { folder, name: stem_of(&input.relative) })
    };
    let place = |entry: &crate::inputs::Entry| entry.as_ref().ok().map(place).transpose();
    list.entries.iter().map(place).collect()
}

/// Two inputs with the same outputs, and an output that is an input.
fn find_conflicts(plan: &StemsPlan) -> Result<(), Failure> {
    let mut taken: HashMap<OsString, String> = HashMap::new();
    for (entry, place) in plan.sources.list.entries.iter().zip(&plan.places) {
        let (Ok(input), Some(place)) = (entry, place) else { continue };
        let Target::File(path) = plan.target(place, "STEM") else { continue };
        if path.canonicalize().ok().is_some_and(|own| {
            input.path.as_ref().is_some_and(|path| path.canonicalize().ok() == Some(own))
        }) {
            let why = "a stem would replace its input";
            return Err(Failure::new(Kind::Output, path.display().to_string(), why)
                .help("name another file or folder with -o"));
        }
        let shown = path.display().to_string();
        if let Some(other) = taken.insert(path.into_os_string(), input.name()) {
            let why = format!("would be an output of both {other} and {}", input.name());
            return Err(Failure::new(Kind::Output, shown, why)
                .help("give each an output of its own with -o, one by one"));
        }
    }
    Ok(())
}

pub(crate) fn run(
    plan: StemsPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    use_threads(settings);
    tell_precision(&plan.separation.load, messages);
    let first = load(&plan.separation)?;
    tell_default(&plan.separation, messages);
    // A wrong name or number is one error, not one an input.
    first.start(&options(&plan.separation, &first)?)?;
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
    let mut separator = StemSeparator::ensemble(&sources, &plan.load)?;
    if plan.keep_dc {
        separator.keep_dc();
    }
    Ok(separator)
}

fn source(model: Option<&ModelSource>) -> Result<ModelSource, Failure> {
    Ok(ModelSource::or_default(model.cloned(), "stems")?)
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
        let session = self.separator.start(&options)?;
        let write = WriteOptions { tags: reader.info().tags.clone(), ..plan.write.clone() };
        let _underway: Vec<Underway> = targets.iter().map(begin).collect::<Result<_, _>>()?;
        let writer = |target: &Target| create(target, spec, &write);
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
        mut session: StemsSession,
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
            bar.set_position(session.heard().seconds as u64);
        }
        interrupt::check()?;
        if let (Some(block), _) = session.finish()? {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Cli;
    use crate::commands::Command;
    use clap::Parser;

    fn planned(words: &[&str]) -> Result<StemsPlan, Failure> {
        let words = ["formant", "stems"].iter().chain(words);
        let cli = Cli::try_parse_from(words).expect("typed well");
        let settings = Settings::of(&cli.global, false).expect("settings");
        let Command::Stems(typed) = cli.command else { panic!("another command") };
        plan(&typed, &settings)
    }

    fn names(words: &[&str]) -> Vec<String> {
        let plan = planned(words).expect("planned");
        let places = plan.places.iter().flatten();
        places.map(|place| plan.target(place, "vocals").name()).collect()
    }

    #[test]
    fn files_are_named_after_input_and_stem() {
        let folder = tempfile::tempdir().expect("a folder");
        let song = folder.path().join("a.b.wav");
        std::fs::write(&song, b"").expect("a file");
        let song = song.display().to_string();
        let beside = folder.path().join("a.b_vocals.wav").display().to_string();
        assert_eq!(names(&[&song]), [beside]);
        assert_eq!(names(&[&song, "-o", "out/"]), ["out/a.b_vocals.wav"]);
        assert_eq!(names(&[&song, "-o", "x.flac"]), ["x_vocals.flac"]);
        assert_eq!(names(&[&song, "-o", "x.flac", "--stems", "vocals"]), ["x.flac"]);
        let template = ["--template", "{stem}/{name}"];
        assert_eq!(names(&[&song, "-o", "out", template[0], template[1]]), ["out/vocals/a.b.wav"]);
        assert!(planned(&[&song, "--template", "x"]).is_err());
        assert!(planned(&[&song, "-o", "-"]).is_err());
        assert!(planned(&[&song, "--stems", "vocals", "-o", &song]).is_err(), "its own input");
    }
}
