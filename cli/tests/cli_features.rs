//! `formant features`: files that NumPy reads, presets, lengths.

mod support;

use serde_json::{Value, json};
use support::{Place, tone, wav};

/// Rows, bins and values of an NPY file.
fn npy(bytes: &[u8]) -> (usize, usize, Vec<f32>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..10 + length]).into_owned();
    assert!(header.contains("'descr': '<f4'") && header.contains("'fortran_order': False"));
    assert_eq!((10 + length) % 64, 0);
    let shape = header.split(['(', ')']).nth(1).expect("a shape");
    let sizes: Vec<usize> = shape.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let values: Vec<f32> = bytes[10 + length..]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    assert_eq!(values.len(), sizes[0] * sizes[1]);
    (sizes[0], sizes[1], values)
}

#[test]
fn arrays_have_the_promised_shape() {
    let place = Place::new();
    place.wav("a.wav", &tone(16_000, 16_000.0, 440.0));
    for (preset, rows, bins) in [("whisper", 100, 80), ("kaldi", 98, 23), ("torchaudio", 81, 128)] {
        let output = format!("{preset}.npy");
        let ran = place.run(&["features", "a.wav", "--preset", preset, "-o", &output, "--json"]);
        let line = ran.code(0).json().remove(0);
        let (found_rows, found_bins, values) = npy(&place.read(&output));
        assert_eq!((found_rows, found_bins), (rows, bins), "{preset}");
        assert_eq!((&line["frames"], &line["bins"]), (&json!(rows), &json!(bins)));
        assert!(values.iter().all(|x| x.is_finite()));
    }
}

#[test]
fn all_formats_hold_the_same_numbers() {
    let place = Place::new();
    place.wav("a.wav", &tone(4000, 16_000.0, 440.0));
    let run = |more: &[&str]| {
        let arguments: Vec<&str> =
            ["features", "a.wav", "--preset", "wenet", "-q"].iter().chain(more).copied().collect();
        place.run(&arguments).code(0)
    };
    run(&["-o", "a.npy"]);
    run(&["-o", "a.csv"]);
    run(&["-o", "a.npz"]);
    run(&["-o", "a.png"]);
    let (_, bins, values) = npy(&place.read("a.npy"));
    let csv = String::from_utf8(place.read("a.csv")).expect("text");
    let text: Vec<f32> = csv.split([',', '\n']).filter_map(|cell| cell.parse().ok()).collect();
    assert_eq!((text, csv.lines().next().expect("a row").split(',').count()), (values, bins));
    assert_eq!(&place.read("a.npz")[..2], b"PK");
    assert_eq!(&place.read("a.png")[1..4], b"PNG");
    assert_eq!(run(&["-o", "-"]).stdout, place.read("a.npy"));
    // Beside the input, the name tells the preset.
    run(&[]);
    assert_eq!(place.read("a_wenet.npy"), place.read("a.npy"));
    place.run(&["features", "a.wav", "-o", "a.mat"]).code(2).says(".npz");
}

/// S8: as many frames as the preset promises, including none.
#[test]
fn s8_short_inputs() {
    let place = Place::new();
    let cases = [(0, 0, 0), (1, 0, 0), (399, 0, 2), (400, 1, 2), (401, 1, 2), (1600, 8, 10)];
    for (n, (frames, ..)) in cases.iter().enumerate() {
        place.wav(&format!("in/{n}.wav"), &tone(*frames, 16_000.0, 440.0));
    }
    for preset in ["kaldi", "whisper"] {
        let ran = place.run(&["features", "in", "--preset", preset, "-o", preset, "--json"]);
        let lines = ran.code(0).json();
        for (n, &(frames, kaldi, whisper)) in cases.iter().enumerate() {
            let expected = if preset == "kaldi" { kaldi } else { whisper };
            assert_eq!(lines[n]["frames"], json!(expected), "{preset} {frames}");
            assert_eq!(npy(&place.read(&format!("{preset}/{n}.npy"))).0, expected);
        }
    }
}

#[test]
fn presets_are_listed_shown_and_changed() {
    let place = Place::new();
    place.file("a.wav", &wav(8000, 1, &tone(8000, 8000.0, 440.0)));
    let presets = place.run(&["features", "--list-presets"]).code(0).text();
    assert!(presets.contains("whisper") && presets.contains("kaldi"));
    let shown = place.run(&["features", "--preset", "kaldi", "--n-mels", "40", "--print-config"]);
    let config: Value = serde_json::from_str(&shown.code(0).text()).expect("JSON");
    assert_eq!((&config["mel"]["n_mels"], &config["hop_length"]), (&json!(40), &json!(160)));
    place.file("mine.json", config.to_string().as_bytes());
    place.run(&["features", "a.wav", "--config", "mine.json", "-o", "a.npy"]).code(0);
    place.run(&["features", "a.wav", "--preset", "kaldi", "--n-mels", "40", "-o", "b.npy"]).code(0);
    let (rows, bins, _) = npy(&place.read("a.npy"));
    assert_eq!((rows, bins), (98, 40)); // 8 kHz was taken to 16 kHz
    assert_eq!(place.read("a.npy"), place.read("b.npy"));
    place.run(&["features", "a.wav", "--preset", "nobody"]).code(2).says("whisper");
    place.run(&["features", "a.wav", "--preset", "kaldi", "--hop-length", "0"]).code(2);
    place.file("bad.json", b"{\"no_such_setting\": 1}");
    place.run(&["features", "a.wav", "--config", "bad.json"]).code(2).says("bad.json");
}

/// S12: with dither and one seed the same, with another not.
#[test]
fn s12_dither_has_a_seed() {
    let place = Place::new();
    place.wav("a.wav", &tone(4000, 16_000.0, 440.0));
    let run = |seed: &str| {
        let arguments =
            ["features", "a.wav", "--preset", "kaldi", "--dither", "1", "--seed", seed, "-o", "-"];
        place.run(&arguments).code(0).stdout
    };
    assert_eq!(run("1"), run("1"));
    assert_ne!(run("1"), run("2"));
}
