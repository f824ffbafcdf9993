//! Which model an embedding is of: a text that changes with the weights.
//!
//! It holds a checksum of 64 bits, which was all of it in files of earlier versions, and behind that
//! a part of the weights' SHA-256. Files of either form can be read.

use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tch::nn::VarStore;

use crate::checkpoint::RawTensor;
use crate::error::Result;

const PREFIX: &str = "ecapa-tdnn-";

/// Hexadecimal digits of the checksum.
const CHECKSUM: usize = 16;

/// Bytes of the SHA-256 that are kept.
const DIGEST: usize = 16;

/// The identity of a model with these weights.
///
/// # Errors
/// When a weight has a type that is not known.
pub(super) fn of_weights(store: &VarStore) -> Result<String> {
    let mut sums = Sums::default();
    let mut variables: Vec<_> = store.variables().into_iter().collect();
    variables.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, tensor) in &variables {
        sums.add(name.as_bytes());
        let raw = RawTensor::from_tensor(tensor)?;
        sums.add(&raw.bytes().map_err(|fault| fault.at(Path::new("weights")))?);
    }
    Ok(sums.text())
}

/// Whether two identities are of one model, in whatever form.
pub(super) fn same(a: &str, b: &str) -> bool {
    a == b || is_older_form(a, b) || is_older_form(b, a)
}

/// The one of two identities of a model that says more.
pub(super) fn newer<'a>(a: &'a str, b: &'a str) -> &'a str {
    if is_older_form(a, b) { b } else { a }
}

/// Whether `old` is what an earlier version called the model of `new`.
fn is_older_form(old: &str, new: &str) -> bool {
    let is_old = old.strip_prefix(PREFIX).is_some_and(|sum| sum.len() == CHECKSUM);
    is_old && new.strip_prefix(old).is_some_and(|digest| digest.starts_with('-'))
}

struct Sums {
    /// FNV-1a.
    checksum: u64,
    digest: Sha256,
}

impl Default for Sums {
    fn default() -> Self {
        Self { checksum: 0xcbf2_9ce4_8422_2325, digest: Sha256::new() }
    }
}

impl Sums {
    fn add(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        for &byte in bytes {
            self.checksum = (self.checksum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn text(self) -> String {
        let mut text = format!("{PREFIX}{:0CHECKSUM$x}-", self.checksum);
        for byte in &self.digest.finalize()[..DIGEST] {
            // Writing to a text does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "ecapa-tdnn-85944171f73967e8";

    #[test]
    fn both_sums_are_the_published_ones() {
        let mut sums = Sums::default();
        sums.add(b"foo");
        sums.add(b"bar");
        // FNV-1a of `foobar` from the authors' test vectors; SHA-256 as `sha256sum` gives it.
        assert_eq!(sums.text(), format!("{OLD}-c3ab8ff13720e8ad9047dd39466b3c89"));
    }

    #[test]
    fn the_older_form_is_the_same_model() {
        let new = format!("{OLD}-c3ab8ff13720e8ad9047dd39466b3c89");
        let other = format!("{OLD}-00000000000000000000000000000000");
        assert!(same(OLD, &new) && same(&new, OLD) && same(&new, &new) && same("m", "m"));
        assert!(!same(&new, &other), "one checksum, and different weights");
        assert!(!same(&OLD[..20], &new) && !same(PREFIX, &new) && !same("", OLD));
        assert!(!same("m", "m-2") && !same("random", OLD));
        assert_eq!([newer(OLD, &new), newer(&new, OLD), newer("m", "m")], [&new, &new, "m"]);
    }
}
