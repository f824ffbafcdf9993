//! `formant completions`: scripts that shells load.

use clap::Args;
use clap_complete::{Shell, generate};

use super::{Work, work};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stdout;

/// What `formant completions` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant completions bash > ~/.local/share/bash-completion/completions/formant"
)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl CompletionsArgs {
    /// The work of the command.
    pub(crate) fn resolve(self, _: &Settings) -> Result<Work, Failure> {
        Ok(work(self.shell, |shell, _, _| run(shell)))
    }
}

fn run(shell: Shell) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    generate(shell, &mut crate::command(), "formant", &mut script);
    stdout::copy(&mut script.as_slice())?;
    Ok(Outcome::done())
}
