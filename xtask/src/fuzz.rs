//! `cargo xtask fuzz`: every reader of other people's bytes, each for some minutes, on inputs that
//! libFuzzer makes. What it finds is kept under `fuzz/regressions`, where later runs begin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::problem::{Problem, Result};
use crate::shell;

/// Crates with targets, and folders of files that their runs begin with.
const CRATES: [(&str, &[&str]); 3] = [
    ("audio-core", &["audio-core/tests/media", "audio-core/tests/fuzz-findings", "samples"]),
    ("models", &["models/tests/checkpoints", "models/fuzz/seeds"]),
    ("training", &[]),
];

/// Minutes of a target where none are given.
const MINUTES: u64 = 20;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let minutes = match args {
        [] => MINUTES,
        [typed] => minutes(typed)?,
        _ => return Err(Problem::new("more than one argument", "give a number of minutes alone")),
    };
    if !shell::works("cargo-fuzz", &["--version"]) {
        return Err(Problem::new("cargo-fuzz is missing", "run `cargo install cargo-fuzz`"));
    }
    let root = shell::root();
    let (mut unbuilt, mut found) = (Vec::new(), Vec::new());
    for (package, seeds) in CRATES {
        let fuzz = root.join(package).join("fuzz");
        for target in targets(&fuzz)? {
            let seeds: Vec<PathBuf> = seeds.iter().map(|folder| root.join(folder)).collect();
            if let Err(problem) = build(&root, &fuzz, &target) {
                eprintln!("{problem}");
                unbuilt.push(format!("{package} {target}"));
                continue;
            }
            if let Err(problem) = run_target(&root, &fuzz, &target, &seeds, minutes) {
                eprintln!("{problem}");
                keep(&fuzz, &target)?;
                found.push(format!("{package} {target}"));
            }
        }
    }
    verdict(&unbuilt, &found)
}

/// What the runs come to: targets that could not be built, and targets that found a fault.
fn verdict(unbuilt: &[String], found: &[String]) -> Result<()> {
    let (mut what, mut remedies) = (Vec::new(), Vec::new());
    if !found.is_empty() {
        what.push(format!("faults were found in {}", found.join(", ")));
        remedies.push(
            "the inputs are in fuzz/regressions of the crate: mend what they show, and commit them",
        );
    }
    if !unbuilt.is_empty() {
        what.push(format!("could not be built, and did not run: {}", unbuilt.join(", ")));
        remedies.push("the compiler's first error above says why");
    }
    match what.is_empty() {
        true => Ok(()),
        false => Err(Problem::new(what.join("; "), remedies.join("; "))),
    }
}

/// A number of minutes as it is typed; libFuzzer takes none for no limit.
fn minutes(typed: &str) -> Result<u64> {
    typed.parse().ok().filter(|&minutes| minutes > 0).ok_or_else(|| {
        let problem = format!("`{typed}` is no number of minutes");
        Problem::new(problem, "give a whole number from 1")
    })
}

/// A command of cargo-fuzz on a target, as far as building goes.
fn cargo_fuzz(command: &str, root: &Path, fuzz: &Path, target: &str) -> Command {
    let mut cargo = shell::cargo();
    // There is no unsafe code in the readers, so no sanitizer is asked for, and the stable compiler
    // does: it only has to take the flags of coverage.
    // `-O` leaves it to the profile whose arithmetic is checked.
    cargo.env("RUSTC_BOOTSTRAP", "1").args(["fuzz", command, "-O", "-s", "none", "--fuzz-dir"]);
    cargo.arg(fuzz.strip_prefix(root).unwrap_or(fuzz)).arg(target);
    cargo
}

/// Builds a target, so that a failure of its run is a fault that it found.
fn build(root: &Path, fuzz: &Path, target: &str) -> Result<()> {
    let mut cargo = cargo_fuzz("build", root, fuzz, target);
    shell::run(&mut cargo, "the compiler's first error above says why")
}

fn run_target(
    root: &Path,
    fuzz: &Path,
    target: &str,
    seeds: &[PathBuf],
    minutes: u64,
) -> Result<()> {
    let mut cargo = cargo_fuzz("run", root, fuzz, target);
    let corpus = fuzz.join("corpus").join(target);
    fs::create_dir_all(&corpus).map_err(|error| {
        Problem::new(format!("{}: {error}", corpus.display()), "see that it can be written to")
    })?;
    let regressions = fuzz.join("regressions").join(target);
    let begin = seeds.iter().chain([&regressions]);
    cargo.arg(&corpus).args(begin.filter(|folder| folder.is_dir())).arg("--");
    cargo.arg(format!("-max_total_time={}", minutes.saturating_mul(60)));
    cargo.args(["-timeout=20", "-rss_limit_mb=2048", "-max_len=1048576", "-print_final_stats=1"]);
    shell::run(&mut cargo, "the input that shows the fault is named above")
}

/// Names of the targets of a crate.
fn targets(fuzz: &Path) -> Result<Vec<String>> {
    let folder = fuzz.join("fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(|error| {
        Problem::new(format!("{}: {error}", folder.display()), "check the working tree")
    })?;
    let names = entries.flatten().map(|entry| entry.path());
    let mut names: Vec<String> = names
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Copies what a target found to the inputs that are kept.
fn keep(fuzz: &Path, target: &str) -> Result<()> {
    let failed = |path: &Path, error: std::io::Error| {
        Problem::new(format!("{}: {error}", path.display()), "see that it can be written to")
    };
    let kept = fuzz.join("regressions").join(target);
    fs::create_dir_all(&kept).map_err(|error| failed(&kept, error))?;
    let Ok(entries) = fs::read_dir(fuzz.join("artifacts").join(target)) else { return Ok(()) };
    for artifact in entries.flatten().map(|entry| entry.path()) {
        let to: PathBuf = kept.join(artifact.file_name().unwrap_or_default());
        fs::copy(&artifact, &to).map_err(|error| failed(&to, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_whole_and_end() {
        assert_eq!(minutes("20").ok(), Some(20));
        for bad in ["0", "-1", "1.5", "ten", ""] {
            assert!(minutes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_build_that_fails_is_no_fault_found() {
        let name = || vec!["models cards".to_owned()];
        assert!(verdict(&[], &[]).is_ok());
        let text = |unbuilt: &[String], found: &[String]| {
            verdict(unbuilt, found).expect_err("a problem").to_string()
        };
        let (unbuilt, found) = (text(&name(), &[]), text(&[], &name()));
        assert!(!unbuilt.contains("faults") && unbuilt.contains("compiler"), "{unbuilt}");
        assert!(!found.contains("built") && found.contains("regressions"), "{found}");
        assert!(text(&name(), &name()).contains("faults were found in models cards; could not"));
    }

    /// The targets of checkpoints compile the detection table without the networks, whose names stand in
    /// their crate once more.
    #[test]
    fn targets_of_checkpoints_know_the_networks_of_the_detection_table() {
        let read = |path| fs::read_to_string(shell::root().join(path)).expect("a source");
        let (table, targets) =
            (read("models/src/checkpoint/table.rs"), read("models/fuzz/src/lib.rs"));
        let networks: Vec<&str> = table
            .split("adopt::<")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('>')?.0))
            .filter(|name| name.contains("::"))
            .collect();
        assert!(networks.len() > 5, "{networks:?}");
        for network in networks {
            assert!(targets.contains(network), "{network} is missing in models/fuzz/src/lib.rs");
        }
    }

    #[test]
    fn every_crate_has_its_targets_and_seeds() {
        let root = shell::root();
        for (package, seeds) in CRATES {
            let found = targets(&root.join(package).join("fuzz")).expect("a folder of targets");
            assert!(!found.is_empty(), "{package}");
            let manifest = root.join(package).join("fuzz/Cargo.toml");
            let manifest = fs::read_to_string(manifest).expect("a crate");
            for target in found {
                assert!(manifest.contains(&format!("name = \"{target}\"")), "{package} {target}");
            }
            assert!(seeds.iter().all(|seeds| root.join(seeds).is_dir()), "{seeds:?}");
        }
    }
}
