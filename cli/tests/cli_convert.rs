//! `formant convert`: samples, names of outputs, what is never overwritten or half-written.

mod support;

use serde_json::json;
use support::{Parsed, Place, tone, wav, wav_f32};

#[test]
fn samples_survive_every_lossless_way() {
    let place = Place::new();
    let samples = tone(5000, 16_000.0, 440.0);
    place.wav("a.wav", &samples);
    place.run(&["convert", "a.wav", "-o", "f.wav"]).code(0);
    let float = Parsed::of(&place.read("f.wav"));
    let expected: Vec<f32> = samples.iter().map(|&x| f32::from(x) / 32768.0).collect();
    assert_eq!((float.rate, float.channels), (16_000, 1));
    assert_eq!(float.f32(), expected);
    place.run(&["convert", "f.wav", "-o", "b.flac", "--bits", "s16"]).code(0);
    place.run(&["convert", "b.flac", "-o", "c.raw", "--bits", "s16"]).code(0);
    let raw = ["convert", "--raw", "16000,s16le", "c.raw", "-o", "d.wav", "--bits", "s16"];
    place.run(&raw).code(0);
    assert_eq!(Parsed::of(&place.read("d.wav")).s16(), samples);
}

#[test]
fn standard_input_goes_to_standard_output() {
    let place = Place::new();
    let samples = tone(1000, 16_000.0, 440.0);
    let ran = place.feed(&["convert", "-", "--bits", "s16"], &wav(16_000, 1, &samples)).code(0);
    assert_eq!(Parsed::of(&ran.stdout).s16(), samples);
    let flac = place.feed(&["convert", "-", "--format", "flac"], &wav(16_000, 1, &samples)).code(0);
    assert_eq!(&flac.stdout[..4], b"fLaC");
    place.wav("a.wav", &samples);
    place.run(&["convert", "a.wav", "-o", "-", "--json"]).code(2).says("--json");
    place.run(&["convert", "a.wav", "a.wav", "nope", "-o", "-"]).code(2).says("one result");
}

#[test]
fn outputs_stand_beside_their_inputs_or_in_a_like_tree() {
    let place = Place::new();
    for name in ["in/a.wav", "in/x/b.wav"] {
        place.wav(name, &tone(160, 16_000.0, 440.0));
    }
    place.run(&["convert", "in", "-o", "out", "--format", "flac"]).code(0).says("2 of 2 done");
    assert_eq!(place.files(), ["in/a.wav", "in/x/b.wav", "out/a.flac", "out/x/b.flac"]);
    place.run(&["convert", "in/a.wav"]).code(0);
    place.run(&["convert", "in/a.wav", "--format", "flac"]).code(0);
    assert!(place.exists("in/a_converted.wav") && place.exists("in/a.flac"));
}

#[test]
fn existing_outputs_are_refused_replaced_or_kept() {
    let place = Place::new();
    place.wav("a.wav", &tone(160, 16_000.0, 440.0));
    place.wav("b.wav", &tone(160, 16_000.0, 440.0));
    place.file("out/a.wav", b"precious");
    let with = |option: &[&str]| {
        let arguments: Vec<&str> =
            ["convert", "a.wav", "b.wav", "-o", "out/"].iter().chain(option).copied().collect();
        place.run(&arguments)
    };
    with(&[]).code(1).says("out/a.wav: exists already").says("1 of 2 done, 1 failed");
    assert_eq!(place.read("out/a.wav"), b"precious");
    assert!(place.exists("out/b.wav"));
    with(&[]).code(2); // now both exist
    with(&["--resume"]).code(0).says("2 were there already");
    assert_eq!(place.read("out/a.wav"), b"precious");
    with(&["--overwrite"]).code(0);
    assert_eq!(Parsed::of(&place.read("out/a.wav")).frames(), 160);
    with(&["--overwrite", "--resume"]).code(2);
}

#[test]
fn conflicts_are_found_before_the_work_starts() {
    let place = Place::new();
    for name in ["x/a.wav", "y/a.wav"] {
        place.wav(name, &tone(160, 16_000.0, 440.0));
    }
    place
        .run(&["convert", "x/a.wav", "y/a.wav", "-o", "out"])
        .code(2)
        .says("the output of x/a.wav, y/a.wav");
    assert!(!place.exists("out"));
    place.run(&["convert", "x/a.wav", "-o", "x/a.wav", "--overwrite"]).code(2).says("input");
    place.run(&["convert", "x", "-o", "y/a.wav"]).code(2).says("is a file");
    for (name, encoder) in [("a.mp3", "lame"), ("a.OPUS", "opusenc"), ("a.m4a", "ffmpeg")] {
        let ran = place.run(&["convert", "x/a.wav", "-o", name]).code(2);
        ran.says("wav, rf64, flac or raw").says(encoder);
    }
    place.run(&["convert", "x/a.wav", "-o", "a.flac", "--bits", "f32"]).code(2).says("s24");
    // Names from a list keep their folders.
    place.file("list", b"x/a.wav\ny/a.wav\n");
    place.run(&["convert", "--files-from", "list", "-o", "out"]).code(0);
    assert!(place.exists("out/x/a.wav") && place.exists("out/y/a.wav"));
}

#[test]
fn nothing_half_written_is_left() {
    let place = Place::new();
    let mut bytes = wav(16_000, 1, &tone(16_000, 16_000.0, 440.0));
    bytes.truncate(20_000);
    place.file("cut.wav", &bytes);
    place.run(&["convert", "cut.wav", "-o", "out.wav", "--strict"]).code(3);
    assert_eq!(place.files(), ["cut.wav"]);
    let line = &place.run(&["convert", "cut.wav", "-o", "out.wav", "--json"]).code(0).json()[0];
    assert_eq!(line["warnings"][0]["kind"], "frame_count");
    assert_eq!(place.files(), ["cut.wav", "out.wav"]);
}

#[test]
fn channels_are_chosen() {
    let place = Place::new();
    let stereo: Vec<i16> = (0..200).flat_map(|n| [n * 10, -n * 4]).collect();
    place.file("a.wav", &wav(16_000, 2, &stereo));
    let mono = |which: &str| {
        let output = format!("{which}.wav");
        let ran =
            place.run(&["convert", "a.wav", "--channels", which, "--bits", "s16", "-o", &output]);
        ran.code(0);
        Parsed::of(&place.read(&output)).s16()
    };
    assert_eq!(mono("left"), (0..200).map(|n| n * 10).collect::<Vec<i16>>());
    assert_eq!(mono("right"), (0..200).map(|n| -n * 4).collect::<Vec<i16>>());
    assert_eq!(mono("mix"), (0..200).map(|n| n * 3).collect::<Vec<i16>>());
    place.run(&["convert", "a.wav", "--channels", "each", "-o", "e.wav"]).code(0);
    assert!(place.exists("e_left.wav") && place.exists("e_right.wav") && !place.exists("e.wav"));
    let each = ["convert", "a.wav", "--channels", "each", "--bits", "s16", "-o", "f.wav", "--json"];
    let lines = place.run(&each).code(0).json();
    let outputs: Vec<_> = lines.iter().map(|line| line["output"].as_str()).collect();
    assert_eq!(outputs, [Some("f_left.wav"), Some("f_right.wav")]);
    assert!(
        lines.iter().all(|line| (&line["channels"], &line["frames"]) == (&json!(1), &json!(200)))
    );
    place.run(&["convert", "a.wav", "--channels", "each", "-o", "-"]).code(2);
    place.run(&["convert", "a.wav", "--channels", "middle"]).code(2).says("mix");
}

#[test]
fn w1_channels_are_chosen_by_number() {
    let place = Place::new();
    let four: Vec<i16> = (0..200).flat_map(|n| [n, n + 1000, n + 2000, n + 3000]).collect();
    place.file("a.wav", &wav(16_000, 4, &four));
    let convert = |which: &str| {
        let arguments = ["convert", "a.wav", "--channels", which, "--bits", "s16", "--overwrite"];
        place.run(&[&arguments[..], &["-o", "b.wav"]].concat())
    };
    convert("3").code(0);
    assert_eq!(Parsed::of(&place.read("b.wav")).s16()[..2], [2000, 2001]);
    convert("4,1").code(0);
    assert_eq!(Parsed::of(&place.read("b.wav")).s16()[..4], [3000, 0, 3001, 1]);
    convert("5").code(3).says("4 channels");
    convert("0").code(2).says("3,4");
    // Commands for one channel mix the list, and have no use for `each`.
    let features = ["features", "a.wav", "--overwrite", "-o", "b.npy", "--channels"];
    place.run(&[&features[..], &["2,3"]].concat()).code(0);
    place.run(&[&features[..], &["7"]].concat()).code(3).says("4 channels");
    for command in [&["info"][..], &["spot"], &["transcribe"], &["speaker", "embed"]] {
        place.run(&[command, &["a.wav", "--channels", "each"]].concat()).code(2).says("each");
    }
    let line = &place.run(&["info", "a.wav", "--levels", "--channels", "2", "--json"]).json()[0];
    assert_eq!((&line["channels"], &line["frames"]), (&json!(4), &json!(200)));
}

#[test]
fn w1_a_mix_that_cancels_is_told() {
    let place = Place::new();
    let tone = tone(16_000, 16_000.0, 440.0);
    let stereo: Vec<i16> = tone.iter().flat_map(|&sample| [sample, -sample]).collect();
    place.file("a.wav", &wav(16_000, 2, &stereo));
    for command in [&["convert"][..], &["resample", "--rate", "8000"], &["features"]] {
        let mix = ["a.wav", "--channels", "mix", "--overwrite", "-o", "b", "--json"];
        let ran = place.run(&[command, &mix].concat()).code(0);
        let line = &ran.json()[0];
        assert_eq!(line["warnings"][0]["kind"], "mix_cancels", "{line}");
    }
    // Where nobody asked for the mix, the louder channel takes its place.
    let line = &place.run(&["features", "a.wav", "-o", "c.npy", "--json"]).code(0).json()[0];
    assert_eq!(line["warnings"][0]["kind"], "channels_cancel", "{line}");
}

/// S14: float is left alone; integers are clipped and counted, or scaled by one gain.
#[test]
fn s14_clip_policies() {
    let place = Place::new();
    let loud: Vec<f32> = (0..16_000).map(|n| 1.4 * (n as f32 * 0.05).sin()).collect();
    place.file("a.wav", &wav_f32(16_000, 1, &loud));
    place.run(&["convert", "a.wav", "-o", "float.wav"]).code(0);
    assert_eq!(Parsed::of(&place.read("float.wav")).f32(), loud);
    let convert = |policy: &str| {
        let output = format!("{policy}.wav");
        let ran = place.run(&[
            "convert",
            "a.wav",
            "-o",
            &output,
            "--bits",
            "s16",
            "--clip-policy",
            policy,
            "--json",
        ]);
        let line = ran.code(0).json().remove(0);
        (line, Parsed::of(&place.read(&output)).s16())
    };
    let (line, samples) = convert("clip");
    let beyond = loud.iter().filter(|x| x.abs() > 1.0).count() as u64;
    let clipped = line["clipped"].as_u64().expect("a count");
    assert!(clipped.abs_diff(beyond) <= 2, "{clipped} of {beyond}");
    assert_eq!(
        (&line["warnings"][0]["kind"], samples.iter().max()),
        (&json!("clipped"), Some(&32767))
    );
    assert!(loud.iter().zip(&samples).all(|(x, &y)| x * f32::from(y) >= 0.0), "a sign flipped");
    let (line, samples) = convert("scale");
    let gain = line["gain"].as_f64().expect("a gain");
    assert!((gain - 1.0 / 1.4).abs() < 1e-3, "{gain}");
    assert_eq!(line["clipped"], 0);
    let error =
        loud.iter().zip(&samples).map(|(x, &y)| (x * gain as f32 - f32::from(y) / 32768.0).abs());
    assert!(error.fold(0.0, f32::max) < 1e-4);
    let (line, samples) = convert("limit");
    assert_eq!((line["clipped"].as_u64(), line["frames"].as_u64()), (Some(0), Some(16_000)));
    assert_eq!(samples.len(), 16_000);
}

/// S8: nothing can be made of nothing; every other length is kept.
#[test]
fn s8_short_inputs() {
    let place = Place::new();
    let lengths = [0usize, 1, 2, 79, 160, 401];
    for frames in lengths {
        place.wav(&format!("in/{frames}.wav"), &vec![1000; frames]);
    }
    let ran = place.run(&["convert", "in", "-o", "out", "--rate", "8000"]);
    ran.code(1).says("0.wav: empty input").says("5 of 6 done");
    assert!(!place.exists("out/0.wav"));
    for frames in &lengths[1..] {
        let found = Parsed::of(&place.read(&format!("out/{frames}.wav"))).frames();
        assert_eq!(found, frames.div_ceil(2));
    }
    place.run(&["convert", "in/0.wav", "-o", "b.wav"]).code(3).says("empty input");
}

#[test]
fn the_number_of_jobs_changes_nothing() {
    let place = Place::new();
    for n in 0..8usize {
        place.wav(&format!("in/{n}.wav"), &tone(1000 + 100 * n, 16_000.0, 300.0 + 50.0 * n as f32));
    }
    let dithered = ["--bits", "s16", "--dither", "--seed", "7", "--rate", "8000", "--json"];
    let run = |out: &str, jobs: &str| {
        let arguments: Vec<&str> =
            ["convert", "in", "-o", out, "--jobs", jobs].into_iter().chain(dithered).collect();
        let lines = place.run(&arguments).code(0).json();
        let inputs: Vec<String> = lines.iter().map(|l| l["input"].to_string()).collect();
        let files: Vec<Vec<u8>> = (0..8).map(|n| place.read(&format!("{out}/{n}.wav"))).collect();
        (inputs, files)
    };
    assert_eq!(run("one", "1"), run("four", "4"));
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_nothing_and_says_130() {
    let recording = wav(16_000, 1, &tone(16_000, 16_000.0, 440.0));
    Place::new().interrupt(&["convert", "-", "-o", "out.wav"], &recording[..20_000], 1);
}

#[test]
fn parts_are_read() {
    let place = Place::new();
    let samples = tone(16_000, 16_000.0, 440.0);
    place.wav("a.wav", &samples);
    let run = |more: &[&str]| {
        let start = ["convert", "a.wav", "--bits", "s16", "--overwrite", "-o", "b.wav"];
        place.run(&[&start[..], more].concat())
    };
    run(&["--from", "0.25", "--to", "0:00.5"]).code(0);
    assert_eq!(Parsed::of(&place.read("b.wav")).s16(), samples[4000..8000]);
    run(&["--from", "0.75"]).code(0);
    assert_eq!(Parsed::of(&place.read("b.wav")).s16(), samples[12_000..]);
    run(&["--from", "2"]).code(3).says("not in this recording");
    run(&["--from", "0.5", "--to", "0.25"]).code(2).says("--to");
    run(&["--to", "soon"]).code(2).says("h:mm:ss");
}

#[test]
fn inputs_are_joined_at_the_rate_of_the_first() {
    let place = Place::new();
    place.wav("a.wav", &tone(1600, 16_000.0, 440.0));
    place.file("b.wav", &wav(8000, 1, &tone(1600, 8000.0, 440.0)));
    place.file("c.wav", &wav(16_000, 2, &tone(1600, 16_000.0, 440.0)));
    let join = |inputs: &[&str], more: &[&str]| {
        place.run(&[&["convert"], inputs, &["--join"], more].concat())
    };
    let line = join(&["a.wav", "b.wav"], &["-o", "ab.wav", "--bits", "s16", "--json"]).code(0);
    assert_eq!(line.json()[0]["frames"], 1600 + 3200);
    let joined = Parsed::of(&place.read("ab.wav"));
    assert_eq!((joined.rate, joined.frames()), (16_000, 4800));
    assert_eq!(joined.s16()[..1600], tone(1600, 16_000.0, 440.0));
    join(&["a.wav", "c.wav"], &["-o", "ac.wav"]).code(2).says("--channels mix");
    join(&["a.wav", "c.wav"], &["-o", "ac.wav", "--channels", "mix"]).code(0);
    join(&["a.wav", "none.wav"], &["-o", "x.wav"]).code(3).says("none.wav");
    assert!(!place.exists("x.wav"), "no file without one of its parts");
    join(&["a.wav", "b.wav"], &["-o", "a.wav", "--overwrite"]).code(2).says("is an input");
    join(&["a.wav", "b.wav"], &["-o", "out/"]).code(2).says("makes one file");
    join(&["a.wav", "b.wav"], &[]).code(2).says("makes one file");
}

#[test]
fn loudness_is_brought_to_a_target() {
    let place = Place::new();
    let quiet: Vec<i16> = tone(64_000, 16_000.0, 997.0).iter().map(|x| x / 8).collect();
    place.wav("a.wav", &quiet);
    place.wav("silence.wav", &vec![0; 16_000]);
    let lufs = |name: &str| {
        let line = place.run(&["info", "--levels", "--json", name]).code(0).json().remove(0);
        let text = line.to_string();
        let at = text.find("\"integrated_lufs\":").expect("a loudness") + 18;
        let number: String = text[at..].chars().take_while(|c| !",}".contains(*c)).collect();
        number.parse::<f64>().expect("a number")
    };
    assert!(lufs("a.wav") < -20.0);
    for target in ["-16", "-23"] {
        let output = format!("{target}.wav");
        let convert = ["convert", "a.wav", "--loudness", target, "-o", &format!("./{output}")];
        place.run(&convert).code(0).says("LUFS");
        let wanted: f64 = target.parse().expect("a number");
        assert!((lufs(&format!("./{output}")) - wanted).abs() < 0.05, "{target}");
    }
    let join = ["convert", "a.wav", "a.wav", "silence.wav", "--join", "--loudness", "-20"];
    place.run(&[&join[..3], &join[3..], &["-o", "j.wav"]].concat()).code(0);
    assert!((lufs("j.wav") + 20.0).abs() < 0.05);
    place.run(&["convert", "silence.wav", "--loudness", "-16", "-o", "s.wav"]).code(0);
    assert!(Parsed::of(&place.read("s.wav")).f32().iter().all(|sample| *sample == 0.0));
    place.run(&["convert", "a.wav", "--loudness", "9", "-o", "x.wav"]).code(2);
    let stdin = ["convert", "-", "--loudness", "-16", "-o", "x.wav"];
    place.feed(&stdin, &place.read("a.wav")).code(2).says("twice");
}
