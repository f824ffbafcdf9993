//! `formant info`.

use super::{Work, work};
use crate::args::InfoArgs;
use crate::failure::Failure;
use crate::plan::{Settings, audio};
use crate::run;

impl InfoArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, _: &Settings) -> Result<Work, Failure> {
        let plan = audio::info(&self)?;
        Ok(work(plan, |plan, settings, messages| run::info::run(&plan, settings, messages)))
    }
}
