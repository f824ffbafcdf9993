//! Memory while a checkpoint is loaded: each weight is allocated once, and a clone of a loaded
//! network allocates none.
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::process::Command;

use formant_models::arch::mel_roformer::{MelRoformer, MelRoformerConfig, StemsCard};
use formant_models::{Model, ModelSource};
use tch::{Device, Kind};

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a known line");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    kib * 1024.0
}

/// Set in the process that loads: the checkpoint to load.
const CHECKPOINT: &str = "FORMANT_TEST_CHECKPOINT";

/// Writes in one process and loads in another, as memory that the writing leaves to the allocator
/// would hide what the loading takes.
#[test]
fn loading_takes_little_more_than_the_weights_and_clones_take_nothing() {
    if let Some(path) = std::env::var_os(CHECKPOINT) {
        return load_and_measure(path.into());
    }
    let config = MelRoformerConfig { dim: 256, depth: 3, ..MelRoformerConfig::default() };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.safetensors");
    let model = Model::<MelRoformer>::random(StemsCard::of_config(config), Device::Cpu);
    model.expect("sound sizes").save(&path, Kind::Float).expect("written");
    let mut loading = Command::new(std::env::current_exe().expect("this test"));
    let loaded = loading.env(CHECKPOINT, path).output().expect("it starts");
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stdout));
}

fn load_and_measure(path: PathBuf) {
    let size = std::fs::metadata(&path).expect("written").len() as f64;
    assert!(size > 100e6, "{size} bytes are too few to measure");
    // As the program does; and the first network takes memory of libtorch's own.
    let _kept = formant_kernels::allocator::keep_large_blocks();
    let config = MelRoformerConfig { dim: 16, depth: 1, ..MelRoformerConfig::default() };
    let small = Model::<MelRoformer>::random(StemsCard::of_config(config), Device::Cpu);
    drop(small.expect("sound sizes"));
    let before = status("VmRSS:");
    let source = ModelSource::Path(path);
    let model = Model::<MelRoformer>::load(&source, Device::Cpu).expect("read");
    let peak = status("VmHWM:") - before;
    assert!(peak <= 1.15 * size, "{:.0} MB for {:.0} MB", peak / 1e6, size / 1e6);
    let before = status("VmRSS:");
    let clones: Vec<_> = (0..8).map(|_| model.network.clone()).collect();
    let grown = status("VmRSS:") - before;
    assert_eq!(clones.len(), 8);
    assert!(grown < 0.05 * size, "{:.0} MB for eight clones", grown / 1e6);
}
