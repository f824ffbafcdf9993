//! `cargo xtask bench-peers`: formant's speed and resampling quality beside other libraries'.
//!
//! One process a program, on one core, taking turns; the tables go into docs/performance.md.

mod ffmpeg;
mod inputs;
mod jobs;
mod machine;
mod networks;
mod peers;
mod quality;
mod statistics;
mod table;
mod tool;
mod vocoding;

use std::path::{Path, PathBuf};

use crate::problem::{Problem, Result};
use crate::{page, shell};
use ffmpeg::Ffmpeg;
use jobs::{JOBS, Program};
use statistics::Summary;
use tool::Tool;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Effort {
    /// Turns that each program has at each job.
    rounds: usize,
    /// Seconds of a turn.
    seconds: f64,
}

const FULL: Effort = Effort { rounds: 9, seconds: 0.15 };
const QUICK: Effort = Effort { rounds: 2, seconds: 0.05 };

/// What was typed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    /// An interpreter that has the packages already.
    python: Option<PathBuf>,
    /// Few runs, for a try: prints, and leaves the page alone.
    quick: bool,
    /// Networks beside their reference implementations, instead of the front end.
    networks: bool,
    /// The figures of vocoding beside other libraries', instead of the front end.
    vocoding: bool,
    /// Of the networks those whose name begins like one of these; all without any.
    only: Vec<String>,
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = parse(args)?;
    let folder = shell::root().join("target").join("bench-peers");
    let audio = folder.join("audio");
    if options.networks {
        return networks::run(&options, &folder);
    }
    if options.vocoding {
        return vocoding::run(&options, &folder);
    }
    let examples = peers::build_formant()?;
    let python = match &options.python {
        Some(python) => python.clone(),
        None => peers::environment(&folder)?,
    };
    let ffmpeg = Ffmpeg::find(&python)?;
    inputs::write(&audio, ffmpeg.as_ref())?;
    let mut tools = start(&examples, &python, &audio)?;
    let effort = if options.quick { QUICK } else { FULL };
    let load = machine::load();
    let results = measure(&mut tools, ffmpeg.as_ref(), &audio, effort)?;
    let speed = format!(
        "{}\n\n{}",
        machine::describe(&tools, ffmpeg.as_ref(), load),
        table::markdown(&results)
    );
    println!("\n{speed}\n");
    let picture = if options.quick {
        folder.join("resampling.png")
    } else {
        shell::root().join("docs").join("images").join("resampling.png")
    };
    let quality = quality::measure(&examples, &mut tools, &folder, &picture)?;
    println!("{quality}");
    if options.quick {
        return Ok(());
    }
    page::write("performance.md", &[(marks("speed"), speed), (marks("resampling"), quality)])
}

/// What the marks of a table in docs/performance.md say.
pub(crate) fn marks(name: &str) -> String {
    format!("{name}, written by `cargo xtask bench-peers`")
}

fn parse(args: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.len()) {
            ("--quick", _) => options.quick = true,
            ("--networks", _) => options.networks = true,
            ("--vocoding", _) => options.vocoding = true,
            ("--only", 1..) => options.only.extend(args.next().cloned()),
            ("--python", 1..) => options.python = args.next().map(PathBuf::from),
            _ => {
                return Err(Problem::new(
                    format!("`cargo xtask bench-peers` does not take `{arg}` like this"),
                    "give --quick, --networks, --vocoding, --only and a network, --python and an interpreter that has the packages \
                     of bench/requirements.txt, or nothing",
                ));
            }
        }
    }
    Ok(options)
}

/// Every program but ffmpeg, which is started anew for each run.
fn start(examples: &Path, python: &Path, audio: &Path) -> Result<Vec<Tool>> {
    let start = |program: Program, path: &Path, args: &[&Path]| {
        let mut command = tool::on_one_core(path.as_os_str());
        command.args(args);
        Tool::start(program.name(), command).map(|(tool, _)| tool)
    };
    let mut tools = vec![start(Program::Formant, &examples.join("peer_jobs"), &[audio])?];
    let script = shell::root().join("bench").join("peers.py");
    for program in Program::LIBRARIES {
        let name = Path::new(program.name());
        tools.push(start(program, python, &[&script, name, audio])?);
    }
    Ok(tools)
}

/// What came of one entry of a job.
struct Measured {
    summary: Summary,
    /// Root mean square of what was computed, where the program says it.
    rms: Option<f64>,
}

/// One result an entry, in the order of [`JOBS`]; `None` where the program is missing.
fn measure(
    tools: &mut [Tool],
    ffmpeg: Option<&Ffmpeg>,
    audio: &Path,
    effort: Effort,
) -> Result<Vec<Vec<Option<Measured>>>> {
    let mut results = Vec::new();
    for job in JOBS {
        eprintln!("bench-peers: {}", job.title);
        let mut times = vec![Vec::new(); job.entries.len()];
        let mut rms = vec![None; job.entries.len()];
        for _ in 0..effort.rounds {
            for (at, entry) in job.entries.iter().enumerate() {
                if entry.program == Program::Ffmpeg {
                    if let Some(ffmpeg) = ffmpeg {
                        times[at].extend(ffmpeg.decode(&audio.join(entry.job), effort.seconds)?);
                    }
                    continue;
                }
                let tool = tool::of(tools, entry.program)?;
                let turn = tool.time(entry.job, effort.seconds)?;
                times[at].extend(turn.milliseconds);
                rms[at] = Some(turn.rms);
            }
        }
        let measured = times.into_iter().zip(rms);
        let measured: Vec<Option<Measured>> = measured
            .map(|(times, rms)| Some(Measured { summary: Summary::of(times)?, rms }))
            .collect();
        table::compare_results(job, &measured);
        results.push(measured);
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_understood() {
        let args = |words: &[&str]| parse(&words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>());
        assert_eq!(args(&[]).expect("nothing is fine"), Options::default());
        let options = args(&["--python", "py/bin/python", "--quick"]).expect("both");
        assert!(options.quick && options.python.is_some());
        assert!(args(&["--python"]).is_err() && args(&["--fast"]).is_err());
    }
}
