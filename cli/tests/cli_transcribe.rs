//! `formant transcribe` and `formant eval transcribe`, with a model that hears `hello` in everything: what
//! it answers is known, so that every kind of output can be compared as a whole.

mod support;

use std::sync::OnceLock;

use formant_audio_core::features::presets;
use formant_models::arch::squeezeformer::{
    CtcCard, CtcModel, NemoConfig, SqueezeformerConfig, Vocabulary,
};
use serde_json::json;
use support::{Place, Ran, shifted, tone, wav, wav_f32};
use tch::{Device, Kind, Tensor};

/// The bytes of the model: `hello` with a probability of 0.99 at all times.
fn model() -> &'static [u8] {
    static MODEL: OnceLock<Vec<u8>> = OnceLock::new();
    MODEL.get_or_init(|| {
        let config = NemoConfig {
            d_model: 8,
            n_heads: 2,
            n_layers: 2,
            conv_kernel_size: 7,
            num_classes: 3,
            time_reduce_idx: Some(0),
            ..NemoConfig::default()
        };
        let card = CtcCard {
            config: SqueezeformerConfig::Nemo(config),
            frontend: presets::by_name("nemo").expect("a preset"),
            vocabulary: Vocabulary {
                pieces: ["▁hello", "▁world", "<unk>"].map(str::to_owned).to_vec(),
                ..Vocabulary::default()
            },
            provenance: json!({"data": "none"}),
        };
        let model = CtcModel::random(card, Device::Cpu).expect("a model");
        let mut variables = model.store.variables();
        let mut set = |name: &str, values: &Tensor| {
            let variable = variables.get_mut(name).unwrap_or_else(|| panic!("{name}"));
            tch::no_grad(|| variable.copy_(&values.view_as(variable)));
        };
        set("decoder.decoder_layers.0.weight", &Tensor::zeros([4, 8], tch::kind::FLOAT_CPU));
        let chances = [0.99f32, 0.004, 0.003, 0.003].map(f32::ln);
        set("decoder.decoder_layers.0.bias", &Tensor::from_slice(&chances));
        let place = Place::new();
        let path = place.path("hello.safetensors");
        model.save(&path, Kind::Float).expect("written");
        place.read("hello.safetensors")
    })
}

/// A place with the model and recordings: three seconds, one second, silence.
fn ready() -> Place {
    let place = Place::new();
    place.file("m.safetensors", model());
    place.wav("in/a.wav", &tone(48_000, 16_000.0, 300.0));
    place.wav("in/b c.wav", &tone(16_000, 16_000.0, 500.0));
    place
}

/// Cut by length, so that all of it is heard.
fn transcribe(place: &Place, more: &[&str]) -> Ran {
    let start = ["transcribe", "--model", "m.safetensors", "--cut", "length", "--window", "2"];
    place.run(&[&start[..], more].concat())
}

fn text(place: &Place, name: &str) -> String {
    String::from_utf8(place.read(name)).expect("UTF-8")
}

#[test]
fn plain_text() {
    let place = ready();
    assert_eq!(transcribe(&place, &["in/a.wav"]).code(0).text(), "hello\nhello\n");
    assert_eq!(
        transcribe(&place, &["in/a.wav", "--words"]).code(0).text(),
        "    0.00     1.80  0.990  hello\n    1.80     3.00  0.990  hello\n"
    );
    assert_eq!(
        transcribe(&place, &["in"]).code(0).text(),
        "in/a.wav: hello\nin/a.wav: hello\nin/b c.wav: hello\n"
    );
    transcribe(&place, &["in/a.wav", "-o", "a.txt"]).code(0);
    assert_eq!(text(&place, "a.txt"), "hello\nhello\n");
    assert_eq!(transcribe(&place, &["in/a.wav", "-o", "-"]).code(0).text(), "hello\nhello\n");
}

#[test]
fn json_and_json_lines() {
    let place = ready();
    let lines = transcribe(&place, &["in/a.wav", "--json"]).code(0).json();
    let segment = |start: f64, end: f64| {
        json!({"type": "segment", "input": "in/a.wav", "start": start, "end": end,
            "text": "hello", "confidence": 0.99})
    };
    assert_eq!(
        lines,
        [
            segment(0.0, 1.8),
            segment(1.8, 3.0),
            json!({"type": "transcript", "input": "in/a.wav", "text": "hello hello",
                "segments": 2, "words": 2, "duration": 3.0, "warnings": []})
        ]
    );
    transcribe(&place, &["in", "-o", "all.jsonl", "--words"]).code(0);
    let all = text(&place, "all.jsonl");
    assert_eq!(all.lines().count(), 5);
    assert!(all.contains(r#""words":[{"confidence":0.99,"end":1.8,"start":0.0,"text":"hello"}]"#));

    let ran = transcribe(&place, &["in/a.wav", "--format", "json", "--words", "--json"]).code(0);
    assert_eq!(ran.json()[0]["output"], "in/a.json");
    let whole: serde_json::Value = serde_json::from_str(&text(&place, "in/a.json")).expect("JSON");
    let word = |start: f64, end: f64| {
        let word = json!({"text": "hello", "start": start, "end": end, "confidence": 0.99});
        json!({"start": start, "end": end, "text": "hello", "confidence": 0.99, "words": [word]})
    };
    assert_eq!(
        whole,
        json!({"input": "in/a.wav", "duration": 3.0, "text": "hello hello",
            "segments": [word(0.0, 1.8), word(1.8, 3.0)]})
    );
}

#[test]
fn subtitles() {
    let place = ready();
    transcribe(&place, &["in/a.wav", "--format", "srt"]).code(0);
    assert_eq!(
        text(&place, "in/a.srt"),
        "1\n00:00:00,000 --> 00:00:01,800\nhello\n\n2\n00:00:01,800 --> 00:00:03,000\nhello\n\n"
    );
    let vtt = transcribe(&place, &["in/b c.wav", "--format", "vtt", "-o", "-"]).code(0).text();
    assert_eq!(vtt, "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nhello\n\n");
    // By the output's ending, and a folder for several.
    transcribe(&place, &["in/a.wav", "-o", "x.VTT"]).code(0);
    assert!(text(&place, "x.VTT").starts_with("WEBVTT\n"));
    transcribe(&place, &["in", "--format", "srt", "--words", "-o", "out"]).code(0);
    assert!(place.exists("out/a.srt") && place.exists("out/b c.srt"));
}

#[test]
fn annotations() {
    let place = ready();
    assert_eq!(
        transcribe(&place, &["in", "--format", "ctm"]).code(0).text(),
        "a 1 0.000 1.800 hello 0.990\na 1 1.800 1.200 hello 0.990\nb_c 1 0.000 1.000 hello 0.990\n"
    );
    transcribe(&place, &["in/b c.wav", "--format", "TextGrid", "-o", "b.TextGrid"]).code(0);
    let tier = |number: usize, name: &str| {
        format!(
            "    item [{number}]:\n        class = \"IntervalTier\"\n        name = \"{name}\"\n        \
             xmin = 0\n        xmax = 1\n        intervals: size = 1\n        intervals [1]:\n            \
             xmin = 0\n            xmax = 1\n            text = \"hello\"\n"
        )
    };
    assert_eq!(
        text(&place, "b.TextGrid"),
        format!(
            "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\nxmin = 0\nxmax = 1\n\
             tiers? <exists>\nsize = 2\nitem []:\n{}{}",
            tier(1, "segments"),
            tier(2, "words")
        )
    );
}

#[test]
fn f4_times_are_on_either_clock() {
    let place = ready();
    let times = |more: &[&str]| -> Vec<f64> {
        let lines = transcribe(&place, &[&["late.webm", "--json"], more].concat()).code(0).json();
        let segments = lines.iter().filter(|line| line["type"] == "segment");
        segments.map(|line| line["start"].as_f64().expect("seconds")).collect()
    };
    for milliseconds in [250, -250] {
        place.file("late.webm", &shifted(milliseconds));
        let (file, audio) = (times(&[]), times(&["--clock", "audio"]));
        assert!(!file.is_empty() && file.len() == audio.len());
        for (file, audio) in file.iter().zip(&audio) {
            assert!((file - audio - f64::from(milliseconds) / 1e3).abs() < 2e-3, "{file} {audio}");
        }
    }
}

#[test]
fn searches() {
    let place = ready();
    for more in [&["--beam", "4"][..], &["--hotwords", "hello:0.1,new york"]] {
        let ran = transcribe(&place, &[&["in/b c.wav"], more].concat()).code(0);
        assert_eq!(ran.text(), "hello\n");
    }
    let readings = transcribe(&place, &["in/b c.wav", "--nbest", "3"]).code(0).text();
    assert_eq!(readings.lines().count(), 3);
    assert!(readings.lines().next().is_some_and(|line| line.ends_with("  hello")), "{readings}");
    let lines = transcribe(&place, &["in/b c.wav", "--nbest", "2", "--json"]).code(0).json();
    assert_eq!(lines[0]["nbest"].as_array().map(Vec::len), Some(2));
    assert_eq!(lines[1]["nbest"][0]["text"], "hello");

    let arpa =
        "\\data\\\nngram 1=4\n\n\\1-grams:\n-1 <unk>\n-99 <s>\n-1 </s>\n-1 HELLO\n\n\\end\\\n";
    place.file("lm.arpa", arpa.as_bytes());
    let with_lm = ["in/b c.wav", "--lm", "lm.arpa", "--alpha", "0.3", "--beta", "-1"];
    assert_eq!(transcribe(&place, &with_lm).code(0).text(), "hello\n");
    place.file("bad.arpa", b"rubbish");
    transcribe(&place, &["in/a.wav", "--lm", "bad.arpa"]).code(3).says("bad.arpa");
    transcribe(&place, &["in/a.wav", "--lm", "none.arpa"]).code(3).says("none.arpa");
    transcribe(&place, &["in/a.wav", "--lm", "lm.arpa", "--alpha=-1"]).code(2).says("alpha");
    transcribe(&place, &["in/a.wav", "--alpha", "1"]).code(2).says("--lm FILE");
    transcribe(&place, &["in/a.wav", "--hotwords", ","]).code(2).says("--hotwords");
    transcribe(&place, &["in/a.wav", "--beam", "0"]).code(2);
    transcribe(&place, &["in/a.wav", "--nbest", "0"]).code(2);
}

#[test]
fn known_texts_get_times() {
    let place = ready();
    place.file("a.txt", b"Hello\n1984\n");
    let ran = transcribe(&place, &["in/a.wav", "--align", "a.txt", "--format", "ctm"]).code(0);
    let ran = ran.says("1984");
    assert_eq!(ran.text(), "a 1 0.000 3.000 Hello 0.990\na 1 3.000 0.000 1984 0.000\n");
    place.file("texts/a.txt", b"hello world");
    transcribe(&place, &["in", "--align", "texts"]).code(1).says("b c.txt");
    transcribe(&place, &["in", "--align", "a.txt"]).code(2).says("one text for several");
    transcribe(&place, &["in/a.wav", "--align", "none.txt"]).code(3).says("none.txt");
    place.file("long.txt", "hello ".repeat(500).as_bytes());
    transcribe(&place, &["in/a.wav", "--align", "long.txt"]).code(3).says("do not fit");
    transcribe(&place, &["in/a.wav", "--align", "a.txt", "--beam", "3"]).code(2);
}

#[test]
fn outputs_are_not_replaced_unasked() {
    let place = ready();
    let srt = |more: &[&str]| transcribe(&place, &[&["in", "--format", "srt"], more].concat());
    srt(&[]).code(0);
    srt(&[]).code(2).says("exists already");
    srt(&["--resume"]).code(0).says("2 were there already");
    srt(&["--overwrite"]).code(0);
    transcribe(&place, &["in", "--format", "srt", "-o", "-"]).code(2);
    transcribe(&place, &["in/a.wav", "--format", "srt", "-o", "-", "--json"]).code(2);
    transcribe(&place, &["in/a.wav", "--format", "ctm", "--json"]).code(2);
    transcribe(&place, &["in", "-o", "all.jsonl"]).code(0);
    transcribe(&place, &["in", "-o", "all.jsonl"]).code(2).says("exists already");
    let part = transcribe(&place, &["in", "--shard", "2/2"]).code(0).text();
    assert_eq!(part, "in/b c.wav: hello\n");
}

#[test]
fn models_inputs_and_devices_that_do_not_work() {
    let place = ready();
    place.file("bad.safetensors", b"rubbish");
    for model in ["bad.safetensors", "missing.nemo", "no-such-name"] {
        place.run(&["transcribe", "--model", model, "in/a.wav"]).code(4);
    }
    transcribe(&place, &["nope.wav"]).code(3).says("nope.wav");
    let lines = transcribe(&place, &["nope.wav", "in/a.wav", "--json"]).code(1).json();
    assert_eq!((&lines[0]["type"], &lines[0]["input"]), (&"error".into(), &"nope.wav".into()));
    transcribe(&place, &["in/a.wav", "--device", "cuda:99"]).code(5).says("cuda:99");
    transcribe(&place, &["in/a.wav", "--precision", "bf16"]).code(2);
    transcribe(&place, &["in/a.wav", "--window", "1"]).code(2).says("window");
    transcribe(&place, &["in/a.wav", "--format", "doc"]).code(2);
    transcribe(&place, &[]).code(2);
}

/// S3: the same text one by one and in a batch, in any order, with any number of jobs, from a file
/// and a stream.
#[test]
fn s3_transcripts_do_not_depend_on_the_batch() {
    let place = ready();
    let all = transcribe(&place, &["in", "--format", "ctm"]).code(0).text();
    for more in [&["--jobs", "3"][..], &["--batch-size", "8"], &["--threads", "1"]] {
        let arguments = [&["in", "--format", "ctm"], more].concat();
        assert_eq!(transcribe(&place, &arguments).code(0).text(), all);
    }
    let single = |name: &str| transcribe(&place, &[name, "--format", "ctm"]).code(0).text();
    assert_eq!(single("in/a.wav") + &single("in/b c.wav"), all);
    let arguments =
        ["transcribe", "--model", "m.safetensors", "--cut", "length", "--window", "2", "-"];
    assert_eq!(place.feed(&arguments, &place.read("in/a.wav")).code(0).text(), "hello\nhello\n");
}

/// S8, S9: what is too short, silence and rubbish samples have defined answers.
#[test]
fn s8_s9_odd_inputs() {
    let place = ready();
    for frames in [0usize, 1, 79, 400, 1600] {
        place.wav("short.wav", &vec![100; frames]);
        let ran = place.run(&["transcribe", "--model", "m.safetensors", "short.wav"]).code(0);
        assert_eq!(ran.text(), "");
    }
    let hum: Vec<i16> = tone(80_000, 16_000.0, 50.0);
    for samples in [vec![0; 80_000], vec![6554; 80_000], hum] {
        place.file("quiet.wav", &wav(16_000, 1, &samples));
        let arguments = ["transcribe", "--model", "m.safetensors", "quiet.wav", "--json"];
        let lines = place.run(&arguments).code(0).json();
        assert_eq!(lines.len(), 1);
        assert_eq!((&lines[0]["text"], &lines[0]["segments"]), (&"".into(), &0.into()));
    }
    let mut samples = vec![0.1f32; 16_000];
    (samples[100], samples[200], samples[300]) = (f32::NAN, f32::INFINITY, -1e30);
    place.file("nan.wav", &wav_f32(16_000, 1, &samples));
    transcribe(&place, &["nan.wav"]).code(0).says("3 samples");
    transcribe(&place, &["nan.wav", "--strict"]).code(3);
}

#[test]
fn the_default_model_introduces_itself() {
    let place = ready();
    let told =
        |more: &[&str]| place.run(&[&["transcribe", "in"][..], more].concat()).code(0).stderr;
    let stderr = told(&[]);
    assert_eq!(stderr.matches("model: asr-an4 (").count(), 1, "{stderr}");
    assert!(stderr.contains("`formant models pull squeezeformer-medium-en`"), "{stderr}");
    assert_eq!(told(&["-q"]), "");
    assert!(!told(&["--lm", "none"]).contains("with its language model ("));

    let info = ["models", "info", "asr-an4"];
    let line = place.run(&[&info[..], &["--json"]].concat()).code(0).json().remove(0);
    let provenance = &line["metadata"]["formant.ctc"]["provenance"];
    let measured = provenance["quality"].is_object();
    assert_eq!(stderr.contains("measured on speakers who were not in training"), measured);
    assert_eq!(place.run(&info).code(0).text().contains("  quality       "), measured);
    let decoded = provenance["decoding"].is_object();
    assert_eq!(stderr.contains("--lm none leaves it out"), decoded);
}

#[test]
fn error_rates() {
    let place = ready();
    let table = "path\ttext\tsplit\nin/a.wav\tHello, hello.\ttest\n\
        in/b c.wav\thello world\ttest\nnone.wav\thello\ttest\nin/a.wav\tx\ttrain\n";
    place.file("t.tsv", table.as_bytes());
    let eval_as = |task: &str, more: &[&str]| {
        let start = ["eval", task, "--model", "m.safetensors", "--manifest", "t.tsv"];
        let cut = ["--cut", "length", "--window", "2"];
        place.run(&[&start[..], &cut, more].concat())
    };
    let eval = |more: &[&str]| eval_as("transcribe", more);
    let lines = eval(&["--split", "test", "--json"]).code(1).json();
    let summary = lines.last().expect("a summary");
    assert_eq!(summary["type"], "summary");
    assert_eq!((&summary["items"], &summary["failed"]), (&2.into(), &1.into()));
    assert_eq!((&summary["wer"], &summary["deletions"]), (&0.25.into(), &1.into()));
    assert!(summary["cer"].as_f64().is_some_and(|rate| (rate - 6.0 / 22.0).abs() < 1e-9));
    assert_eq!((&lines[0]["type"], &lines[0]["wer"]), (&"utterance".into(), &0.0.into()));
    let failure = |line: &&serde_json::Value| line["type"] == "error";
    assert_eq!(lines.iter().filter(failure).count(), 1);
    // The name that the task had before.
    assert_eq!(eval_as("asr", &["--split", "test", "--json"]).code(1).json(), lines);

    let ran = eval(&["--split", "test", "--listing", "l.txt"]).code(1);
    assert!(ran.text().starts_with("WER 25.00 % (0 substituted, 1 left out"), "{}", ran.text());
    assert!(ran.text().ends_with(" h, 1 failed\n"), "{}", ran.text());
    let listing = text(&place, "l.txt");
    assert!(listing.contains("1 of 2 words wrong\n  said:  hello world\n  heard: hello\n"));
    assert!(listing.contains("  hello [-world]\n"), "{listing}");
    eval(&["--split", "test", "--listing", "l.txt"]).code(2).says("exists already");
    let exact = eval(&["--split", "test", "--exact", "--json"]).code(1).json();
    assert_eq!(exact.last().expect("a summary")["wer"], 0.75);
    eval(&["--split", "nope"]).code(2).says("train");
}

/// What `eval transcribe` says of a manifest.
fn eval_of(place: &Place, name: &str, table: &str) -> Ran {
    place.file(name, table.as_bytes());
    let start = ["eval", "transcribe", "--model", "m.safetensors", "--cut", "length"];
    place.run(&[&start[..], &["--json", "--manifest", name]].concat())
}

#[test]
fn rows_about_channels_say_so() {
    let place = ready();
    let table = "path\ttext\tchannel\nin/a.wav\thello hello\t1\nin/a.wav\thello hello\t\n";
    let lines = eval_of(&place, "sides.tsv", table).code(0).json();
    assert_eq!(
        (&lines[0]["channel"], &lines[1]["channel"]),
        (&"1".into(), &serde_json::Value::Null)
    );
}

#[test]
fn f2_references_keep_their_commas() {
    let place = ready();
    let tables = [
        "path,text\nin/a.wav,\"hello, hello\"\nin/b c.wav,\"he said \"\"no\"\" to it\"\n",
        "\u{feff}\"path\";\"text\"\r\n\"in/a.wav\";\"hello, hello\"\r\n\
         \"in/b c.wav\";\"he said \"\"no\"\" to it\"\r\n",
        "path\ttext\rin/a.wav\thello, hello\rin/b c.wav\t\"he said \"\"no\"\" to it\"\r",
    ];
    for table in tables {
        let lines = eval_of(&place, "t.csv", table).code(0).json();
        let references = [&lines[0]["reference"], &lines[1]["reference"]];
        assert_eq!(references, ["hello, hello", "he said \"no\" to it"], "{table:?}");
    }
    let utf16: Vec<u8> = tables[1].encode_utf16().flat_map(u16::to_le_bytes).collect();
    place.file("u.csv", &utf16);
    let eval = ["eval", "transcribe", "--model", "m.safetensors", "--manifest", "u.csv"];
    place.run(&eval).code(3).says("iconv -f UTF-16 -t UTF-8");
    let open = "path,text\nin/a.wav,hello, hello\n";
    eval_of(&place, "t.csv", open).code(3).says("line 2: more cells than the header");
}

#[test]
fn f6_rows_are_stretches_and_columns_have_other_names() {
    let place = ready();
    let table = "path\tsentence\toffset\tduration\n\
                 in/a.wav\thello\t0.0\t0.9\nin/a.wav\thello\t0.9\t0.5\n";
    let objects = "{\"path\": \"in/a.wav\", \"transcript\": \"hello\", \"duration\": 0.9}\n\
                   {\"path\": \"in/a.wav\", \"transcript\": \"hello\", \"offset\": 0.9, \"duration\": 0.5}\n";
    for (name, table) in [("t.tsv", table), ("t.jsonl", objects)] {
        let lines = eval_of(&place, name, table).code(0).json();
        assert_eq!((&lines[1]["offset"], &lines[1]["duration"]), (&json!(0.9), &json!(0.5)));
        let summary = lines.last().expect("a summary");
        assert_eq!((&summary["wer"], &summary["audio_seconds"]), (&json!(0.0), &json!(1.4)));
    }
    let behind = "path\ttext\toffset\nin/a.wav\thello\t7\n";
    eval_of(&place, "t.tsv", behind).code(3).says("recording of 3.000 s");
    let missing = "path\ttext\nin/a.wav\tthe birch canoe\textra\nin/b c.wav\n";
    eval_of(&place, "t.tsv", missing).code(3).says("line 3: no cell for the column `text`");
    eval_of(&place, "t.tsv", "path\twords\nin/a.wav\thello\n").code(3).says("it has: path, words");
}

#[test]
fn f7_byte_order_marks_are_no_characters() {
    let place = ready();
    place.file("a.txt", "\u{feff}Hello\r\nworld\r\n".as_bytes());
    let ran = transcribe(&place, &["in/a.wav", "--align", "a.txt", "--format", "ctm"]).code(0);
    assert!(ran.text().contains(" Hello ") && !ran.stderr.contains("spell"), "{}", ran.stderr);
    // A phrase that is made impossible.
    place.file("plain.txt", b"hello:-50\nworld:1\n");
    place.file("marked.txt", "\u{feff}hello:-50\r\nworld:1\r\n".as_bytes());
    let with = |list: &str| {
        transcribe(&place, &["in/a.wav", "--beam", "8", "--hotwords", list]).code(0).text()
    };
    assert_ne!(with("plain.txt"), "hello\nhello\n");
    assert_eq!(with("marked.txt"), with("plain.txt"));
    place.file("list.txt", "\u{feff}in/a.wav\r\n".as_bytes());
    place.run(&["info", "--files-from", "list.txt"]).code(0);
    place.file("features.json", "\u{feff}{\"n_fft\": 512}".as_bytes());
    place.run(&["features", "in/a.wav", "--config", "features.json"]).code(0);
    let arpa = "\u{feff}\\data\\\nngram 1=4\n\n\\1-grams:\n-1 <unk>\n-99 <s>\n-1 </s>\n-1 hello\n\n\\end\\\n";
    place.file("lm.arpa", arpa.as_bytes());
    transcribe(&place, &["in/a.wav", "--lm", "lm.arpa"]).code(0);
    // A config beside a model.
    let broken = |config: &str| {
        place.file("m.json", config.as_bytes());
        place.run(&["models", "info", "m.safetensors"]).code(0).text().contains("is broken")
    };
    assert!(broken("{") && !broken("\u{feff}{}"));
}

#[cfg(target_os = "linux")]
#[test]
fn u3_devices_and_pipes_are_refused_where_texts_are_read() {
    let place = ready();
    let pipe = |name: &str| {
        let made = std::process::Command::new("mkfifo").arg(place.path(name)).status();
        assert!(made.expect("mkfifo").success());
    };
    pipe("pipe");
    for name in ["/dev/zero", "pipe"] {
        let refused = |arguments: &[&str]| {
            let ran = place.run(&[arguments, &[name]].concat());
            assert_ne!(ran.code, 0);
            ran.says("where a regular file is needed");
        };
        refused(&["info", "--files-from"]);
        refused(&["features", "in/a.wav", "--config"]);
        refused(&["speaker", "identify", "in/a.wav", "--voices"]);
        refused(&["speaker", "verify", "--trials"]);
        refused(&["eval", "transcribe", "--model", "m.safetensors", "--manifest"]);
        for option in ["--align", "--hotwords", "--lm"] {
            refused(&["transcribe", "--model", "m.safetensors", "in/a.wav", option]);
        }
        refused(&["train", "lm", "-o", "lm.arpa", "--text"]);
    }
    // A pipe that the process was given is read.
    place.feed(&["info", "--files-from", "/dev/stdin"], b"in/a.wav\n").code(0);
    // Beside a model it is passed over.
    pipe("config.yaml");
    pipe("m.json");
    assert_eq!(transcribe(&place, &["in/b c.wav"]).code(0).text(), "hello\n");
}
