//! What a session is made of.

use std::ffi::c_char;
use std::mem::{MaybeUninit, offset_of};

use crate::failure::{Failure, FormantStatus, guarded};

/// What a session is made of. Fill it with `formant_options_init` first, then change what you need.
///
/// Later versions add fields at the end. `struct_size` tells the library which of them the
/// application knows: fields behind it have their defaults, so that applications which were compiled
/// with an older header keep working. A library that is older than the header refuses options that
/// are larger than it knows.
///
/// The names of models are those of `formant models list`, or paths; an empty text means the default
/// model of the task, and null that the task is left out. A session without any task is allowed: it
/// tells of its beginning, of levels, gaps and its end.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct FormantOptions {
    /// The size of this struct in bytes, as `formant_options_init` writes it.
    pub struct_size: usize,
    /// Rate of the samples that will be pushed, in Hz; any from 8000 to 192000.
    pub rate: u32,
    /// Their interleaved channels, 1 to 256; they are mixed.
    pub channels: u16,
    /// Whether samples come from a device that does not wait: 1. Then a task that is too slow skips
    /// to the newest second. 0 for samples from a file: then pushing waits, and nothing is lost.
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
    /// Words that the keyword model looks for, separated by commas; null or empty for all.
    pub spot_words: *const c_char,
    /// Scores that single words need, such as `yes=0.8,no=0.6`; they win over `spot_threshold`. Null
    /// for none.
    pub spot_thresholds: *const c_char,
    /// Phrases that the recogniser expects, separated by commas; `phrase:2.5` has its own boost. Null
    /// for none.
    pub hotwords: *const c_char,
    /// Numbers that networks compute with: `f32` (also null) or `bf16`.
    pub precision: *const c_char,
    /// Enhancement model; its audio is taken with `formant_session_enhanced`.
    pub enhance_model: *const c_char,
    /// Score above which voices are those of one speaker; 0 for that of the model.
    pub speaker_threshold: f32,
    /// Milliseconds of audio from one partial transcript to the next; 0 for 500.
    pub partial_ms: u32,
    /// Latency of enhanced audio in milliseconds; 0 for 500.
    pub enhance_latency_ms: u32,
    /// By how many dB enhancement turns noise down at most; 0 for all of it.
    pub attenuation_limit_db: f32,
    /// Whether events tell where somebody speaks: 1, or 0.
    pub vad: u32,
    /// Probability from which speech begins, above 0.15 and below 1; 0 for 0.5.
    pub vad_threshold: f32,
}

const SIZE: usize = size_of::<FormantOptions>();

/// Options that say no more than what samples will come.
const LEAST: usize = offset_of!(FormantOptions, spot_model);

const DEFAULTS: FormantOptions = FormantOptions {
    struct_size: SIZE,
    rate: 16_000,
    channels: 1,
    live: 1,
    spot_model: std::ptr::null(),
    spot_threshold: 0.0,
    transcribe_model: std::ptr::null(),
    speaker_model: std::ptr::null(),
    voices: std::ptr::null(),
    level_ms: 0,
    threads: 0,
    spot_words: std::ptr::null(),
    spot_thresholds: std::ptr::null(),
    hotwords: std::ptr::null(),
    precision: std::ptr::null(),
    enhance_model: std::ptr::null(),
    speaker_threshold: 0.0,
    partial_ms: 0,
    enhance_latency_ms: 0,
    attenuation_limit_db: 0.0,
    vad: 0,
    vad_threshold: 0.0,
};

impl FormantOptions {
    /// What an application has written, and defaults behind it.
    ///
    /// # Safety
    /// `options` is null or points to as many bytes as their `struct_size` says.
    pub(crate) unsafe fn read(options: *const Self) -> Result<Self, Failure> {
        if options.is_null() {
            return Err(Failure::argument("options", "is null"));
        }
        // SAFETY: the size comes first, and the caller vouches for the rest.
        let size = check(unsafe { options.cast::<usize>().read() })?;
        let mut found = DEFAULTS;
        let from = options.cast::<MaybeUninit<u8>>();
        // SAFETY: the caller vouches for as many bytes, which are no more than options have. Every
        // pattern is valid for their fields, and no field is cut: sizes are multiples of alignment.
        unsafe { from.copy_to_nonoverlapping((&raw mut found).cast(), size) };
        Ok(found)
    }
}

/// A size that options of some version may have.
fn check(size: usize) -> Result<usize, Failure> {
    let why = match size {
        LEAST..=SIZE if size.is_multiple_of(align_of::<FormantOptions>()) => return Ok(size),
        0..LEAST => "is too small; fill the options with formant_options_init first".to_owned(),
        LEAST..=SIZE => "is no size that options ever had".to_owned(),
        _ => format!(
            "is {size}, and this library knows {SIZE} bytes of options; use the header that came \
             with the library, or a library as new as the header"
        ),
    };
    Err(Failure::argument("struct_size", &why))
}

/// Fills options with their defaults: 16000 Hz, one channel, live, and no task. `struct_size` is
/// `sizeof(FormantOptions)`.
///
/// # Safety
/// `options` is null or points to `struct_size` bytes that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formant_options_init(
    options: *mut FormantOptions,
    struct_size: usize,
) -> FormantStatus {
    guarded(
        |status| status,
        || {
            if options.is_null() {
                return Err(Failure::argument("options", "is null"));
            }
            let struct_size = check(struct_size)?;
            let defaults = FormantOptions { struct_size, ..DEFAULTS };
            let from = (&raw const defaults).cast::<MaybeUninit<u8>>();
            // SAFETY: it is not null, the caller vouches for as many bytes, and there are no more
            // than options have.
            unsafe {
                options.cast::<MaybeUninit<u8>>().copy_from_nonoverlapping(from, struct_size)
            };
            Ok(FormantStatus::Ok)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_options_have_defaults_behind_their_end() {
        let full =
            FormantOptions { rate: 8000, channels: 2, threads: 3, level_ms: 7, vad: 1, ..DEFAULTS };
        for size in (LEAST..=SIZE).step_by(align_of::<FormantOptions>()) {
            let options = FormantOptions { struct_size: size, ..full };
            // SAFETY: there are at least as many bytes.
            let Ok(found) = (unsafe { FormantOptions::read(&raw const options) }) else {
                panic!("{size}")
            };
            assert_eq!((found.rate, found.channels, found.live), (8000, 2, 1));
            let known = size >= offset_of!(FormantOptions, spot_words);
            assert_eq!((found.threads, found.level_ms), if known { (3, 7) } else { (0, 0) });
            assert_eq!(found.vad, u32::from(size == SIZE));
        }
    }

    #[test]
    fn other_sizes_are_refused_and_nothing_is_written_behind_the_end() {
        for size in [0, 1, LEAST - 8, LEAST + 1, SIZE - 1, SIZE + 8, usize::MAX] {
            let options = FormantOptions { struct_size: size, ..DEFAULTS };
            // SAFETY: sizes beyond that of the options are refused before they are read.
            assert!(unsafe { FormantOptions::read(&raw const options) }.is_err(), "{size}");
            let mut place = [0xa5u8; 2 * SIZE];
            // SAFETY: as above.
            let status = unsafe { formant_options_init(place.as_mut_ptr().cast(), size) };
            assert_eq!(status, FormantStatus::BadArgument, "{size}");
            assert_eq!(place, [0xa5; 2 * SIZE]);
        }
        for size in (LEAST..=SIZE).step_by(align_of::<FormantOptions>()) {
            let mut place = [0xa5u8; 2 * SIZE];
            // SAFETY: there are more bytes than that.
            let status = unsafe { formant_options_init(place.as_mut_ptr().cast(), size) };
            assert_eq!(status, FormantStatus::Ok, "{size}");
            assert_eq!(place[..size_of::<usize>()], size.to_ne_bytes());
            assert!(place[size..].iter().all(|&byte| byte == 0xa5), "{size}");
        }
    }
}
