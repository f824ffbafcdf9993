//! Live sessions for applications in C and other languages: `include/formant.h`.
//!
//! An application makes a session, pushes samples from its own audio callback, takes events, and
//! frees the session. Nothing that goes wrong here ends the application: wrong arguments and
//! failures are codes with a text, and no panic crosses the border.

mod enhanced;
mod event;
mod failure;
mod options;
mod session;
mod tasks;

pub use enhanced::formant_session_enhanced;
pub use event::{FormantEvent, FormantEventKind};
pub use failure::{FormantStatus, formant_last_error};
pub use options::{FormantOptions, formant_options_init};
pub use session::{
    FormantSession, formant_session_end, formant_session_free, formant_session_new,
    formant_session_next, formant_session_push, formant_session_room, formant_version,
};
