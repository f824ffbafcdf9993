//! Every published container layout reads to the expected weights. Looks into `tests/goldens` and
//! into the folder that `FORMANT_GOLDENS` names; files that only the latter has are optional.

use std::path::{Path, PathBuf};

use formant_models::checkpoint::{DType, StateDict, WeightNorm, clean, read_state_dict};

fn roots() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens");
    std::iter::once(here).chain(std::env::var_os("FORMANT_GOLDENS").map(PathBuf::from)).collect()
}

/// The path in every root that has it; at least one has.
fn golden(path: &str) -> Vec<PathBuf> {
    let found: Vec<_> = roots().iter().map(|root| root.join(path)).filter(|p| p.exists()).collect();
    assert!(!found.is_empty(), "{path} is in no golden folder");
    found
}

/// Like [`golden`], for files that are too large for the repository.
fn large_golden(path: &str) -> Vec<PathBuf> {
    roots().iter().map(|root| root.join(path)).filter(|p| p.exists()).collect()
}

fn read(path: &Path) -> StateDict {
    read_state_dict(path).unwrap_or_else(|error| panic!("{error}"))
}

fn cleaned(path: &Path) -> StateDict {
    let mut state = read(path);
    clean(&mut state, WeightNorm::Keep).expect("cleans");
    state
}

fn assert_equal(found: &StateDict, expected: &StateDict, what: &Path) {
    let mut names: Vec<_> = found.names().collect();
    let mut wanted: Vec<_> = expected.names().collect();
    names.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(names, wanted, "{}", what.display());
    for (name, tensor) in expected.iter() {
        let other = found.get(name).expect("same names");
        assert_eq!(other.shape(), tensor.shape(), "{}: {name}", what.display());
        assert_eq!(other.dtype(), tensor.dtype(), "{}: {name}", what.display());
        assert_eq!(
            other.bytes().expect("reads"),
            tensor.bytes().expect("reads"),
            "{}: {name}",
            what.display()
        );
    }
}

#[test]
fn every_mel_roformer_container_gives_the_same_weights() {
    let expected = read(&golden("mel-roformer/containers/expected_weights.safetensors")[0]);
    let mut seen = 0;
    for root in roots() {
        let folder = root.join("mel-roformer/containers");
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("lists").path();
            if path.extension().is_some_and(|e| e == "ckpt") {
                assert_equal(&cleaned(&path), &expected, &path);
                seen += 1;
            }
        }
    }
    assert!(seen >= 4);
}

#[test]
fn a_half_precision_copy_equals_the_rounded_weights() {
    let expected = read(&golden("mel-roformer/containers/expected_weights.safetensors")[0]);
    let half = read(&golden("mel-roformer/containers/half.safetensors")[0]);
    for (name, tensor) in expected.iter() {
        let rounded = tensor.to_float(DType::F16).expect("rounds");
        assert_eq!(rounded.bytes().expect("b"), half.get(name).expect("n").bytes().expect("b"));
    }
}

#[test]
fn training_state_is_left_out_and_reported() {
    let path = &golden("mel-roformer/containers/training_model_state_dict.ckpt")[0];
    let state = read(path);
    let steps: Vec<String> = state.steps.iter().map(ToString::to_string).collect();
    assert!(steps.contains(&"took the weights under `model_state_dict`".to_owned()), "{steps:?}");
    assert!(steps.contains(&"left out `optimizer_state_dict`".to_owned()), "{steps:?}");
    // A NumPy scalar beside the weights.
    assert!(state.extra.get("best_metric").is_some());
    assert!(state.extra.get("epoch").is_some());
}

#[test]
fn vocoder_tokenizer_and_text_tower_containers_read() {
    for (container, expected) in [
        ("specmaskgit/containers/best_netG.pt", "expected_melgan"),
        ("specmaskgit/containers/g_02500000", "expected_hifigan"),
        ("specmaskgit/containers/codebook_last.ckpt", "expected_codebook"),
    ] {
        for path in large_golden(container) {
            let expected = path.with_file_name(format!("{expected}.safetensors"));
            assert_equal(&cleaned(&path), &read(&expected), &path);
        }
    }
    for path in large_golden("specmaskgit/containers/transformer_with_first_stage.ckpt") {
        let tokenizer = cleaned(&path).scoped("first_stage_model.");
        let expected = path.with_file_name("expected_codebook.safetensors");
        assert_equal(&tokenizer, &read(&expected), &path);
    }
    let path = &golden("specmaskgit/containers/clap_tiny.pt")[0];
    let all = cleaned(path);
    let expected = read(&path.with_file_name("expected_clap_text.safetensors"));
    for (name, tensor) in expected.iter() {
        let found = all.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(found.bytes().expect("b"), tensor.bytes().expect("b"), "{name}");
    }
}

#[test]
fn a_periodwave_training_file_gives_its_model() {
    for path in large_golden("periodwave-turbo/containers/G_274000.pth") {
        let expected = read(&path.with_file_name("expected_weights.safetensors"));
        assert_eq!(expected.len(), 281);
        assert_equal(&cleaned(&path), &expected, &path);
    }
}

#[test]
fn lmuformer_has_its_prefix_removed_and_its_complex_buffer_read() {
    let state = cleaned(&golden("lmuformer/containers/best_model.pth")[0]);
    let buffer = state.get("block.0.attn.lmu.fft_H").expect("complex buffer");
    assert_eq!(buffer.dtype(), DType::Complex64);
    let pairs = buffer.complex_as_pairs().expect("pairs");
    assert_eq!(pairs.shape().last(), Some(&2));
    assert!(state.get("head.weight").is_some());
}

#[test]
fn doubled_ast_weights_are_taken_once() {
    let path = &golden("ast/containers/petl/bestmodel_fold0")[0];
    let before = read(path).len();
    let state = cleaned(path);
    assert!(state.len() < before);
    assert!(state.names().all(|name| !name.starts_with("model.")));
    assert!(state.get("embeddings.cls_token").is_some());
}

#[test]
fn both_hub_files_of_ast_hold_the_same() {
    let safe = &golden("ast/containers/hf/model.safetensors")[0];
    assert_equal(&cleaned(&safe.with_file_name("pytorch_model.bin")), &read(safe), safe);
}

#[test]
fn statistics_that_are_no_weights_read_as_tensors_and_values() {
    let state = read(&golden("ecapa-tdnn/containers/mean_var_norm_emb.ckpt")[0]);
    assert_eq!(state.names().collect::<Vec<_>>(), ["glob_mean", "glob_std"]);
    assert!(state.extra.get("count").is_some());
}
