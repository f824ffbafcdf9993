//! `formant speaker`.

use super::{Work, work};
use crate::args::SpeakerArgs;
use crate::failure::Failure;
use crate::plan::{Settings, speaker};
use crate::run;

impl SpeakerArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = speaker::resolve(self.command, settings)?;
        Ok(work(plan, run::speaker::run))
    }
}
