//! Files that appear under their name only when they are complete.

use std::io::{self, BufWriter};
use std::path::Path;

use formant_audio_core::draft::Draft;

use crate::error::{Error, Result};

/// Calls `write` on a draft of `path`, and gives it its name; removes it on failure.
pub(crate) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<Draft>) -> io::Result<()>,
) -> Result<()> {
    let fill = || {
        let mut file = BufWriter::new(Draft::create(path)?);
        write(&mut file)?;
        let draft = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        draft.sync()?;
        draft.commit()
    };
    fill().map_err(|source| Error::Write { path: path.to_owned(), source })
}
