//! Checking an installed Python package against the list of files that it carries.
//!
//! `<package>-<version>.dist-info/RECORD` has a line `path,sha256=..,size` for every file. Sizes
//! are enough to find what an interrupted installation or a full disk leaves behind, and take
//! milliseconds where hashing a gigabyte would take seconds.

use std::fs;
use std::path::Path;

/// Folders that a build reads; the rest of a package (Python sources) may change.
const NEEDED: [&str; 3] = ["torch/lib/", "torch/include/", "nvidia/"];

/// What is wrong with the package whose `dist-info` folder begins with `prefix`, if anything is.
pub(crate) fn first_damage(folder: &Path, prefix: &str) -> Option<String> {
    let package = prefix.trim_end_matches('-');
    let info = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(prefix) && name.ends_with(".dist-info")
    });
    let Some(info) = info else { return Some(format!("the package {package} is missing")) };
    let Ok(record) = fs::read_to_string(info.join("RECORD")) else {
        return Some(format!("the list of files of {package} is missing"));
    };
    record.lines().filter_map(entry).find_map(|(path, size)| {
        let found = fs::metadata(folder.join(path)).map(|meta| meta.len());
        match found {
            Ok(found) if found == size => None,
            Ok(found) => Some(format!("{path} has {found} bytes and should have {size}")),
            Err(_) => Some(format!("{path} is missing")),
        }
    })
}

/// Path and size of a line, if it is a file that a build needs.
fn entry(line: &str) -> Option<(&str, u64)> {
    let (rest, size) = line.rsplit_once(',')?;
    let (path, _hash) = rest.rsplit_once(',')?;
    let path = path.trim_matches('"');
    let needed = NEEDED.iter().any(|folder| path.starts_with(folder)) && !path.ends_with(".pyc");
    if needed { Some((path, size.parse().ok()?)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_record() {
        assert_eq!(
            entry("torch/lib/libc10.so,sha256=PS-_8,1498969"),
            Some(("torch/lib/libc10.so", 1_498_969))
        );
        assert_eq!(entry("\"nvidia/a,b.h\",sha256=x,7"), Some(("nvidia/a,b.h", 7)));
        assert_eq!(entry("torch/nn/init.py,sha256=x,7"), None);
        assert_eq!(entry("torch/lib/x.so,,"), None);
        assert_eq!(entry(""), None);
    }

    #[test]
    fn absent_package_is_damage() {
        let damage = first_damage(&std::env::temp_dir(), "no_such_package-");
        assert_eq!(damage.as_deref(), Some("the package no_such_package is missing"));
    }
}
