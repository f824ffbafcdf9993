//! A program that uses the sound library, and knows nothing of this crate: the first call opens the
//! library. The only test of its process, so that nothing was opened before.
#![cfg(target_os = "linux")]

#[test]
fn the_first_call_opens_the_library() {
    let mut card = -1;
    // SAFETY: the pointer is valid for the call.
    let code = unsafe { alsa_sys::snd_card_next(&raw mut card) };
    match formant_alsa::open() {
        Ok(()) => assert!(code != -libc::ENOSYS, "the library is there, and was not opened"),
        Err(absent) => assert_eq!(code, -libc::ENOSYS, "{absent}"),
    }
}
