//! `formant listen` with a microphone made of software: PulseAudio plays a file into a sink that
//! leads nowhere, and ALSA's default device hears it. `cargo xtask live` runs this.

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use formant_models::tasks::Task;
use formant_models::tasks::spot::Spotter;
use formant_models::{LoadOptions, ModelSource};
use serde_json::Value;
use support::Place;

fn sample(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples").join(name).display().to_string()
}

/// A sound server with one microphone.
struct Server {
    folder: PathBuf,
    child: Child,
}

impl Server {
    fn start(place: &Place) -> Self {
        let folder = place.path("sound");
        std::fs::create_dir_all(&folder).expect("a folder");
        let config = "</usr/share/alsa/alsa.conf>\n\
            pcm.!default { type pulse device mic.monitor }\nctl.!default { type pulse }\n";
        std::fs::write(folder.join("asound.conf"), config).expect("written");
        let socket = folder.join("socket");
        let _ = std::fs::remove_file(&socket);
        let child = Command::new("pulseaudio")
            .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"])
            .args(["--disable-shm=yes", "--log-level=error", "-L"])
            .arg(format!(
                "module-native-protocol-unix auth-anonymous=1 socket={}",
                socket.display()
            ))
            .args(["-L", "module-null-sink sink_name=mic rate=48000 channels=2"])
            .envs(Self::variables_in(&folder))
            .stdin(Stdio::null())
            .spawn()
            .expect("pulseaudio is installed");
        let deadline = Instant::now() + Duration::from_secs(10);
        while !socket.exists() {
            assert!(Instant::now() < deadline, "the sound server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { folder, child }
    }

    fn variables_in(folder: &Path) -> Vec<(&'static str, String)> {
        let text = |path: PathBuf| path.display().to_string();
        vec![
            ("HOME", text(folder.to_owned())),
            ("XDG_RUNTIME_DIR", text(folder.to_owned())),
            ("PULSE_RUNTIME_PATH", text(folder.join("run"))),
            ("PULSE_STATE_PATH", text(folder.join("state"))),
            ("PULSE_SERVER", format!("unix:{}", text(folder.join("socket")))),
            ("ALSA_CONFIG_PATH", text(folder.join("asound.conf"))),
        ]
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        Self::variables_in(&self.folder)
    }

    /// Plays a file to its end.
    fn play(&self, path: &str) {
        let played = Command::new("paplay")
            .args(["--device=mic", path])
            .envs(self.variables())
            .status()
            .expect("pulseaudio-utils is installed");
        assert!(played.success());
    }

    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `formant listen --json`.
struct Listener {
    child: Child,
    lines: Receiver<Value>,
}

impl Listener {
    fn start(place: &Place, server: &Server, arguments: &[&str]) -> Self {
        let mut all = vec!["listen", "--json"];
        all.extend(arguments);
        let mut child = place
            .command(&all)
            .envs(server.variables())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).expect("a JSON line");
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Lines up to the first of a type.
    fn until(&self, kind: &str) -> Vec<Value> {
        let mut found = Vec::new();
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("no {kind} after {found:?}"));
            let last = line["type"] == kind;
            found.push(line);
            if last {
                return found;
            }
        }
    }

    fn code(mut self) -> Option<i32> {
        self.child.wait().expect("ends").code()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn words(lines: &[Value], kind: &str) -> Vec<(String, f64)> {
    let found = lines.iter().filter(|line| line["type"] == kind);
    found
        .map(|line| {
            let word = line["word"].as_str().expect("a word").to_owned();
            (word, line["start"].as_f64().expect("seconds"))
        })
        .collect()
}

/// Largest difference of places, after the one shift that fits best.
fn differences(a: &[(String, f64)], b: &[(String, f64)]) -> (f64, f64) {
    let words = |list: &[(String, f64)]| list.iter().map(|(w, _)| w.clone()).collect::<Vec<_>>();
    assert_eq!(words(a), words(b));
    let mut shifts: Vec<f64> = a.iter().zip(b).map(|(a, b)| a.1 - b.1).collect();
    shifts.sort_by(f64::total_cmp);
    let shift = shifts[shifts.len() / 2];
    (shift, shifts.iter().map(|x| (x - shift).abs()).fold(0.0, f64::max))
}

#[test]
#[ignore = "needs PulseAudio: cargo xtask live"]
#[allow(clippy::print_stdout)] // figures for the documentation
fn words_are_heard_through_a_virtual_microphone() {
    let (place, stream) = (Place::new(), sample("keyword_stream_16k.wav"));
    let server = Server::start(&place);
    let arguments = ["--spot", "--stats", "--record", "take.wav", "--for", "16"];
    let listener = Listener::start(&place, &server, &arguments);
    listener.until("started");
    std::thread::sleep(Duration::from_millis(500));
    server.play(&stream);
    let lines = listener.until("stats");
    assert_eq!(listener.code(), Some(0));
    let live = words(&lines, "keyword");
    let file = words(&place.run(&["spot", "--json", &stream]).code(0).json(), "detection");
    let take = words(&place.run(&["spot", "--json", "take.wav"]).code(0).json(), "detection");
    let (shift, apart) = differences(&live, &file);
    println!("{} words; against the file: shift {shift:.3} s, apart {apart:.3} s", live.len());
    let model = ModelSource::Bundled("spot-commands".to_owned());
    let spotter = Spotter::load(&model, &LoadOptions::default()).expect("bundled");
    assert!(apart <= 0.05 + spotter.lookahead(), "{live:?}\n{file:?}");
    // The take has the session's own time.
    let absolute = live.iter().zip(&take).map(|(a, b)| (a.1 - b.1).abs()).fold(0.0, f64::max);
    println!("against the take: {absolute:.3} s");
    assert!(live.len() == take.len() && absolute <= 0.05, "{live:?}\n{take:?}");
    let stats = lines.last().expect("figures");
    println!("{}", serde_json::to_string_pretty(stats).expect("JSON"));
    assert_eq!((&stats["lost_frames"], &stats["overruns"]), (&0.into(), &0.into()));
}

#[test]
#[ignore = "needs PulseAudio: cargo xtask live"]
fn a_sound_server_that_goes_is_told_and_waited_for() {
    let place = Place::new();
    let mut server = Server::start(&place);
    let listener = Listener::start(&place, &server, &["--level", "--on-loss", "stop"]);
    listener.until("level");
    server.kill();
    listener.until("device-lost");
    listener.until("finished");
    assert_eq!(listener.code(), Some(5));

    let mut server = Server::start(&place);
    let arguments = ["--level", "--on-loss", "wait", "--for", "12"];
    let listener = Listener::start(&place, &server, &arguments);
    listener.until("level");
    server.kill();
    listener.until("device-lost");
    drop(server);
    let server = Server::start(&place);
    let lines = listener.until("resumed");
    assert!(lines.last().is_some_and(|line| line["away"].as_f64() > Some(0.0)));
    let gap = listener.until("gap");
    assert_eq!(gap.last().map(|line| &line["cause"]), Some(&"device-lost".into()));
    listener.until("level");
    listener.until("finished");
    assert_eq!(listener.code(), Some(0));
    drop(server);
}

#[test]
#[ignore = "needs PulseAudio: cargo xtask live"]
fn any_buffer_and_channel_count_is_heard() {
    let place = Place::new();
    let server = Server::start(&place);
    for (buffer, channels, rate) in [
        ("16", "1", "16000"),
        ("100", "2", "44100"),
        ("1000", "2", "48000"),
        ("8192", "6", "96000"),
    ] {
        let arguments =
            ["--level", "--buffer", buffer, "--channels", channels, "--rate", rate, "--for", "2"];
        let listener = Listener::start(&place, &server, &arguments);
        let started = listener.until("started");
        let started = started.last().expect("a line");
        assert_eq!(started["rate"].to_string(), rate);
        assert_eq!(started["channels"].to_string(), channels);
        let lines = listener.until("finished");
        let end = lines.last().expect("a line");
        assert_eq!(
            (&end["reason"], &end["lost_frames"]),
            (&"stopped".into(), &0.into()),
            "{buffer}"
        );
        assert_eq!(listener.code(), Some(0));
    }
}
