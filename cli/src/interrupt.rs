//! Ctrl-C: the first one asks the work to stop, and what can't listen is ended a little later.
//!
//! Outputs get their final name only when they are complete, so that ending is always safe.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use formant_kernels::process;

use crate::exit::{self, Outcome};
use crate::failure::{Failure, Kind};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether the user knows that the work has stopped.
static TOLD: AtomicBool = AtomicBool::new(false);

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

/// Ends the program while other threads may compute. Results on standard output were flushed as they
/// came.
fn end() {
    formant_audio_core::draft::clean_up();
    if first_to_tell() {
        let _ = writeln!(std::io::stderr(), "interrupted");
    }
    process::leave(exit::code(&Outcome::Failed(Kind::Interrupted)));
}

/// Whether the user has asked to stop.
pub(crate) fn requested() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Whether nobody has told the user yet that the work has stopped. True once.
pub(crate) fn first_to_tell() -> bool {
    !TOLD.swap(true, Ordering::SeqCst)
}

/// An error when the user has asked to stop; called between blocks.
pub(crate) fn check() -> Result<(), Failure> {
    if requested() { Err(Failure::interrupted()) } else { Ok(()) }
}
