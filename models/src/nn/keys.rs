//! Parameter paths from the dotted names of a checkpoint.

use tch::nn;

/// The path whose segments are separated by dots in `name`.
#[must_use]
pub fn at<'a>(path: &nn::Path<'a>, name: &str) -> nn::Path<'a> {
    name.split('.').fold(path.clone(), |path, segment| path / segment)
}
