//! `spot`: which model, which thresholds, which recordings.

use std::path::Path;

use formant_models::tasks::spot::SpotOptions;
use formant_models::{LoadOptions, ModelSource};

use super::{Settings, Sources};
use crate::args::{Precision, SpotArgs, SpotFormat, SpotTuning};
use crate::failure::Failure;
use crate::outputs::{Existing, Target};

/// A keyword model and how it runs.
#[derive(Debug)]
pub(crate) struct SpotModel {
    /// `None` is the default model.
    pub(crate) source: Option<ModelSource>,
    /// Names of the answers.
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) load: LoadOptions,
}

/// What `spot` does.
#[derive(Debug)]
pub(crate) enum SpotTask {
    ListWords(SpotModel),
    Find(Box<SpotPlan>),
}

/// Words to be found.
#[derive(Debug)]
pub(crate) struct SpotPlan {
    pub(crate) model: SpotModel,
    pub(crate) sources: Sources,
    pub(crate) options: SpotOptions,
    pub(crate) format: SpotFormat,
    /// Where all detections go.
    pub(crate) target: Target,
    pub(crate) existing: Existing,
}

pub(super) fn spot(typed: &SpotArgs, settings: &Settings) -> Result<SpotTask, Failure> {
    let model = model(typed.model.as_deref(), typed.labels.as_deref(), settings)?;
    if typed.list_words {
        return Ok(SpotTask::ListWords(model));
    }
    let format = if settings.json { SpotFormat::Jsonl } else { typed.format };
    let target = match &typed.output.output {
        None => Target::Stdout,
        Some(path) if path.as_os_str() == "-" => Target::Stdout,
        Some(path) => Target::File(path.clone()),
    };
    Ok(SpotTask::Find(Box::new(SpotPlan {
        model,
        sources: Sources::of(&typed.input, &typed.audio)?,
        options: tuning(&typed.tuning)?,
        format,
        target,
        existing: Existing::of(&typed.output),
    })))
}

pub(crate) fn model(
    name: Option<&str>,
    labels: Option<&str>,
    settings: &Settings,
) -> Result<SpotModel, Failure> {
    if matches!(settings.precision, Precision::Bf16 | Precision::F16) {
        return Err(Failure::usage("--precision", "keyword models run in f32 only"));
    }
    Ok(SpotModel {
        source: name.map(model_source),
        labels: labels.map(read_labels).transpose()?,
        load: LoadOptions { device: settings.device, ..LoadOptions::default() },
    })
}

/// A path when it looks like one or exists, else the name of a bundled or published model.
pub(super) fn model_source(name: &str) -> ModelSource {
    ModelSource::named(name)
}

/// A file with a label a line, or labels separated by commas.
fn read_labels(text: &str) -> Result<Vec<String>, Failure> {
    let path = Path::new(text);
    let labels: Vec<String> = if path.is_file() {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::input(path, &error))?;
        text.lines().map(|line| line.trim().to_owned()).collect()
    } else {
        text.split(',').map(|label| label.trim().to_owned()).collect()
    };
    let labels: Vec<String> = labels.into_iter().filter(|label| !label.is_empty()).collect();
    if labels.len() < 2 {
        return Err(Failure::usage("--labels", format!("`{text}` is neither a file nor a list"))
            .help("give a text file with a label a line, or labels separated by commas"));
    }
    Ok(labels)
}

pub(crate) fn tuning(typed: &SpotTuning) -> Result<SpotOptions, Failure> {
    let mut options = SpotOptions {
        refractory: typed.refractory,
        smoothing: typed.smoothing,
        words: typed.words.clone(),
        ..SpotOptions::default()
    };
    for text in &typed.threshold {
        let (word, score) = match text.rsplit_once('=') {
            Some((word, score)) => (Some(word), score),
            None => (None, text.as_str()),
        };
        let score: f32 =
            score.parse().ok().filter(|score| (0.0..=1.0).contains(score)).ok_or_else(|| {
                Failure::usage("--threshold", format!("`{text}` holds no score from 0 to 1"))
                    .help("give a score such as 0.7, or a word and its score such as yes=0.7")
            })?;
        match word {
            Some(word) => {
                options.thresholds.insert(word.to_owned(), score);
            }
            None => options.threshold = Some(score),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_for_all_or_for_one() {
        let typed = |list: &[&str]| SpotTuning {
            threshold: list.iter().map(|text| (*text).to_owned()).collect(),
            ..SpotTuning::default()
        };
        let options = tuning(&typed(&["0.6", "yes=0.9"])).expect("two scores");
        assert_eq!(options.threshold, Some(0.6));
        assert_eq!(options.thresholds.get("yes"), Some(&0.9));
        for bad in ["yes", "yes=", "1.5", "no=-1", ""] {
            assert!(tuning(&typed(&[bad])).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_and_paths_are_told_apart() {
        let bundled = ModelSource::Bundled("spot-commands".to_owned());
        assert_eq!(model_source("spot-commands"), bundled);
        for path in ["a/b", "mine.safetensors", "./mine"] {
            assert_eq!(model_source(path), ModelSource::Path(path.into()));
        }
    }

    #[test]
    fn labels_come_as_a_list_or_a_file() {
        assert_eq!(read_labels("yes, no").expect("a list"), ["yes", "no"]);
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), "yes\nno\n\nup\n").expect("written");
        let read = read_labels(&file.path().display().to_string()).expect("a file");
        assert_eq!(read, ["yes", "no", "up"]);
        assert!(read_labels("missing.txt").is_err());
    }
}
