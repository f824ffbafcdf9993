//! The `formant` command; everything is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    formant_cli::main(std::env::args_os())
}
