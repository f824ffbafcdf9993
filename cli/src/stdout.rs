//! Standard output for results: a reader that goes away is an end, never a crash.

use std::io::{self, Write};

use crate::escape::escaped;
use crate::failure::Failure;

/// Writes `text`, in which no control characters are left, and passes it on at once, so that pipes
/// see results as they come.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(escaped(text).as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| failure(&error))
}

/// Writes bytes, such as those of a file.
pub(crate) fn copy(source: &mut dyn io::Read) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    io::copy(source, &mut out).and_then(|_| out.flush()).map_err(|error| failure(&error))
}

fn failure(error: &io::Error) -> Failure {
    Failure::output("standard output".as_ref(), error)
}
