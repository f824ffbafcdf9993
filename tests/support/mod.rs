//! The test kit that all parity tests share: finding golden sets, reading them, comparing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};

/// One set of reference numbers.
pub(crate) struct GoldenSet {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Its `config.json`.
    pub(crate) config: serde_json::Value,
    /// Its `io.safetensors`: inputs, activations, outputs.
    pub(crate) io: BTreeMap<String, Tensor>,
}

impl GoldenSet {
    /// One tensor of the set as float32.
    pub(crate) fn get(&self, name: &str) -> Tensor {
        let tensor = self.io.get(name);
        let tensor = tensor.unwrap_or_else(|| panic!("{}: no `{name}`", self.folder.display()));
        tensor.to_kind(Kind::Float)
    }
}

/// All sets of a model: those in `tests/goldens`, and those in the folder that `FORMANT_GOLDENS`
/// names. Folders of containers and adapters hold no sets of their own.
pub(crate) fn golden_sets(model: &str) -> Vec<GoldenSet> {
    let mut roots = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")];
    if let Some(more) = std::env::var_os("FORMANT_GOLDENS") {
        let more = PathBuf::from(more);
        assert!(more.is_dir(), "FORMANT_GOLDENS: {} is no folder", more.display());
        roots.push(more);
    }
    let mut folders = Vec::new();
    for root in &roots {
        find_sets(&root.join(model), &mut folders);
    }
    assert!(!folders.is_empty(), "no golden set for {model} under {roots:?}");
    folders.into_iter().map(read_set).collect()
}

fn find_sets(folder: &Path, found: &mut Vec<PathBuf>) {
    if folder.join("config.json").is_file() {
        found.push(folder.to_owned());
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut folders: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default();
        if name != "containers" && name != "adapters" {
            find_sets(&folder, found);
        }
    }
}

fn read_set(folder: PathBuf) -> GoldenSet {
    let text =
        std::fs::read_to_string(folder.join("config.json")).expect("config.json is readable");
    let config = serde_json::from_str(&text).expect("config.json is JSON");
    let io = read_tensors(&folder.join("io.safetensors"));
    GoldenSet { folder, config, io }
}

/// All tensors of a safetensors file.
pub(crate) fn read_tensors(path: &Path) -> BTreeMap<String, Tensor> {
    let tensors = Tensor::read_safetensors(path);
    let tensors = tensors.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    tensors.into_iter().collect()
}

/// The largest relative difference, `max|found - wanted| / max|wanted|`, checked against `limit`
/// (2e-5 unless the specification of a model allows more and says why).
#[track_caller]
pub(crate) fn assert_close(name: &str, found: &Tensor, wanted: &Tensor, limit: f64) {
    assert_eq!(found.size(), wanted.size(), "shape of {name}");
    if wanted.numel() == 0 {
        return;
    }
    let (found, wanted) = (found.to_kind(Kind::Double), wanted.to_kind(Kind::Double));
    let scale = wanted.abs().max().double_value(&[]);
    let worst = (found - wanted).abs().max().double_value(&[]);
    assert!(worst <= limit * scale.max(1e-12), "{name}: differs by {worst:.3e}, scale {scale:.3e}");
}
