//! Inputs that fuzzing found faults with: reading them ends with an error or with weights.

use std::path::{Path, PathBuf};

use formant_models::checkpoint::Container;

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("readable").path()).collect()
}

#[test]
fn what_fuzzing_found_does_no_harm() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions");
    let inputs: Vec<PathBuf> = entries(&folder).iter().flat_map(|target| entries(target)).collect();
    assert!(!inputs.is_empty());
    for input in inputs {
        let Ok(container) = Container::open(&input) else { continue };
        for (name, tensor) in container.parts.iter().flat_map(|part| part.state.iter()) {
            if let Ok(bytes) = tensor.bytes() {
                assert_eq!(bytes.len(), tensor.byte_len(), "{}: {name}", input.display());
            }
        }
    }
}
