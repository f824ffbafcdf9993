//! One module a command.

pub(crate) mod bench;
pub(crate) mod eval;
pub(crate) mod train;

use crate::exit::Outcome;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::plan::Settings;

/// The work of a command, when it is clear what was meant.
pub(crate) type Work = Box<dyn FnOnce(&Settings, &Messages) -> Result<Outcome, Failure>>;

/// The work that a plan stands for.
pub(crate) fn work<P: 'static>(
    plan: P,
    run: fn(P, &Settings, &Messages) -> Result<Outcome, Failure>,
) -> Work {
    Box::new(move |settings, messages| run(plan, settings, messages))
}
