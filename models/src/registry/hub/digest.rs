//! Checksums as hubs give them: SHA-256 of large files, git's SHA-1 of a blob for small ones.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// A checksum of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Digest {
    /// SHA-256 of the content.
    Sha256([u8; 32]),
    /// SHA-1 of the content behind git's header, as git names a blob.
    GitBlob([u8; 20]),
}

impl Digest {
    /// From 64 hexadecimal digits (SHA-256) or 40 (git); `None` for anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let bytes: Option<Vec<u8>> = text
            .as_bytes()
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
                _ => None,
            })
            .collect();
        let bytes = bytes?;
        match bytes.len() {
            32 => bytes.try_into().ok().map(Self::Sha256),
            20 => bytes.try_into().ok().map(Self::GitBlob),
            _ => None,
        }
    }

    /// The SHA-256 of bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::Sha256(Sha256::digest(bytes).into())
    }

    /// The SHA-256 of a file.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        Self::Sha256([0; 32]).same_kind_of(path)
    }

    /// Name of the algorithm.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::GitBlob(_) => "git-sha1",
        }
    }

    /// Hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        let bytes: &[u8] = match self {
            Self::Sha256(bytes) => bytes,
            Self::GitBlob(bytes) => bytes,
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The checksum of this kind of a file.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn same_kind_of(self, path: &Path) -> io::Result<Self> {
        let mut file = std::fs::File::open(path)?;
        let mut running = Running::new(self, file.metadata()?.len());
        let mut buffer = vec![0; 1 << 18];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(running.finish()),
                count => running.update(&buffer[..count]),
            }
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex())
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(algorithm, hex)| {
            Self::from_hex(hex).filter(|digest| digest.algorithm() == algorithm)
        });
        parsed.ok_or_else(|| format!("`{text}` is no checksum"))
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// A checksum of bytes that are still coming.
#[derive(Clone)]
pub(super) enum Running {
    Sha256(Sha256),
    GitBlob(Sha1),
}

impl Running {
    /// Of a file whose checksum is not known yet.
    pub(super) fn of_unknown() -> Self {
        Self::Sha256(Sha256::new())
    }

    /// Of the kind of `digest`, for `size` bytes, which git's header holds.
    pub(super) fn new(digest: Digest, size: u64) -> Self {
        match digest {
            Digest::Sha256(_) => Self::Sha256(Sha256::new()),
            Digest::GitBlob(_) => {
                let mut sha1 = Sha1::new();
                sha1.update(format!("blob {size}\0"));
                Self::GitBlob(sha1)
            }
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(running) => running.update(bytes),
            Self::GitBlob(running) => running.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Digest {
        match self {
            Self::Sha256(running) => Digest::Sha256(running.finalize().into()),
            Self::GitBlob(running) => Digest::GitBlob(running.finalize().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const HELLO: &str = "ce013625030ba8dba906f756967f9e9ca394464a";

    fn of(kind: &str, bytes: &[u8]) -> String {
        let digest = Digest::from_hex(kind).expect("hexadecimal");
        let mut running = Running::new(digest, bytes.len() as u64);
        bytes.chunks(2).for_each(|chunk| running.update(chunk));
        running.finish().hex()
    }

    /// FIPS 180-2's example, and what `git hash-object` says.
    #[test]
    fn known_values() {
        assert_eq!(of(ABC, b"abc"), ABC);
        assert_eq!(of(HELLO, b"hello\n"), HELLO);
    }

    #[test]
    fn texts() {
        for hex in [ABC, HELLO] {
            let digest = Digest::from_hex(hex).expect("hexadecimal");
            assert_eq!(digest.to_string().parse(), Ok(digest));
            assert_eq!(Digest::from_hex(&hex.to_uppercase()), Some(digest));
        }
        for bad in ["", "ab", &ABC[1..], &ABC.replace('b', "g"), "äöäöäöäöäöäöäöäöäöäö"]
        {
            assert_eq!(Digest::from_hex(bad), None, "{bad}");
        }
        assert!(format!("sha256:{HELLO}").parse::<Digest>().is_err());
    }

    #[test]
    fn files() {
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), "hello\n").expect("written");
        let digest = Digest::from_hex(HELLO).expect("hexadecimal");
        assert_eq!(digest.same_kind_of(file.path()).expect("read"), digest);
    }
}
