//! `formant train transcribe`: a training of a moment, whose model transcribes and can be gone on from, and
//! what is said of data that can't be learnt.

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{Place, Ran};

const RECIPE: &str = r#"{
    "network": {"d_model": 16, "n_heads": 2, "n_layers": 2, "conv_kernel_size": 7,
                "subsampling_conv_channels": 8, "time_reduce_idx": 1},
    "epochs": 2, "steps_per_epoch": 2, "batch_seconds": 14.0, "longest": 7.0,
    "sequence_share": 0.5
}"#;

const TEXTS: &str = "path\ttext\tsplit\n\
    speech_en_female_a2_24k.wav\tPlease open the window and let the fresh air in.\ttrain\n\
    speech_en_male_b2_24k.wav\twe will meet again tomorrow morning at half past nine\ttrain\n\
    speech_en_male_b1_24k.wav\ta rod is used to catch pink salmon in the cold river\ttrain\n\
    speech_en_female_a1_24k.wav\tline 7\ttrain\n\
    keyword_yes_16k.wav\tyes\tdev\n";

/// A folder with clips, their texts, and two single words.
fn data() -> Place {
    let place = Place::new();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
    let mut bring = |name: &str| {
        place.file(name, &std::fs::read(samples.join(name)).expect("a shipped clip"));
    };
    TEXTS.lines().skip(1).filter_map(|line| line.split('\t').next()).for_each(&mut bring);
    ["keyword_go_16k.wav", "keyword_stop_16k.wav"].into_iter().for_each(bring);
    place.file("transcripts.tsv", TEXTS.as_bytes());
    let words =
        "path\tlabel\tsplit\nkeyword_go_16k.wav\tgo\ttrain\nkeyword_stop_16k.wav\tstop\ttrain\n";
    place.file("words.tsv", words.as_bytes());
    place.file("recipe.json", RECIPE.as_bytes());
    place
}

fn train(place: &Place, data: &str, more: &[&str]) -> Ran {
    let start = ["train", "transcribe", "--data", data, "--threads", "1"];
    place.run(&[&start[..], more].concat())
}

#[test]
fn a_model_is_trained_and_used() {
    let place = data();
    let mine = [
        "--words",
        "words.tsv",
        "--recipe",
        "recipe.json",
        "--seed",
        "3",
        "-o",
        "mine.safetensors",
        "--json",
    ];
    // The folder stands for its table.
    let ran = train(&place, ".", &mine).code(0).says("1 clips were left out").says("line 7");
    let lines = ran.json();
    let last = lines.last().expect("a line");
    assert_eq!((&last["type"], &last["output"]), (&json!("trained"), &json!("mine.safetensors")));
    assert!(last["outcome"]["dev"]["sources"][""]["utterances"] == json!(1), "{last}");
    let epochs = lines.iter().filter(|line| line["event"] == "epoch").count();
    assert_eq!(epochs, 2);
    assert!(!place.exists("mine.safetensors.state"));

    train(&place, "transcripts.tsv", &mine[2..]).code(2).says("exists already");

    let heard = ["transcribe", "--model", "mine.safetensors", "speech_en_female_a2_24k.wav"];
    place.run(&heard).code(0);

    let info = place.run(&["models", "info", "mine.safetensors", "--json"]).code(0).json();
    let card = info[0]["parts"][0]["metadata"]["formant.ctc"].as_str().expect("a card");
    let card: Value = serde_json::from_str(card).expect("JSON");
    let provenance = &card["provenance"];
    assert!(provenance["program"].as_str().is_some_and(|text| text.starts_with("formant ")));
    let words = json!({"table": "words.tsv", "role": "word", "train": 2, "dev": 0});
    assert_eq!(provenance["data"][1], words);
    assert_eq!(provenance["data"][0]["train"], json!(3));
    assert_eq!(provenance["recipe"]["seed"], json!(3));

    // Sizes and vocabulary come from the model to start from, not from the usual recipe.
    let more = ["--start", "mine.safetensors", "--epochs", "1", "--steps", "1", "-o", "more/m.st"];
    train(&place, "transcripts.tsv", &more).code(0).says("1 clips were left out");
    assert!(place.exists("more/m.st"));
    place.file("umlaut.tsv", TEXTS.replace("window", "dööf").as_bytes());
    train(&place, "umlaut.tsv", &["--start", "mine.safetensors", "-o", "u.safetensors"])
        .code(3)
        .says("can't spell ö, as in `please open the dööf")
        .says("start without a model");
}

#[test]
fn data_are_checked() {
    let place = data();
    train(&place, "none.tsv", &["-o", "m.safetensors"])
        .code(3)
        .says("none.tsv")
        .says("check the name");
    place.file("empty/readme.txt", b"");
    train(&place, "empty", &["-o", "m.safetensors"])
        .code(3)
        .says("no transcripts.tsv in this folder")
        .says("columns path and text");
    place.file(
        "lost.tsv",
        b"path\ttext\tsplit\nlost.wav\tone\ttrain\nkeyword_yes_16k.wav\tyes\tdev\n",
    );
    train(&place, "lost.tsv", &["-o", "m.safetensors"])
        .code(3)
        .says("lost.wav was left out")
        .says("no utterances to train on");
    train(&place, "transcripts.tsv", &["--batch", "3", "-o", "m.safetensors"])
        .code(2)
        .says("batch_seconds");
    train(&place, "transcripts.tsv", &["--start", "spot-commands", "-o", "m.safetensors"]).code(4);
    assert!(!place.exists("m.safetensors"));
    // The name that the task had before.
    place
        .run(&["train", "asr", "--data", "none.tsv", "-o", "m.safetensors"])
        .code(3)
        .says("none.tsv");
}
