//! Weights among other things: states of random generators, arrays, buffers and other networks beside
//! them, state dicts in lists. All of these files give the same network.

mod checkpoint_support;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use checkpoint_support::{Pickle, torch_file};
use formant_models::arch::hifi_sr::HifiSr;
use formant_models::arch::mel_roformer::MelRoformer;
use formant_models::checkpoint::{
    Architecture, DType, RawTensor, StateDict, Step, WeightNorm, clean, detect, read_bytes,
    read_state_dict,
};
use formant_models::{Error, Model, ModelSource};
use tch::Device;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/goldens/mel-roformer/containers")
        .join(name)
}

fn plain() -> StateDict {
    read_state_dict(golden("plain.ckpt")).expect("a golden")
}

/// Writes tensors into a pickle and collects their storages.
#[derive(Default)]
struct Writer(RefCell<Vec<Vec<u8>>>);

impl Writer {
    /// `{prefix + name: tensor}`.
    fn dict(&self, mut pickle: Pickle, prefix: &str, state: &StateDict) -> Pickle {
        pickle = pickle.raw(b"}(");
        for (name, tensor) in state.iter() {
            pickle = pickle.text(&format!("{prefix}{name}")).stored(tensor, &self.0);
        }
        pickle.raw(b"u")
    }

    fn bytes(&self, pickle: Pickle) -> Pickle {
        let state = RawTensor::from_bytes(DType::U8, vec![5056], vec![7; 5056]).expect("fits");
        pickle.stored(&state, &self.0)
    }

    fn floats(&self, pickle: Pickle) -> Pickle {
        let window = RawTensor::from_f32(vec![64], &[0.5; 64]).expect("fits");
        pickle.stored(&window, &self.0)
    }

    /// A NumPy array of two doubles.
    fn array(&self, pickle: Pickle) -> Pickle {
        pickle
            .global("numpy.core.multiarray", "_reconstruct")
            .raw(b"(")
            .global("numpy", "ndarray")
            .raw(b"K\x00\x85C\x01btR(K\x01K\x02\x85")
            .global("numpy", "dtype")
            .raw(b"(U\x02f8\x89\x88tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89C\x10")
            .raw(&[0; 16])
            .raw(b"tb")
    }
}

/// A file with the weights of `plain`, and what is beside them.
fn variants() -> Vec<(&'static str, Vec<u8>)> {
    let state = plain();
    let mut small = state.clone();
    small.tensors.retain(|name, _| !name.starts_with("mask_estimators.0.to_freqs.7"));
    let variant = |name, write: &dyn Fn(&Writer, Pickle) -> Pickle| {
        let writer = Writer::default();
        let pickle = write(&writer, Pickle::new()).raw(b".");
        (name, torch_file(&pickle, &writer.0.into_inner()))
    };
    vec![
        variant("random states beside a wrapper", &|w, p| {
            let p = w.dict(p.raw(b"}(").text("state_dict"), "", &state);
            let p = w.bytes(p.text("rng_state")).text("cuda_rng").raw(b"](");
            w.bytes(p).raw(b"eu")
        }),
        variant("arrays beside a wrapper", &|w, p| {
            let p = w.array(p.raw(b"}(").text("best_losses"));
            let p = w.floats(p.text("window"));
            w.dict(p.text("model"), "", &state).raw(b"u")
        }),
        variant("a flat file with a random state and an array", &|w, p| {
            let p = w.dict(p, "", &state).raw(b"(");
            let p = w.bytes(p.text("torch_rng_state"));
            w.array(p.text("losses")).raw(b"u")
        }),
        variant("a buffer outside `model.`", &|w, p| {
            let p = w.dict(p.raw(b"}(").text("state_dict"), "model.", &state).raw(b"(");
            w.floats(p.text("loss_fn.window")).raw(b"uu")
        }),
        variant("a generator and its discriminator", &|w, p| {
            let p = w.dict(p.raw(b"}(").text("netD"), "convs.", &small);
            w.dict(p.text("netG"), "", &state).raw(b"u")
        }),
        variant("a generator and its discriminator with prefixes", &|w, p| {
            let p = w.dict(p, "discriminator.", &small).raw(b"(");
            state
                .iter()
                .fold(p, |p, (name, tensor)| {
                    p.text(&format!("generator.{name}")).stored(tensor, &w.0)
                })
                .raw(b"u")
        }),
        variant("state dicts in a list", &|w, p| {
            let p = w.dict(p.raw(b"}").text("nets").raw(b"]("), "", &small);
            w.dict(p, "", &state).raw(b"es")
        }),
        variant("deep in other things, with an optimizer", &|w, p| {
            let p = p.raw(b"}(").text("experiment").raw(b"}(").text("networks").raw(b"}");
            let p = w.dict(p.text("separator"), "_orig_mod.", &state).raw(b"s");
            let p = w.dict(p.text("optimizer").raw(b"}").text("exp_avg"), "", &state).raw(b"s");
            p.text("epoch").int(3).raw(b"uu")
        }),
    ]
}

#[test]
fn the_network_is_found_among_other_things() {
    let expected = plain();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.ckpt");
    std::fs::copy(golden("model.yaml"), folder.path().join("model.yaml")).expect("copied");
    for (what, bytes) in variants() {
        let read = read_bytes(bytes.as_slice(), what).unwrap_or_else(|error| panic!("{error}"));
        let found = detect(&read).unwrap_or_else(|| panic!("{what}: not recognized"));
        assert_eq!(found.architecture, Architecture::MelRoformer, "{what}");
        let mut state = read;
        clean(&mut state, WeightNorm::Keep).expect("cleans");
        assert!(state.names().eq(expected.names()), "{what}: {:?}", state.names().next());
        for (name, tensor) in expected.iter() {
            let found = state.get(name).expect("same names").bytes().expect("reads");
            assert_eq!(found, tensor.bytes().expect("reads"), "{what}: {name}");
        }
        let aside = |step: &Step| matches!(step, Step::Skipped { .. } | Step::Selected { .. });
        assert!(state.steps.iter().any(aside), "{what}: {:?}", state.steps);
        // The yaml beside it has the sizes.
        std::fs::write(&path, bytes).expect("written");
        Model::<MelRoformer>::load(&ModelSource::Path(path.clone()), Device::Cpu)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[test]
fn what_is_left_aside_is_named() {
    let (what, bytes) = variants().swap_remove(3);
    let mut state = read_bytes(bytes, what).expect("reads");
    clean(&mut state, WeightNorm::Keep).expect("cleans");
    let steps: Vec<String> = state.steps.iter().map(Step::to_string).collect();
    assert!(steps.iter().any(|step| step.contains("`model.`") && step.contains("loss_fn.window")));
}

#[test]
fn weights_that_an_unknown_call_would_make_are_refused() {
    let writer = Writer::default();
    let pickle = Pickle::new().raw(b"}").text("state_dict").raw(b"}").text("w");
    let pickle = writer.floats(pickle.global("my.project", "quantized").raw(b"("));
    let bytes = torch_file(&pickle.raw(b"tRss."), &writer.0.into_inner());
    let error = read_bytes(bytes, "test").expect_err("its values are not known");
    assert!(matches!(error, Error::Refused { global, .. } if global == "my.project.quantized"));
}

#[test]
fn signs_that_torch_keeps_beside_the_numbers_are_applied() {
    let numbers = |values: [f32; 4]| -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    };
    let stored = RawTensor::from_bytes(DType::Complex64, vec![2], numbers([1.0, 2.0, -3.0, 4.0]));
    let stored = stored.expect("fits");
    // `_rebuild_tensor_v2` with the metadata that torch writes for a lazy conjugate or negation.
    let read = |flags: &[&str]| {
        let storages = RefCell::new(Vec::new());
        let pickle = Pickle::new().raw(b"}").text("w").stored(&stored, &storages);
        let Some(open) = pickle.0.strip_suffix(b"tR") else { panic!("a call") };
        let mut pickle = Pickle(open.to_vec()).raw(b"}(");
        for flag in flags {
            pickle = pickle.text(flag).raw(b"\x88");
        }
        let bytes = torch_file(&pickle.raw(b"utRs."), &storages.into_inner());
        let state = read_bytes(bytes, "test").expect("reads");
        state.get("w").expect("w").bytes().expect("reads").to_vec()
    };
    assert_eq!(read(&[]), numbers([1.0, 2.0, -3.0, 4.0]));
    assert_eq!(read(&["conj"]), numbers([1.0, -2.0, -3.0, -4.0]));
    assert_eq!(read(&["neg"]), numbers([-1.0, -2.0, 3.0, -4.0]));
    assert_eq!(read(&["conj", "neg"]), numbers([-1.0, 2.0, 3.0, 4.0]));
}

/// A folder with weights and with activations beside them, which are no network.
#[test]
fn the_only_network_of_a_folder_is_found_and_others_are_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/mossformer2-sr");
    let load =
        |path: &Path| Model::<HifiSr>::load(&ModelSource::Path(path.to_path_buf()), Device::Cpu);
    load(&folder).expect("the weights");
    let two = tempfile::tempdir().expect("a folder");
    for (from, to) in [("weights", "a"), ("weights", "b"), ("io", "io")] {
        let to = two.path().join(format!("{to}.safetensors"));
        std::fs::copy(folder.join(format!("{from}.safetensors")), to).expect("copied");
    }
    let error = load(two.path()).map(drop).expect_err("two networks").to_string();
    assert!(error.contains("name one of them: a.safetensors, b.safetensors"), "{error}");
}
