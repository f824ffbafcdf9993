//! What the hub says about a repository: its commit, and each file's size and checksum. The text
//! comes from outside, so that names and numbers are checked before they are used.

use serde::Deserialize;

use super::digest::Digest;

/// Longest answer that is read, in bytes.
pub(super) const MAX_METADATA: u64 = 16 << 20;

/// A repository at one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repository {
    /// The commit, 40 hexadecimal digits.
    pub(super) commit: String,
    /// Its files.
    pub(super) files: Vec<RemoteFile>,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteFile {
    /// Path inside the repository; safe to be put below a folder.
    pub(super) path: String,
    /// Bytes, where the hub says.
    pub(super) size: Option<u64>,
    /// Checksum, where the hub says.
    pub(super) digest: Option<Digest>,
}

#[derive(Deserialize)]
struct Answer {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

/// Reads the answer to a request for `api/models/ID/revision/REV?blobs=true`. Files whose names
/// could lead out of a folder are left out, as if they were not there.
pub(super) fn parse(text: &[u8]) -> Result<Repository, String> {
    let answer: Answer =
        serde_json::from_slice(text).map_err(|error| format!("not the JSON of a hub: {error}"))?;
    if !is_commit(&answer.sha) {
        return Err("the commit is no hexadecimal number of 40 digits".into());
    }
    let files = answer.siblings.into_iter().filter(|file| is_safe(&file.rfilename));
    Ok(Repository {
        commit: answer.sha.to_ascii_lowercase(),
        files: files.map(remote_file).collect::<Result<_, _>>()?,
    })
}

fn remote_file(sibling: Sibling) -> Result<RemoteFile, String> {
    let Sibling { rfilename: path, size, blob_id, lfs } = sibling;
    let wrong = |what: &str| format!("{what} of {path} is malformed");
    let (size, digest) = match lfs {
        // A large file's blob is only a pointer to it, so that git's checksum is not its own.
        Some(lfs) => {
            let sha256 = lfs.sha256.map(|hex| match Digest::from_hex(&hex) {
                Some(digest @ Digest::Sha256(_)) => Ok(digest),
                _ => Err(wrong("the SHA-256")),
            });
            (lfs.size.or(size), sha256.transpose()?)
        }
        None => {
            let blob = blob_id.map(|hex| match Digest::from_hex(&hex) {
                Some(digest @ Digest::GitBlob(_)) => Ok(digest),
                _ => Err(wrong("the blob id")),
            });
            (size, blob.transpose()?)
        }
    };
    Ok(RemoteFile { path, size, digest })
}

/// Whether a text is a commit's full name.
pub(in crate::registry) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a path stays inside the folder that it is put into, on every system.
pub(in crate::registry) fn is_safe(path: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && !part.ends_with(['.', ' '])
            && !part.chars().any(|c| c.is_control() || "\\:*?\"<>|".contains(c))
    };
    path.len() <= 512 && path.split('/').all(plain)
}

/// The checksum in an `ETag` or `X-Linked-Etag`, if it holds one.
pub(super) fn etag_digest(etag: &str) -> Option<Digest> {
    Digest::from_hex(etag.trim().trim_start_matches("W/").trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const COMMIT: &str = "39eb1f25ea84f5e0315ade9ac0070fff216fc690";
    const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const BLOB: &str = "ce013625030ba8dba906f756967f9e9ca394464a";

    fn parsed(answer: &serde_json::Value) -> Result<Repository, String> {
        parse(answer.to_string().as_bytes())
    }

    #[test]
    fn large_and_small_files() {
        let answer = json!({
            "id": "a/b", "sha": COMMIT, "gated": false,
            "siblings": [
                {"rfilename": "w.pt", "size": 9, "blobId": BLOB,
                 "lfs": {"sha256": SHA256, "size": 9, "pointerSize": 135}},
                {"rfilename": "config.json", "size": 6, "blobId": BLOB},
                {"rfilename": "bare.txt"},
                {"rfilename": "../../etc/passwd", "size": 6, "blobId": BLOB},
            ],
        });
        let repository = parsed(&answer).expect("an answer");
        assert_eq!(repository.commit, COMMIT);
        let paths: Vec<&str> = repository.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["w.pt", "config.json", "bare.txt"]);
        assert_eq!(repository.files[0].digest, Digest::from_hex(SHA256));
        assert_eq!(repository.files[1].digest, Digest::from_hex(BLOB));
        assert_eq!((repository.files[2].size, repository.files[2].digest), (None, None));
    }

    #[test]
    fn nonsense_is_refused() {
        let of =
            |sibling: serde_json::Value| parsed(&json!({"sha": COMMIT, "siblings": [sibling]}));
        assert!(of(json!({"rfilename": "a", "size": -1})).is_err());
        assert!(of(json!({"rfilename": "a", "blobId": SHA256})).is_err());
        assert!(of(json!({"rfilename": "a", "lfs": {"sha256": BLOB}})).is_err());
        assert!(parsed(&json!({"sha": "main", "siblings": []})).is_err());
        assert!(parsed(&json!([])).is_err());
        assert!(parse(b"<html>log in</html>").is_err());
    }

    #[test]
    fn names_that_lead_elsewhere() {
        for bad in ["", "/a", "a/", "a//b", "..", "a/../b", "a\\b", "c:x", "a\0b", "a.", "x/. "] {
            assert!(!is_safe(bad), "{bad:?}");
        }
        for good in ["a", ".gitattributes", "a/b c/ü.pt", "...x", &"a".repeat(512)] {
            assert!(is_safe(good), "{good:?}");
        }
    }

    #[test]
    fn checksums_in_headers() {
        for text in [format!("\"{SHA256}\""), format!("W/\"{SHA256}\""), SHA256.to_owned()] {
            assert_eq!(etag_digest(&text), Digest::from_hex(SHA256));
        }
        assert_eq!(etag_digest("\"5d-17\""), None);
    }

    /// Any JSON of about the right form, with any of its parts wrong.
    fn json_like() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i64>().prop_map(|n| json!(n)),
            any::<f64>().prop_map(|x| json!(x)),
            any::<String>().prop_map(|text| json!(text)),
            "[0-9a-fA-F]{0,70}".prop_map(|hex| json!(hex)),
            Just(json!(COMMIT)),
        ];
        let key = prop_oneof![
            Just("sha"),
            Just("siblings"),
            Just("rfilename"),
            Just("size"),
            Just("blobId"),
            Just("lfs"),
            Just("sha256"),
            Just("other"),
        ];
        leaf.prop_recursive(5, 64, 8, move |inner| {
            let object = prop::collection::vec((key.clone(), inner.clone()), 0..8);
            prop_oneof![
                prop::collection::vec(inner, 0..8).prop_map(|list| json!(list)),
                object.prop_map(|pairs| {
                    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
                }),
            ]
        })
    }

    /// Whatever is accepted is usable.
    fn check(text: &[u8]) {
        let Ok(repository) = parse(text) else { return };
        assert!(is_commit(&repository.commit));
        for file in repository.files {
            let path = Path::new(&file.path);
            assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
            assert!(Path::new("folder").join(path).starts_with("folder"));
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            check(&bytes);
        }

        #[test]
        fn any_json(value in json_like(), name in ".{0,40}", size in any::<i64>()) {
            check(value.to_string().as_bytes());
            let answer = json!({"sha": COMMIT, "siblings": [
                {"rfilename": name, "size": size, "lfs": value},
            ]});
            check(answer.to_string().as_bytes());
        }

        #[test]
        fn good_answers_are_read_as_they_are(
            names in prop::collection::btree_set("[a-z]{1,8}(/[a-z0-9_.-]{0,6}[a-z0-9]){0,2}", 1..9),
            size in any::<u64>(),
        ) {
            let siblings: Vec<_> = names
                .iter()
                .map(|name| json!({"rfilename": name, "size": size, "blobId": BLOB}))
                .collect();
            let read = parsed(&json!({"sha": COMMIT, "siblings": siblings})).expect("an answer");
            prop_assert_eq!(read.files.len(), names.len());
            for (file, name) in read.files.iter().zip(&names) {
                prop_assert_eq!((&file.path, file.size), (name, Some(size)));
            }
        }
    }
}
