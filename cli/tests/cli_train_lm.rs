//! `formant train lm`: what it writes is what `formant transcribe --lm` reads.

mod support;

use serde_json::json;
use support::Place;

fn data() -> Place {
    let place = Place::new();
    place.file("a.txt", b"Go home.\ngo to room 5\nstop\n");
    let table =
        b"text\tsplit\tsource\ngo on\ttrain\tx\nstop it\tdev\tx\nno\ttest\tx\nyes\ttrain\ty\n";
    place.file("b.tsv", table);
    place
}

#[test]
fn a_model_is_counted_and_measured() {
    let place = data();
    let train = ["train", "lm", "--text", "a.txt", "--text", "b.tsv", "-o", "lm.arpa"];
    let ran = place.run(&train).code(0).says("1 sentences were left out");
    let text = ran.text();
    assert!(text.contains("perplexity") && text.contains("1 of 2 words unknown"), "{text}");
    assert!(text.ends_with("lm.arpa: 4 sentences, 5 words, n-grams 6 + 9 + 6\n"), "{text}");
    let arpa = String::from_utf8(place.read("lm.arpa")).expect("UTF-8");
    assert!(arpa.starts_with("formant ") && arpa.contains("ngram 1=8"), "{arpa}");
    place.run(&train).code(2).says("exists already");

    let again = [&train[..], &["--overwrite", "--order", "1", "--json"]].concat();
    let line = &place.run(&again).code(0).json()[0];
    assert_eq!((&line["type"], &line["ngrams"]), (&json!("trained"), &json!([6])));
    assert_eq!(line["dev"]["sentences"], json!(1));
    let listen = ["transcribe", "--lm", "lm.arpa", "--beam", "4", "silence.wav"];
    place.wav("silence.wav", &[0; 16_000]);
    place.run(&listen).code(0);
}

#[test]
fn texts_are_checked() {
    let place = data();
    let train = |more: &[&str]| {
        let start = ["train", "lm", "-o", "lm.arpa"];
        place.run(&[&start[..], more].concat())
    };
    train(&["--text", "none.txt"]).code(3).says("none.txt").says("check the name");
    train(&["--text", "b.tsv", "--source", "z"]).code(3).says("no sentences of the source `z`");
    train(&["--text", "a.txt", "--order", "0"]).code(2);
    place.file("c.tsv", b"path\twords\na.wav\tb\n");
    train(&["--text", "c.tsv"]).code(3).says("the header needs a column `text`");
    assert!(!place.exists("lm.arpa"));
}
