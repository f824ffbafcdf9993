//! All published checkpoints, in the order in which tasks and models are met.

use super::{Published, music, sounds, speech};
use crate::checkpoint::Architecture;

/// Architectures without a public checkpoint: their papers came without weights.
pub const UNPUBLISHED: &[Architecture] =
    &[Architecture::MelRoformerMelody, Architecture::Specmaskgit];

/// All published checkpoints.
pub fn published_models() -> impl Iterator<Item = &'static Published> {
    [speech::ROWS, music::ROWS, sounds::ROWS].into_iter().flatten()
}

/// The published checkpoint of this name.
#[must_use]
pub fn published(name: &str) -> Option<&'static Published> {
    published_models().find(|model| model.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Place;
    use super::*;
    use crate::registry::BUNDLED;

    /// Names are typed after `--model`, where a dot or a slash would mean a path.
    #[test]
    fn names_are_plain_and_unique() {
        let mut seen: BTreeSet<&str> = BUNDLED.iter().map(|model| model.name).collect();
        for model in published_models() {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(model.name.chars().all(plain), "{}", model.name);
            assert!(seen.insert(model.name), "{} is there twice", model.name);
            assert_eq!(published(model.name), Some(model));
        }
    }

    #[test]
    fn every_architecture_has_a_checkpoint_or_is_known_to_have_none() {
        let rows: BTreeSet<_> = published_models().map(|m| m.architecture.name()).collect();
        for architecture in Architecture::ALL {
            let none = UNPUBLISHED.contains(architecture);
            assert_ne!(rows.contains(architecture.name()), none, "{architecture}");
        }
    }

    #[test]
    fn rows_are_complete() {
        for model in published_models() {
            let name = model.name;
            assert!(!model.summary.is_empty() && !model.licence.is_empty(), "{name}");
            assert!(model.citation.contains("arXiv"), "{name}");
            assert!((8_000..=48_000).contains(&model.rate), "{name}");
            assert!(model.bytes.is_none_or(|bytes| bytes > 1_000_000), "{name}");
            match model.place {
                Place::HuggingFace { id, revision } => {
                    assert_eq!(id.split('/').count(), 2, "{name}");
                    assert!(revision.is_none_or(crate::registry::hub::is_commit), "{name}");
                    assert!(!model.files.is_empty(), "{name}");
                }
                Place::Url { page, files } => {
                    assert!(page.starts_with("https://") && model.files.is_empty(), "{name}");
                    assert!(!files.is_empty(), "{name}");
                    for file in files {
                        assert!(file.url.starts_with("https://"), "{name}: {}", file.url);
                        assert!(crate::registry::hub::is_safe(file.file), "{name}: {}", file.file);
                    }
                }
                Place::Page { url, item } => {
                    assert!(url.starts_with("https://") && !item.is_empty(), "{name}");
                    assert!(model.files.is_empty() && model.pins.is_empty(), "{name}");
                }
            }
            for pin in model.pins {
                let wanted = model.wanted();
                assert!(wanted.iter().any(|file| file == pin.file), "{name}: {}", pin.file);
                assert_eq!(pin.sha256.is_some(), pin.digest().is_some(), "{name}: {}", pin.file);
            }
            let pinned: u64 = model.pins.iter().map(|pin| pin.bytes).sum();
            let all = model.pins.len() == model.wanted().len() && pinned > 0;
            assert!(!all || model.bytes == Some(pinned), "{name}: {pinned}");
        }
    }
}
