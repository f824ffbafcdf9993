//! A program that waits for requests: started once, asked by lines, on one core and one thread.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use super::jobs::Program;
use crate::fields;
use crate::problem::{Problem, Result};
use crate::shell;

const REMEDY: &str = "the lines above say why; with --python the interpreter must have the \
                      packages of bench/requirements.txt";

/// A running program.
pub(super) struct Tool {
    name: &'static str,
    pub(super) versions: String,
    /// Of what the last turn computed.
    pub(super) rms: Option<f64>,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Times of one turn.
pub(super) struct Turn {
    pub(super) milliseconds: Vec<f64>,
    pub(super) rms: f64,
}

impl Tool {
    /// Starts `command`; the caller gets the line that it begins with, which has its versions.
    pub(super) fn start(name: &'static str, mut command: Command) -> Result<(Self, String)> {
        let failed = |why: String| Problem::new(format!("{name} {why}"), REMEDY);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| failed(format!("could not be started: {error}")))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("has no standard input or output".to_owned()));
        };
        let output = BufReader::new(output);
        let mut tool = Self { name, versions: String::new(), rms: None, child, input, output };
        let line = tool.read()?;
        let versions = fields::text(&line, "versions");
        tool.versions =
            versions.ok_or_else(|| failed(format!("begins with `{}`", line.trim())))?.to_owned();
        Ok((tool, line))
    }

    pub(super) fn time(&mut self, job: &str, seconds: f64) -> Result<Turn> {
        let line = self.ask(&format!("{job} {seconds}"))?;
        let turn = fields::numbers(&line, "milliseconds").zip(fields::number(&line, "rms"));
        let (milliseconds, rms) = turn.ok_or_else(|| self.failed(job, &line))?;
        self.rms = Some(rms);
        Ok(Turn { milliseconds, rms })
    }

    /// The answer to any request.
    pub(super) fn ask(&mut self, request: &str) -> Result<String> {
        let sent = writeln!(self.input, "{request}").and_then(|()| self.input.flush());
        sent.map_err(|error| self.failed(request, &error.to_string()))?;
        let line = self.read()?;
        match fields::text(&line, "error") {
            Some(error) => Err(self.failed(request, error)),
            None => Ok(line),
        }
    }

    fn read(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(1..) => Ok(line),
            _ => Err(Problem::new(format!("{} stopped", self.name), REMEDY)),
        }
    }

    fn failed(&self, request: &str, why: &str) -> Problem {
        let name = self.name;
        Problem::new(format!("{name} could not do `{request}`: {}", why.trim()), REMEDY)
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // It may have ended by itself; neither case needs more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The running tool of `program`.
pub(super) fn of(tools: &mut [Tool], program: Program) -> Result<&mut Tool> {
    tools.iter_mut().find(|tool| tool.name == program.name()).ok_or_else(|| {
        Problem::new(format!("{} is not running", program.name()), "report this as a fault")
    })
}

/// A command that computes on one thread and, where `taskset` is there, on the last core.
pub(super) fn on_one_core(program: &OsStr) -> Command {
    let mut command = match core() {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", core]).arg(program);
            command
        }
        None => Command::new(program),
    };
    with_threads(&mut command, 1);
    command
}

/// Makes a command compute on so many threads, whatever library it uses for it.
pub(super) fn with_threads(command: &mut Command, threads: usize) {
    command.current_dir(shell::root());
    for name in ["OMP", "MKL", "OPENBLAS", "NUMBA", "RAYON"] {
        command.env(format!("{name}_NUM_THREADS"), threads.to_string());
    }
}

/// The core that the programs share, if they can be kept on it.
pub(super) fn core() -> Option<&'static str> {
    static CORE: OnceLock<Option<String>> = OnceLock::new();
    let find = || {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let last = (cores - 1).to_string();
        shell::works("taskset", &["--cpu-list", &last, "true"]).then_some(last)
    };
    CORE.get_or_init(find).as_deref()
}
