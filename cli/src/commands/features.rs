//! `formant features`.

use super::{Work, work};
use crate::args::FeaturesArgs;
use crate::failure::Failure;
use crate::plan::{Settings, features};
use crate::run;

impl FeaturesArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = features::resolve(&self, settings)?;
        Ok(work(plan, run::features::run))
    }
}
