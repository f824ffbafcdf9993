//! Properties: what is written reads back the same, any strided view equals plain indexing, and
//! conversion changes what it says and nothing else.

mod checkpoint_support;

use std::collections::BTreeMap;
use std::path::Path;

use checkpoint_support::{Pickle, archive, file};
use formant_models::Error;
use formant_models::checkpoint::{
    CONFIGS_KEY, ConvertOptions, DType, RawTensor, Share, StateDict, WeightNorm, convert,
    read_bytes, read_state_dict, write_safetensors,
};
use proptest::prelude::*;

const DTYPES: [DType; 11] = [
    DType::F64,
    DType::F32,
    DType::F16,
    DType::BF16,
    DType::I64,
    DType::I32,
    DType::I16,
    DType::I8,
    DType::U8,
    DType::Bool,
    DType::Complex64,
];

fn tensors() -> impl Strategy<Value = BTreeMap<String, (usize, Vec<usize>, u8)>> {
    let tensor = (0..DTYPES.len(), prop::collection::vec(0usize..4, 0..4), any::<u8>());
    prop::collection::btree_map("[a-zA-Z0-9_.]{1,12}", tensor, 0..8)
}

proptest! {
    #[test]
    fn safetensors_round_trip(tensors in tensors(), metadata in prop::collection::btree_map(".{0,8}", ".{0,8}", 0..4)) {
        // A metadata entry that maps one name to another stands for a shared tensor.
        prop_assume!(metadata.values().all(|value| !tensors.contains_key(value)));
        let mut state = StateDict::default();
        for (name, (dtype, shape, seed)) in &tensors {
            let dtype = DTYPES[*dtype];
            let size = shape.iter().product::<usize>() * dtype.size();
            let bytes = (0..size).map(|at| seed.wrapping_add(at as u8)).collect();
            state.insert(name.clone(), RawTensor::from_bytes(dtype, shape.clone(), bytes).expect("fits"));
        }
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.safetensors");
        write_safetensors(&path, &state, &metadata).expect("writes");
        let back = read_state_dict(&path).expect("reads");
        prop_assert_eq!(back.len(), state.len());
        prop_assert_eq!(&back.metadata, &metadata);
        for (name, tensor) in state.iter() {
            let found = back.get(name).expect("same names");
            prop_assert_eq!(found.dtype(), tensor.dtype());
            prop_assert_eq!(found.shape(), tensor.shape());
            prop_assert_eq!(found.bytes().expect("a"), tensor.bytes().expect("b"));
        }
        // The crate of the format's authors agrees.
        let bytes = std::fs::read(&path).expect("reads");
        let theirs = safetensors::SafeTensors::deserialize(&bytes).expect("valid");
        prop_assert_eq!(theirs.len(), state.len());
        // Nothing else is left in the folder.
        prop_assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 1);
    }

    #[test]
    fn views_equal_plain_indexing(
        shape in prop::collection::vec(1usize..4, 0..4),
        strides in prop::collection::vec(0usize..6, 4),
        offset in 0usize..5,
        big_endian in any::<bool>(),
    ) {
        let strides = &strides[..shape.len()];
        let last: usize = offset + shape.iter().zip(strides).map(|(n, s)| (n - 1) * s).sum::<usize>();
        let values: Vec<i16> = (0..=last as i16).map(|v| v * 257 + 3).collect();
        let storage: Vec<u8> = values
            .iter()
            .flat_map(|v| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() })
            .collect();
        let as_i64 = |list: &[usize]| list.iter().map(|v| *v as i64).collect::<Vec<_>>();
        let (sizes, steps) = (as_i64(&shape), as_i64(strides));
        let pickle = Pickle::dict(&[("w", &|p| {
            p.tensor("ShortStorage", "0", values.len() as i64, (offset as i64, &sizes, &steps))
        })]);
        let order: &[u8] = if big_endian { b"big" } else { b"little" };
        let bytes = archive(&[("data.pkl", &pickle.0), ("byteorder", order), ("data/0", &storage)]);
        let state = read_bytes(bytes, "test").expect("reads");
        let found = state.get("w").expect("w").to_f32_vec().expect("reads");
        let total: usize = shape.iter().product();
        let expected: Vec<f32> = (0..total)
            .map(|flat| {
                let mut rest = flat;
                let mut at = offset;
                for (dim, stride) in shape.iter().zip(strides).rev() {
                    at += rest % dim * stride;
                    rest /= dim;
                }
                f32::from(values[at])
            })
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn damaged_files_never_panic(at in 0usize..5516, value in any::<u8>(), cut in 0usize..5516) {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints/views.pth");
        let mut bytes = std::fs::read(sample).expect("reads");
        let size = bytes.len();
        bytes[at % size] = value;
        for part in [&bytes[..], &bytes[..cut % size]] {
            if let Ok(state) = read_bytes(part, "test") {
                for (_, tensor) in state.iter() {
                    let _ = tensor.bytes();
                }
            }
        }
    }
}

fn sample(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints").join(name)
}

#[test]
fn conversion_folds_renames_and_keeps_configs() {
    let folder = tempfile::tempdir().expect("folder");
    let input = folder.path().join("net.pth");
    std::fs::copy(sample("s13_weight_norm_new.pth"), &input).expect("copies");
    file(folder.path(), "net.yaml", b"width: 4\nname: two layers\n");
    let output = folder.path().join("net.safetensors");
    let report = convert(&input, &output, &ConvertOptions::default()).expect("converts");
    assert_eq!((report.tensors, report.rounded), (4, 0));
    assert!(report.to_string().contains("folded 1 weight normalisations"), "{report}");
    let written = read_state_dict(&output).expect("reads");
    let plain = read_state_dict(sample("s13_plain.safetensors")).expect("reads");
    for (name, tensor) in plain.iter() {
        let found = written.get(name).expect("same names").to_f32_vec().expect("reads");
        let expected = tensor.to_f32_vec().expect("reads");
        let distance = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(distance < 1e-6, "{name}: {distance}");
    }
    let configs: serde_json::Value =
        serde_json::from_str(&written.metadata[CONFIGS_KEY]).expect("json");
    assert_eq!(configs["net.yaml"]["width"], 4);

    let keep = ConvertOptions { weight_norm: WeightNorm::Keep, ..Default::default() };
    convert(&input, &output, &keep).expect("converts");
    assert!(read_state_dict(&output).expect("reads").get("conv.weight_g").is_some());
}

#[test]
fn conversion_to_half_rounds_floats_only_and_is_reproducible() {
    let folder = tempfile::tempdir().expect("folder");
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
    let options = ConvertOptions { precision: Some(DType::BF16), ..Default::default() };
    let report = convert(&sample("views.pth"), &a, &options).expect("converts");
    convert(&sample("views.pth"), &b, &options).expect("converts");
    assert_eq!(std::fs::read(&a).expect("a"), std::fs::read(&b).expect("b"));
    assert_eq!(report.complex, ["complex64"]);
    let written = read_state_dict(&a).expect("reads");
    assert_eq!(written.get("base").expect("base").dtype(), DType::BF16);
    assert_eq!(written.get("i64").expect("i64").dtype(), DType::I64);
    assert_eq!(written.get("complex64").expect("complex").shape(), [2, 2]);
}

#[test]
fn a_value_beyond_half_precision_is_an_error() {
    let folder = tempfile::tempdir().expect("folder");
    let mut state = StateDict::default();
    state.insert("var", RawTensor::from_f32(vec![1], &[70_000.0]).expect("fits"));
    let input = folder.path().join("in.safetensors");
    write_safetensors(&input, &state, &BTreeMap::new()).expect("writes");
    let options = ConvertOptions { precision: Some(DType::F16), ..Default::default() };
    let output = folder.path().join("out.safetensors");
    let error = convert(&input, &output, &options).expect_err("overflow");
    assert!(
        matches!(&error, Error::Config { .. }) && error.to_string().contains("bf16"),
        "{error}"
    );
    assert!(!output.exists());
}

#[test]
fn weights_are_averaged_by_their_shares() {
    let folder = tempfile::tempdir().expect("folder");
    let write = |name: &str, tensors: &[(&str, &[f32])], steps: i64| {
        let mut state = StateDict::default();
        for (name, values) in tensors {
            let tensor = RawTensor::from_f32(vec![values.len()], values).expect("fits");
            state.insert(*name, tensor);
        }
        let steps = RawTensor::from_bytes(DType::I64, vec![1], steps.to_le_bytes().to_vec());
        state.insert("steps", steps.expect("fits"));
        let path = folder.path().join(name);
        write_safetensors(&path, &state, &BTreeMap::new()).expect("writes");
        path
    };
    let input = write("in", &[("a", &[1.0, 2.0]), ("b", &[8.0])], 5);
    let second = write("second", &[("b", &[0.0]), ("a", &[3.0, -2.0])], 6);
    let third = write("third", &[("a", &[0.0, 0.0]), ("b", &[-4.0])], 7);
    let other = write("other", &[("a", &[0.0, 0.0, 0.0]), ("b", &[-4.0])], 7);
    let output = folder.path().join("out");
    let run = |shares: &[(&Path, f64)]| {
        let average =
            shares.iter().map(|&(path, share)| Share { path: path.to_path_buf(), share }).collect();
        convert(&input, &output, &ConvertOptions { average, ..Default::default() })
    };
    for shares in [&[(&*second, 1.0)][..], &[(&second, 0.0)], &[(&second, 0.5), (&third, 0.5)]] {
        let error = run(shares).expect_err("shares");
        assert!(matches!(error, Error::Config { .. }), "{error}");
    }
    let error = run(&[(&other, 0.5)]).expect_err("another network").to_string();
    assert!(error.contains("other") && error.contains("`a`"), "{error}");
    assert!(!output.exists());
    run(&[(&second, 0.5), (&third, 0.25)]).expect("averages");
    let written = read_state_dict(&output).expect("reads");
    let values = |name: &str| written.get(name).expect("there").to_f32_vec().expect("reads");
    assert_eq!((values("a"), values("b")), (vec![1.75, -0.5], vec![1.0]));
    assert_eq!(written.get("steps").expect("there").bytes().expect("reads")[0], 5);
}
