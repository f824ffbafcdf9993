//! `formant transcribe`.

use super::{Work, work};
use crate::args::TranscribeArgs;
use crate::failure::Failure;
use crate::plan::{Settings, transcribe};
use crate::run;

impl TranscribeArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = transcribe::transcribe(&self, settings)?;
        Ok(work(plan, run::transcribe::run))
    }
}
