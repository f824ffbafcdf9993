//! Keyword models: which one, how it decides, and how its accuracy is told.

use formant_audio_core::text;
use std::path::Path;

use clap::Args;
use formant_models::tasks::spot::{SpotOptions, Spotter};
use formant_models::{LoadOptions, ModelSource};
use formant_training::spot::SpotReport;

use crate::failure::Failure;
use crate::settings::Settings;
use crate::tasks::load_options_f32;

/// How detections are made.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Detection options")]
pub(crate) struct SpotTuning {
    /// Detection threshold from 0 to 1, for all words (0.7) or one (yes=0.8); may be repeated.
    #[arg(long, value_name = "[WORD=]SCORE")]
    pub(crate) threshold: Vec<String>,
    /// Refractory time of a word after its detection, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) refractory: Option<f64>,
    /// Length of score averaging in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) smoothing: Option<f64>,
    /// Words to look for, separated by commas [default: all that the model knows].
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    pub(crate) words: Vec<String>,
}

impl SpotTuning {
    /// The task's options.
    pub(crate) fn options(&self) -> Result<SpotOptions, Failure> {
        let mut options = SpotOptions {
            refractory: self.refractory,
            smoothing: self.smoothing,
            words: self.words.clone(),
            ..SpotOptions::default()
        };
        for text in &self.threshold {
            let (word, score) = match text.rsplit_once('=') {
                Some((word, score)) => (Some(word), score),
                None => (None, text.as_str()),
            };
            let score: f32 = score
                .parse()
                .ok()
                .filter(|score| (0.0..=1.0).contains(score))
                .ok_or_else(|| {
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
}

/// A keyword model and how it runs.
#[derive(Debug)]
pub(crate) struct SpotModel {
    /// `None` is the default model.
    source: Option<ModelSource>,
    /// Labels of a checkpoint that has none.
    labels: Option<Vec<String>>,
    load: LoadOptions,
}

impl SpotModel {
    /// The model of this name, with labels from a file or list.
    pub(crate) fn of(
        name: Option<&str>,
        labels: Option<&str>,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        Ok(Self {
            source: name.map(ModelSource::named),
            labels: labels.map(read_labels).transpose()?,
            load: load_options_f32(settings, "keyword models")?,
        })
    }

    /// Loads the model that was asked for, or the default one.
    pub(crate) fn load(&self) -> Result<Spotter, Failure> {
        let source = ModelSource::or_default(self.source.clone(), "spot")?;
        Ok(Spotter::load_with_labels(&source, self.labels.clone(), &self.load)?)
    }
}

/// A file with a label a line, or labels separated by commas.
fn read_labels(text: &str) -> Result<Vec<String>, Failure> {
    let path = Path::new(text);
    let labels: Vec<String> = if path.is_file() {
        let text = text::read(path, text::MAX_TEXT)?;
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

/// Accuracy of every word, what was mistaken for what, and the sums.
pub(crate) fn accuracy_table(report: &SpotReport) -> String {
    let width =
        report.words.iter().map(|word| word.label.chars().count()).max().unwrap_or(0).max(4);
    let mut text = format!("{:<width$}  clips  correct\n", "word");
    for word in &report.words {
        let share = 100.0 * word.correct as f64 / word.clips.max(1) as f64;
        text += &format!("{:<width$}  {:>5}  {share:>5.1} %\n", word.label, word.clips);
    }
    let shown = report.confusions.iter().take(10);
    for confusion in shown {
        let answered = match confusion.answered.as_str() {
            "" => "no word",
            word => word,
        };
        text += &format!("{} x {} taken for {answered}\n", confusion.clips, confusion.said);
    }
    text + &report.one_line()
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
        let options = typed(&["0.6", "yes=0.9"]).options().expect("two scores");
        assert_eq!(options.threshold, Some(0.6));
        assert_eq!(options.thresholds.get("yes"), Some(&0.9));
        for bad in ["yes", "yes=", "1.5", "no=-1", ""] {
            assert!(typed(&[bad]).options().is_err(), "{bad}");
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
