//! `cargo xtask live`: `formant listen` with a microphone made of software.
//!
//! A sound server of its own plays the shipped clips, and what is heard of them is compared with the
//! files. Not a part of `cargo xtask test`: most machines for tests have no sound server.

use crate::problem::{Problem, Result};
use crate::{setup, shell};

pub(crate) fn run(args: &[String]) -> Result<()> {
    for (program, package) in [
        ("pulseaudio", "pulseaudio"),
        ("paplay", "pulseaudio-utils"),
        ("pactl", "pulseaudio-utils"),
    ] {
        if !shell::works(program, &["--version"]) {
            return Err(Problem::new(
                format!("`{program}` can't be run"),
                format!("install {package} and, for ALSA to reach it, libasound2-plugins"),
            ));
        }
    }
    setup::run(&[])?;
    let mut cargo = shell::cargo();
    cargo.args(["test", "--package", "formant-cli", "--test", "cli_live", "--"]);
    // One server after the other, and figures shown.
    cargo.args(["--ignored", "--nocapture", "--test-threads", "1"]).args(args);
    setup::library_path(&mut cargo);
    shell::run(&mut cargo, "the failures are listed above")
}
