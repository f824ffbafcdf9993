//! Runs the `formant` binary in a temporary folder, and makes small WAV files for it.

#![allow(dead_code)] // every test file uses a part of this

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use formant_models::arch::mossformer::{MossformerCard, MossformerConfig, MossformerModel};
use serde_json::Value;

/// A temporary folder in which commands run.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, with the folders that it lies in.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        fs::write(&path, bytes).expect("file");
        path
    }

    /// Writes a 16-bit mono WAV file at 16 kHz.
    pub(crate) fn wav(&self, name: &str, samples: &[i16]) -> PathBuf {
        self.file(name, &wav(16_000, 1, samples))
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// All files below the folder, sorted, with `/` between parts.
    pub(crate) fn files(&self) -> Vec<String> {
        fn walk(folder: &Path, base: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).expect("folder") {
                let path = entry.expect("entry").path();
                if path.is_dir() {
                    walk(&path, base, found);
                } else {
                    let name = path.strip_prefix(base).expect("below").display().to_string();
                    found.push(name.replace('\\', "/"));
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), self.folder.path(), &mut found);
        found.sort();
        found
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_formant"));
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    /// Writes `m.safetensors`, a small enhancer with the published front end and random weights.
    pub(crate) fn enhancer(&self) {
        let config = MossformerConfig {
            out_channels: 8,
            num_blocks: 1,
            group_size: 16,
            query_key_dim: 6,
            conv_kernel: 5,
            fsmn_inner_channels: 6,
            fsmn_lorder: 3,
            ..MossformerConfig::enhancement()
        };
        let card = MossformerCard::published(config, 48_000).expect("a card");
        let model = MossformerModel::random(card, tch::Device::Cpu).expect("sound sizes");
        model.save(&self.path("m.safetensors"), tch::Kind::Float).expect("written");
    }

    /// Runs a command without input.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::new(arguments, self.command(arguments).stdin(Stdio::null()).output())
    }

    /// Runs a command with environment variables, and without those that lead to a network.
    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = self.command(arguments);
        for name in ["http", "https", "all", "no"] {
            command.env_remove(format!("{name}_proxy"));
            command.env_remove(format!("{}_PROXY", name.to_uppercase()));
        }
        for name in ["HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "FORMANT_OFFLINE"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        Ran::new(arguments, command.stdin(Stdio::null()).output())
    }

    /// Runs a command with bytes on standard input.
    pub(crate) fn feed(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("piped");
        let input = input.to_vec();
        // The command may end before it has read everything.
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output();
        feeder.join().expect("fed");
        Ran::new(arguments, output)
    }

    /// Sends an interrupt to a command that writes `outputs` files while it waits for the rest of
    /// its input: status 130, and nothing is left in the folder but what was there.
    #[cfg(unix)]
    pub(crate) fn interrupt(&self, arguments: &[&str], input: &[u8], outputs: usize) {
        let before = self.files();
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input).expect("fed");
        // The input stays open, so that the command waits for the rest when the signal comes; by
        // then its outputs are under construction.
        let began = std::time::Instant::now();
        while self.files().len() < before.len() + outputs && began.elapsed().as_secs() < 120 {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(self.files().len(), before.len() + outputs, "temporary files");
        let pid = child.id().to_string();
        let kill = Command::new("sh").args(["-c", &format!("kill -INT {pid}")]).status();
        assert!(kill.expect("a shell").success());
        let output = child.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{stderr}");
        assert!(stderr.contains("interrupted"), "{stderr}");
        assert_eq!(self.files(), before);
        drop(stdin);
    }
}

/// What a command came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    line: String,
}

impl Ran {
    fn new(arguments: &[&str], output: std::io::Result<Output>) -> Self {
        let output = output.expect("the binary runs");
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            line: arguments.join(" "),
        }
    }

    /// Fails the test unless the exit status is `code`.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "formant {}\n{}\n{}", self.line, self.text(), self.stderr);
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output as JSON lines; everything on it must be JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
        };
        self.text().lines().map(parse).collect()
    }

    /// Fails the test unless standard error contains `text`.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in:\n{}", self.stderr);
        self
    }
}

/// A WAV file of 16-bit samples.
pub(crate) fn wav(rate: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    wav_of(rate, channels, 1, 16, &data)
}

/// A WAV file of 32-bit floating-point samples.
pub(crate) fn wav_f32(rate: u32, channels: u16, samples: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    wav_of(rate, channels, 3, 32, &data)
}

fn wav_of(rate: u32, channels: u16, tag: u16, bits: u16, data: &[u8]) -> Vec<u8> {
    let align = channels * bits / 8;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend(tag.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * u32::from(align)).to_le_bytes());
    bytes.extend(align.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

/// A WebM file whose audio begins so many milliseconds after the file does.
pub(crate) fn shifted(milliseconds: i16) -> Vec<u8> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut bytes = fs::read(here.join("../audio-core/tests/media/impulse.webm")).expect("it");
    let cluster = bytes.windows(4).position(|w| w == [0x1f, 0x43, 0xb6, 0x75]).expect("one");
    for at in cluster..bytes.len() - 6 {
        if bytes[at] == 0xa3 && bytes[at + 2] == 0x81 && matches!(bytes[at + 5], 0 | 0x80) {
            let time = i16::from_be_bytes([bytes[at + 3], bytes[at + 4]]) + milliseconds;
            bytes[at + 3..at + 5].copy_from_slice(&time.to_be_bytes());
        }
    }
    bytes
}

/// A Matroska file of mono tracks at 16 kHz with 16-bit samples, each in a language.
pub(crate) fn matroska(tracks: &[(&str, &[i16])]) -> Vec<u8> {
    fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
        let size = (body.len() as u64 | 1 << 56).to_be_bytes();
        [id, &size, body].concat()
    }
    let mut entries = Vec::new();
    let mut blocks = element(&[0xe7], &[0]);
    for (index, (language, samples)) in tracks.iter().enumerate() {
        let number = index as u8 + 1;
        let audio = [
            element(&[0xb5], &16_000f64.to_be_bytes()),
            element(&[0x9f], &[1]),
            element(&[0x62, 0x64], &[16]),
        ];
        let entry = [
            element(&[0xd7], &[number]),
            element(&[0x73, 0xc5], &[number]),
            element(&[0x83], &[2]),
            element(&[0x22, 0xb5, 0x9c], language.as_bytes()),
            element(&[0x86], b"A_PCM/INT/LIT"),
            element(&[0xe1], &audio.concat()),
        ];
        entries.extend(element(&[0xae], &entry.concat()));
        for (at, block) in samples.chunks(1600).enumerate() {
            let mut body = vec![0x80 | number];
            body.extend((100 * at as i16).to_be_bytes());
            body.push(0x80);
            body.extend(block.iter().flat_map(|sample| sample.to_le_bytes()));
            blocks.extend(element(&[0xa3], &body));
        }
    }
    let info = [
        element(&[0x2a, 0xd7, 0xb1], &1_000_000u32.to_be_bytes()),
        element(&[0x4d, 0x80], b"tests"),
        element(&[0x57, 0x41], b"tests"),
    ];
    let segment = [
        element(&[0x15, 0x49, 0xa9, 0x66], &info.concat()),
        element(&[0x16, 0x54, 0xae, 0x6b], &entries),
        element(&[0x1f, 0x43, 0xb6, 0x75], &blocks),
    ];
    let head = element(&[0x1a, 0x45, 0xdf, 0xa3], &element(&[0x42, 0x82], b"matroska"));
    [head, element(&[0x18, 0x53, 0x80, 0x67], &segment.concat())].concat()
}

/// A sine of amplitude 0.5.
pub(crate) fn tone(frames: usize, rate: f32, hertz: f32) -> Vec<i16> {
    (0..frames)
        .map(|n| (0.5 * 32768.0 * (std::f32::consts::TAU * hertz * n as f32 / rate).sin()) as i16)
        .collect()
}

/// Samples of a WAV file that formant wrote, by its `fmt` and `data` chunks: format tag, rate,
/// channels, bits, data.
pub(crate) struct Parsed {
    pub(crate) tag: u16,
    pub(crate) channels: u16,
    pub(crate) rate: u32,
    pub(crate) bits: u16,
    pub(crate) data: Vec<u8>,
}

impl Parsed {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | (u32::from(u16_at(at + 2)) << 16);
        assert_eq!((&bytes[..4], &bytes[8..12]), (&b"RIFF"[..], &b"WAVE"[..]));
        let mut parsed = Self { tag: 0, channels: 0, rate: 0, bits: 0, data: Vec::new() };
        let mut at = 12;
        while at + 8 <= bytes.len() {
            let size = u32_at(at + 4) as usize;
            let body = at + 8;
            match &bytes[at..at + 4] {
                b"fmt " => {
                    parsed.tag = u16_at(body);
                    parsed.channels = u16_at(body + 2);
                    parsed.rate = u32_at(body + 4);
                    parsed.bits = u16_at(body + 14);
                }
                b"data" => parsed.data = bytes[body..(body + size).min(bytes.len())].to_vec(),
                _ => {}
            }
            at = body + size + size % 2;
        }
        parsed
    }

    pub(crate) fn frames(&self) -> usize {
        self.data.len() / usize::from(self.channels * self.bits / 8)
    }

    pub(crate) fn s16(&self) -> Vec<i16> {
        assert_eq!((self.tag, self.bits), (1, 16));
        self.data.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
    }

    pub(crate) fn f32(&self) -> Vec<f32> {
        assert_eq!((self.tag, self.bits), (3, 32));
        self.data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }
}
