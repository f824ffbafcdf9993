//! A session and its functions.

use std::ffi::c_char;
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use formant_audio_core::{AudioSpec, ChannelLayout};
use formant_streaming::source::{Pace, Pusher, push_source};
use formant_streaming::{Event, Listening, SessionOptions};

use crate::enhanced::Enhanced;
use crate::event::{FormantEvent, Texts};
use crate::failure::{Failure, FormantStatus, guarded};
use crate::options::FormantOptions;
use crate::tasks;

/// A live session. One thread may push while another takes events.
pub struct FormantSession {
    channels: usize,
    pace: Pace,
    pub(crate) enhanced: Option<Enhanced>,
    /// `None` when no more samples will come.
    pusher: Mutex<Option<Pusher>>,
    events: Mutex<Events>,
}

struct Events {
    listening: Listening,
    texts: Texts,
    over: bool,
}

/// The version of formant, such as `0.1.0`.
#[unsafe(no_mangle)]
pub extern "C" fn formant_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// Loads the models and begins a session; null when that fails, see `formant_last_error`.
///
/// # Safety
/// `options` is null or points to options that `formant_options_init` has filled, of the size in
/// their `struct_size`, whose texts are null or end with a null byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formant_session_new(
    options: *const FormantOptions,
) -> *mut FormantSession {
    guarded(
        |_| std::ptr::null_mut(),
        || {
            // SAFETY: the caller vouches for what is not null.
            let options = unsafe { FormantOptions::read(options) }?;
            // SAFETY: as above, for its texts.
            let session = unsafe { start(&options) }?;
            Ok(Box::into_raw(Box::new(session)))
        },
    )
}

/// # Safety
/// The texts in `options` are null or end with a null byte.
unsafe fn start(options: &FormantOptions) -> Result<FormantSession, Failure> {
    if !(8000..=192_000).contains(&options.rate) {
        return Err(Failure::argument("rate", "is not between 8000 and 192000 Hz"));
    }
    if !(1..=256).contains(&options.channels) {
        return Err(Failure::argument("channels", "is not between 1 and 256"));
    }
    if options.threads > 0 {
        tch::set_num_threads(i32::try_from(options.threads).unwrap_or(i32::MAX));
    }
    let layout = ChannelLayout::from_count(options.channels);
    let spec = AudioSpec { rate: options.rate, layout };
    let pace = if options.live == 0 { Pace::Elastic } else { Pace::Live };
    let (pusher, source) = push_source(spec, pace);
    // SAFETY: the caller vouches for the texts.
    let (session, enhanced) = unsafe { tasks::session(options, source) }?;
    let level = (options.level_ms > 0).then(|| Duration::from_millis(options.level_ms.into()));
    let listening =
        session.options(SessionOptions { level, ..SessionOptions::default() }).start()?;
    Ok(FormantSession {
        channels: usize::from(options.channels),
        pace,
        enhanced,
        pusher: Mutex::new(Some(pusher)),
        events: Mutex::new(Events { listening, texts: Texts::default(), over: false }),
    })
}

/// Runs `work` on what `session` points to.
///
/// # Safety
/// `session` is null or comes from `formant_session_new` and was not freed.
pub(crate) unsafe fn with<T>(
    session: *const FormantSession,
    work: impl FnOnce(&FormantSession) -> Result<T, Failure>,
) -> Result<T, Failure> {
    // SAFETY: the caller vouches for what is not null.
    let session = unsafe { session.as_ref() };
    work(session.ok_or_else(|| Failure::argument("session", "is null"))?)
}

fn alone<T>(lock: &Mutex<T>) -> Result<std::sync::MutexGuard<'_, T>, Failure> {
    match lock.try_lock() {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => {
            Err(Failure::new(FormantStatus::Busy, "another thread is in this function"))
        }
    }
}

/// Pushes `frames` frames of interleaved samples, nominally from -1 to 1. Where `live` is 1 it never
/// waits, and where it succeeds never allocates, so that an audio callback may call it. Where `live`
/// is 0 it takes any number of frames and waits until there was room for all; it is an error when
/// the session ends before.
///
/// # Safety
/// `session` is null or comes from `formant_session_new` and was not freed; `samples` is null or
/// points to `frames` times the session's channels samples.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formant_session_push(
    session: *mut FormantSession,
    samples: *const f32,
    frames: usize,
) -> FormantStatus {
    let work = |session: &FormantSession| {
        let mut pusher = alone(&session.pusher)?;
        let pusher = pusher.as_mut();
        let pusher = pusher.ok_or_else(|| Failure::argument("session", "was ended"))?;
        if frames == 0 {
            return Ok(FormantStatus::Ok);
        }
        if samples.is_null() {
            return Err(Failure::argument("samples", "is null"));
        }
        let count = frames.checked_mul(session.channels);
        let count = count.filter(|count| *count <= isize::MAX as usize / 4);
        let count = count.ok_or_else(|| Failure::argument("frames", "is too many"))?;
        // SAFETY: it is not null, the length fits, and the caller vouches for the rest.
        let samples = unsafe { std::slice::from_raw_parts(samples, count) };
        match session.pace {
            Pace::Live if pusher.push(samples) => Ok(FormantStatus::Ok),
            Pace::Live => Ok(FormantStatus::Overrun),
            Pace::Elastic if pusher.push_all(samples) => Ok(FormantStatus::Ok),
            Pace::Elastic => {
                Err(Failure::new(FormantStatus::Failed, "the session ended before it took all"))
            }
        }
    };
    // SAFETY: the caller vouches for the session.
    guarded(|status| status, || unsafe { with(session, work) })
}

/// Frames that a push would take now, without waiting; 0 for a session that takes none.
///
/// # Safety
/// `session` is null or comes from `formant_session_new` and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formant_session_room(session: *const FormantSession) -> usize {
    let work =
        |session: &FormantSession| Ok(alone(&session.pusher)?.as_ref().map_or(0, Pusher::room));
    // SAFETY: the caller vouches for the session.
    guarded(|_| 0, || unsafe { with(session, work) })
}

/// Says that no more samples will come. What was pushed is still heard; events follow, the last one
/// of the kind finished.
///
/// # Safety
/// `session` is null or comes from `formant_session_new` and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formant_session_end(session: *mut FormantSession) -> FormantStatus {
    let work = |session: &FormantSession| {
        drop(alone(&session.pusher)?.take());
        Ok(FormantStatus::Ok)
    };
    // SAFETY: the caller vouches for the session.
    guarded(|status| status, || unsafe { with(session, work) })
}

/// Takes the next event, waiting for it up to `patience_ms` milliseconds: ok with an event, nothing,
/// or over after the last one.
///
/// # Safety
/// `session` is null or comes from `formant_session_new` and was not freed; `event` is null or
/// points to a `FormantEvent` that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formant_session_next(
    session: *mut FormantSession,
    event: *mut FormantEvent,
    patience_ms: u32,
) -> FormantStatus {
    let work = |session: &FormantSession| {
        if event.is_null() {
            return Err(Failure::argument("event", "is null"));
        }
        let mut events = alone(&session.events)?;
        if events.over {
            return Ok(FormantStatus::Over);
        }
        let patience = Duration::from_millis(patience_ms.into());
        let ended = events.listening.is_over();
        let Some(found) = events.listening.next_within(patience) else {
            if ended {
                events.over = true;
                events.listening.wait()?;
            }
            return Ok(if ended { FormantStatus::Over } else { FormantStatus::Nothing });
        };
        events.over = matches!(found, Event::Finished { .. });
        if events.over {
            // What went wrong is for `formant_last_error`.
            guarded(|_| (), || events.listening.wait().map_err(Failure::from));
        }
        let described = events.texts.hold(&found);
        // SAFETY: it is not null, and the caller vouches for the rest.
        unsafe { event.write(described) };
        Ok(FormantStatus::Ok)
    };
    // SAFETY: the caller vouches for the session.
    guarded(|status| status, || unsafe { with(session, work) })
}

/// Ends a session at once and frees it; null is allowed.
///
/// # Safety
/// `session` is null or comes from `formant_session_new` and was not freed; no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formant_session_free(session: *mut FormantSession) {
    guarded(
        |_| (),
        || {
            if !session.is_null() {
                // SAFETY: it is a box of ours that was not freed, as the caller vouches.
                drop(unsafe { Box::from_raw(session) });
            }
            Ok(())
        },
    );
}
