//! `formant enhance`.

use super::{Work, work};
use crate::args::EnhanceArgs;
use crate::failure::Failure;
use crate::plan::{Settings, separation};
use crate::run;

impl EnhanceArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = separation::enhance(&self, settings)?;
        Ok(work(plan, |plan, settings, messages| run::enhance::run(&plan, settings, messages)))
    }
}
