//! Which files of a repository a model needs.

use super::metadata::{RemoteFile, Repository};
use crate::error::HubError;
use crate::registry::published::{Pin, Want};

/// The files that are wanted, in the order of the wishes, with what the program itself knows about
/// them checked.
pub(super) fn select(
    repository: &Repository,
    shown: &str,
    wants: &[Want],
    pins: &[Pin],
) -> Result<Vec<RemoteFile>, HubError> {
    let find = |name: &str| repository.files.iter().find(|file| file.path == name);
    let mut chosen: Vec<RemoteFile> = Vec::new();
    for want in wants {
        let found: Vec<&RemoteFile> = match want {
            Want::File(name) => find(name).into_iter().collect(),
            Want::FirstOf(names) => names.iter().find_map(|name| find(name)).into_iter().collect(),
            Want::IfThere(name) => match find(name) {
                Some(file) => vec![file],
                None => continue,
            },
            Want::Ending(ending) => repository
                .files
                .iter()
                .filter(|file| !file.path.contains('/') && file.path.ends_with(ending))
                .collect(),
        };
        let [file] = found.as_slice() else {
            let count = if found.is_empty() { "" } else { " (several match)" };
            return Err(HubError::NoFile {
                repository: shown.to_owned(),
                wanted: format!("{want}{count}"),
            });
        };
        if !chosen.iter().any(|known| known.path == file.path) {
            chosen.push((*file).clone());
        }
    }
    for file in &mut chosen {
        if let Some(pin) = pins.iter().find(|pin| pin.file == file.path) {
            apply(pin, file)?;
        }
    }
    Ok(chosen)
}

/// Where the program knows size and checksum, a hub that says otherwise is not believed.
fn apply(pin: &Pin, file: &mut RemoteFile) -> Result<(), HubError> {
    let mismatch = |what, found: String, expected: String| HubError::Mismatch {
        file: file.path.clone(),
        what,
        found,
        expected,
        announced_by: "this program",
    };
    if let Some(size) = file.size.filter(|&size| size != pin.bytes) {
        return Err(mismatch("size", format!("{size} bytes"), format!("{} bytes", pin.bytes)));
    }
    let pinned = pin.digest();
    if let (Some(found), Some(pinned)) = (file.digest, pinned)
        && found != pinned
    {
        return Err(mismatch(pinned.algorithm(), found.hex(), pinned.hex()));
    }
    file.size = Some(pin.bytes);
    file.digest = pinned.or(file.digest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::digest::Digest;
    use super::*;

    const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn chosen(names: &[&str], wants: &[Want]) -> Result<Vec<String>, HubError> {
        let file = |name: &&str| RemoteFile { path: (*name).into(), size: Some(3), digest: None };
        let repository =
            Repository { commit: String::new(), files: names.iter().map(file).collect() };
        let files = select(&repository, "a/b", wants, &[])?;
        Ok(files.into_iter().map(|file| file.path).collect())
    }

    #[test]
    fn wishes() {
        let wants = [
            Want::File("config.json"),
            Want::FirstOf(&["model.safetensors", "pytorch_model.bin"]),
            Want::IfThere("labels.txt"),
        ];
        let all = ["config.json", "model.safetensors", "pytorch_model.bin", "labels.txt", "x"];
        let names = chosen(&all, &wants).expect("all there");
        assert_eq!(names, ["config.json", "model.safetensors", "labels.txt"]);
        let names = chosen(&["config.json", "pytorch_model.bin"], &wants).expect("enough");
        assert_eq!(names, ["config.json", "pytorch_model.bin"]);
        let error = chosen(&["config.json"], &wants).expect_err("no weights").to_string();
        assert!(error.contains("model.safetensors or pytorch_model.bin"), "{error}");
        let nemo = [Want::Ending(".nemo")];
        assert_eq!(chosen(&["a.nemo", "b/c.nemo"], &nemo).expect("one"), ["a.nemo"]);
        assert!(chosen(&["a.nemo", "b.nemo"], &nemo).is_err());
        assert!(chosen(&[], &nemo).is_err());
    }

    #[test]
    fn a_hub_that_contradicts_the_program_is_not_believed() {
        let pins = [Pin { file: "w.pt", bytes: 3, sha256: Some(SHA256) }];
        let of = |size, digest: Option<&str>| {
            let digest = digest.and_then(Digest::from_hex);
            let files = vec![RemoteFile { path: "w.pt".into(), size, digest }];
            let repository = Repository { commit: String::new(), files };
            select(&repository, "a/b", &[Want::File("w.pt")], &pins)
        };
        let file = of(None, None).expect("the pin says it").remove(0);
        assert_eq!((file.size, file.digest), (Some(3), Digest::from_hex(SHA256)));
        assert!(of(Some(3), Some(SHA256)).is_ok());
        assert!(of(Some(4), None).is_err());
        let other = SHA256.replace('b', "c");
        let error = of(Some(3), Some(&other)).expect_err("other content").to_string();
        assert!(error.contains("w.pt") && error.contains("this program"), "{error}");
    }
}
