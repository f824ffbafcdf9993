//! What was done on the way from the file to plain weights, so that it can be shown.

use serde::Serialize;

/// One change to names, nesting or values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// The weights lay under this key.
    Unwrapped {
        /// The key.
        key: String,
    },
    /// A part that holds no weights for inference was left out: optimiser state, other networks.
    Skipped {
        /// Its key or prefix.
        key: String,
    },
    /// A prefix was removed from names.
    Stripped {
        /// The prefix.
        prefix: String,
        /// Number of names.
        count: usize,
    },
    /// The weights of one network were taken out of a file with other tensors.
    Selected {
        /// The prefix that its names had.
        prefix: String,
        /// Number of its tensors.
        count: usize,
        /// Number of tensors that were left aside.
        aside: usize,
        /// Some of their names.
        names: Vec<String>,
    },
    /// Second copies of tensors were left out.
    Deduplicated {
        /// The prefix of the copies.
        prefix: String,
        /// Number of tensors.
        count: usize,
    },
    /// Names were mapped to another naming.
    Renamed {
        /// The naming that was found.
        from: String,
        /// Number of names.
        count: usize,
    },
    /// Tensors that the file stores once stand under all their names again.
    Shared {
        /// Number of names.
        count: usize,
    },
    /// Weight normalisation was folded into plain weights.
    Folded {
        /// Number of weights.
        count: usize,
    },
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unwrapped { key } => write!(f, "took the weights under `{key}`"),
            Self::Skipped { key } => write!(f, "left out `{key}`"),
            Self::Stripped { prefix, count } => {
                write!(f, "removed the prefix `{prefix}` from {count} names")
            }
            Self::Selected { prefix, count, aside, names } => {
                let more = if *aside > names.len() { ", ..." } else { "" };
                let names = names.join(", ");
                write!(f, "took the {count} tensors under `{prefix}`, left aside {aside} others")?;
                write!(f, " ({names}{more})")
            }
            Self::Deduplicated { prefix, count } => {
                write!(f, "left out {count} second copies under `{prefix}`")
            }
            Self::Renamed { from, count } => write!(f, "mapped {count} names of {from}"),
            Self::Shared { count } => write!(f, "gave {count} shared tensors their other names"),
            Self::Folded { count } => write!(f, "folded {count} weight normalisations"),
        }
    }
}
