//! `formant models`.

use super::{Work, work};
use crate::args::ModelsArgs;
use crate::failure::Failure;
use crate::plan::{Settings, models};
use crate::run;

impl ModelsArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = models::models(self.command, settings)?;
        Ok(work(plan, run::models::run))
    }
}
