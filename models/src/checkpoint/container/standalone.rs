//! Names of the stand-alone MossFormer2 packaging, mapped to those of the toolkit's release.

use super::super::state_dict::StateDict;
use super::super::steps::Step;

const NAMES: [(&str, &str); 5] = [
    ("masknet.dual_mdl.0.intra_mdl.mdl.flashT.", "mask_net.mdl.intra_mdl.mossformerM."),
    ("masknet.dual_mdl.0.intra_mdl.mdl.norm.norm.", "mask_net.mdl.intra_mdl.norm."),
    ("masknet.dual_mdl.0.", "mask_net.mdl."),
    ("masknet.", "mask_net."),
    ("encoder.conv1d.", "enc.conv1d."),
];
const BLOCKS: &str = "mask_net.mdl.intra_mdl.mossformerM.layers.";
const FREQUENCIES: &str = "rotary_pos_emb.freqs";

/// Maps the names, when they are of this kind.
pub(super) fn rename(state: &mut StateDict) {
    if !state.names().any(|name| name.starts_with("masknet.dual_mdl.0.")) {
        return;
    }
    let mut count = 0;
    state.rename(|name| {
        let decoder = [("decoder.", "dec.")];
        for (old, new) in NAMES.iter().chain(&decoder) {
            if let Some(rest) = name.strip_prefix(old) {
                count += 1;
                return format!("{new}{rest}");
            }
        }
        name.to_owned()
    });
    state.steps.push(Step::Renamed { from: "the stand-alone MossFormer2 packaging".into(), count });
    share_frequencies(state);
}

/// The blocks share one tensor of rotary frequencies, which some writers store once.
fn share_frequencies(state: &mut StateDict) {
    let of_block = |name: &str| -> Option<String> {
        Some(name.strip_prefix(BLOCKS)?.split_once('.')?.0.to_owned())
    };
    let stored =
        state.iter().find(|(name, _)| name.starts_with(BLOCKS) && name.ends_with(FREQUENCIES));
    let Some(tensor) = stored.map(|(_, tensor)| tensor.clone()) else { return };
    let missing: std::collections::BTreeSet<String> = state
        .names()
        .filter_map(of_block)
        .map(|block| format!("{BLOCKS}{block}.{FREQUENCIES}"))
        .filter(|name| state.get(name).is_none())
        .collect();
    if !missing.is_empty() {
        state.steps.push(Step::Shared { count: missing.len() });
    }
    for name in missing {
        state.insert(name, tensor.clone());
    }
}
