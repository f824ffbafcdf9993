//! One process at a time writes a model's folder; others wait, and can be stopped while they do.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::retry::{sleep, tell};
use super::{PullEvent, Watch};
use crate::error::HubError;

/// How often a waiting process looks again.
const AGAIN: Duration = Duration::from_millis(200);

/// A lock; the system lets go of it when this is dropped, or the process dies.
#[derive(Debug)]
pub(in crate::registry) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock file `path`, which is made if need be.
    pub(in crate::registry) fn take(
        path: &Path,
        name: &str,
        watch: &mut Watch<'_>,
    ) -> Result<Self, HubError> {
        let disk = |error| HubError::disk(path, error);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(path).map_err(disk)?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        tell(watch, &PullEvent::Waiting { name })?;
                        told = true;
                    }
                    sleep(AGAIN, watch)?;
                }
                Err(TryLockError::Error(error)) => {
                    // Network file systems without a lock service say so in several ways.
                    let text = format!("can't be locked: {error}");
                    return Err(disk(io::Error::new(io::ErrorKind::Unsupported, text)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    #[test]
    fn the_second_waits_until_the_first_lets_go() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("lock");
        let first = Lock::take(&path, "x", &mut |_| ControlFlow::Continue(())).expect("free");
        let mut first = Some(first);
        let mut waited = 0;
        let second = Lock::take(&path, "x", &mut |event| {
            if matches!(event, PullEvent::Waiting { name: "x" }) {
                waited += 1;
            } else {
                first.take();
            }
            ControlFlow::Continue(())
        });
        assert!(second.is_ok() && waited == 1);
    }

    #[test]
    fn waiting_can_be_stopped() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("lock");
        let _first = Lock::take(&path, "x", &mut |_| ControlFlow::Continue(())).expect("free");
        let second = Lock::take(&path, "x", &mut |_| ControlFlow::Break(()));
        assert!(matches!(second, Err(HubError::Stopped)));
    }
}
