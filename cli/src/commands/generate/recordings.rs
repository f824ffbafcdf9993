//! Recordings with a wider band, without a gap, or longer.

use std::path::Path;

use formant_audio_core::AudioBuf;
use formant_audio_core::encode::{WriteOptions, finish_group};
use formant_models::tasks::generate::{Edit, Edited, GenerateOptions, Generator};
use serde_json::json;

use super::sounds::{admitted, facts, finish, told, watch};
use super::{Common, Origin, load};
use crate::batch::{self, Done, Lane};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::{Input, InputArgs};
use crate::interrupt;
use crate::json as lines;
use crate::messages::Messages;
use crate::outputs::{Existing, Naming, SuffixWhen, Target, assign, refuse_terminal, target_of};
use crate::reading::{AudioArgs, Sources};
use crate::settings::Settings;
use crate::times::clock;
use crate::writing::{WriteArgs, create, extension};

/// Recordings, and what is done with them.
pub(super) struct Recordings {
    sources: Sources,
    targets: Vec<Option<Target>>,
    options: GenerateOptions,
    existing: Existing,
    write: WriteOptions,
}

impl Recordings {
    /// Finds out where the results go.
    pub(super) fn resolve(
        file: &Path,
        options: GenerateOptions,
        typed: &WriteArgs,
        common: &Common,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let inputs = InputArgs { inputs: vec![file.to_owned()], ..InputArgs::default() };
        let mut sources = Sources::of(&inputs, &AudioArgs::default())?;
        let (container, write) = typed.resolve(sources.list.single, settings)?;
        let suffix = match options.edit {
            Edit::ExtendBandwidth { .. } => "_wide",
            Edit::Inpaint { .. } => "_filled",
            Edit::Continue { .. } => "_continued",
        };
        let suffix_when = SuffixWhen::Always;
        let naming = Naming { suffix, suffix_when, extension: extension(container) };
        let targets = assign(&typed.output, &mut sources.list, naming, settings)?;
        refuse_terminal(&targets)?;
        if common.has_provenance && targets.contains(&Some(Target::Stdout)) {
            return Err(Failure::usage("--provenance", "standard output has no file beside it")
                .help("name a file with -o"));
        }
        Ok(Self { sources, targets, options, existing: Existing::of(&typed.output), write })
    }

    /// Does it.
    pub(super) fn run(
        self,
        common: &Common,
        settings: &Settings,
        messages: &Messages,
    ) -> Result<Outcome, Failure> {
        let work =
            |(generator, origin): &mut (Generator, Origin), input: &Input, lane: &Lane<'_>| {
                self.one(generator, origin, common, input, lane)
            };
        batch::run(&self.sources.list, settings.batch(), messages, || load(common, messages), work)
    }

    fn one(
        &self,
        generator: &Generator,
        origin: &Origin,
        common: &Common,
        input: &Input,
        lane: &Lane<'_>,
    ) -> Result<Done, Failure> {
        let target = target_of(&self.targets, lane.index)?;
        if !admitted(self.existing, target, common)? {
            return Ok(Done::Skipped);
        }
        let described = told(generator, &self.options, lane.index > 0, lane)?;
        let mut reader = self.sources.open(input)?;
        let mut blocks = Vec::new();
        while let Some(block) = reader.next_block()? {
            interrupt::check()?;
            blocks.push(block);
        }
        lane.warn(&reader.info().warnings);
        if blocks.is_empty() {
            return Err(formant_audio_core::Error::Empty.into());
        }
        let audio = AudioBuf::concat(&blocks)?;
        drop(blocks);
        let mut watch = watch(lane, audio.duration());
        let edited = generator.edit(&audio.view(), &self.options, &mut watch)?;
        let Edited { audio, cutoff_hz, faults } = edited.ok_or_else(Failure::interrupted)?;
        let mut writer = create(target, audio.spec(), &self.write)?;
        writer.write(&audio.view()).map_err(Failure::of_writing)?;
        interrupt::check()?;
        let report = finish_group(vec![writer]).map_err(Failure::of_writing)?.remove(0);
        let warnings: Vec<_> = report.warnings().into_iter().collect();
        lane.warn(&warnings);
        let mut facts = facts(generator, &self.options, &described, &faults, lane)?;
        if lane.json || common.has_provenance {
            facts.insert("input".to_owned(), lane.name.clone().into());
            facts.insert("rate".to_owned(), audio.rate().into());
            facts.insert("channels".to_owned(), audio.channels().into());
            facts.insert("frames".to_owned(), audio.frames().into());
            facts.insert("seconds".to_owned(), json!(audio.duration()));
            match self.options.edit {
                Edit::ExtendBandwidth { .. } => {
                    facts.insert("cutoff_hz".to_owned(), json!(cutoff_hz));
                }
                Edit::Inpaint { from, to } => {
                    facts.insert("filled".to_owned(), json!([from, to]));
                }
                Edit::Continue { seconds } => {
                    facts.insert("continued".to_owned(), json!(seconds));
                }
            }
            finish(facts, target, origin, common, lane, |line| {
                line.insert("peak".to_owned(), json!(report.peak));
                line.insert("clipped".to_owned(), json!(report.clipped));
                line.insert("warnings".to_owned(), json!(lines::warnings(&warnings)));
            })?;
        }
        let done = match self.options.edit {
            Edit::ExtendBandwidth { .. } => {
                let edges: Vec<_> = cutoff_hz.iter().map(|hz| format!("{:.1}", hz / 1e3)).collect();
                format!("band up to {} kHz, widened where it is narrow", edges.join(", "))
            }
            Edit::Inpaint { from, to } => format!("{from} to {to} s replaced"),
            Edit::Continue { seconds } => format!("{seconds} s added"),
        };
        let length = clock(audio.duration());
        lane.note(&format!("{} -> {} ({length}, {done})", lane.name, target.name()))?;
        Ok(Done::Worked)
    }
}
