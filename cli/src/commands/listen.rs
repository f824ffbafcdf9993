//! `formant listen`.

use super::{Work, work};
use crate::args::ListenArgs;
use crate::failure::Failure;
use crate::plan::{Settings, listen};
use crate::run;

impl ListenArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = listen::resolve(self, settings)?;
        Ok(work(plan, run::listen::run))
    }
}
