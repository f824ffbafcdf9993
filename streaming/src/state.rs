//! The states of a session, and which may follow which.

use std::sync::atomic::{AtomicU8, Ordering};

use serde::{Deserialize, Serialize};

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum State {
    /// Threads start, nothing was heard yet.
    Starting = 0,
    /// Audio comes in.
    Listening = 1,
    /// The device is gone, and the session waits for one.
    Waiting = 2,
    /// No more audio comes; tasks finish what they have.
    Finishing = 3,
    /// Over.
    Finished = 4,
}

impl State {
    /// Whether a session may go from this state to `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        use State::{Finished, Finishing, Listening, Starting, Waiting};
        matches!(
            (self, next),
            (Starting, Listening | Finishing)
                | (Listening, Waiting | Finishing)
                | (Waiting, Listening | Finishing)
                | (Finishing, Finished)
        )
    }

    fn of(number: u8) -> Self {
        match number {
            0 => Self::Starting,
            1 => Self::Listening,
            2 => Self::Waiting,
            3 => Self::Finishing,
            _ => Self::Finished,
        }
    }
}

/// A state that several threads see and one changes.
#[derive(Debug)]
pub(crate) struct StateCell(AtomicU8);

impl StateCell {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(State::Starting as u8))
    }

    pub(crate) fn get(&self) -> State {
        State::of(self.0.load(Ordering::Acquire))
    }

    /// Goes on to `next`; staying is no change.
    pub(crate) fn enter(&self, next: State) {
        let now = self.get();
        debug_assert!(now == next || now.may_become(next), "{now:?} to {next:?}");
        self.0.store(next as u8, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_end_once() {
        let all: Vec<State> = (0..5).map(State::of).collect();
        for (n, &state) in all.iter().enumerate() {
            assert_eq!(state as usize, n);
            assert!(!state.may_become(State::Starting));
            assert!(!State::Finished.may_become(state));
        }
        assert!(State::Waiting.may_become(State::Listening));
        assert!(!State::Listening.may_become(State::Finished));
    }
}
