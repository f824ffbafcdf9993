//! `formant stems`.

use super::{Work, work};
use crate::args::StemsArgs;
use crate::failure::Failure;
use crate::plan::{Settings, stems};
use crate::run;

impl StemsArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = stems::stems(&self, settings)?;
        Ok(work(plan, run::stems::run))
    }
}
