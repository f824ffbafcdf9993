//! Folders and archives of all toolkits open, are recognised, and give their parts, configs and
//! other files. Files that are too large for the repository are tested when `FORMANT_GOLDENS`
//! names a folder that has them.

mod checkpoint_support;

use std::path::{Path, PathBuf};

use checkpoint_support::tar::tar;
use formant_models::Error;
use formant_models::checkpoint::{
    Architecture, Container, ContainerKind, WeightNorm, clean, describe, detect, read_state_dict,
};

fn roots() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens");
    std::iter::once(here).chain(std::env::var_os("FORMANT_GOLDENS").map(PathBuf::from)).collect()
}

fn goldens(path: &str) -> Vec<PathBuf> {
    roots().iter().map(|root| root.join(path)).filter(|p| p.exists()).collect()
}

fn golden(path: &str) -> PathBuf {
    goldens(path).first().cloned().unwrap_or_else(|| panic!("{path} is in no golden folder"))
}

fn open(path: &Path) -> Container {
    Container::open(path).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_speechbrain_folder_has_its_modules_and_its_config() {
    let container = open(&golden("ecapa-tdnn/containers"));
    assert_eq!(container.kind, ContainerKind::SpeechBrain);
    let names: Vec<_> = container.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["classifier", "embedding_model", "mean_var_norm_emb"]);
    let found = detect(container.state_dict().expect("weights")).expect("known");
    assert_eq!((found.architecture, found.layout), (Architecture::EcapaTdnn, "speechbrain"));
    let config = container.config("hyperparams.yaml").expect("config");
    assert_eq!(config["embedding_model"]["channels"], serde_json::json!([40, 40, 40, 40, 96]));
    assert_eq!(config["embedding_model"]["input_size"], "<n_mels>");
    assert!(container.part("classifier").expect("part").get("weight").is_some());
    assert!(
        String::from_utf8_lossy(&container.file("label_encoder.txt").expect("text")).contains("=>")
    );
    let error = container.part("decoder").expect_err("absent").to_string();
    assert!(error.contains("embedding_model"), "{error}");
}

#[test]
fn a_nemo_archive_gives_weights_config_and_tokenizer() {
    for path in goldens("squeezeformer/containers/tiny.nemo") {
        let container = open(&path);
        assert_eq!(container.kind, ContainerKind::Nemo);
        let found = detect(container.state_dict().expect("weights")).expect("known");
        assert_eq!((found.architecture, found.layout), (Architecture::Squeezeformer, "nemo"));
        assert!(!container.file("_tokenizer.model").expect("tokenizer").is_empty());
        let vocabulary =
            container.config("model_config.yaml").expect("config")["decoder"]["vocabulary"].clone();
        // `- n` is the piece, not the truth value of YAML 1.1.
        assert!(vocabulary.as_array().expect("list").iter().all(serde_json::Value::is_string));
    }
}

#[test]
fn a_gzipped_archive_and_an_unpacked_one_equal_the_plain_one() {
    let weights = golden("lmuformer/containers/best_model.pth");
    let folder = tempfile::tempdir().expect("folder");
    let unpacked = folder.path().join("unpacked");
    std::fs::create_dir(&unpacked).expect("creates");
    std::fs::copy(&weights, unpacked.join("model_weights.ckpt")).expect("copies");
    std::fs::write(unpacked.join("model_config.yaml"), "sample_rate: 16000\n").expect("writes");
    let members: Vec<(String, Vec<u8>)> = ["model_config.yaml", "model_weights.ckpt"]
        .map(|name| (format!("./{name}"), std::fs::read(unpacked.join(name)).expect("reads")))
        .into();
    let plain = tar(&members);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &plain).expect("packs");
    let plain_path = folder.path().join("plain.nemo");
    let gzip_path = folder.path().join("gzip.nemo");
    std::fs::write(&plain_path, plain).expect("writes");
    std::fs::write(&gzip_path, gzip.finish().expect("packs")).expect("writes");

    let expected = read_state_dict(&weights).expect("reads");
    for path in [&unpacked, &plain_path, &gzip_path] {
        let container = open(path);
        assert_eq!(container.kind, ContainerKind::Nemo, "{}", path.display());
        assert_eq!(container.config("model_config.yaml").expect("config")["sample_rate"], 16000);
        let state = container.state_dict().expect("weights");
        for (name, tensor) in expected.iter() {
            let found = state.get(name).expect("same names").bytes().expect("reads");
            assert_eq!(found, tensor.bytes().expect("reads"), "{}: {name}", path.display());
        }
    }
}

#[test]
fn modelscope_parts_join_to_the_names_of_the_whole_network() {
    let container = open(&golden("mossformer-checkpoints/modelscope_mossformer"));
    assert_eq!(container.kind, ContainerKind::ModelScope);
    assert!(container.part("encoder").expect("part").get("conv1d.weight").is_some());
    let state = container.state_dict().expect("joined");
    for name in ["encoder.conv1d.weight", "decoder.weight", "mask_net.conv1d_encoder.weight"] {
        assert!(state.get(name).is_some(), "{name}");
    }
    assert_eq!(detect(state).expect("known").architecture, Architecture::Mossformer);
    assert_eq!(container.config("configuration.json").expect("config")["model"]["num_spks"], 2);
    for whole in goldens("mossformer/weights.safetensors") {
        assert_same_weights(state, &read_state_dict(whole).expect("reads"));
    }
}

fn assert_same_weights(
    found: &formant_models::checkpoint::StateDict,
    expected: &formant_models::checkpoint::StateDict,
) {
    let mut found = found.clone();
    clean(&mut found, WeightNorm::Keep).expect("cleans");
    let mut names: Vec<_> = found.names().collect();
    let mut wanted: Vec<_> = expected.names().collect();
    names.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    for (name, tensor) in expected.iter() {
        let bytes = found.get(name).expect("same names").bytes().expect("reads");
        assert_eq!(bytes, tensor.bytes().expect("reads"), "{name}");
    }
}

#[test]
fn clearervoice_folders_follow_their_pointer() {
    let container = open(&golden("mossformer-checkpoints/sr_48k"));
    assert_eq!(container.kind, ContainerKind::ClearerVoice);
    let names: Vec<_> = container.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["mossformer", "generator"]);
    let state = container.state_dict().expect("joined");
    assert_eq!(detect(state).expect("known").architecture, Architecture::HifiSr);
    for (part, layout) in [("mossformer", "encoder"), ("generator", "generator")] {
        let found = detect(container.part(part).expect("part")).expect("known");
        assert_eq!((found.architecture, found.layout), (Architecture::HifiSr, layout));
    }
    for whole in goldens("mossformer2-sr/weights.safetensors") {
        assert_same_weights(state, &read_state_dict(whole).expect("reads"));
    }
    let pointer = open(&golden("mossformer-checkpoints/sr_48k").join("last_best_checkpoint"));
    assert_eq!(pointer.parts.len(), 2);
    for (folder, architecture, whole) in [
        ("ss_16k", Architecture::Mossformer2Ss, "mossformer2-ss/weights.safetensors"),
        ("se_48k", Architecture::Mossformer2Se, "mossformer2-se/weights.safetensors"),
    ] {
        for path in goldens(&format!("mossformer-checkpoints/{folder}")) {
            let container = open(&path);
            let state = container.state_dict().expect("weights");
            assert_eq!(detect(state).expect("known").architecture, architecture, "{folder}");
            for whole in goldens(whole) {
                assert_same_weights(state, &read_state_dict(whole).expect("reads"));
            }
        }
    }
}

#[test]
fn stand_alone_mossformer2_gets_the_names_of_the_release() {
    for path in goldens("mossformer-checkpoints/standalone_whamr_2spk") {
        let container = open(&path);
        assert_eq!(container.kind, ContainerKind::MossFormer2Standalone);
        let state = container.state_dict().expect("weights");
        assert_eq!(detect(state).expect("known").layout, "reference");
        let block = "mask_net.mdl.intra_mdl.mossformerM.layers";
        for name in ["0.rotary_pos_emb.freqs", "1.rotary_pos_emb.freqs"] {
            assert!(state.get(&format!("{block}.{name}")).is_some(), "{name}");
        }
        for whole in goldens("mossformer2-ss/weights.safetensors") {
            assert_same_weights(state, &read_state_dict(whole).expect("reads"));
        }
        assert!(container.config("config.json").is_some());
        // The older route: three files without a common prefix.
        let parts = ["encoder.ckpt", "decoder.ckpt", "masknet.ckpt"];
        if parts.iter().all(|name| path.join(name).exists()) {
            let folder = tempfile::tempdir().expect("folder");
            for name in parts {
                std::fs::copy(path.join(name), folder.path().join(name)).expect("copies");
            }
            let three = open(folder.path());
            assert_eq!(three.kind, ContainerKind::MossFormer2Standalone);
            assert_same_weights(three.state_dict().expect("joined"), state);
        }
    }
}

#[test]
fn hub_and_adapter_folders_open() {
    let container = open(&golden("ast/containers/hf"));
    assert_eq!(container.kind, ContainerKind::HuggingFace);
    let found = detect(container.state_dict().expect("weights")).expect("known");
    assert_eq!((found.architecture, found.layout), (Architecture::Ast, "hugging face"));
    assert!(container.config("preprocessor_config.json").is_some());
    for (folder, layout) in [("original", "original"), ("petl", "adapter")] {
        let container = open(&golden(&format!("ast/containers/{folder}")));
        assert_eq!(container.kind, ContainerKind::Folder);
        let found = detect(container.state_dict().expect("weights")).expect("known");
        assert_eq!((found.architecture, found.layout), (Architecture::Ast, layout));
    }
    for folder in ["peft", "peft-transformers4"] {
        let container = open(&golden(&format!("ast/containers/{folder}")));
        assert_eq!(container.kind, ContainerKind::Peft);
        let found = detect(container.state_dict().expect("weights")).expect("known");
        assert_eq!((found.architecture, found.layout), (Architecture::Ast, "peft"));
    }
}

#[test]
fn a_split_hub_checkpoint_is_joined() {
    let folder = tempfile::tempdir().expect("folder");
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints");
    std::fs::copy(samples.join("s13_plain.safetensors"), folder.path().join("a.safetensors"))
        .expect("copies");
    std::fs::copy(samples.join("s13_io.safetensors"), folder.path().join("b.safetensors"))
        .expect("copies");
    let index = r#"{"weight_map": {"conv.weight": "a.safetensors", "input": "b.safetensors"}}"#;
    std::fs::write(folder.path().join("model.safetensors.index.json"), index).expect("writes");
    std::fs::write(folder.path().join("config.json"), "{}").expect("writes");
    let container = open(folder.path());
    let state = container.state_dict().expect("joined");
    assert_eq!(state.len(), 6);
}

#[test]
fn single_files_find_their_configs_and_are_recognised() {
    for (path, architecture) in [
        ("lmuformer/containers/best_model.pth", Architecture::Lmuformer),
        ("lmuformer/weights.safetensors", Architecture::Lmuformer),
        ("lmuformer/spiking/weights.safetensors", Architecture::LmuformerSpiking),
        ("ecapa-tdnn/wespeaker/weights.safetensors", Architecture::EcapaTdnn),
        ("squeezeformer/weights.safetensors", Architecture::Squeezeformer),
        ("squeezeformer/wenet/weights.safetensors", Architecture::Squeezeformer),
        ("mossformer2-sr/weights.safetensors", Architecture::HifiSr),
        ("mel-roformer/containers/plain.ckpt", Architecture::MelRoformer),
        ("mel-roformer/kim-stereo-60band/weights.safetensors", Architecture::MelRoformer),
        (
            "mel-roformer/lucidrains-1.1-value-residual/weights.safetensors",
            Architecture::MelRoformer,
        ),
        (
            "mel-roformer-melody/mono-16k-contour/weights.safetensors",
            Architecture::MelRoformerMelody,
        ),
        ("periodwave-turbo/containers/G_274000.pth", Architecture::PeriodwaveTurbo),
        ("periodwave-turbo/encodec/weights.safetensors", Architecture::PeriodwaveTurbo),
        ("specmaskgit/transformer-sample/weights.safetensors", Architecture::Specmaskgit),
        ("specmaskgit/containers/codebook_last.ckpt", Architecture::Specvqgan),
        ("specmaskgit/containers/transformer_with_first_stage.ckpt", Architecture::Specvqgan),
        ("specmaskgit/containers/clap_tiny.pt", Architecture::Clap),
        ("specmaskgit/containers/best_netG.pt", Architecture::Melgan),
        ("specmaskgit/containers/g_02500000", Architecture::HifiGan),
        ("specmaskgit/vocoder-bigvsan/weights.safetensors", Architecture::Bigvgan),
        ("ast/weights.safetensors", Architecture::Ast),
    ] {
        for file in goldens(path) {
            let found = detect(open(&file).state_dict().expect("weights"));
            assert_eq!(found.map(|found| found.architecture), Some(architecture), "{path}");
        }
    }
    for file in goldens("periodwave-turbo/containers/G_274000.pth") {
        assert!(open(&file).config("config.json").is_some());
    }
    let unknown = read_state_dict(golden("mel-roformer/containers/io.safetensors")).expect("reads");
    assert_eq!(detect(&unknown), None);
}

#[test]
fn a_numpy_scalar_file_is_an_array() {
    let container = open(&golden("periodwave-turbo/containers/energy_max_train.npy"));
    assert_eq!(container.kind, ContainerKind::Npy);
    let state = container.state_dict().expect("array");
    let array = state.get("array").expect("array");
    assert!(array.shape().is_empty());
    assert!((array.to_f32_vec().expect("reads")[0] - 9.124_346).abs() < 1e-5);
}

#[test]
fn folders_without_or_with_many_weights_say_what_to_do() {
    let folder = tempfile::tempdir().expect("folder");
    let error = Container::open(folder.path()).expect_err("empty");
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    let error = Container::open(golden("mel-roformer/containers")).expect_err("several");
    assert!(error.to_string().contains("name one of them"), "{error}");
    std::fs::write(folder.path().join("last_best_checkpoint"), "../x/gone.pt\n").expect("writes");
    let error = Container::open(folder.path()).expect_err("pointer to nothing");
    assert!(error.to_string().contains("gone.pt"), "{error}");
}

#[test]
fn a_description_lists_everything_and_reads_no_tensor() {
    let text = describe(golden("lmuformer/containers/best_model.pth")).expect("reads").to_string();
    for part in ["torch file (zip)", "lmuformer (reference)", "complex64", "`module.`"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let description = describe(golden("mossformer-checkpoints/sr_48k")).expect("reads");
    let json = serde_json::to_value(&description).expect("plain data");
    assert_eq!(json["parts"][1]["steps"][1]["step"], "folded");
    assert_eq!(json["detection"]["architecture"], "hifi-sr");
    assert_eq!(json["parts"][0]["tensors"][0]["dtype"], "f32");
}
