//! Several inputs, one after the other, in one file.

use formant_audio_core::encode::{AudioWriter, WriteOptions};
use formant_audio_core::level::LevelMeter;
use formant_audio_core::resample::StreamResampler;
use formant_audio_core::{AudioBuf, AudioSpec, Error, Warning};
use serde_json::json;

use crate::audio_to_audio::{AudioToAudioArgs, Session};
use crate::conversion::{Conversion, Resampling};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::identity::{self, FileId};
use crate::inputs::Input;
use crate::loudness::Leveling;
use crate::messages::Messages;
use crate::outputs::{Existing, Target, check_stdout, names_file, refuse_terminal};
use crate::reading::Sources;
use crate::settings::Settings;
use crate::times::clock;
use crate::writing::create;
use crate::{interrupt, json as lines, stdout};

/// Inputs to be joined.
pub(super) struct JoinPlan {
    conversion: Conversion,
    sources: Sources,
    inputs: Vec<Input>,
    target: Target,
    existing: Existing,
    write: WriteOptions,
}

/// What was meant.
pub(super) fn plan(
    conversion: Conversion,
    files: &AudioToAudioArgs,
    settings: &Settings,
) -> Result<JoinPlan, Failure> {
    files.audio.refuse_each()?;
    let output = files.write.output.output.as_deref();
    let Some(path) = output.filter(|path| names_file(path, true)) else {
        return Err(Failure::usage("--join", "makes one file").help("name it with -o"));
    };
    let mut sources = Sources::of(&files.input, &files.audio)?;
    sources.part = files.part.resolve()?;
    let (_, write) = files.write.resolve(true, settings)?;
    let target = Target::of(Some(path));
    check_stdout(&[Some(target.clone())], settings)?;
    refuse_terminal(&[Some(target.clone())])?;
    if FileId::of(path).is_some_and(|file| identity::of_inputs(&sources.list).contains(&file)) {
        return Err(identity::own_input(path));
    }
    // A file without one of its parts would be a wrong one.
    let entries = std::mem::take(&mut sources.list.entries);
    let inputs: Vec<Input> =
        entries.into_iter().collect::<Result<_, _>>().map_err(|(_, failure)| failure)?;
    let twice = conversion.loudness.is_some() && inputs.iter().any(|input| input.path.is_none());
    if twice {
        return Err(Failure::usage("--loudness", "standard input can't be read twice")
            .help("write it to a file first"));
    }
    let existing = Existing::of(&files.write.output);
    Ok(JoinPlan { conversion, sources, inputs, target, existing, write })
}

/// Joins the inputs.
pub(super) fn run(
    plan: JoinPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    if !plan.existing.admits(&plan.target)? {
        messages.note("the output is there already");
        return Ok(Outcome::done());
    }
    let leveling = plan.conversion.loudness.map(|target| plan.measure(target)).transpose()?;
    let gain = leveling.map_or(1.0, |leveling| leveling.factor());
    let mut open: Option<(AudioWriter, AudioSpec)> = None;
    let warnings = plan.each_block(gain, messages, |block| {
        let (writer, _) = match &mut open {
            Some(open) => open,
            none => {
                let spec = block.spec();
                none.insert((create(&plan.target, spec, &plan.write)?, spec))
            }
        };
        writer.write(&block.view()).map_err(Failure::of_writing)
    })?;
    let Some((writer, spec)) = open else { return Err(Error::Empty.into()) };
    let report = writer.finish().map_err(Failure::of_writing)?;
    for warning in report.warnings() {
        messages.warning(&plan.target.name(), warning);
    }
    let seconds = report.frames as f64 / f64::from(spec.rate.max(1));
    let names: Vec<String> = plan.inputs.iter().map(Input::name).collect();
    if settings.json {
        let line = json!({
            "inputs": names,
            "output": plan.target.name(),
            "rate": spec.rate,
            "channels": spec.channels(),
            "frames": report.frames,
            "duration": seconds,
            "warnings": lines::warnings(&warnings),
        });
        stdout::print(&lines::line("convert", &line))?;
    }
    let (count, output, length) = (names.len(), plan.target.name(), clock(seconds));
    messages.note(&format!("{count} inputs -> {output} ({length}, {} Hz)", spec.rate));
    if let Some(leveling) = leveling {
        messages.note(&format!("  {}", leveling.text()));
    }
    Ok(Outcome::done())
}

impl JoinPlan {
    /// The loudness of everything together.
    fn measure(&self, target: f64) -> Result<Leveling, Failure> {
        let mut meter: Option<LevelMeter> = None;
        self.each_block(1.0, &Messages::silent(), |block| {
            let meter = meter.get_or_insert_with(|| LevelMeter::new(block.spec()));
            Ok(meter.push(&block.view())?)
        })?;
        meter.map(|meter| Leveling::of(&meter, target)).ok_or_else(|| Error::Empty.into())
    }

    /// Hands out all inputs at one rate, with a gain; what was odd about them is told.
    fn each_block(
        &self,
        gain: f32,
        messages: &Messages,
        mut take: impl FnMut(&AudioBuf) -> Result<(), Failure>,
    ) -> Result<Vec<Warning>, Failure> {
        let mut all = Vec::new();
        let mut joined: Option<AudioSpec> = None;
        for input in &self.inputs {
            let name = input.name();
            let of = |failure: Failure| failure.of_input(&name);
            let mut reader = self.sources.open(input).map_err(of)?;
            let own = reader.spec();
            let rate = self.conversion.rate.unwrap_or(joined.map_or(own.rate, |spec| spec.rate));
            let spec = *joined.get_or_insert(AudioSpec { rate, ..own });
            if own.layout != spec.layout {
                let why =
                    format!("its channels are {}, those before are {}", own.layout, spec.layout);
                return Err(Failure::usage(name.clone(), why)
                    .help("--channels mix takes all inputs to one channel"));
            }
            let resampler = (own.rate != spec.rate)
                .then(|| StreamResampler::new(own, spec.rate, self.conversion.quality))
                .transpose()?;
            let mut session = Resampling { resampler, gain };
            while let Some(block) = reader.next_block().map_err(|error| of(error.into()))? {
                interrupt::check()?;
                session.push(&block.view())?.iter().try_for_each(&mut take)?;
            }
            session.finish()?.blocks.iter().try_for_each(&mut take)?;
            let warnings = reader.info().warnings.clone();
            warnings.iter().for_each(|warning| messages.warning(&name, warning));
            all.extend(warnings);
        }
        Ok(all)
    }
}
