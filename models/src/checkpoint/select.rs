//! The network among other tensors: where names of different kinds stand side by side (a buffer
//! beside `model.`, a generator beside its discriminator, several networks in a list), the largest
//! group below one prefix that an architecture accepts is taken, and what is left aside is reported.

use std::collections::BTreeMap;

use super::glob;
use super::state_dict::StateDict;
use super::steps::Step;
use super::table::{TABLE, row_of};

/// Most prefixes that are tried.
const MAX_CANDIDATES: usize = 64;
/// How many of the names that are left aside a report shows.
const SHOWN: usize = 4;

/// Takes the network out of `state`, when the names as a whole are those of none.
pub(super) fn select(state: &mut StateDict) {
    let prefixes = match row_of(state) {
        None => candidates(state),
        // Patterns that begin with a star also accept names with a prefix.
        Some(row) if row.adopt.is_some() => vec!["model.".to_owned()],
        Some(_) => return,
    };
    let mut best: Option<(usize, String, StateDict)> = None;
    for prefix in prefixes {
        let inside = state.scoped(&prefix);
        // Of equal ones an average is better than what it averages, then the first in the file.
        let size = 2 * inside.len() + usize::from(prefix.contains("ema"));
        if best.as_ref().is_none_or(|(most, ..)| size > *most) && row_of(&inside).is_some() {
            best = Some((size, prefix, inside));
        }
    }
    let Some((_, prefix, inside)) = best else { return };
    let (count, aside) = (inside.len(), state.len() - inside.len());
    let others = state.names().filter(|name| !name.starts_with(&prefix));
    let names = others.take(SHOWN).map(str::to_owned).collect();
    state.tensors = inside.tensors;
    state.steps.push(match aside {
        0 => Step::Stripped { prefix, count },
        _ => Step::Selected { prefix, count, aside, names },
    });
}

/// Prefixes below which a name tells of a network, in the order of the file.
fn candidates(state: &StateDict) -> Vec<String> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for row in TABLE {
        let landmark = row.landmark().trim_start_matches('*');
        let start = landmark.split('*').next().unwrap_or_default();
        for (place, name) in state.names().enumerate() {
            for (at, _) in name.match_indices(start) {
                let fits = at > 0
                    && name.as_bytes()[at - 1] == b'.'
                    && glob::matches(landmark, &name[at..]);
                if fits && found.len() < MAX_CANDIDATES {
                    found.entry(name[..at].to_owned()).or_insert(place);
                }
            }
        }
    }
    let mut prefixes: Vec<(String, usize)> = found.into_iter().collect();
    prefixes.sort_by_key(|(_, place)| *place);
    prefixes.into_iter().map(|(prefix, _)| prefix).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::tensor::RawTensor;

    const GENERATOR: [&str; 4] =
        ["conv_pre.weight", "ups.0.weight", "resblocks.0.convs1.0.weight", "conv_post.weight"];

    fn state(groups: &[(&str, &[&str])]) -> StateDict {
        let mut state = StateDict::default();
        for (prefix, names) in groups {
            for name in *names {
                let tensor = RawTensor::from_f32(vec![1], &[1.0]).expect("fits");
                state.insert(format!("{prefix}{name}"), tensor);
            }
        }
        state
    }

    #[test]
    fn the_largest_group_that_is_a_network_wins() {
        let small = &GENERATOR[..];
        let large = [small, &["conv_pre.bias"]].concat();
        let mut found = state(&[
            ("window", &[""]),
            ("nets.0.", small),
            ("nets.1.", &large),
            ("mpd.", &["a", "b", "c", "d", "e", "f", "g"]),
        ]);
        select(&mut found);
        let names: Vec<&str> = found.names().collect();
        assert_eq!(names, large);
        let Some(Step::Selected { prefix, count, aside, names }) = found.steps.last() else {
            panic!("{:?}", found.steps)
        };
        assert_eq!((prefix.as_str(), *count, *aside), ("nets.1.", 5, 12));
        assert_eq!(names[..2], ["window", "nets.0.conv_pre.weight"]);
    }

    #[test]
    fn what_is_a_network_as_a_whole_stays_so() {
        for groups in [&[("", &GENERATOR[..]), ("extra", &[""])][..], &[("a.", &["b", "c"])]] {
            let mut found = state(groups);
            let before: Vec<String> = found.names().map(str::to_owned).collect();
            select(&mut found);
            assert!(found.steps.is_empty() && found.names().eq(before.iter().map(String::as_str)));
        }
    }

    #[test]
    fn of_equal_ones_the_average_wins() {
        let mut found = state(&[("online.", &GENERATOR), ("ema.", &GENERATOR), ("x", &[""])]);
        select(&mut found);
        assert!(
            matches!(found.steps.last(), Some(Step::Selected { prefix, .. }) if prefix == "ema.")
        );
    }
}
