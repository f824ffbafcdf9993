//! S13, checkpoints in disguise: one network from all its containers, and the three that must
//! fail, each with an error that says why.

use std::io::Write;
use std::path::{Path, PathBuf};

use formant_models::Error;
use formant_models::checkpoint::{FitOptions, load_into, read_state_dict};
use tch::nn::{self, Module, VarStore};
use tch::{Device, Tensor};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints").join(name)
}

fn network() -> (VarStore, impl Fn(&Tensor) -> Tensor) {
    let store = VarStore::new(Device::Cpu);
    let root = store.root();
    let padded = nn::ConvConfig { padding: 1, ..Default::default() };
    let conv = nn::conv1d(&root / "conv", 3, 4, 3, padded);
    let out = nn::conv1d(&root / "out", 4, 2, 1, Default::default());
    (store, move |x: &Tensor| out.forward(&conv.forward(x).relu()))
}

fn load(name: &str) -> Result<Tensor, Error> {
    let io = read_state_dict(sample("s13_io.safetensors"))?;
    let input = io.get("input").expect("input").to_tensor()?;
    let (mut store, forward) = network();
    load_into(&mut store, &read_state_dict(sample(name))?, &FitOptions::default())?;
    Ok(tch::no_grad(|| forward(&input)))
}

#[test]
fn s13_all_disguises_give_the_same_output() {
    let io = read_state_dict(sample("s13_io.safetensors")).expect("reads");
    let expected = io.get("output").expect("output").to_tensor().expect("tensor");
    for name in [
        "s13_plain.safetensors",
        "s13_module.pth",
        "s13_lightning.ckpt",
        "s13_weight_norm_old.pth",
        "s13_weight_norm_new.pth",
        "whole_module.pth",
    ] {
        let output = load(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let distance = (&output - &expected).abs().max().double_value(&[]);
        assert!(distance <= 1e-6, "{name}: {distance}");
    }
}

#[test]
fn s13_hyper_parameters_are_kept_beside_the_weights() {
    let state = read_state_dict(sample("s13_lightning.ckpt")).expect("reads");
    assert_eq!(
        state.extra.to_json(),
        serde_json::json!({
            "epoch": 3,
            "global_step": 1200,
            "pytorch-lightning_version": "2.5.0",
            "hyper_parameters": {
                "lr": 0.001,
                "net": { "__class__": "argparse.Namespace", "width": 4, "kernel": 3 },
            },
        })
    );
}

#[test]
fn s13_three_problems_come_in_one_error_and_nothing_is_copied() {
    let (mut store, _) = network();
    let before = store.variables()["conv.weight"].copy();
    let state = read_state_dict(sample("s13_misfit.pth")).expect("reads");
    let error = load_into(&mut store, &state, &FitOptions::default()).expect_err("misfit");
    let Error::Mismatch(report) = &error else { panic!("{error}") };
    assert_eq!(report.missing, ["conv.bias"]);
    assert_eq!(report.unexpected, ["extra.weight"]);
    assert_eq!(report.wrong_shape.len(), 1);
    let message = format!(
        "{}: the checkpoint does not fit the network: 2 matched; 1 missing in the file: \
         conv.bias; 1 unexpected in the file: extra.weight; 1 of wrong shape: out.weight \
         (network [2, 4, 1], file [2, 5, 1])",
        sample("s13_misfit.pth").display()
    );
    assert_eq!(error.to_string(), message);
    assert_eq!(store.variables()["conv.weight"], before);
}

#[test]
fn s13_ignored_patterns_make_a_misfit_acceptable() {
    let (mut store, _) = network();
    let state = read_state_dict(sample("s13_misfit.pth")).expect("reads");
    let options = FitOptions::default().ignoring(&["extra.*", "conv.bias", "out.weight"]);
    let report = load_into(&mut store, &state, &options).expect("fits");
    assert_eq!(report.matched, 2);
    assert_eq!(report.ignored, ["conv.bias", "out.weight", "extra.weight"]);
}

#[test]
fn s13_a_truncated_archive_is_called_damaged() {
    let folder = tempfile::tempdir().expect("folder");
    let whole = std::fs::read(sample("s13_module.pth")).expect("reads");
    let path = folder.path().join("cut.pth");
    for keep in [30, whole.len() / 2, whole.len() - 30] {
        std::fs::write(&path, &whole[..keep]).expect("writes");
        let error = read_state_dict(&path).expect_err("truncated");
        assert!(matches!(error, Error::Damaged { .. }), "{keep}: {error}");
        assert!(error.to_string().contains("damaged"), "{error}");
    }
}

#[test]
fn s13_a_command_in_a_pickle_is_refused_by_name_and_not_run() {
    let folder = tempfile::tempdir().expect("folder");
    let marker = folder.path().join("marker");
    let command = format!("touch {}", marker.display());
    for (module, name) in [("posix", "system"), ("os", "system"), ("builtins", "exec")] {
        let mut pickle = format!("\u{0}\u{2}c{module}\n{name}\nX").into_bytes();
        pickle[0] = 0x80;
        pickle.extend((command.len() as u32).to_le_bytes());
        pickle.extend(command.as_bytes());
        pickle.extend(b"\x85R.");
        let path = folder.path().join("evil.pth");
        let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).expect("creates"));
        let stored = zip::write::SimpleFileOptions::default();
        archive.start_file("archive/data.pkl", stored).expect("starts");
        archive.write_all(&pickle).expect("writes");
        archive.finish().expect("finishes");

        let error = read_state_dict(&path).expect_err("refused");
        let Error::Refused { global, .. } = &error else { panic!("{error}") };
        assert_eq!(global, &format!("{module}.{name}"));
        assert!(error.to_string().contains(&format!("`{module}.{name}`")), "{error}");
        assert!(!marker.exists());
    }
}
