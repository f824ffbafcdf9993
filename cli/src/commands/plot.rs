//! `formant plot`.

use super::{Work, work};
use crate::args::PlotArgs;
use crate::failure::Failure;
use crate::plan::{Settings, plot};
use crate::run;

impl PlotArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = plot::resolve(&self, settings)?;
        Ok(work(plan, |plan, settings, messages| run::plot::run(&plan, settings, messages)))
    }
}
