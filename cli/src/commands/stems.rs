//! `formant stems`: the stems of music, each to a file of its own.

use std::path::PathBuf;

use clap::Args;
use formant_audio_core::level::{LevelMeter, LevelReport};
use formant_audio_core::{AudioBuf, AudioSpec, AudioView};
use formant_models::tasks::Task;
use formant_models::tasks::stems::{StemSeparator, StemsOptions};
use serde_json::{Value, json};

use super::Work;
use crate::audio_to_audio::{self, AudioToAudio, AudioToAudioArgs, Ending, Made, Process, Session};
use crate::failure::Failure;
use crate::outputs::{SuffixWhen, Target};
use crate::settings::Settings;
use crate::tasks::stems::{DemixArgs, DemixPlan};
use crate::times::clock;

/// What `formant stems` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant stems song.flac --stems vocals,instrumental -o stems/")]
pub(crate) struct StemsArgs {
    #[command(flatten)]
    files: AudioToAudioArgs,
    #[command(flatten)]
    demix: DemixArgs,
    /// Name of each file, from {name} of the input and {stem}; a slash makes a folder
    /// [default: {name}_{stem}].
    #[arg(long, value_name = "TEMPLATE")]
    template: Option<String>,
    /// Print peak, clipping and level of each stem, and the residual of the mix minus all stems.
    #[arg(long)]
    report: bool,
}

/// Mixes, the models, and how they work on them.
#[derive(Debug)]
struct StemsPlan {
    files: AudioToAudio,
    demix: DemixPlan,
    naming: StemNaming,
    report: bool,
}

/// How the files of stems are called.
#[derive(Debug, Clone)]
struct StemNaming {
    template: String,
    /// The file of the only stem, where `-o` names one.
    exact: Option<PathBuf>,
}

impl StemNaming {
    /// The file of a stem, from the file that a single output would be.
    fn target(&self, single: &Target, stem: &str) -> Target {
        let path = match single {
            Target::File(path) if self.exact.as_ref() != Some(path) => path,
            _ => return single.clone(),
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let text = self.template.replace("{name}", &name).replace("{stem}", stem);
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        Target::File(path.with_file_name(format!("{text}.{extension}")))
    }
}

impl StemsArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let StemsPlan { files, demix, naming, report } = self.plan(settings)?;
        Ok(audio_to_audio::of_network(files, *demix.load_options(), move |_, messages| {
            let separator = demix.load()?;
            demix.tell_default(messages);
            let options = demix.options(&separator)?;
            // A wrong name or number is one error, not one an input.
            separator.start(&options)?;
            Ok(Demix { separator, options, naming, report })
        }))
    }

    fn plan(mut self, settings: &Settings) -> Result<StemsPlan, Failure> {
        let one = self.demix.names_one_stem();
        let template = self.template.clone().unwrap_or_else(|| "{name}_{stem}".to_owned());
        if !template.contains("{stem}") && !one {
            let why = "needs {stem} where there is more than one";
            return Err(Failure::usage("--template", why).help("use something like {name}_{stem}"));
        }
        // A name without an extension is a folder.
        let output = &mut self.files.write.output.output;
        if let Some(path) = output.as_mut().filter(|path| path.extension().is_none())
            && path.as_os_str() != "-"
        {
            path.push("");
        }
        let exact = output.clone().filter(|_| one && self.template.is_none());
        let naming = StemNaming { template, exact };
        self.files.audio.refuse_each()?;
        let names = self.demix.possible_stems();
        let group = |single: &Target| -> Vec<Target> {
            names.iter().map(|stem| naming.target(single, stem)).collect()
        };
        let files = self.files.resolve("", SuffixWhen::Always, group, settings)?;
        files.refuse_stdout("every stem is a file of its own")?;
        let demix = self.demix.resolve(settings)?;
        Ok(StemsPlan { files, demix, naming, report: self.report })
    }
}

/// A stem separator and its options.
#[derive(Clone)]
struct Demix {
    separator: StemSeparator,
    options: StemsOptions,
    naming: StemNaming,
    report: bool,
}

impl Demix {
    /// Names of the stems that are wanted.
    fn stems(&self) -> &[String] {
        match self.options.stems.as_slice() {
            [] => self.separator.stems(),
            names => names,
        }
    }
}

impl Process for Demix {
    /// Levels of each stem.
    type Report = Vec<LevelReport>;

    fn command(&self) -> &'static str {
        "stems"
    }

    fn outputs(&self, single: &Target) -> Vec<Target> {
        self.stems().iter().map(|stem| self.naming.target(single, stem)).collect()
    }

    fn adds_up(&self) -> bool {
        self.stems().len() == self.separator.stems().len()
    }

    fn start(&self, input: AudioSpec) -> Result<impl Session<Report = Self::Report>, Failure> {
        let session = self.separator.start(&self.options)?;
        let meters = self.stems().iter().map(|_| LevelMeter::new(input)).collect();
        Ok(Metered { session, meters })
    }

    fn fields(&self, made: &Made<'_, Self::Report>) -> Value {
        let outputs = self.stems().iter().zip(&made.targets);
        let stems = outputs.zip(made.files.iter().zip(&made.report));
        let stems = stems.map(|((stem, target), (file, level))| {
            json!({
                "stem": stem,
                "output": target.name(),
                "frames": file.frames,
                "bits": file.format,
                "clipped": file.clipped,
                "limited": file.limited,
                "gain": file.gain,
                "peak": level.overall.peak,
                "sample_peak_dbfs": level.overall.sample_peak_dbfs,
                "true_peak_dbtp": level.overall.true_peak_dbtp,
                "rms_dbfs": level.overall.rms_dbfs,
                "samples_over_full_scale": level.overall.clipped_samples,
                "loudness": level.loudness,
            })
        });
        json!({ "stems": stems.collect::<Vec<_>>(), "null_test": made.null })
    }

    fn notes(&self, made: &Made<'_, Self::Report>) -> Vec<String> {
        let length = clock(made.seconds());
        let note = |output| format!("{} -> {output} ({length})", made.input);
        let mut notes: Vec<String> = made.names().into_iter().map(note).collect();
        if let Some(file) = made.files.iter().find(|file| file.gain != 1.0) {
            notes.push(format!("  all stems scaled by {:.4} to avoid clipping", file.gain));
        }
        notes
    }

    fn printed(&self, made: &Made<'_, Self::Report>) -> Option<String> {
        self.report.then(|| report_text(self.stems(), made))
    }
}

/// A session that measures what it returns.
struct Metered<S> {
    session: S,
    meters: Vec<LevelMeter>,
}

impl<S: Session> Session for Metered<S> {
    type Report = Vec<LevelReport>;

    fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<AudioBuf>, Failure> {
        let stems = self.session.push(block)?;
        measure(&mut self.meters, &stems)?;
        Ok(stems)
    }

    fn finish(mut self) -> Result<Ending<Vec<LevelReport>>, Failure> {
        let Ending { blocks, warnings, .. } = self.session.finish()?;
        measure(&mut self.meters, &blocks)?;
        let report = self.meters.iter().map(LevelMeter::report).collect();
        Ok(Ending { blocks, report, warnings })
    }
}

fn measure(meters: &mut [LevelMeter], stems: &[AudioBuf]) -> Result<(), Failure> {
    meters.iter_mut().zip(stems).try_for_each(|(meter, stem)| Ok(meter.push(&stem.view())?))
}

/// Peaks of the stems, and the null test, as a table.
fn report_text(names: &[String], made: &Made<'_, Vec<LevelReport>>) -> String {
    let db = |value: Option<f64>| value.map_or("-inf".to_owned(), |db| format!("{db:.2}"));
    let mut text = format!(
        "{}\n{:<16} {:>10} {:>10} {:>10} {:>8} {:>8}\n",
        made.input, "stem", "peak dBFS", "true dBTP", "RMS dBFS", "over", "clipped"
    );
    for ((stem, file), level) in names.iter().zip(&made.files).zip(&made.report) {
        let all = &level.overall;
        text += &format!(
            "{stem:<16} {:>10} {:>10} {:>10} {:>8} {:>8}\n",
            db(all.sample_peak_dbfs),
            db(all.true_peak_dbtp),
            db(all.rms_dbfs),
            all.clipped_samples,
            file.clipped
        );
    }
    match &made.null {
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
    use clap::Parser;

    use super::*;
    use crate::commands::{Cli, Command};

    fn planned(words: &[&str]) -> Result<StemsPlan, Failure> {
        let words = ["formant", "stems"].iter().chain(words);
        let cli = Cli::try_parse_from(words).expect("typed well");
        let settings = Settings::of(&cli.global, false, true).expect("settings");
        let Command::Stems(typed) = cli.command else { panic!("another command") };
        typed.plan(&settings)
    }

    fn names(words: &[&str]) -> Vec<String> {
        let plan = planned(words).expect("planned");
        let targets = plan.files.targets.iter().flatten();
        targets.map(|single| plan.naming.target(single, "vocals").name()).collect()
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
        let own = planned(&[&song, "--stems", "vocals", "-o", &song]).expect("planned");
        assert!(own.files.sources.list.entries[0].is_err(), "its own input");
    }
}
