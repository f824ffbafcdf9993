//! `formant completions`: scripts that shells load.

use clap_complete::{Shell, generate};

use crate::exit::Outcome;
use crate::failure::Failure;
use crate::stdout;

pub(super) fn run(shell: Shell) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    generate(shell, &mut crate::command(), "formant", &mut script);
    stdout::copy(&mut script.as_slice())?;
    Ok(Outcome::done())
}
