//! The test kit that all parity tests share: finding golden sets, reading them, comparing.
#![allow(dead_code, reason = "each test program uses a part")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use flate2::read::GzDecoder;
use formant::audio::features::{FeatureConfig, FeaturePlan};
use formant::models::checkpoint::{self, RawTensor};
use serde_json::Value;
use tch::{Kind, Tensor};

/// One set of reference numbers.
pub(crate) struct GoldenSet {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Its `config.json`.
    pub(crate) config: Value,
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

    /// A tensor of integers as a list.
    pub(crate) fn integers(&self, name: &str) -> Vec<i64> {
        let tensor = self.io.get(name);
        let tensor = tensor.unwrap_or_else(|| panic!("{}: no `{name}`", self.folder.display()));
        Vec::try_from(tensor.to_kind(Kind::Int64).view([-1])).expect("a list of integers")
    }

    /// Valid samples of each row of `waveform`: as counted, as a share of the longest row, or all.
    pub(crate) fn valid_samples(&self) -> Vec<i64> {
        let size = self.get("waveform").size();
        let (rows, total) = (size[0], size[1]);
        if self.io.contains_key("waveform_len") {
            return self.integers("waveform_len");
        }
        if !self.io.contains_key("wav_lens") {
            return vec![total; rows as usize];
        }
        let shares = self.get("wav_lens");
        (0..rows).map(|row| (shares.double_value(&[row]) * total as f64).round() as i64).collect()
    }

    /// The valid samples of one row of `waveform`.
    pub(crate) fn clip(&self, row: i64, samples: i64) -> Vec<f32> {
        let clip = self.get("waveform").get(row).narrow(0, 0, samples);
        Vec::try_from(clip).expect("one row")
    }

    /// `preset` with the sizes that the set states in its object `section`, under the names that
    /// the references give them, and with `n_mels` bands.
    pub(crate) fn front_end(
        &self,
        preset: FeatureConfig,
        section: &str,
        n_mels: i64,
    ) -> FeatureConfig {
        let stated = &self.config[section];
        let find = |names: &[&str]| names.iter().find_map(|name| stated[*name].as_f64());
        let mut config = preset;
        let rate = find(&["sample_rate", "sampling_rate"]);
        config.sample_rate = rate.map_or(config.sample_rate, |rate| rate as u32);
        let rate = f64::from(config.sample_rate);
        // Lengths are given in samples or in milliseconds.
        let samples = |names: &[&str], ms: &[&str]| {
            let of_ms = || find(ms).map(|ms| (ms * rate / 1000.0).round());
            find(names).or_else(of_ms).map(|samples| samples as usize)
        };
        let win_length = samples(&["n_window_size"], &["win_ms", "frame_length"]);
        let hop_length = samples(&["n_window_stride"], &["hop_ms", "frame_shift"]);
        let n_fft = find(&["n_fft"]).map(|size| size as usize);
        config.n_fft = match (n_fft, win_length) {
            (Some(size), _) => size,
            // Kaldi's transforms take the next power of two.
            (None, Some(length)) if length != config.win_length => length.next_power_of_two(),
            _ => config.n_fft,
        };
        config.win_length = win_length.unwrap_or(config.win_length);
        config.hop_length = hop_length.unwrap_or(config.hop_length);
        let stated_bands = find(&["n_mels", "num_mel_bins", "nfilt"]);
        let label = self.folder.display();
        assert!(stated_bands.is_none_or(|bands| bands == n_mels as f64), "{label}: bands");
        let mel = config.mel.as_mut().expect("a preset with bands");
        mel.n_mels = n_mels as usize;
        mel.f_min = find(&["f_min", "lowfreq"]).unwrap_or(mel.f_min);
        mel.f_max = find(&["f_max", "highfreq"]).unwrap_or(mel.f_max);
        config
    }
}

/// Features of one signal, `[frames, bins]`.
pub(crate) fn compute(plan: &FeaturePlan, samples: &[f32]) -> Tensor {
    let features = plan.compute(samples).expect("finite samples");
    let (rows, bins) = features.dim();
    let values: Vec<f32> = features.iter().copied().collect();
    Tensor::from_slice(&values).view([rows as i64, bins as i64])
}

/// Runs `check` with libtorch, and the kernels that follow it, on one thread and on two: work is
/// split in other places then. Such tests of one program wait for each other, for the setting is
/// the program's.
pub(crate) fn on_one_and_two_threads(check: impl Fn()) {
    static SETTING: Mutex<()> = Mutex::new(());
    let _held = SETTING.lock().unwrap_or_else(PoisonError::into_inner);
    for threads in [1, 2] {
        let _setting = Threads::set(threads);
        check();
    }
}

/// A number of threads that holds until this is dropped; a failure meanwhile names it.
struct Threads {
    before: i32,
}

impl Threads {
    fn set(now: i32) -> Self {
        let before = tch::get_num_threads();
        tch::set_num_threads(now);
        assert_eq!(tch::get_num_threads(), now, "libtorch takes the number of threads");
        Self { before }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        tch::set_num_threads(self.before);
    }
}

/// Asserts that each tensor of the set was compared, but those whose names begin with one of
/// `others`.
#[track_caller]
pub(crate) fn assert_all_compared(set: &GoldenSet, compared: &[String], others: &[&str]) {
    let missing: Vec<&String> = set
        .io
        .keys()
        .filter(|name| !compared.contains(name))
        .filter(|name| !others.iter().any(|other| name.starts_with(other)))
        .collect();
    assert!(missing.is_empty(), "{}: not compared: {missing:?}", set.folder.display());
}

/// All sets of a model: those in `tests/goldens`, and those in the folder that `FORMANT_GOLDENS`
/// names. Folders of containers and adapters hold no sets of their own.
pub(crate) fn golden_sets(model: &str) -> Vec<GoldenSet> {
    let sets = find_golden_sets(model);
    assert!(!sets.is_empty(), "no golden set for {model}");
    sets
}

/// As [`golden_sets`], where there may be none without `FORMANT_GOLDENS`.
pub(crate) fn find_golden_sets(model: &str) -> Vec<GoldenSet> {
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

/// All tensors of a safetensors file, or of the gzip file `<path>.gz` in its place: the
/// repository keeps its larger sets packed.
pub(crate) fn read_tensors(path: &Path) -> BTreeMap<String, Tensor> {
    let packed = path.with_extension("safetensors.gz");
    let name = path.display();
    if !packed.is_file() {
        let tensors = Tensor::read_safetensors(path);
        return tensors.unwrap_or_else(|e| panic!("{name}: {e}")).into_iter().collect();
    }
    let file = File::open(&packed).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut bytes = Vec::new();
    let unpacked = GzDecoder::new(file).read_to_end(&mut bytes);
    unpacked.unwrap_or_else(|e| panic!("{name}: {e}"));
    let state = checkpoint::read_bytes(bytes, &name.to_string());
    let state = state.unwrap_or_else(|e| panic!("{e}"));
    let tensor = |raw: &RawTensor| raw.to_tensor().unwrap_or_else(|e| panic!("{name}: {e}"));
    state.iter().map(|(key, raw)| (key.to_owned(), tensor(raw))).collect()
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
