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

/// What the page about the library shows is what the template has.
#[test]
fn the_page_shows_the_files_of_the_template() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).expect(name).replace('\r', "");
    let page = read("docs/library.md");
    let template = ["Cargo.toml", ".cargo/config.toml", "build.rs"]
        .map(|name| read(&format!("examples/template/{name}")))
        .concat();
    let mut code = page
        .split("```")
        .skip(1)
        .step_by(2)
        .filter(|block| block.starts_with("toml\n") || block.starts_with("rust\n"));
    let lines: Vec<&str> = code.by_ref().flat_map(|block| block.lines().skip(1)).collect();
    assert!(lines.len() >= 15, "{lines:?}");
    for line in lines.iter().filter(|line| !line.is_empty()) {
        assert!(template.lines().any(|known| known == *line), "`{line}` is not in the template");
    }
    let manifest = read("Cargo.toml");
    let features = manifest.split("[features]\n").nth(1).expect("features");
    let features = features.split("\n\n").next().expect("a section");
    for feature in features.lines().filter_map(|line| line.split_once(" = ")) {
        let named = feature.0 == "default" || page.contains(&format!("| `{}` |", feature.0));
        assert!(named, "the page says nothing about {}", feature.0);
    }
}
