//! Patience with failures that may pass: waits that double, and never longer than is sensible.

use std::ops::ControlFlow;
use std::time::Duration;

use super::client::Trouble;
use super::settings::Patience;
use super::{PullEvent, Watch};
use crate::error::HubError;

/// Longest sleep in one piece, after which the caller is asked whether to stop.
const NAP: Duration = Duration::from_millis(100);

/// Counts attempts that got nothing.
#[derive(Debug)]
pub(super) struct Retries {
    patience: Patience,
    failed: u32,
}

impl Retries {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, failed: 0 }
    }

    /// Something was got: earlier failures don't count any more.
    pub(super) fn progressed(&mut self) {
        self.failed = 0;
    }

    /// Waits before the next attempt, or says that there is none.
    pub(super) fn after(
        &mut self,
        trouble: Trouble,
        watch: &mut Watch<'_>,
    ) -> Result<(), HubError> {
        let (error, asked) = match trouble {
            Trouble::Lasting(error) => return Err(error),
            Trouble::Passing(error, asked) => (error, asked),
        };
        self.failed += 1;
        let doubled = self.patience.first_wait * 2u32.saturating_pow((self.failed - 1).min(16));
        let wait = asked.unwrap_or(Duration::ZERO).max(doubled.min(self.patience.longest_wait));
        if self.failed >= self.patience.attempts || wait > self.patience.longest_wait {
            return Err(error);
        }
        tell(watch, &PullEvent::Retrying { reason: &error.to_string(), wait })?;
        sleep(wait, watch)
    }
}

/// Does `work` until it succeeds or patience ends.
pub(super) fn retrying<T>(
    patience: Patience,
    watch: &mut Watch<'_>,
    mut work: impl FnMut() -> Result<T, Trouble>,
) -> Result<T, HubError> {
    let mut retries = Retries::new(patience);
    loop {
        match work() {
            Ok(done) => return Ok(done),
            Err(trouble) => retries.after(trouble, watch)?,
        }
    }
}

/// Sleeps, unless the caller wants to stop.
pub(super) fn sleep(wait: Duration, watch: &mut Watch<'_>) -> Result<(), HubError> {
    let end = std::time::Instant::now() + wait;
    loop {
        tell(watch, &PullEvent::Idle)?;
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(NAP));
    }
}

/// Tells the caller, who may want to stop.
pub(in crate::registry) fn tell(
    watch: &mut Watch<'_>,
    event: &PullEvent<'_>,
) -> Result<(), HubError> {
    match watch(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(HubError::Stopped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(after: Option<u64>) -> Trouble {
        let error = HubError::Status { url: "u".into(), status: 503 };
        Trouble::Passing(error, after.map(Duration::from_secs))
    }

    fn patience() -> Patience {
        Patience {
            attempts: 4,
            first_wait: Duration::from_millis(1),
            longest_wait: Duration::from_millis(3),
            ..Patience::default()
        }
    }

    #[test]
    fn waits_double_up_to_a_limit_and_end() {
        let mut waits = Vec::new();
        let mut watch = |event: &PullEvent<'_>| {
            if let PullEvent::Retrying { wait, .. } = event {
                waits.push(wait.as_millis());
            }
            ControlFlow::Continue(())
        };
        let result: Result<(), _> = retrying(patience(), &mut watch, || Err(busy(None)));
        assert!(matches!(result, Err(HubError::Status { status: 503, .. })));
        assert_eq!(waits, [1, 2, 3]);
    }

    #[test]
    fn success_and_lasting_trouble_end_at_once() {
        let mut calls = 0;
        let mut go_on = |_: &PullEvent<'_>| ControlFlow::Continue(());
        let third = retrying(patience(), &mut go_on, || {
            calls += 1;
            if calls < 3 { Err(busy(None)) } else { Ok(calls) }
        });
        assert_eq!(third.expect("the third"), 3);
        let lasting = || Err(Trouble::Lasting(HubError::NotFound { url: "u".into() }));
        let result: Result<(), _> = retrying(patience(), &mut go_on, lasting);
        assert!(matches!(result, Err(HubError::NotFound { .. })));
        let result: Result<(), _> = retrying(patience(), &mut go_on, || Err(busy(Some(3600))));
        assert!(matches!(result, Err(HubError::Status { .. })), "an hour is too long");
    }

    #[test]
    fn the_caller_can_stop() {
        let mut stop = |_: &PullEvent<'_>| ControlFlow::Break(());
        let result: Result<(), _> = retrying(patience(), &mut stop, || Err(busy(None)));
        assert!(matches!(result, Err(HubError::Stopped)));
    }
}
