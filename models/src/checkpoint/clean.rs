//! Names without what training code wraps around them: data-parallel, compiler, Lightning and
//! moving-average prefixes, second copies, losses, and the two spellings of weight normalisation.

use super::fault::Outcome;
use super::select::select;
use super::state_dict::StateDict;
use super::steps::Step;
use super::weight_norm;
use crate::error::Result;

/// What to do with weight normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightNorm {
    /// Fold it into plain weights.
    #[default]
    Fold,
    /// Keep `weight_g` and `weight_v`; new spellings are still renamed.
    Keep,
}

/// Segments that wrappers put anywhere into a name.
const SEGMENTS: [&str; 4] =
    ["_orig_mod.", "_fsdp_wrapped_module.", "_forward_module.", "_checkpoint_wrapped_module."];

/// Parts of a training module that are no part of the network.
const AUXILIARY: [&str; 4] = ["loss.", "criterion.", "discriminator.", "model_ema."];

/// Cleans all names of `state` and appends what was done to its steps. Cleaning twice changes
/// nothing more.
///
/// # Errors
/// When tensors that have to be read for it (duplicates, weight norm) can't be read.
pub fn clean(state: &mut StateDict, weight_norm: WeightNorm) -> Result<()> {
    clean_names(state)
        .and_then(|()| {
            weight_norm::use_old_names(state);
            match weight_norm {
                WeightNorm::Fold => weight_norm::fold(state, |_| true),
                WeightNorm::Keep => Ok(()),
            }
        })
        .map_err(|fault| fault.at(&state.path))
}

/// The part of [`clean`] that works on names alone.
pub(crate) fn clean_names(state: &mut StateDict) -> Outcome<()> {
    remove_segments(state);
    // Wrappers nest (`module.model.`), but not deeper than this.
    for _ in 0..4 {
        let before = state.steps.len();
        strip_some(state, "module.");
        choose_average(state);
        drop_copies(state, "model.")?;
        drop_auxiliary(state);
        strip_model(state);
        if state.steps.len() == before {
            break;
        }
    }
    select(state);
    Ok(())
}

fn remove_segments(state: &mut StateDict) {
    for segment in SEGMENTS {
        let count = state.names().filter(|name| has_segment(name, segment)).count();
        if count > 0 {
            state.rename(|name| {
                let mut name = name.to_owned();
                while let Some(at) = find_segment(&name, segment) {
                    name.replace_range(at..at + segment.len(), "");
                }
                name
            });
            state.steps.push(Step::Stripped { prefix: segment.into(), count });
        }
    }
}

fn has_segment(name: &str, segment: &str) -> bool {
    find_segment(name, segment).is_some()
}

fn find_segment(name: &str, segment: &str) -> Option<usize> {
    name.match_indices(segment)
        .map(|(at, _)| at)
        .find(|at| *at == 0 || name.as_bytes()[at - 1] == b'.')
}

/// Removes `prefix` from the names that have it, when no two names become equal.
fn strip_some(state: &mut StateDict, prefix: &str) {
    let stripped: Vec<&str> = state.names().filter_map(|name| name.strip_prefix(prefix)).collect();
    let count = stripped.len();
    let clash = stripped.iter().any(|name| name.is_empty() || state.get(name).is_some());
    if count > 0 && !clash {
        state.rename(|name| name.strip_prefix(prefix).unwrap_or(name).to_owned());
        state.steps.push(Step::Stripped { prefix: prefix.into(), count });
    }
}

/// A moving-average wrapper holds the network twice; the average is the one to use.
fn choose_average(state: &mut StateDict) {
    if !state.names().any(|name| name.starts_with("ema_model.")) {
        return;
    }
    let others = ["online_model.", "model.", "initted", "step"];
    if state.names().all(|name| {
        name.starts_with("ema_model.") || others.iter().any(|other| name.starts_with(other))
    }) {
        let before = state.len();
        state.tensors.retain(|name, _| name.starts_with("ema_model."));
        if state.len() < before {
            state.steps.push(Step::Skipped { key: "the weights beside `ema_model.`".into() });
        }
        strip_some(state, "ema_model.");
    }
}

/// Leaves out `prefix` + name where it equals name.
fn drop_copies(state: &mut StateDict, prefix: &str) -> Outcome<()> {
    let mut copies = Vec::new();
    for (name, tensor) in state.iter() {
        let Some(original) = name.strip_prefix(prefix).and_then(|short| state.get(short)) else {
            continue;
        };
        let equal = tensor.same_place(original)
            || tensor.dtype() == original.dtype()
                && tensor.shape() == original.shape()
                && tensor.bytes()? == original.bytes()?;
        if equal {
            copies.push(name.to_owned());
        }
    }
    if !copies.is_empty() {
        let count = copies.len();
        let copies: std::collections::HashSet<String> = copies.into_iter().collect();
        state.tensors.retain(|name, _| !copies.contains(name));
        state.steps.push(Step::Deduplicated { prefix: prefix.into(), count });
    }
    Ok(())
}

fn drop_auxiliary(state: &mut StateDict) {
    for prefix in AUXILIARY {
        let count = state.names().filter(|name| name.starts_with(prefix)).count();
        if count > 0 && count < state.len() {
            state.tensors.retain(|name, _| !name.starts_with(prefix));
            state.steps.push(Step::Skipped { key: prefix.into() });
        }
    }
}

/// `model.` is removed when every name has it, unless it is the network's own list of layers
/// (`model.1.weight`).
fn strip_model(state: &mut StateDict) {
    let all = state.names().all(|name| name.starts_with("model."));
    let numbered = state
        .names()
        .any(|name| name.as_bytes().get("model.".len()).is_some_and(u8::is_ascii_digit));
    if all && !numbered {
        strip_some(state, "model.");
    }
}
