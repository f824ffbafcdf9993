//! `formant convert`.

use super::{Work, work};
use crate::args::ConvertArgs;
use crate::failure::Failure;
use crate::plan::{Settings, audio};
use crate::run;

impl ConvertArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = audio::convert(&self, settings)?;
        Ok(work(plan, |plan, settings, messages| run::transcode::run(&plan, settings, messages)))
    }
}
