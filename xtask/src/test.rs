//! `cargo xtask test`: set-up, then the tests.

use std::path::Path;

use crate::problem::Result;
use crate::{setup, shell};

pub(crate) fn run(args: &[String]) -> Result<()> {
    setup::run(&[])?;
    let mut cargo = shell::cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast"]).args(selection(&shell::root(), args));
    setup::library_path(&mut cargo);
    // Tests run side by side already; libtorch's own threads would only wait for each other.
    if std::env::var_os("OMP_NUM_THREADS").is_none() {
        cargo.env("OMP_NUM_THREADS", "1");
    }
    shell::run(
        &mut cargo,
        "the failures are listed above; `cargo xtask test NAME` runs those that NAME names",
    )
}

/// Arguments of `cargo test` for what was typed: a first word that begins the name of a file in
/// `tests/` selects those files, any other filters by the name of the test.
fn selection(root: &Path, args: &[String]) -> Vec<String> {
    let Some((filter, rest)) = args.split_first() else { return Vec::new() };
    let mut selection = Vec::new();
    if !filter.starts_with('-') && has_test_file(&root.join("tests"), filter) {
        selection.extend(["--test".to_owned(), format!("{filter}*")]);
    } else {
        selection.push(filter.clone());
    }
    selection.extend_from_slice(rest);
    selection
}

fn has_test_file(tests: &Path, prefix: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(tests) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        path.extension().is_some_and(|extension| extension == "rs")
            && path.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with(prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_is_a_file_or_a_name() {
        let root = std::env::temp_dir().join(format!("xtask-selection-{}", std::process::id()));
        std::fs::create_dir_all(root.join("tests")).expect("temporary folder");
        std::fs::write(root.join("tests/parity_features.rs"), "").expect("temporary file");
        let select = |args: &[&str]| {
            selection(&root, &args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>())
        };
        assert!(select(&[]).is_empty());
        assert_eq!(
            select(&["parity", "--", "--nocapture"]),
            ["--test", "parity*", "--", "--nocapture"]
        );
        assert_eq!(select(&["stft"]), ["stft"]);
        assert_eq!(select(&["-p", "xtask"]), ["-p", "xtask"]);
        std::fs::remove_dir_all(&root).expect("temporary folder");
    }
}
