//! `formant generate` with small networks of random weights.

mod support;

use std::path::Path;

use formant_audio_core::AudioBuf;
use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::features::presets;
use formant_audio_core::random::{fraction, mix};
use formant_models::arch::gan_vocoder::{
    GanVocoderCard, GanVocoderConfig, GeneratorConfig, HifiGanConfig,
};
use formant_models::arch::specmaskgit::{SpecMaskGitCard, SpecMaskGitConfig};
use formant_models::arch::specvqgan::{SpecVqganCard, SpecVqganConfig};
use formant_models::{Arch, Model};
use serde_json::json;
use support::{Place, Ran, wav_f32};
use tch::{Device, Kind};

const RATE: u32 = 22_050;

fn save<A: Arch>(place: &Place, name: &str, card: A::Card) {
    let model = Model::<A>::random(card, Device::Cpu).expect("sound sizes");
    model.save(&place.path(name), Kind::Float).expect("written");
}

fn vocoder(place: &Place, name: &str, bands: i64) {
    let generator = GeneratorConfig {
        upsample_rates: vec![16, 16],
        upsample_kernel_sizes: vec![32, 32],
        upsample_initial_channel: 8,
        resblock_kernel_sizes: vec![3],
        resblock_dilation_sizes: vec![vec![1, 3]],
        ..GeneratorConfig::default()
    };
    let config = GanVocoderConfig::HifiGan(HifiGanConfig { num_mels: bands, generator });
    save::<formant_models::arch::gan_vocoder::GanVocoder>(
        place,
        name,
        GanVocoderCard::published(config).expect("a card"),
    );
}

fn tokenizer(place: &Place, name: &str, codes: i64) {
    let config = SpecVqganConfig {
        ch: 32,
        ch_mult: vec![1; 5],
        num_res_blocks: 1,
        attn_resolutions: Vec::new(),
        z_channels: 8,
        embed_dim: 4,
        n_embed: codes,
        ..SpecVqganConfig::default()
    };
    let frontend = presets::by_name("specmaskgit").expect("a preset");
    let card = SpecVqganCard { frontend, ..SpecVqganCard::published(config).expect("a card") };
    save::<formant_models::arch::specvqgan::SpecVqgan>(place, name, card);
}

/// A transformer with a few words, the tokenizer beside it, and a vocoder.
fn place() -> Place {
    let place = Place::new();
    tch::manual_seed(4);
    let words = ["rain", "dog", "sea_waves", "door", "bell", "wind"];
    let config = SpecMaskGitConfig {
        codebook_size: 16,
        grid_h: 5,
        grid_w: 6,
        dim: 16,
        depth: 2,
        heads: 2,
        mlp_dim: 24,
        cond_dim: words.len() as i64,
    };
    let card =
        SpecMaskGitCard { provenance: json!({ "words": words }), ..SpecMaskGitCard::sized(config) };
    save::<formant_models::arch::specmaskgit::SpecMaskGit>(&place, "m.safetensors", card);
    tokenizer(&place, "tokenizer.safetensors", 16);
    vocoder(&place, "v.safetensors", 80);
    place
}

/// `formant generate` with these networks, in a few steps.
fn run(place: &Place, more: &[&str]) -> Ran {
    let networks = ["generate", "--model", "m.safetensors", "--vocoder", "v.safetensors"];
    place.run(&[&networks[..], &["--steps", "3", "--overwrite"], more].concat())
}

fn decoded(place: &Place, name: &str) -> AudioBuf {
    decode_file(&place.path(name), &DecodeOptions::default()).expect(name).audio
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_else_is_made() {
    let place = place();
    run(&place, &["rain", "--seconds", "1.5", "--seed", "5", "--count", "4", "-o", "all/"]).code(0);
    run(&place, &["rain", "--seconds", "1.5", "--seed", "7", "-o", "one.wav"]).code(0);
    assert!(place.read("one.wav") == place.read("all/rain_3.wav"), "the third of four");
    for (jobs, threads) in [("1", "1"), ("2", "1"), ("3", "2"), ("1", "2")] {
        let more = ["--jobs", jobs, "--threads", threads, "--seed", "5", "--count", "4"];
        run(&place, &[&["rain", "--seconds", "1.5", "-o", "again/"], &more[..]].concat()).code(0);
        for n in 1..=4 {
            let [first, second] = ["all", "again"].map(|folder| format!("{folder}/rain_{n}.wav"));
            assert!(
                place.read(&first) == place.read(&second),
                "{n}: {jobs} jobs, {threads} threads"
            );
        }
    }
    assert!(place.read("all/rain_1.wav") != place.read("all/rain_2.wav"));
    // A list makes the same.
    place.file(
        "list.jsonl",
        b"{\"id\": \"x\", \"text\": \"dog\", \"seconds\": 0.5}\n\
        {\"text\": \"it rains\", \"seconds\": 1.5, \"seed\": 7}\n",
    );
    let lines = run(&place, &["--prompts", "list.jsonl", "-o", "list/", "--json"]).code(0).json();
    assert!(place.read("list/sound_2.wav") == place.read("one.wav"));
    assert_eq!((&lines[0]["id"], &lines[1]["seed"]), (&json!("x"), &json!(7)));
    assert_eq!(lines[1]["words"], json!(["rain"]));
    assert!(
        lines[1]["model"]["sha256"].as_str().is_some_and(|hex| hex.len() == 64),
        "{}",
        lines[1]
    );
    // Without a vocoder phases are searched for, with the same seed from the same ones.
    let search =
        ["generate", "rain", "--model", "m.safetensors", "--steps", "2", "--seconds", "0.4"];
    for name in ["a.wav", "b.wav"] {
        place.run(&[&search[..], &["-o", name]].concat()).code(0);
    }
    assert!(place.read("a.wav") == place.read("b.wav"));
}

#[test]
fn lengths_are_exact() {
    let place = place();
    for (seconds, frames) in [
        ("0.000045", 1),
        ("0.1", 2_205),
        ("1.1145", 24_575),
        ("1.1146", 24_577),
        ("35", 35 * RATE as usize),
    ] {
        let line =
            run(&place, &["dog", "--seconds", seconds, "-o", "x.wav", "--json"]).code(0).json();
        let audio = decoded(&place, "x.wav");
        assert_eq!(
            (audio.frames(), audio.rate(), audio.channels()),
            (frames, RATE, 1),
            "{seconds}"
        );
        assert_eq!(line[0]["frames"], json!(frames));
    }
    for seconds in ["0", "-1", "nan", "inf", "1e9"] {
        run(&place, &["dog", &format!("--seconds={seconds}"), "-o", "y.wav"])
            .code(2)
            .says("seconds");
    }
    assert!(!place.exists("y.wav"));
}

#[test]
fn odd_texts_and_numbers_have_defined_results() {
    let place = place();
    let short = |text: &str, more: &[&str]| {
        run(&place, &[&["--seconds", "0.2", "-o", "x.wav", text], more].concat())
    };
    short("", &[]).code(0);
    short("!?", &[]).code(0);
    short("rain on a tin roof", &[]).code(0).says("`tin`").says("`roof`");
    short("dgo", &[]).code(2).says("`dgo` (did you mean dog?)").says("--list-words");
    short("rain", &["--negative", "xylophone"]).code(2).says("xylophone");
    let long = "splendid ".repeat(1_112);
    short(&long, &[]).code(2).says("`splendid`");
    short(&format!("{long} dogs"), &[]).code(0).says("`splendid`");
    for (option, value) in
        [("--guidance", "nan"), ("--guidance", "1e9"), ("--temperature", "-1"), ("--steps", "0")]
    {
        let name = option.trim_start_matches('-');
        short("rain", &[&format!("{option}={value}")]).code(2).says(name);
    }
    short("rain", &["--best-of", "4"]).code(2).says("--best-of").says("--count");
    let words = run(&place, &["--list-words"]).code(0).text();
    assert_eq!(words.lines().collect::<Vec<_>>()[..3], ["rain", "dog", "sea_waves"]);
    run(&place, &[]).code(2).says("TEXT");
    run(&place, &["rain", "--count", "2", "-o", "-"]).code(2).says("one sound");
    run(&place, &["--prompts", "none.jsonl"]).code(3);
}

#[test]
fn networks_that_do_not_fit_are_refused_by_name_and_number() {
    let place = place();
    vocoder(&place, "other.safetensors", 100);
    tokenizer(&place, "many.safetensors", 40);
    let with = |more: &[&str]| {
        place.run(&[&["generate", "rain", "--model", "m.safetensors"], more].concat())
    };
    with(&["--vocoder", "other.safetensors"]).code(4).says("bands: 80, not 100");
    with(&["--tokenizer", "many.safetensors"]).code(4).says("transformer has 16, the tokenizer 40");
    with(&["--vocoder", "m.safetensors"]).code(4).says("no HiFi-GAN");
    std::fs::create_dir(place.path("alone")).expect("a folder");
    std::fs::copy(place.path("m.safetensors"), place.path("alone/m.safetensors")).expect("copied");
    let alone = Path::new("alone").join("m.safetensors").display().to_string();
    let ran = place.run(&["generate", "rain", "--model", &alone]);
    ran.code(4).says("tokenizer.safetensors is missing");
    assert!(!place.exists("rain.wav"));
}

#[test]
fn provenance_says_how_a_sound_was_made() {
    let place = place();
    let more = ["--seconds", "0.3", "--seed", "9", "-o", "x.wav", "--provenance"];
    run(&place, &[&["a dog, and rain"], &more[..]].concat()).code(0);
    let written: serde_json::Value =
        serde_json::from_slice(&place.read("x.json")).expect("a JSON object");
    assert_eq!((&written["seed"], &written["steps"]), (&json!(9), &json!(3)));
    assert_eq!(written["words"], json!(["rain", "dog"]));
    for network in ["model", "tokenizer", "vocoder"] {
        let digest = written[network]["sha256"].as_str().expect(network);
        assert_eq!(digest.len(), 64, "{network}");
    }
    assert_eq!(written["tokenizer"]["name"], "tokenizer.safetensors");
    assert!(written["formant"].is_string());
    // What is there stays, and --resume makes what is not.
    let all = ["generate", "dog", "--model", "m.safetensors", "--seconds", "0.2", "--steps", "1"];
    place.run(&[&all[..], &["-o", "x.wav"]].concat()).code(2).says("exists already");
    std::fs::remove_file(place.path("x.wav")).expect("removed");
    place.run(&[&all[..], &["-o", "x.wav", "--provenance"]].concat()).code(2).says("x.json");
    let two = ["--count", "2", "-o", "y.wav", "--resume"];
    place.run(&[&all[..], &["--count", "1", "-o", "y_1.wav"]].concat()).code(0);
    let before = place.read("y_1.wav");
    place.run(&[&all[..], &two[..]].concat()).code(0).says("1 were there already");
    assert!(place.read("y_1.wav") == before && place.exists("y_2.wav"));
}

/// Noise.
fn noise(frames: usize) -> Vec<f32> {
    let sample = |n: usize| (fraction(mix(n as u64 + 1)) as f32 - 0.5) * 0.4;
    (0..frames).map(sample).collect()
}

#[test]
fn recordings_stay_as_they_are_outside_of_what_is_made() {
    let place = place();
    let samples = noise(2 * 32_000);
    place.file("in.wav", &wav_f32(32_000, 2, &samples));
    let old = decoded(&place, "in.wav");
    let line = run(&place, &["--inpaint", "in.wav", "--from", "0.25", "--to", "0.5", "--json"]);
    let line = line.code(0).json().remove(0);
    assert_eq!((&line["filled"], &line["input"]), (&json!([0.25, 0.5]), &json!("in.wav")));
    let new = decoded(&place, "in_filled.wav");
    assert_eq!((new.spec(), new.frames()), (old.spec(), old.frames()));
    for channel in 0..2 {
        let (old, new) = (old.channel(channel), new.channel(channel));
        assert!(old[..8_000] == new[..8_000] && old[16_000..] == new[16_000..]);
        assert!(old[8_000..16_000] != new[8_000..16_000]);
    }
    run(&place, &["wind", "--continue", "in.wav", "--seconds", "1.7", "-o", "long.wav"]).code(0);
    let long = decoded(&place, "long.wav");
    assert_eq!(long.frames(), 32_000 + 54_400);
    assert!(long.channel(0)[..32_000] == *old.channel(0));
    assert!(long.channel(0)[32_000..].iter().any(|x| *x != 0.0));

    place.file("call.wav", &wav_f32(8_000, 1, &noise(12_000)));
    let line = run(&place, &["--extend-bandwidth", "call.wav", "--json"]).code(0).json().remove(0);
    let cutoff = line["cutoff_hz"][0].as_f64().expect("a frequency");
    assert!((3_000.0..=4_000.0).contains(&cutoff), "{cutoff}");
    let wide = decoded(&place, "call_wide.wav");
    assert_eq!((wide.rate(), wide.frames()), (RATE, 33_075));
    // The same bytes however often, and by any jobs and threads.
    let first = place.read("call_wide.wav");
    run(&place, &["--extend-bandwidth", "call.wav", "--jobs", "2", "--threads", "2"]).code(0);
    assert!(place.read("call_wide.wav") == first);

    for (more, wanted) in [
        (&["--inpaint", "in.wav", "--from", "0.5", "--to", "3"][..], "no part"),
        (&["--inpaint", "in.wav"], "--from"),
        (&["--continue", "in.wav", "--seconds", "nan"], "seconds"),
        (&["--extend-bandwidth", "in.wav", "--cutoff", "nan"], "cutoff"),
        (&["--extend-bandwidth", "in.wav", "--inpaint", "in.wav"], "cannot be used"),
        (&["--continue", "in.wav", "-o", "in.wav"], "in.wav"),
    ] {
        run(&place, more).code(2).says(wanted);
    }
    run(&place, &["--continue", "none.wav"]).code(3).says("none.wav");
}

#[test]
fn what_is_no_sound_is_said() {
    let place = place();
    // A vocoder whose last layer gives nothing.
    let path = place.path("v.safetensors");
    let mut state = formant_models::checkpoint::read_state_dict(&path).expect("readable");
    for name in ["conv_post.weight", "conv_post.bias"] {
        let shape = state.get(name).expect("there").shape().to_vec();
        let zeros = vec![0.0; shape.iter().product()];
        let zeros = formant_models::checkpoint::RawTensor::from_f32(shape, &zeros).expect("fits");
        state.insert(name, zeros);
    }
    let metadata = state.metadata.clone();
    formant_models::checkpoint::write_safetensors(&path, &state, &metadata).expect("written");
    let ran = run(&place, &["rain", "--seconds", "0.5", "-o", "x.wav", "--json"]).code(0);
    assert_eq!(ran.json()[0]["faults"][0]["kind"], "silence");
    ran.says("the result is silence");
}

/// An interrupt ends the work within a step; finished sounds stay, whole, and --resume makes the others.
#[cfg(unix)]
#[test]
fn an_interrupt_keeps_what_is_finished() {
    let place = place();
    let more = ["--seconds", "1", "--steps", "8", "--count", "200", "--jobs", "1", "-o", "out/"];
    let arguments = [&["generate", "rain", "--model", "m.safetensors"], &more[..]].concat();
    let mut command = place.command(&arguments);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().expect("it starts");
    let began = std::time::Instant::now();
    while !place.exists("out/rain_2.wav") && began.elapsed().as_secs() < 120 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let kill = format!("kill -INT {}", child.id());
    let killed = std::process::Command::new("sh").args(["-c", &kill]).status();
    assert!(killed.expect("a shell").success());
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130));
    let made: Vec<String> =
        place.files().into_iter().filter(|name| name.starts_with("out/")).collect();
    assert!((2..200).contains(&made.len()), "{made:?}");
    for name in &made {
        assert!(name.ends_with(".wav"), "{name}");
        assert_eq!(decoded(&place, name).frames(), RATE as usize, "{name}");
    }
}
