//! `formant separate`.

use super::{Work, work};
use crate::args::SeparateArgs;
use crate::failure::Failure;
use crate::plan::{Settings, separation};
use crate::run;

impl SeparateArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = separation::separate(&self, settings)?;
        Ok(work(plan, |plan, settings, messages| run::separate::run(&plan, settings, messages)))
    }
}
