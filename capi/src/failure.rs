//! Codes of what went wrong, and the text of the last failure of each thread.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What came of a call.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormantStatus {
    /// Done.
    Ok = 0,
    /// Nothing to tell yet.
    Nothing = 1,
    /// There was no room for the samples; they are lost, and the session tells of the gap. Only where
    /// `live` is 1.
    Overrun = 2,
    /// The session is over, and all events were taken.
    Over = 3,
    /// An argument is null or out of its range.
    BadArgument = -1,
    /// A model or a file of voices can't be used.
    Model = -2,
    /// The session failed.
    Failed = -3,
    /// Another thread is in the same function of this session.
    Busy = -4,
    /// A fault of formant.
    Internal = -70,
}

/// A failure with its text.
pub(crate) struct Failure {
    pub(crate) status: FormantStatus,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(status: FormantStatus, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) fn argument(name: &str, why: &str) -> Self {
        Self::new(FormantStatus::BadArgument, format!("{name}: {why}"))
    }
}

impl From<formant_models::Error> for Failure {
    fn from(error: formant_models::Error) -> Self {
        Self::new(FormantStatus::Model, error.to_string())
    }
}

impl From<formant_streaming::Error> for Failure {
    fn from(error: formant_streaming::Error) -> Self {
        let status = match error {
            formant_streaming::Error::Model(_) => FormantStatus::Model,
            formant_streaming::Error::Config { .. } => FormantStatus::BadArgument,
            _ => FormantStatus::Failed,
        };
        Self::new(status, error.to_string())
    }
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::new(CString::default());
}

fn remember(text: &str) {
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    LAST.with(|last| *last.borrow_mut() = text);
}

/// Runs `work`; whatever goes wrong becomes `failed` of its status.
pub(crate) fn guarded<T>(
    failed: impl FnOnce(FormantStatus) -> T,
    work: impl FnOnce() -> Result<T, Failure>,
) -> T {
    // What a panic leaves half done is only ever dropped.
    let failure = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => return done,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::new(FormantStatus::Internal, "a fault of formant; please report it"),
    };
    // Panics in here are those of a thread that ends.
    let _ = catch_unwind(|| remember(&failure.text));
    failed(failure.status)
}

/// What went wrong in the last call of this thread that failed; empty when none did. The text is
/// valid until the next call that fails.
#[unsafe(no_mangle)]
pub extern "C" fn formant_last_error() -> *const c_char {
    catch_unwind(|| LAST.with(|last| last.borrow().as_ptr())).unwrap_or(c"".as_ptr())
}

/// A text argument; `None` for null.
///
/// # Safety
/// `text` is null or points to a text with a null byte at its end.
pub(crate) unsafe fn text<'a>(name: &str, text: *const c_char) -> Result<Option<&'a str>, Failure> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: it is not null, and the caller vouches for the rest.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| Failure::argument(name, "is no UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_and_panics_become_codes() {
        let failed = guarded(|status| status, || Err(Failure::argument("rate", "is zero")));
        assert_eq!(failed, FormantStatus::BadArgument);
        // SAFETY: the function returns a valid text.
        let text = unsafe { CStr::from_ptr(formant_last_error()) };
        assert_eq!(text.to_str(), Ok("rate: is zero"));
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let failed = guarded(|status| status, || panic!("a fault"));
        std::panic::set_hook(hook);
        assert_eq!(failed, FormantStatus::Internal);
    }
}
