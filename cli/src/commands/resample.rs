//! `formant resample`.

use super::{Work, work};
use crate::args::ResampleArgs;
use crate::failure::Failure;
use crate::plan::{Settings, audio};
use crate::run;

impl ResampleArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = audio::resample(&self, settings)?;
        Ok(work(plan, |plan, settings, messages| run::transcode::run(&plan, settings, messages)))
    }
}
