//! `stems`: which models, which cuts, which files.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use formant_audio_core::encode::WriteOptions;
use formant_models::tasks::stems::EndRule;
use formant_models::{LoadOptions, ModelSource};

use super::audio::{check_sample_format, clip_policy, container, extension, sample_format};
use super::separation::load_options;
use super::spot::model_source;
use super::{Settings, Sources};
use crate::args::{EndsArg, SeparationArgs, StemsArgs};
use crate::failure::{Failure, Kind};
use crate::inputs::{Input, InputList};
use crate::outputs::{Existing, Target};

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

pub(super) fn stems(typed: &StemsArgs, settings: &Settings) -> Result<StemsPlan, Failure> {
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn planned(words: &[&str]) -> Result<StemsPlan, Failure> {
        let words = ["formant", "stems"].iter().chain(words);
        let cli = Cli::try_parse_from(words).expect("typed well");
        let settings = Settings::of(&cli.global);
        let Command::Stems(typed) = cli.command else { panic!("another command") };
        stems(&typed, &settings)
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
