//! The `formant` command; everything is in the library beside it.

use std::process::ExitCode;

// Linked for what it does before `main`.
use formant_start as _;

fn main() -> ExitCode {
    formant_cli::main(std::env::args_os())
}
