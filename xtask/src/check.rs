//! `cargo xtask check`: what must hold besides the tests before a change is merged.

use crate::problem::Result;
use crate::{setup, shell};

pub(crate) fn run(_: &[String]) -> Result<()> {
    setup::run(&[])?;
    shell::run(
        shell::cargo().args(["fmt", "--all", "--check"]),
        "run `cargo fmt --all` and commit the result",
    )?;
    shell::run(
        shell::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        "mend what clippy says above",
    )?;
    shell::run(
        shell::cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
        "mend the documentation comments that are named above",
    )?;
    if shell::works("cargo-deny", &["--version"]) {
        shell::run(
            shell::cargo().args(["deny", "check"]),
            "a dependency's licence or a known weakness is named above; deny.toml holds the rules",
        )
    } else {
        eprintln!("cargo-deny is not installed: licences and advisories were not checked");
        Ok(())
    }
}
