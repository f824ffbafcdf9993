//! Mixtures that lie in files, beside what they are made of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::manifest::Row;

/// The files of a mixture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MixtureFiles {
    /// The mixture.
    pub mixture: PathBuf,
    /// Its parts; at least one.
    pub sources: Vec<PathBuf>,
}

/// The mixtures of a table, by name: rows labelled `mix`, `s1`, `s2`, ... whose files are called
/// `NAME_mix`, `NAME_s1`, ... A mixture without its first part is left out.
#[must_use]
pub fn mixtures_of(rows: impl IntoIterator<Item = Row>) -> Vec<MixtureFiles> {
    let mut groups: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for row in rows {
        let stem = row.path.with_extension("").display().to_string();
        if let Some(name) = stem.strip_suffix(&format!("_{}", row.label)) {
            groups.entry(name.to_owned()).or_default().insert(row.label, row.path);
        }
    }
    let files = |mut files: BTreeMap<String, PathBuf>| {
        let mixture = files.remove("mix")?;
        let sources: Vec<PathBuf> = (1..).map_while(|n| files.remove(&format!("s{n}"))).collect();
        (!sources.is_empty()).then_some(MixtureFiles { mixture, sources })
    };
    groups.into_values().filter_map(files).collect()
}
