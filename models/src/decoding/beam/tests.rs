//! The search against stored answers, against enumeration, and against greedy decoding.

use std::path::Path;

use ndarray::{Array2, Axis};
use proptest::prelude::*;

use super::*;
use crate::checkpoint::read_state_dict;
use crate::decoding::{Fusion, FusionOptions, Hotwords, NgramModel, greedy};
use crate::text::Tokenizer;

fn tokenizer() -> Tokenizer {
    Tokenizer::characters("_ab c")
}

fn search(log_probs: &Array2<f32>, blank: u32, beam: usize, nbest: usize) -> Vec<Candidate> {
    let tokenizer = tokenizer();
    let context = Context { tokenizer: &tokenizer, fusion: None, hotwords: None };
    prefix_search(log_probs.view(), blank, beam, nbest, context)
}

/// Every utterance and every beam of the stored searches: texts, times and scores.
#[test]
fn equals_the_reference() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/goldens/squeezeformer/ctc_decode.safetensors");
    let golden = read_state_dict(&file).expect("the golden");
    let tensor = |name: &str| -> (Vec<usize>, Vec<f64>) {
        let tensor = golden.get(name).unwrap_or_else(|| panic!("{name}"));
        let values = tensor.to_tensor().expect("a tensor").to_kind(tch::Kind::Double).view([-1]);
        (tensor.shape().to_vec(), Vec::<f64>::try_from(values).expect("numbers"))
    };
    let (shape, values) = tensor("log_probs");
    let (_, lens) = tensor("lens");
    let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
    let log_probs = ndarray::Array3::from_shape_vec((shape[0], shape[1], shape[2]), values)
        .expect("the shape of the golden");
    let (greedy_shape, greedy_ids) = tensor("greedy_ids");
    let trimmed = |row: &[f64]| -> Vec<u32> {
        row.iter().take_while(|id| **id >= 0.0).map(|id| *id as u32).collect()
    };
    let mut compared = 0;
    for (utterance, &length) in lens.iter().enumerate() {
        let rows = log_probs.index_axis(Axis(0), utterance);
        let (rows, _) = rows.split_at(Axis(0), length as usize);
        let found: Vec<u32> = greedy(rows, 0).iter().map(|token| token.id).collect();
        assert_eq!(found, trimmed(&greedy_ids[utterance * greedy_shape[1]..][..greedy_shape[1]]));
        for beam in [1, 3, 6] {
            let name = |what: &str| format!("beam{beam}.{utterance}.nbest_{what}");
            let (shape, ids) = tensor(&name("ids"));
            let (_, times) = tensor(&name("times"));
            let (_, scores) = tensor(&name("scores"));
            let found = search(&rows.to_owned(), 0, beam, beam);
            assert_eq!(found.len(), shape[0]);
            for (n, candidate) in found.iter().enumerate() {
                let row = n * shape[1]..(n + 1) * shape[1];
                assert_eq!(candidate.tokens, trimmed(&ids[row.clone()]), "{} {n}", name("ids"));
                let frames: Vec<usize> =
                    trimmed(&times[row]).into_iter().map(|t| t as usize).collect();
                assert_eq!(candidate.times, frames, "{} {n}", name("times"));
                assert!((candidate.score - scores[n]).abs() < 1e-6 * scores[n].abs());
                compared += 1;
            }
        }
    }
    assert!(compared >= 30);
}

/// Log-probabilities from arbitrary numbers.
fn normalized(frames: usize, vocabulary: usize, values: Vec<f32>) -> Array2<f32> {
    let mut rows = Array2::from_shape_vec((frames, vocabulary), values).expect("the shape");
    for mut row in rows.outer_iter_mut() {
        let sum = row.iter().map(|x| x.exp()).sum::<f32>().ln();
        row.mapv_inplace(|x| x - sum);
    }
    rows
}

proptest! {
    /// With room for all prefixes, the probability of a text is the sum over all its paths.
    #[test]
    fn equals_enumeration(values in proptest::collection::vec(-3.0f32..3.0, 12)) {
        let log_probs = normalized(4, 3, values);
        let mut sums: HashMap<Vec<u32>, f64> = HashMap::new();
        for path in 0..3u32.pow(4) {
            let path: Vec<u32> = (0..4).map(|t| path / 3u32.pow(t) % 3).collect();
            let at = path.iter().enumerate();
            let score: f64 = at.map(|(t, &id)| f64::from(log_probs[[t, id as usize]])).sum();
            let mut text = path.clone();
            text.dedup();
            text.retain(|&id| id != 0);
            *sums.entry(text).or_default() += score.exp();
        }
        let found = search(&log_probs, 0, 1000, 1000);
        prop_assert_eq!(found.len(), sums.len());
        for candidate in found {
            let wanted = sums[&candidate.tokens];
            prop_assert!((candidate.acoustic.exp() - wanted).abs() < 1e-6);
        }
    }

    /// Where every frame is sure, there is nothing to search.
    #[test]
    fn equals_greedy_on_peaks(path in proptest::collection::vec(0usize..5, 0..30), beam in 1usize..6) {
        let mut log_probs = Array2::from_elem((path.len(), 5), -20.0f32);
        for (frame, &id) in path.iter().enumerate() {
            log_probs[[frame, id]] = 0.0;
        }
        let best = search(&log_probs, 0, beam, 1);
        let tokens: Vec<u32> = greedy(log_probs.view(), 0).iter().map(|token| token.id).collect();
        prop_assert_eq!(&best[0].tokens, &tokens);
        prop_assert_eq!(best[0].times.len(), tokens.len());
    }
}

#[test]
fn language_model_and_hotwords_decide_what_sounds_alike() {
    // "ab" or "ac", the first a little more likely: a blank, letters in frames of their own.
    let mut log_probs = Array2::from_elem((4, 5), 0.01f32.ln());
    for (frame, id) in [(0, 1), (1, 2), (2, 0), (3, 0)] {
        log_probs[[frame, id]] = 0.5f32.ln();
    }
    log_probs[[1, 4]] = 0.4f32.ln();
    let tokenizer = tokenizer();
    let text = |fusion: Option<&Fusion>, hotwords: Option<&Hotwords>| {
        let context = Context { tokenizer: &tokenizer, fusion, hotwords };
        tokenizer.decode(&prefix_search(log_probs.view(), 0, 8, 1, context)[0].tokens)
    };
    assert_eq!(text(None, None), "ab");
    let arpa = "\\data\\\nngram 1=3\n\n\\1-grams:\n-99 <s>\n-1 </s>\n-1 ac\n\n\\end\\\n";
    let model = NgramModel::parse(arpa.as_bytes(), Path::new("lm")).expect("sound");
    let fusion = Fusion::new(model, &tokenizer, FusionOptions::default()).expect("weights");
    assert_eq!(text(Some(&fusion), None), "ac");
    let hotwords = Hotwords::new([("AC", 1.0)]).expect("a phrase");
    assert_eq!(text(None, Some(&hotwords)), "ac");
    let others = Hotwords::new([("acb", 1.0)]).expect("a phrase");
    assert_eq!(text(None, Some(&others)), "ab");
}

#[test]
fn no_frames_are_the_empty_text() {
    let found = search(&Array2::zeros((0, 5)), 0, 4, 4);
    assert_eq!(found, [Candidate { tokens: vec![], times: vec![], acoustic: 0.0, score: 0.0 }]);
}
