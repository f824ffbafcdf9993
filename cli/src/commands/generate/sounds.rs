//! Sounds of texts.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use formant_audio_core::encode::{WriteOptions, finish_group};
use formant_audio_core::{AudioSpec, AudioView};
use formant_models::tasks::generate::{Described, Fault, GenerateOptions, Generator, Progress};
use serde_json::{Map, Value, json};

use super::prompts::{Prompt, read, several};
use super::{Common, Origin, load};
use crate::batch::{self, Done, Lane};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::{Input, InputList};
use crate::messages::Messages;
use crate::outputs::{Existing, Target, check_stdout, names_file, refuse_terminal};
use crate::settings::Settings;
use crate::times::clock;
use crate::writing::{WriteArgs, create, extension};
use crate::{draft, interrupt, json as lines};

/// Sounds to make, and where they go.
pub(super) struct Sounds {
    prompts: Vec<Prompt>,
    targets: Vec<Target>,
    existing: Existing,
    write: WriteOptions,
}

impl Sounds {
    /// Finds out which sounds are meant.
    pub(super) fn resolve(
        options: GenerateOptions,
        count: u32,
        list: Option<&Path>,
        typed: &WriteArgs,
        common: &Common,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let prompts = match list {
            Some(path) => read(path, &options)?,
            None => several(&options, count),
        };
        let is_single = list.is_none();
        let (container, write) = typed.resolve(is_single, settings)?;
        let output = typed.output.output.as_deref();
        let targets = match output {
            Some(path) if path.as_os_str() == "-" && prompts.len() == 1 => vec![Target::Stdout],
            Some(path) if path.as_os_str() == "-" => {
                return Err(Failure::usage("-o -", "standard output takes one sound only")
                    .help("name a folder with -o"));
            }
            Some(path) if names_file(path, is_single) => numbered(path, prompts.len()),
            Some(path) if path.is_file() || !is_single && path.extension().is_some() => {
                let why = "names one file, but there are several sounds";
                return Err(Failure::usage(path.display().to_string(), why).help(format!(
                    "name a folder, such as `{}/`",
                    path.with_extension("").display()
                )));
            }
            folder => {
                let folder = folder.map_or(PathBuf::new(), Path::to_owned);
                let file = |id: &str| folder.join(format!("{id}.{}", extension(container)));
                prompts.iter().map(|prompt| Target::File(file(&prompt.id))).collect()
            }
        };
        let some: Vec<Option<Target>> = targets.iter().cloned().map(Some).collect();
        check_stdout(&some, settings)?;
        refuse_terminal(&some)?;
        if common.has_provenance && targets.contains(&Target::Stdout) {
            return Err(Failure::usage("--provenance", "standard output has no file beside it")
                .help("name a file with -o"));
        }
        Ok(Self { prompts, targets, existing: Existing::of(&typed.output), write })
    }

    /// Makes them.
    pub(super) fn run(
        self,
        common: &Common,
        settings: &Settings,
        messages: &Messages,
    ) -> Result<Outcome, Failure> {
        let entry = |prompt: &Prompt| {
            let name = PathBuf::from(&prompt.id);
            Ok(Input { path: Some(name.clone()), relative: name })
        };
        let entries = self.prompts.iter().map(entry).collect();
        let list = InputList { entries, single: self.prompts.len() == 1, ..InputList::default() };
        let work = |(generator, origin): &mut (Generator, Origin), _: &Input, lane: &Lane<'_>| {
            self.one(generator, origin, common, lane)
        };
        batch::run(&list, settings.batch(), messages, || load(common, messages), work)
    }

    fn one(
        &self,
        generator: &Generator,
        origin: &Origin,
        common: &Common,
        lane: &Lane<'_>,
    ) -> Result<Done, Failure> {
        let (Some(prompt), Some(target)) =
            (self.prompts.get(lane.index), self.targets.get(lane.index))
        else {
            return Err(Failure::internal("sounds", "one has no place"));
        };
        if !admitted(self.existing, target, common)? {
            return Ok(Done::Skipped);
        }
        let options = &prompt.options;
        let described = told(generator, options, prompt.is_repeated, lane)?;
        let total = options.seconds;
        let made = generator.generate(options, &mut watch(lane, total))?;
        let made = made.ok_or_else(Failure::interrupted)?;
        let rate = generator.sample_rate();
        let mut writer = create(target, AudioSpec::mono(rate), &self.write)?;
        writer.write(&AudioView::from_mono(rate, &made.samples)).map_err(Failure::of_writing)?;
        interrupt::check()?;
        let report = finish_group(vec![writer]).map_err(Failure::of_writing)?.remove(0);
        let warnings: Vec<_> = report.warnings().into_iter().collect();
        lane.warn(&warnings);
        let mut facts = facts(generator, options, &described, &made.faults, lane)?;
        if lane.json || common.has_provenance {
            facts.insert("id".to_owned(), prompt.id.clone().into());
            facts.insert("seconds".to_owned(), json!(made.samples.len() as f64 / f64::from(rate)));
            facts.insert("rate".to_owned(), rate.into());
            facts.insert("frames".to_owned(), made.samples.len().into());
            finish(facts, target, origin, common, lane, |line| {
                line.insert("peak".to_owned(), json!(report.peak));
                line.insert("clipped".to_owned(), json!(report.clipped));
                line.insert("warnings".to_owned(), json!(lines::warnings(&warnings)));
            })?;
        }
        let length = clock(made.samples.len() as f64 / f64::from(rate));
        lane.note(&format!("{} ({length}, seed {})", target.name(), options.seed))?;
        Ok(Done::Worked)
    }
}

/// `rain.wav`, or `rain_1.wav` and so on.
fn numbered(path: &Path, count: usize) -> Vec<Target> {
    let target = Target::File(path.to_owned());
    match count {
        1 => vec![target],
        count => (1..=count).map(|n| target.with_suffix(&format!("_{n}"))).collect(),
    }
}

/// Whether a sound is still to be made.
pub(super) fn admitted(
    existing: Existing,
    target: &Target,
    common: &Common,
) -> Result<bool, Failure> {
    let is_wanted = existing.admits(target)?;
    if let (true, true, Existing::Refuse(_)) = (is_wanted, common.has_provenance, existing) {
        return existing.admits(&beside(target));
    }
    Ok(is_wanted)
}

/// The file that says how a sound was made.
fn beside(target: &Target) -> Target {
    match target {
        Target::Stdout => Target::Stdout,
        Target::File(path) => Target::File(path.with_extension("json")),
    }
}

/// What the text means to the model; what is odd about it is said once for a text.
pub(super) fn told(
    generator: &Generator,
    options: &GenerateOptions,
    is_repeated: bool,
    lane: &Lane<'_>,
) -> Result<Described, Failure> {
    // Jobs are threads of their own, each with a number of threads below it.
    tch::set_num_threads(1);
    let hint = |failure: Failure| match generator.words() {
        Some(_) if failure.remedy.is_empty() => failure.help("--list-words prints all words"),
        _ => failure,
    };
    let described = generator.describe(&options.text).map_err(|error| hint(error.into()))?;
    let negative = generator.describe(&options.negative).map_err(|error| hint(error.into()))?;
    if !is_repeated {
        for note in described.notes.iter().chain(&negative.notes) {
            lane.messages.warning(&lane.name, note);
        }
    }
    Ok(described)
}

/// Moves the bar with every step, and ends the work when the user asks for it.
pub(super) fn watch<'a>(
    lane: &'a Lane<'_>,
    seconds: f64,
) -> impl FnMut(Progress) -> ControlFlow<()> + 'a {
    move |Progress { steps, of }| {
        lane.advanced(seconds * steps as f64 / of.max(1) as f64, seconds);
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// How a sound was made, for results and provenance alike; says what is wrong with it.
pub(super) fn facts(
    generator: &Generator,
    options: &GenerateOptions,
    described: &Described,
    faults: &[Fault],
    lane: &Lane<'_>,
) -> Result<Map<String, Value>, Failure> {
    for fault in faults {
        lane.messages.warning(&lane.name, fault);
    }
    let sampling = generator.sampling(options)?;
    let fault = |fault: &Fault| {
        let mut value = serde_json::to_value(fault).unwrap_or(Value::Null);
        if let Value::Object(fields) = &mut value {
            fields.insert("message".to_owned(), fault.to_string().into());
        }
        value
    };
    let facts = json!({
        "text": options.text,
        "negative": options.negative,
        "words": described.words,
        "notes": described.notes,
        "seed": options.seed,
        "steps": sampling.steps,
        "guidance": sampling.guidance,
        "temperature": sampling.temperature,
        "waveform": generator.vocoder(),
        "faults": faults.iter().map(fault).collect::<Vec<_>>(),
    });
    match facts {
        Value::Object(facts) => Ok(facts),
        _ => Err(Failure::internal("facts", "are an object")),
    }
}

/// Writes the provenance, and tells of the result.
pub(super) fn finish(
    mut facts: Map<String, Value>,
    target: &Target,
    origin: &Origin,
    common: &Common,
    lane: &Lane<'_>,
    more: impl FnOnce(&mut Map<String, Value>),
) -> Result<(), Failure> {
    facts.insert("file".to_owned(), target.name().into());
    facts.extend(origin.networks().clone());
    if common.has_provenance {
        let mut written = facts.clone();
        written.insert("formant".to_owned(), env!("CARGO_PKG_VERSION").into());
        written.insert("precision".to_owned(), json!(common.load.precision));
        let text = format!("{:#}\n", Value::Object(written));
        draft::write(&beside(target), text.as_bytes())?;
    }
    if lane.json {
        more(&mut facts);
        lane.tell(&lines::line("generate", &facts))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_sounds_are_numbered() {
        let names = numbered(Path::new("out/rain.flac"), 3);
        let last = PathBuf::from("out").join("rain_3.flac");
        assert_eq!(names[2], Target::File(last));
        assert_eq!(numbered(Path::new("rain.wav"), 1), [Target::File("rain.wav".into())]);
    }
}
