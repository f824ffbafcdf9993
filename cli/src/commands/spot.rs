//! `formant spot`.

use super::{Work, work};
use crate::args::SpotArgs;
use crate::failure::Failure;
use crate::plan::{Settings, spot};
use crate::run;

impl SpotArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = spot::spot(&self, settings)?;
        Ok(work(plan, run::spot::run))
    }
}
