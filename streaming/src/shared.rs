//! What the threads of a session share.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::state::StateCell;
use crate::stats::Meters;

/// What the reader, the workers and whoever holds the session see of each other.
pub(crate) struct Shared {
    stop: AtomicBool,
    pub(crate) state: StateCell,
    pub(crate) meters: Meters,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self { stop: AtomicBool::new(false), state: StateCell::new(), meters: Meters::new() }
    }

    /// Asks the session to stop.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether the session is to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}
