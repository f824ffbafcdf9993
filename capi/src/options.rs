//! What a session is made of.

use std::ffi::c_char;

/// What a session is made of. Fill it with `formant_options_init` first, then change what you need,
/// so that options of later versions have their defaults.
///
/// The names of models are those of `formant models list`, or paths; an empty text means the default
/// model of the task, and null that the task is left out.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct FormantOptions {
    /// Rate of the samples that will be pushed, in Hz; any from 8000 to 192000.
    pub rate: u32,
    /// Their interleaved channels, 1 to 256; they are mixed.
    pub channels: u16,
    /// Whether samples come from a device that does not wait: 1. Then a task that is too slow skips
    /// to the newest second. 0 for samples from a file.
    pub live: u8,
    /// Keyword model.
    pub spot_model: *const c_char,
    /// Score from 0 to 1 that a word needs; 0 for that of the model.
    pub spot_threshold: f32,
    /// Recogniser.
    pub transcribe_model: *const c_char,
    /// Speaker model; it needs `voices`.
    pub speaker_model: *const c_char,
    /// The file of known voices, as `formant speaker enroll` makes it.
    pub voices: *const c_char,
    /// Milliseconds from one level event to the next; 0 for none.
    pub level_ms: u32,
    /// Threads that one network may use; 0 leaves them as they are.
    pub threads: u32,
}
