//! Linux' sound library (ALSA), opened when one of its functions is first called.
//!
//! Programs that link to it can neither be built without its headers nor be started without the
//! library itself, although most of formant needs neither. What is here takes its place.

#[cfg(target_os = "linux")]
mod forward;

/// Why the library can't be used, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// What the system said.
    pub reason: String,
}

impl std::fmt::Display for Absent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the sound library libasound.so.2 can't be opened ({}); install the package \
             libasound2 (Debian, Ubuntu; since 2024 also called libasound2t64) or alsa-lib \
             (Fedora, Arch), and libasound2-plugins or alsa-plugins-pulseaudio for a sound server",
            self.reason
        )
    }
}

impl std::error::Error for Absent {}

/// Opens the library, once for the life of the program, to learn whether it is there: without this
/// its first function does so, and fails with `-ENOSYS` or what else says that nothing was done.
///
/// # Errors
/// [`Absent`] when it is not installed or lacks a function.
#[cfg(target_os = "linux")]
pub fn open() -> Result<(), Absent> {
    forward::open()
}

/// Other systems have sound libraries of their own.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn open() -> Result<(), Absent> {
    Ok(())
}
