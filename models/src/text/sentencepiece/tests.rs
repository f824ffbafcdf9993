//! Models of every kind against the answers of the SentencePiece library.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Encoded {
    text: String,
    ids: Vec<u32>,
    decoded: String,
}

#[derive(Deserialize)]
struct Decoded {
    ids: Vec<u32>,
    text: String,
}

#[derive(Deserialize)]
struct Cases {
    encode: Vec<Encoded>,
    decode: Vec<Decoded>,
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/text").join(name)
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn check(folder: &Path, name: &str) {
    let path = folder.join(format!("{name}.model"));
    let model = SentencePiece::parse(&read(&path), &path).expect("a model");
    let cases: Cases =
        serde_json::from_slice(&read(&folder.join(format!("{name}.json")))).expect("cases");
    for case in cases.encode {
        assert_eq!(model.encode(&case.text), case.ids, "{name}: `{}`", case.text);
        assert_eq!(model.decode(&case.ids), case.decoded, "{name}: `{}`", case.text);
    }
    for case in cases.decode {
        assert_eq!(model.decode(&case.ids), case.text, "{name}: {:?}", case.ids);
    }
}

/// A unigram model with bytes and a character map; BPE with bytes and pieces of the user's; BPE
/// without either. Sets of the same form in `$FORMANT_GOLDENS/text` are checked as well.
#[test]
fn models_answer_as_the_library_does() {
    let more = std::env::var_os("FORMANT_GOLDENS").map(|folder| PathBuf::from(folder).join("text"));
    for folder in [Some(golden("")), more].into_iter().flatten().filter(|folder| folder.is_dir()) {
        let files = std::fs::read_dir(&folder).expect("a folder").flatten();
        let mut count = 0;
        for path in files
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|e| e == "model"))
        {
            check(&folder, &path.file_stem().expect("a name").to_string_lossy());
            count += 1;
        }
        assert!(count > 0, "{} is empty", folder.display());
    }
}

#[test]
fn what_is_no_model_is_refused() {
    let path = Path::new("t.model");
    let message =
        |bytes: &[u8]| SentencePiece::parse(bytes, path).expect_err("no model").to_string();
    assert!(message(b"").contains("no pieces"));
    assert!(message(b"\x0a\xff\xff\x03").contains("damaged"));
    // A word model.
    assert!(message(b"\x0a\x03\x0a\x01a\x12\x02\x18\x03").contains("type 3"));
    let whole = read(&golden("unigram.model"));
    for length in [1, 100, whole.len() / 2, whole.len() - 30] {
        // Cut at a border of fields, a file has only fewer pieces: never a panic.
        let _ = SentencePiece::parse(&whole[..length], path);
    }
}

#[test]
fn maps_that_lead_nowhere_change_nothing() {
    for map in [&[1, 0, 0][..], &[4, 0, 0, 0, 1, 2], &[3, 0, 0, 0, 1, 2, 3]] {
        let settings = model::NormalizerSettings { charsmap: map.to_vec(), ..Default::default() };
        assert!(Normalizer::new(settings, Vec::new()).is_err());
    }
    let wild = [8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let settings = model::NormalizerSettings { charsmap: wild.to_vec(), ..Default::default() };
    let normalizer = Normalizer::new(settings, Vec::new()).expect("a map");
    assert_eq!(normalizer.normalize(" a  b "), "▁a▁b");
}

proptest! {
    #[test]
    fn encoding_never_fails(text in ".{0,40}") {
        for name in ["unigram.model", "bpe.model", "plain.model"] {
            let path = golden(name);
            let model = SentencePiece::parse(&read(&path), &path).expect("a model");
            let ids = model.encode(&text);
            prop_assert!(ids.iter().all(|&id| (id as usize) < model.len()));
            let _ = model.decode(&ids);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(model) = SentencePiece::parse(&bytes, Path::new("t.model")) {
            let _ = model.encode("ab c");
        }
    }
}
