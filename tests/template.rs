//! The template for programs that use formant is built and run outside of this repository.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Copies a folder without what a build leaves in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the template") {
        let entry = entry.expect("an entry");
        let (path, name) = (entry.path(), entry.file_name());
        match path.is_dir() {
            true if name == "target" => {}
            true => copy(&path, &to.join(name)),
            false => {
                fs::copy(&path, to.join(name)).expect("a copy");
            }
        }
    }
}

#[test]
fn the_template_builds_elsewhere_and_finds_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("listener");
    copy(&root.join("examples/template"), &program);
    let manifest = program.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("the manifest");
    let path = root.display().to_string();
    assert!(text.contains(r#"path = "../..""#), "where formant is");
    fs::write(&manifest, text.replace("../..", &path)).expect("written");
    // The versions that are tested here, so that nothing has to be fetched.
    fs::copy(root.join("Cargo.lock"), program.join("Cargo.lock")).expect("the lock file");
    let libtorch = std::env::var_os("LIBTORCH")
        .unwrap_or_else(|| root.join(".libtorch/torch").into_os_string());
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--"])
        .arg(root.join("samples/keyword_stream_16k.wav"))
        .current_dir(&program)
        .env("LIBTORCH", libtorch)
        // Kept, so that only the first run takes minutes; and with no more than is needed to run.
        .env("CARGO_TARGET_DIR", root.join("target/template"))
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .env("CARGO_INCREMENTAL", "0")
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .expect("cargo");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let words: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert!(words.contains(&"yes") && words.contains(&"stop"), "{text}");
}
