//! `cargo xtask demo`: from nothing to results, on the clips in `samples/`.
//!
//! The jobs are a table; a new command is shown by one more entry.

use std::fs;
use std::path::Path;
use std::time::Instant;

use self::Shows::{Files, Words};
use crate::problem::{Problem, Result};
use crate::tasks::{self, Task};
use crate::{setup, shell};

/// One call of the `formant` command.
struct Job {
    title: &'static str,
    /// What is typed behind `formant`; no argument has a space in it.
    command: &'static str,
    shows: Shows,
}

/// What a job must lead to.
enum Shows {
    /// Words in what it prints.
    Words(&'static [&'static str]),
    /// Files in `demo-output/`.
    Files(&'static [&'static str]),
}

impl Job {
    fn arguments(&self) -> std::str::SplitWhitespace<'static> {
        self.command.split_whitespace()
    }

    fn files(&self) -> &'static [&'static str] {
        match self.shows {
            Files(files) => files,
            Words(_) => &[],
        }
    }
}

const JOBS: &[Job] = &[
    Job {
        title: "Keywords in a stream of 12 seconds, with times and scores",
        command: "spot samples/keyword_stream_16k.wav",
        shows: Words(&["yes", "down", "stop", "no", "go", "up"]),
    },
    Job {
        title: "Keywords in single clips",
        command: "spot samples/keyword_yes_16k.wav samples/keyword_no_16k.wav \
            samples/keyword_up_16k.wav samples/keyword_down_16k.wav \
            samples/keyword_stop_16k.wav samples/keyword_go_16k.wav",
        shows: Words(&["yes", "no", "up", "down", "stop", "go"]),
    },
    Job {
        title: "The same words live, as from a microphone",
        command: "listen --spot --file samples/keyword_stream_16k.wav",
        shows: Words(&["yes", "down", "stop", "no", "go", "up"]),
    },
    Job {
        title: "What is said, written down",
        command: "transcribe samples/keyword_stream_16k.wav",
        shows: Words(&["yes", "down", "stop", "no", "go"]),
    },
    Job {
        title: "Two recordings of one person",
        command: "speaker verify samples/speech_en_female_a1_24k.wav \
            samples/speech_en_female_a2_24k.wav",
        shows: Words(&["same", "speaker"]),
    },
    Job {
        title: "Two people",
        command: "speaker verify samples/speech_en_female_a1_24k.wav \
            samples/speech_en_male_b1_24k.wav",
        shows: Words(&["different", "speakers"]),
    },
    Job {
        title: "A song's voice, and what accompanies it",
        command: "stems samples/song_mix_44k.flac -o demo-output/ --report --overwrite",
        shows: Files(&["song_mix_44k_vocals.wav", "song_mix_44k_instrumental.wav"]),
    },
    Job {
        title: "Two people who speak at the same time, apart",
        command: "separate samples/mix_two_speakers_8k.wav -o demo-output/ --overwrite",
        shows: Files(&["mix_two_speakers_8k_voice1.wav", "mix_two_speakers_8k_voice2.wav"]),
    },
    Job {
        title: "Speech without its noise",
        command: "enhance samples/speech_noisy_5db_16k.wav -o demo-output/ --overwrite",
        shows: Files(&["speech_noisy_5db_16k.wav"]),
    },
    Job {
        title: "A telephone's band made full",
        command: "superres samples/speech_narrowband_8k.wav -o demo-output/ --overwrite",
        shows: Files(&["speech_narrowband_8k.wav"]),
    },
    Job {
        title: "Its spectrogram before and after",
        command: "plot samples/speech_narrowband_8k.wav demo-output/speech_narrowband_8k.wav -o \
            demo-output/superres.png --f-max 24000",
        shows: Files(&["superres.png"]),
    },
    Job {
        title: "A voice made anew from its spectrogram",
        command: "vocode samples/speech_en_female_a1_24k.wav -o demo-output/vocoded.wav \
            --overwrite",
        shows: Files(&["vocoded.wav"]),
    },
    Job {
        title: "Its spectrogram before and after",
        command: "plot samples/speech_en_female_a1_24k.wav demo-output/vocoded.wav -o \
            demo-output/vocoded.png --f-max 12000",
        shows: Files(&["vocoded.png"]),
    },
    Job {
        title: "A sound of a word",
        command: "generate rain --seconds 4 --seed 1 -o demo-output/rain.wav --overwrite",
        shows: Files(&["rain.wav"]),
    },
    Job {
        title: "A spectrogram of the stream",
        command: "plot samples/keyword_stream_16k.wav -o demo-output/keyword_stream.png",
        shows: Files(&["keyword_stream.png"]),
    },
];

const NEXT: &str = "\
Next:
  target/debug/formant --help               all commands
  target/debug/formant spot YOUR_FILE       keywords in your own recording, in any usual format
  cargo build --release                     the fastest build: target/release/formant
  cargo xtask test                          the tests";

pub(crate) fn run(_: &[String]) -> Result<()> {
    let started = Instant::now();
    setup::run(&[])?;
    let formant = shell::build_formant()?;
    let output = shell::root().join("demo-output");
    fresh(&output)?;
    if let Some(task) = unshown(&tasks::of(&formant)?) {
        return Err(Problem::new(
            format!("no job shows `formant {task}`"),
            "add one to the table in xtask/src/demo.rs",
        ));
    }
    for job in JOBS {
        run_job(&formant, job, &output)?;
    }
    eprintln!(
        "\nDemo done: {} jobs in {:.0} s, with set-up and build.",
        JOBS.len(),
        started.elapsed().as_secs_f64()
    );
    for file in JOBS.iter().flat_map(Job::files) {
        eprintln!("  demo-output/{file}");
    }
    eprintln!("{NEXT}");
    Ok(())
}

/// A task that works without a model being named, and that no job shows.
fn unshown(tasks: &[Task]) -> Option<&str> {
    let mut names =
        tasks.iter().filter(|task| task.default.is_some()).map(|task| task.name.as_str());
    let shown = |name: &str| JOBS.iter().any(|job| job.arguments().next() == Some(name));
    names.find(|name| !shown(name))
}

fn fresh(folder: &Path) -> Result<()> {
    let made = match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(folder),
    };
    made.map_err(|error| {
        Problem::new(
            format!("{}: {error}", folder.display()),
            "see that this folder can be written",
        )
    })
}

fn run_job(formant: &Path, job: &Job, output: &Path) -> Result<()> {
    let mut command = setup::formant(formant);
    command.args(job.arguments());
    println!("\n# {}\n$ {}", job.title, shell::line(&command));
    let remedy = "this is a fault of formant; please report it with the lines above";
    let printed = shell::run_and_read(&mut command, remedy)?;
    missing(job, &printed, output)
        .map_or(Ok(()), |what| Err(Problem::new(format!("{}: {what}", job.title), remedy)))
}

/// What a job should have printed or written and did not.
fn missing(job: &Job, printed: &str, output: &Path) -> Option<String> {
    let printed: Vec<&str> = printed.split(|c: char| !c.is_alphanumeric()).collect();
    let is_empty = |file: &str| fs::metadata(output.join(file)).map_or(0, |meta| meta.len()) == 0;
    match job.shows {
        Words(words) => words
            .iter()
            .find(|word| !printed.contains(word))
            .map(|word| format!("`{word}` was not found")),
        Files(files) => files
            .iter()
            .find(|file| is_empty(file))
            .map(|file| format!("demo-output/{file} was not written")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_all_jobs_are_there() {
        for argument in JOBS.iter().flat_map(Job::arguments) {
            if argument.starts_with("samples/") {
                assert!(shell::root().join(argument).is_file(), "{argument}");
            }
        }
    }

    #[test]
    fn a_task_without_a_job_is_noticed() {
        let task = |name: &str, default: Option<&str>| Task {
            name: name.to_owned(),
            default: default.map(str::to_owned),
            metrics: Vec::new(),
        };
        let all = [task("spot", Some("a")), task("hum", None), task("sing", Some("b"))];
        assert_eq!(unshown(&all), Some("sing"));
        assert_eq!(unshown(&all[..2]), None);
    }

    #[test]
    fn words_and_files_are_looked_for() {
        let missing = |shows, printed| {
            let job = Job { title: "", command: "", shows };
            missing(&job, printed, Path::new("/nowhere"))
        };
        // Parts of words do not count.
        let found = missing(Words(&["no", "up"]), "upper nothing no");
        assert_eq!(found.as_deref(), Some("`up` was not found"));
        assert_eq!(missing(Words(&["no", "up"]), "1.0 2.0 no 0.9\nup"), None);
        let wrote = missing(Files(&["none.png"]), "");
        assert_eq!(wrote.as_deref(), Some("demo-output/none.png was not written"));
    }
}
