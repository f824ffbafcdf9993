//! `cargo xtask`: what a fresh machine needs, from a clone to a working command, and the checks.
//!
//! Plain Rust and the standard library, so that it compiles in seconds where there is no libtorch
//! yet. Each command is one module; this file only knows their names.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program that talks to people

mod bench_peers;
mod check;
mod demo;
mod fields;
mod fuzz;
mod live;
mod page;
mod problem;
mod quality;
mod setup;
mod shell;
mod tasks;
mod test;

use std::process::ExitCode;

use problem::{Problem, Result};

/// A command of `cargo xtask`.
struct Command {
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<()>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "setup",
        arguments: "",
        help: "install what the build needs: system packages and libtorch",
        run: setup::run,
    },
    Command {
        name: "demo",
        arguments: "",
        help: "setup, build the formant command, run it on the clips in samples/",
        run: demo::run,
    },
    Command {
        name: "test",
        arguments: "[FILTER] [ARGS..]",
        help: "setup, then all tests, or those that FILTER names (such as parity)",
        run: test::run,
    },
    Command {
        name: "live",
        arguments: "[ARGS..]",
        help: "the microphone, with a sound server of its own (needs PulseAudio)",
        run: live::run,
    },
    Command {
        name: "check",
        arguments: "",
        help: "formatting, lints and documentation, without warnings; licences if cargo-deny is there",
        run: check::run,
    },
    Command {
        name: "fuzz",
        arguments: "[MINUTES]",
        help: "run every fuzz target so long (20); keeps what it finds (needs cargo-fuzz)",
        run: fuzz::run,
    },
    Command {
        name: "quality",
        arguments: "DATA",
        help: "measure the bundled models on recordings in DATA; writes the table of docs/models.md",
        run: quality::run,
    },
    Command {
        name: "bench-peers",
        arguments: "[--quick] [--vocoding] [--python PATH]",
        help: "time formant beside librosa, torchaudio, soxr, ffmpeg..; writes docs/performance.md",
        run: bench_peers::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("\n{problem}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    let Some((name, rest)) = args.split_first() else {
        help();
        return Ok(());
    };
    if matches!(name.as_str(), "help" | "-h" | "--help") {
        help();
        return Ok(());
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        return Err(Problem::new(
            format!("`cargo xtask {name}` is not a command"),
            "run `cargo xtask help` for the list",
        ));
    };
    if matches!(rest.first().map(String::as_str), Some("-h" | "--help")) {
        println!("cargo xtask {} {}\n\n  {}", command.name, command.arguments, command.help);
        return Ok(());
    }
    if command.arguments.is_empty() && !rest.is_empty() {
        return Err(Problem::new(
            format!("`cargo xtask {name}` takes no arguments, but got `{}`", rest.join(" ")),
            "leave them out",
        ));
    }
    (command.run)(rest)
}

fn help() {
    println!("cargo xtask COMMAND\n");
    for command in COMMANDS {
        println!("  {:<11} {:<25} {}", command.name, command.arguments, command.help);
    }
    println!("\n`demo` and `test` call `setup` themselves; what is there already is left alone.");
}
