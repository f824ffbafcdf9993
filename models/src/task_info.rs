//! The one table of the tasks: what they are called, which networks they run, and how their quality
//! is told. Command line, benchmarks, measurements and documents read it.

use serde::Serialize;

use crate::checkpoint::Architecture;

/// A task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TaskInfo {
    /// Its name, which is that of its command.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// The networks that it runs.
    pub architectures: &'static [Architecture],
    /// The bundled model that is used where none is named.
    pub default: Option<&'static str>,
    /// The figures of its quality that `formant eval` measures, the most important one first.
    pub metrics: &'static [Metric],
    /// What to do where the bundled model is not good enough, or where there is none.
    pub advice: &'static str,
}

/// A figure of a task's quality.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Metric {
    /// Its key in the summary that `formant eval --json` ends with.
    pub key: &'static str,
    /// Its name in tables.
    pub label: &'static str,
    /// Its unit in tables, with the space before it.
    pub unit: &'static str,
    /// What the value is multiplied by for that unit.
    pub factor: f64,
    /// Decimals in tables.
    pub decimals: usize,
}

impl Metric {
    const fn percent(key: &'static str, label: &'static str, decimals: usize) -> Self {
        Self { key, label, unit: " %", factor: 100.0, decimals }
    }

    const fn plain(
        key: &'static str,
        label: &'static str,
        unit: &'static str,
        decimals: usize,
    ) -> Self {
        Self { key, label, unit, factor: 1.0, decimals }
    }

    /// A value of the summary, as tables show it.
    #[must_use]
    pub fn text(&self, value: f64) -> String {
        format!("{} {:.*}{}", self.label, self.decimals, value * self.factor, self.unit)
    }
}

const SEPARATION: &[Metric] = &[
    Metric::plain("si_sdri", "SI-SDR improvement", " dB", 1),
    Metric::plain("sdr", "SDR", " dB", 1),
];

/// All tasks, a row each, in the order of their names.
pub const TASKS: &[TaskInfo] = &[
    TaskInfo {
        name: "enhance",
        summary: "takes noise out of speech",
        architectures: &[Architecture::Mossformer2Se, Architecture::Mossformer2Ss],
        default: Some("enhance-speech"),
        metrics: SEPARATION,
        advice: "fetch one with `formant models pull mossformer2-se-48k`, then name it with --model",
    },
    TaskInfo {
        name: "generate",
        summary: "makes sounds of words",
        architectures: &[Architecture::Specmaskgit, Architecture::Specvqgan, Architecture::Clap],
        default: Some("generate-sounds"),
        metrics: &[],
        advice: "train one with `formant train tokenizer` and `formant train generate`, then name its file \
            with --model",
    },
    TaskInfo {
        name: "separate",
        summary: "separates people who talk at the same time",
        architectures: &[Architecture::Mossformer, Architecture::Mossformer2Ss],
        default: Some("separate-voices"),
        metrics: SEPARATION,
        advice: "fetch one with `formant models pull mossformer2-ss-16k`, then name it with --model",
    },
    TaskInfo {
        name: "speaker",
        summary: "recognises people by their voices",
        architectures: &[Architecture::EcapaTdnn],
        default: Some("speaker-voices"),
        metrics: &[
            Metric::percent("eer", "equal error rate", 2),
            Metric::plain("min_dcf", "minDCF", "", 3),
        ],
        advice: "fetch one with `formant models pull ecapa-voxceleb`, then name it with --model",
    },
    TaskInfo {
        name: "spot",
        summary: "finds spoken words",
        architectures: &[Architecture::Lmuformer, Architecture::LmuformerSpiking],
        default: Some("spot-commands"),
        metrics: &[
            Metric::percent("accuracy", "accuracy", 1),
            Metric::plain("false_alarms_per_hour", "false alarms", " an hour", 2),
        ],
        advice: "train one with `formant train spot`, then name its file with --model",
    },
    TaskInfo {
        name: "stems",
        summary: "separates music into its parts",
        architectures: &[Architecture::MelRoformer],
        default: Some("stems-vocals"),
        metrics: &[Metric::plain("sdr", "SDR", " dB", 1)],
        advice: "fetch one with `formant models pull mel-roformer-vocals`, then name it with --model",
    },
    TaskInfo {
        name: "superres",
        summary: "widens the band of speech to 48 kHz",
        architectures: &[Architecture::HifiSr],
        default: Some("superres-speech"),
        metrics: &[
            Metric::plain("lsd", "log-spectral distance", "", 2),
            Metric::plain("lsd_resampled", "of plain resampling", "", 2),
        ],
        advice: "fetch one with `formant models pull mossformer2-sr-48k`, then name it with --model",
    },
    TaskInfo {
        name: "transcribe",
        summary: "writes down what is said",
        architectures: &[Architecture::Squeezeformer],
        default: Some("asr-an4"),
        metrics: &[
            Metric::percent("wer", "word error rate", 1),
            Metric::percent("cer", "character error rate", 1),
        ],
        advice: "fetch one for English with `formant models pull squeezeformer-medium-en`, then name it with --model",
    },
    TaskInfo {
        name: "vocode",
        summary: "makes waveforms of spectrograms",
        architectures: &[
            Architecture::PeriodwaveTurbo,
            Architecture::HifiGan,
            Architecture::Bigvgan,
            Architecture::Melgan,
        ],
        default: None,
        metrics: &[Metric::plain("mel_distance", "log-mel distance", "", 2)],
        advice: "download periodwave_turbo_base from the page that `formant models list --task vocode` \
            names, then name its folder with --model",
    },
];

/// The task of this name.
#[must_use]
pub fn task(name: &str) -> Option<&'static TaskInfo> {
    TASKS.iter().find(|task| task.name == name)
}

/// Whether a task runs networks of this architecture.
#[must_use]
pub fn runs(name: &str, architecture: Architecture) -> bool {
    task(name).is_some_and(|task| task.architectures.contains(&architecture))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint;
    use crate::registry::{BUNDLED, published};

    #[test]
    fn rows_are_in_order_and_whole() {
        assert!(TASKS.is_sorted_by(|a, b| a.name < b.name), "each name once, sorted");
        for row in TASKS {
            assert_eq!(task(row.name), Some(row));
            assert!(!row.summary.is_empty() && !row.advice.is_empty(), "{}", row.name);
            assert!(!row.architectures.is_empty(), "{}", row.name);
            assert!(row.architectures.iter().all(|&network| runs(row.name, network)));
        }
        assert_eq!(task("sing"), None);
        assert!(!runs("sing", Architecture::Mossformer));
    }

    /// The first bundled model of a task is its default, and each bundled model runs in its task.
    #[test]
    fn defaults_are_the_bundled_models() {
        for row in TASKS {
            let first = BUNDLED.iter().find(|model| model.task == row.name);
            assert_eq!(row.default, first.map(|model| model.name), "{}", row.name);
        }
        for model in BUNDLED {
            let state = checkpoint::read_bytes(model.bytes().expect("it is there"), model.name);
            let found = checkpoint::detect(&state.expect("sound")).expect("a known network");
            assert!(runs(model.task, found.architecture), "{}", model.name);
        }
    }

    #[test]
    fn advice_names_models_that_can_be_fetched() {
        for row in TASKS {
            let Some((_, rest)) = row.advice.split_once("models pull ") else { continue };
            let name = rest.split('`').next().unwrap_or_default();
            let model = published(name).expect("a published model");
            assert_eq!((model.task, model.can_be_pulled()), (row.name, true));
            assert!(row.architectures.contains(&model.architecture), "{name}");
        }
    }

    #[test]
    fn figures_have_their_unit() {
        let wer = &task("transcribe").expect("there").metrics[0];
        assert_eq!(wer.text(0.0368), "word error rate 3.7 %");
        let dcf = &task("speaker").expect("there").metrics[1];
        assert_eq!(dcf.text(0.6664), "minDCF 0.666");
    }
}
