//! What torch can put into its files, against the same tensors written by safetensors.

use std::path::{Path, PathBuf};

use formant_models::checkpoint::{DType, RawTensor, StateDict, read_state_dict};
use serde_json::json;

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints").join(name)
}

fn read(name: &str) -> StateDict {
    read_state_dict(sample(name)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn all_types_and_views_read_from_all_formats() {
    let expected = read("views_expected.safetensors");
    for name in ["views.pth", "views_protocol4.pth", "views_protocol5.pth", "views_legacy.pth"] {
        let state = read(name);
        assert_eq!(state.len(), expected.len(), "{name}");
        for (key, tensor) in expected.iter() {
            let found = state.get(key).unwrap_or_else(|| panic!("{name}: {key}"));
            assert_eq!(found.dtype(), tensor.dtype(), "{name}: {key}");
            assert_eq!(found.shape(), tensor.shape(), "{name}: {key}");
            assert_eq!(found.bytes().expect("a"), tensor.bytes().expect("b"), "{name}: {key}");
        }
    }
}

#[test]
fn values_beside_the_weights_become_plain_values() {
    let state = read("beside.pth");
    assert_eq!(state.names().collect::<Vec<_>>(), ["w"]);
    let extra = state.extra.to_json();
    for (key, value) in [
        ("epoch", json!(7)),
        ("negative", json!(-3)),
        ("ratio", json!(0.25)),
        ("flag", json!(true)),
        ("nothing", json!(null)),
        ("name", json!("Größe")),
        ("raw", json!("<2 bytes>")),
        ("big", json!("<9 bytes>")),
        ("pair", json!([1, "two"])),
        ("set", json!([3])),
        ("namespace", json!({ "__class__": "argparse.Namespace", "sr": 16000, "layers": [1, 2] })),
        ("default", json!({ "a": [1] })),
        ("counter", json!({ "a": 2, "b": 1 })),
        ("size", json!([2, 3])),
        ("device", json!("cuda:1")),
        ("dtype", json!("torch.bfloat16")),
        ("path", json!("/data/x.wav")),
        ("np_f64", json!(0.5)),
        ("np_f32", json!(-1.5)),
        ("np_i64", json!(-9)),
        ("np_u8", json!(200)),
        ("np_bool", json!(true)),
    ] {
        assert_eq!(extra[key], value, "{key}");
    }
    assert!(extra.get("optimizer").is_none());
}

#[test]
fn numpy_arrays_of_any_order_become_tensors() {
    for name in ["arrays.pth", "arrays_protocol5.pth"] {
        let state = read(name);
        for key in ["c", "fortran", "big_endian"] {
            let tensor = state.get(key).unwrap_or_else(|| panic!("{name}: {key}"));
            assert_eq!(tensor.shape(), [2, 3], "{name}: {key}");
            assert_eq!(
                tensor.to_f32_vec().expect("reads"),
                [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
                "{name}: {key}"
            );
        }
    }
}

#[test]
fn tensors_pass_through_libtorch_unchanged() {
    for (key, tensor) in read("views_expected.safetensors").iter() {
        let there = tensor.to_tensor().expect("to libtorch");
        let back = RawTensor::from_tensor(&there).expect("and back");
        assert_eq!(back.dtype(), tensor.dtype(), "{key}");
        assert_eq!(back.shape(), tensor.shape(), "{key}");
        assert_eq!(back.bytes().expect("a"), tensor.bytes().expect("b"), "{key}");
    }
}

#[test]
fn conversion_rounds_like_the_reference() {
    let state = read("views_expected.safetensors");
    let f64s = state.get("f64").expect("f64");
    for (key, dtype) in [("f16", DType::F16), ("bf16", DType::BF16)] {
        let rounded = f64s.to_float(dtype).expect("rounds");
        let expected = state.get(key).expect("half");
        assert_eq!(rounded.bytes().expect("a"), expected.bytes().expect("b"), "{key}");
    }
}

#[test]
fn every_pickle_protocol_says_the_same_in_both_formats() {
    let expected = json!({
        "epoch": 3,
        "steps": 70_000,
        "far": 1_099_511_627_776_i64,
        "big": "<9 bytes>",
        "flag": true,
        "ratio": 0.25,
        "nothing": null,
        "name": "Größe",
        "raw": "<2 bytes>",
        "pair": [1, "two"],
        "triple": [1, 2.5, [false]],
    });
    for protocol in [1, 2, 4, 5] {
        for format in ["", "_legacy"] {
            let name = format!("protocol{protocol}{format}.pth");
            let state = read(&name);
            let values = |key: &str| {
                let tensor = state.get(key).expect("a weight");
                (tensor.shape().to_vec(), tensor.to_f32_vec().expect("reads"))
            };
            assert_eq!(state.len(), 2, "{name}");
            assert_eq!(values("w"), (vec![2, 3], vec![0.5, -1.5, 2.0, 3.25, -4.0, 5.0]), "{name}");
            assert_eq!(values("b"), (vec![2], vec![0.125, -0.25]), "{name}");
            assert_eq!(state.extra.to_json(), expected, "{name}");
        }
    }
}

#[test]
fn harmless_classes_in_hyper_parameters_are_values() {
    for protocol in [1, 2, 4] {
        let state = read(&format!("hyper_parameters{protocol}.pth"));
        assert_eq!(state.len(), 2);
        let found = state.extra.to_json()["hyper_parameters"].clone();
        let object = |class: &str, items: serde_json::Value| json!({ "__class__": class, "__items__": items });
        assert_eq!(found["mode"], object("project.Mode", json!(["fast"])));
        assert_eq!(found["level"], object("project.Level", json!([3])));
        assert_eq!(found["nested"], object("project.Outer.Inner", json!([1])));
        assert_eq!(found["space"]["rate"], json!(16_000));
        assert_eq!(found["space"]["sizes"], json!([1, 2]));
        assert_eq!(found["partial"], object("functools.partial", json!(["builtins.print"])));
        assert_eq!(found["date"]["__class__"], json!("datetime.datetime"));
        assert_eq!(found["span"], object("datetime.timedelta", json!([0, 3, 0])));
    }
}
