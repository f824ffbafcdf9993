//! `formant doctor`, `formats`, `completions` and `bench`, and what holds for every command.

mod support;

use support::Place;

#[test]
fn doctor_says_what_is_there() {
    let place = Place::new();
    let text = place.run(&["doctor"]).code(0).text();
    for part in ["libtorch      2.11.0", "CUDA", "CPU", "cache folder", "microphones", "advice"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let line = &place.run(&["doctor", "--json", "--threads", "1"]).code(0).json()[0];
    assert_eq!((&line["type"], &line["libtorch"]["version"]), (&"doctor".into(), &"2.11.0".into()));
    assert_eq!(line["cpu"]["threads"], 1);
    assert!(line["cuda"]["libraries"]["state"].is_string());
}

#[test]
fn formats_are_listed() {
    let place = Place::new();
    let text = place.run(&["formats"]).code(0).text();
    assert!(text.contains("Opus") && text.contains("FLAC") && text.contains("--raw"));
    let lines = place.run(&["formats", "--json"]).code(0).json();
    assert!(lines.iter().all(|line| line["type"] == "format"));
    let writes = |line: &&serde_json::Value| line["write"] == true;
    assert_eq!(lines.iter().filter(writes).count(), 3);
}

#[test]
fn completions_exist_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let text = place.run(&["completions", shell]).code(0).text();
        assert!(text.contains("resample") && text.contains("clip-policy"), "{shell}");
    }
    place.run(&["completions", "cmd"]).code(2);
}

#[test]
fn bench_prints_a_line_a_job() {
    let place = Place::new();
    let jobs = ["bench", "decode", "resample", "features", "--seconds", "1", "--repeat", "2", "-q"];
    let lines = place.run(&jobs).code(0).json();
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert_eq!((&line["type"], &line["threads"]), (&"bench".into(), &1.into()));
        let number = |name: &str| line[name].as_f64().expect("a number");
        assert!((number("audio_seconds") - 1.0).abs() < 1e-3);
        assert!((number("rtf") - number("wall_seconds") / number("audio_seconds")).abs() < 1e-9);
        assert_eq!((&line["device"], &line["precision"]), (&"cpu".into(), &"f32".into()));
    }
    place.run(&["bench", "--seconds", "0"]).code(2);
    place.run(&["bench", "--model", "spot-commands"]).code(2).says("for one network");
    place.run(&["bench", "lunch"]).code(2).says("decode");
}

#[test]
fn bench_without_names_times_every_task() {
    let place = Place::new();
    let all = ["bench", "--seconds", "1", "--repeat", "1", "--cold", "--threads", "2", "-q"];
    let lines = place.run(&all).code(0).json();
    for task in formant_models::tasks::TASKS {
        let bundled = formant_models::registry::BUNDLED.iter().filter(|row| row.task == task.name);
        let names: Vec<&str> = bundled.map(|model| model.name).collect();
        let of_task = lines.iter().filter(|line| line["job"] == task.name);
        let timed: Vec<&str> = of_task.clone().filter_map(|line| line["model"].as_str()).collect();
        assert_eq!(timed, names, "{}", task.name);
        assert!(task.default.is_none_or(|name| timed.contains(&name)), "{}", task.name);
        for line in of_task {
            assert!(line["wall_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
        }
    }
}

#[test]
fn bench_times_networks_of_any_size() {
    let place = Place::new();
    place.file(
        "tiny.json",
        br#"{"dim": 8, "in_channels": 16, "num_classes": 3, "seq_len": 16, "theta": 16.0}"#,
    );
    let arguments = [
        "bench",
        "spot",
        "--config",
        "tiny.json",
        "--seconds",
        "1",
        "--repeat",
        "1",
        "--cold",
        "--threads",
        "1",
    ];
    let line = &place.run(&arguments).code(0).json()[0];
    assert_eq!(line["job"], "spot tiny (random weights)");
    assert_eq!(line["threads"], 1);
    place.file("bad.json", b"{\"dim\": -3}");
    place.run(&["bench", "spot", "--config", "bad.json"]).code(2);
}

#[cfg(target_os = "linux")]
#[test]
fn w5_a_deleted_working_folder_is_named() {
    let (place, formant) = (Place::new(), env!("CARGO_BIN_EXE_formant"));
    std::fs::create_dir(place.path("gone")).expect("a folder");
    let script = format!("cd gone && rmdir ../gone && exec '{formant}' formats");
    let mut shell = std::process::Command::new("sh");
    let ended = shell.current_dir(place.path("")).args(["-c", &script]).output().expect("a shell");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{stderr}");
    assert!(stderr.starts_with("error: the working folder was deleted"), "{stderr}");
    assert!(stderr.contains("help: ") && !stderr.contains("MKL"), "{stderr}");
}

/// The answer comes before libtorch is loaded, whose version it does not depend on.
#[test]
fn the_version_is_told_at_once() {
    let place = Place::new();
    for option in ["--version", "-V"] {
        let began = std::time::Instant::now();
        let ran = place.run(&[option]).code(0);
        assert_eq!(ran.text(), concat!("formant ", env!("CARGO_PKG_VERSION"), "\n"));
        // Libtorch alone would take longer on a machine that has nothing else to do.
        assert!(began.elapsed().as_secs() < 5);
    }
    let file = std::fs::File::options().write(true).open("/dev/full");
    if let Ok(full) = file {
        let status = place.command(&["--version"]).stdout(full).status().expect("it runs");
        assert!(status.code().is_some());
    }
}
