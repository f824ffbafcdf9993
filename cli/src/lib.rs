//! The `formant` command.
//!
//! Each command is a module of `commands`: its arguments are parsed, resolved to a plan, and run.
//! `inputs`, `pattern` and `outputs` find files, `identity` tells whether two names are one file, `reading` and `writing` say how audio files are read and
//! written, `tasks` which model a task uses. `batch` works on many files, `audio_to_audio` runs the
//! commands that turn audio into audio, and `exit` alone decides the exit code.

mod audio_to_audio;
mod batch;
mod commands;
mod conversion;
mod cues;
mod draft;
mod escape;
mod exit;
mod failure;
mod identity;
mod inputs;
mod interrupt;
mod json;
mod loudness;
mod marks;
mod messages;
mod outputs;
mod pattern;
mod processors;
mod progress;
mod reading;
mod settings;
mod spans;
mod stdout;
mod table;
mod tasks;
mod times;
mod unicode_form;
mod writing;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::{Messages, Verbosity};

/// The grammar of the command line, for completions and manuals.
#[must_use]
pub fn command() -> clap::Command {
    commands::Cli::command()
}

/// Runs the command that `arguments` (the program's name first) ask for.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    messages::install_panic_hook();
    formant_kernels::process::fail_oversized_writes();
    // Where the allocator can't be told, networks are slower and nothing else.
    let _ = formant_kernels::allocator::keep_large_blocks();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| start(arguments)));
    ExitCode::from(exit::code(&outcome.unwrap_or_else(|panic| {
        let failure = Failure::of_panic(&*panic);
        if failure.kind != Kind::Internal {
            Messages::new(Verbosity::Normal).failure(&failure);
        }
        Outcome::Failed(failure.kind)
    })))
}

/// What was typed for the command itself, below the commands that gather others.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    let mut command = matches;
    while let Some((_, inner)) = command.subcommand() {
        command = inner;
    }
    command
}

fn start(arguments: impl IntoIterator<Item = OsString>) -> Outcome {
    let parsed = command().try_get_matches_from(arguments).and_then(|matches| {
        let typed = commands::Cli::from_arg_matches(&matches);
        typed.map(|typed| (typed, matches)).map_err(|error| error.format(&mut command()))
    });
    let (typed, matches) = match parsed {
        Ok(typed) => typed,
        Err(refused) => {
            // Nothing can be done when not even the help can be printed.
            let _ = refused.print();
            return if refused.use_stderr() {
                Outcome::Failed(Kind::Usage)
            } else {
                Outcome::done()
            };
        }
    };
    let messages = Messages::new(Verbosity::of(&typed.global));
    let work = || -> Result<Outcome, Failure> {
        identity::refuse_own_inputs(innermost(&matches))?;
        let names_microphone = matches!(typed.command, commands::Command::Listen(_));
        let resumes = innermost(&matches).ids().any(|id| id == "resume");
        let settings = settings::Settings::of(&typed.global, names_microphone, resumes)?;
        typed.command.resolve(&settings)?(&settings, &messages)
    };
    work().unwrap_or_else(|failure| {
        messages.failure(&failure);
        Outcome::Failed(failure.kind)
    })
}
