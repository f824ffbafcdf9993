//! Ctrl-C: the first one asks the work to stop, and what can't listen is ended a little later.
//!
//! Outputs get their final name only when they are complete, so that ending is always safe.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::exit::{self, Outcome};
use crate::failure::{Failure, Kind};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How long the work may take to clean up, such as when it waits for standard input.
const PATIENCE: Duration = Duration::from_secs(3);

/// Begins to listen.
pub(crate) fn install() -> Result<(), Failure> {
    let listen = || {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            end();
        }
        std::thread::spawn(|| {
            std::thread::sleep(PATIENCE);
            end();
        });
    };
    match ctrlc::set_handler(listen) {
        // A second call in one process, as tests do, changes nothing.
        Ok(()) | Err(ctrlc::Error::MultipleHandlers) => Ok(()),
        Err(error) => Err(Failure::new(Kind::Internal, "signals", error.to_string())),
    }
}

fn end() {
    formant_audio_core::draft::clean_up();
    let _ = writeln!(std::io::stderr(), "interrupted");
    std::process::exit(exit::code(&Outcome::Failed(Kind::Interrupted)).into());
}

/// Whether the user has asked to stop.
pub(crate) fn requested() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// An error when the user has asked to stop; called between blocks.
pub(crate) fn check() -> Result<(), Failure> {
    if requested() { Err(Failure::interrupted()) } else { Ok(()) }
}
