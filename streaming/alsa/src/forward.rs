//! The functions of the library that microphones and output devices need, under their own names.
//! The first call of any of them opens the library; all fail where there is none. Whoever else in
//! the program uses the library, such as an application's own `cpal`, need not know of this crate.
//!
//! The list is what `cpal` links to; the linker names what is missing after an update.

use std::ffi::{c_char, c_int, c_uint, c_ushort, c_void};
use std::sync::OnceLock;

use alsa_sys::*;
use libc::pollfd;
use libloading::Library;

use crate::Absent;

const NAME: &str = "libasound.so.2";

static FUNCTIONS: OnceLock<Result<Functions, Absent>> = OnceLock::new();

pub(crate) fn open() -> Result<(), Absent> {
    functions().map(|_| ()).map_err(Clone::clone)
}

/// The functions, of the library that is opened when they are first asked for.
fn functions() -> Result<&'static Functions, &'static Absent> {
    FUNCTIONS.get_or_init(Functions::load).as_ref()
}

/// What a function returns where there is no library.
trait Failed {
    const FAILED: Self;
}

impl Failed for () {
    const FAILED: Self = ();
}

impl Failed for c_int {
    const FAILED: Self = -libc::ENOSYS;
}

impl Failed for c_uint {
    const FAILED: Self = 0;
}

impl Failed for snd_pcm_sframes_t {
    const FAILED: Self = -(libc::ENOSYS as snd_pcm_sframes_t);
}

impl Failed for usize {
    const FAILED: Self = 0;
}

impl<T> Failed for *const T {
    const FAILED: Self = std::ptr::null();
}

impl<T> Failed for *mut T {
    const FAILED: Self = std::ptr::null_mut();
}

macro_rules! forward {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        /// The functions of the opened library, which is never closed.
        struct Functions {
            $($name: unsafe extern "C" fn($($kind),*) -> $result,)*
        }

        impl Functions {
            fn find(library: &Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    // SAFETY: the library's own declaration of this function has this type, which
                    // the constants below let the compiler check.
                    $($name: unsafe { *library.get(stringify!($name))? },)*
                })
            }
        }

        $(
            // As the bindings that `cpal` uses declare it.
            const _: unsafe extern "C" fn($($kind),*) -> $result = alsa_sys::$name;

            /// # Safety
            /// As for the library's function of this name.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: $kind),*) -> $result {
                match functions() {
                    // SAFETY: the caller keeps to what the library asks for.
                    Ok(functions) => unsafe { (functions.$name)($($argument),*) },
                    Err(_) => <$result as Failed>::FAILED,
                }
            }
        )*
    };
}

forward! {
    fn snd_card_next(card: *mut c_int) -> c_int;
    fn snd_config_update() -> c_int;
    fn snd_config_update_free_global() -> c_int;
    fn snd_ctl_card_info(ctl: *mut snd_ctl_t, info: *mut snd_ctl_card_info_t) -> c_int;
    fn snd_ctl_card_info_free(obj: *mut snd_ctl_card_info_t) -> ();
    fn snd_ctl_card_info_get_name(obj: *const snd_ctl_card_info_t) -> *const c_char;
    fn snd_ctl_card_info_malloc(ptr: *mut *mut snd_ctl_card_info_t) -> c_int;
    fn snd_ctl_close(ctl: *mut snd_ctl_t) -> c_int;
    fn snd_ctl_open(ctl: *mut *mut snd_ctl_t, name: *const c_char, mode: c_int) -> c_int;
    fn snd_ctl_pcm_info(ctl: *mut snd_ctl_t, info: *mut snd_pcm_info_t) -> c_int;
    fn snd_ctl_pcm_next_device(ctl: *mut snd_ctl_t, device: *mut c_int) -> c_int;
    fn snd_device_name_free_hint(hints: *mut *mut c_void) -> c_int;
    fn snd_device_name_get_hint(hint: *const c_void, id: *const c_char) -> *mut c_char;
    fn snd_device_name_hint(card: c_int, iface: *const c_char, hints: *mut *mut *mut c_void) -> c_int;
    fn snd_pcm_avail_delay(pcm: *mut snd_pcm_t, availp: *mut snd_pcm_sframes_t, delayp: *mut snd_pcm_sframes_t) -> c_int;
    fn snd_pcm_bytes_to_frames(pcm: *mut snd_pcm_t, bytes: isize) -> snd_pcm_sframes_t;
    fn snd_pcm_close(pcm: *mut snd_pcm_t) -> c_int;
    fn snd_pcm_format_physical_width(format: snd_pcm_format_t) -> c_int;
    fn snd_pcm_get_params(pcm: *mut snd_pcm_t, buffer_size: *mut snd_pcm_uframes_t, period_size: *mut snd_pcm_uframes_t) -> c_int;
    fn snd_pcm_hw_params(pcm: *mut snd_pcm_t, params: *mut snd_pcm_hw_params_t) -> c_int;
    fn snd_pcm_hw_params_any(pcm: *mut snd_pcm_t, params: *mut snd_pcm_hw_params_t) -> c_int;
    fn snd_pcm_hw_params_can_pause(params: *const snd_pcm_hw_params_t) -> c_int;
    fn snd_pcm_hw_params_can_resume(params: *const snd_pcm_hw_params_t) -> c_int;
    fn snd_pcm_hw_params_copy(dst: *mut snd_pcm_hw_params_t, src: *const snd_pcm_hw_params_t) -> ();
    fn snd_pcm_hw_params_current(pcm: *mut snd_pcm_t, params: *mut snd_pcm_hw_params_t) -> c_int;
    fn snd_pcm_hw_params_free(obj: *mut snd_pcm_hw_params_t) -> ();
    fn snd_pcm_hw_params_get_buffer_size_max(params: *const snd_pcm_hw_params_t, val: *mut snd_pcm_uframes_t) -> c_int;
    fn snd_pcm_hw_params_get_channels_max(params: *const snd_pcm_hw_params_t, val: *mut c_uint) -> c_int;
    fn snd_pcm_hw_params_get_channels_min(params: *const snd_pcm_hw_params_t, val: *mut c_uint) -> c_int;
    fn snd_pcm_hw_params_get_period_size(params: *const snd_pcm_hw_params_t, frames: *mut snd_pcm_uframes_t, dir: *mut c_int) -> c_int;
    fn snd_pcm_hw_params_get_period_size_max(params: *const snd_pcm_hw_params_t, frames: *mut snd_pcm_uframes_t, dir: *mut c_int) -> c_int;
    fn snd_pcm_hw_params_get_period_size_min(params: *const snd_pcm_hw_params_t, frames: *mut snd_pcm_uframes_t, dir: *mut c_int) -> c_int;
    fn snd_pcm_hw_params_get_rate_max(params: *const snd_pcm_hw_params_t, val: *mut c_uint, dir: *mut c_int) -> c_int;
    fn snd_pcm_hw_params_get_rate_min(params: *const snd_pcm_hw_params_t, val: *mut c_uint, dir: *mut c_int) -> c_int;
    fn snd_pcm_hw_params_malloc(ptr: *mut *mut snd_pcm_hw_params_t) -> c_int;
    fn snd_pcm_hw_params_set_access(pcm: *mut snd_pcm_t, params: *mut snd_pcm_hw_params_t, access: snd_pcm_access_t) -> c_int;
    fn snd_pcm_hw_params_set_buffer_size_near(pcm: *mut snd_pcm_t, params: *mut snd_pcm_hw_params_t, val: *mut snd_pcm_uframes_t) -> c_int;
    fn snd_pcm_hw_params_set_channels(pcm: *mut snd_pcm_t, params: *mut snd_pcm_hw_params_t, val: c_uint) -> c_int;
    fn snd_pcm_hw_params_set_format(pcm: *mut snd_pcm_t, params: *mut snd_pcm_hw_params_t, val: snd_pcm_format_t) -> c_int;
    fn snd_pcm_hw_params_set_period_size_near(pcm: *mut snd_pcm_t, params: *mut snd_pcm_hw_params_t, val: *mut snd_pcm_uframes_t, dir: *mut c_int) -> c_int;
    fn snd_pcm_hw_params_set_rate(pcm: *mut snd_pcm_t, params: *mut snd_pcm_hw_params_t, val: c_uint, dir: c_int) -> c_int;
    fn snd_pcm_hw_params_supports_audio_ts_type(params: *const snd_pcm_hw_params_t, kind: c_int) -> c_int;
    fn snd_pcm_hw_params_test_channels(pcm: *mut snd_pcm_t, params: *mut snd_pcm_hw_params_t, val: c_uint) -> c_int;
    fn snd_pcm_hw_params_test_format(pcm: *mut snd_pcm_t, params: *mut snd_pcm_hw_params_t, val: snd_pcm_format_t) -> c_int;
    fn snd_pcm_hw_params_test_rate(pcm: *mut snd_pcm_t, params: *mut snd_pcm_hw_params_t, val: c_uint, dir: c_int) -> c_int;
    fn snd_pcm_info(pcm: *mut snd_pcm_t, info: *mut snd_pcm_info_t) -> c_int;
    fn snd_pcm_info_free(obj: *mut snd_pcm_info_t) -> ();
    fn snd_pcm_info_get_name(obj: *const snd_pcm_info_t) -> *const c_char;
    fn snd_pcm_info_get_stream(obj: *const snd_pcm_info_t) -> snd_pcm_stream_t;
    fn snd_pcm_info_malloc(ptr: *mut *mut snd_pcm_info_t) -> c_int;
    fn snd_pcm_info_set_device(obj: *mut snd_pcm_info_t, val: c_uint) -> ();
    fn snd_pcm_info_set_stream(obj: *mut snd_pcm_info_t, val: snd_pcm_stream_t) -> ();
    fn snd_pcm_info_set_subdevice(obj: *mut snd_pcm_info_t, val: c_uint) -> ();
    fn snd_pcm_open(pcm: *mut *mut snd_pcm_t, name: *const c_char, stream: snd_pcm_stream_t, mode: c_int) -> c_int;
    fn snd_pcm_pause(pcm: *mut snd_pcm_t, enable: c_int) -> c_int;
    fn snd_pcm_poll_descriptors(pcm: *mut snd_pcm_t, pfds: *mut pollfd, space: c_uint) -> c_int;
    fn snd_pcm_poll_descriptors_count(pcm: *mut snd_pcm_t) -> c_int;
    fn snd_pcm_poll_descriptors_revents(pcm: *mut snd_pcm_t, pfds: *mut pollfd, nfds: c_uint, revents: *mut c_ushort) -> c_int;
    fn snd_pcm_prepare(pcm: *mut snd_pcm_t) -> c_int;
    fn snd_pcm_readi(pcm: *mut snd_pcm_t, buffer: *mut c_void, size: snd_pcm_uframes_t) -> snd_pcm_sframes_t;
    fn snd_pcm_resume(pcm: *mut snd_pcm_t) -> c_int;
    fn snd_pcm_start(pcm: *mut snd_pcm_t) -> c_int;
    fn snd_pcm_state(pcm: *mut snd_pcm_t) -> snd_pcm_state_t;
    fn snd_pcm_status(pcm: *mut snd_pcm_t, status: *mut snd_pcm_status_t) -> c_int;
    fn snd_pcm_status_get_audio_htstamp(obj: *const snd_pcm_status_t, ptr: *mut snd_htimestamp_t) -> ();
    fn snd_pcm_status_get_htstamp(obj: *const snd_pcm_status_t, ptr: *mut snd_htimestamp_t) -> ();
    fn snd_pcm_status_get_state(obj: *const snd_pcm_status_t) -> snd_pcm_state_t;
    fn snd_pcm_status_get_trigger_htstamp(obj: *const snd_pcm_status_t, ptr: *mut snd_htimestamp_t) -> ();
    fn snd_pcm_status_set_audio_htstamp_config(obj: *mut snd_pcm_status_t, audio_tstamp_config: *mut snd_pcm_audio_tstamp_config_t) -> ();
    fn snd_pcm_status_sizeof() -> usize;
    fn snd_pcm_sw_params(pcm: *mut snd_pcm_t, params: *mut snd_pcm_sw_params_t) -> c_int;
    fn snd_pcm_sw_params_current(pcm: *mut snd_pcm_t, params: *mut snd_pcm_sw_params_t) -> c_int;
    fn snd_pcm_sw_params_free(obj: *mut snd_pcm_sw_params_t) -> ();
    fn snd_pcm_sw_params_malloc(ptr: *mut *mut snd_pcm_sw_params_t) -> c_int;
    fn snd_pcm_sw_params_set_avail_min(pcm: *mut snd_pcm_t, params: *mut snd_pcm_sw_params_t, val: snd_pcm_uframes_t) -> c_int;
    fn snd_pcm_sw_params_set_start_threshold(pcm: *mut snd_pcm_t, params: *mut snd_pcm_sw_params_t, val: snd_pcm_uframes_t) -> c_int;
    fn snd_pcm_sw_params_set_tstamp_mode(pcm: *mut snd_pcm_t, params: *mut snd_pcm_sw_params_t, val: snd_pcm_tstamp_t) -> c_int;
    fn snd_pcm_sw_params_set_tstamp_type(pcm: *mut snd_pcm_t, params: *mut snd_pcm_sw_params_t, val: snd_pcm_tstamp_type_t) -> c_int;
    fn snd_pcm_writei(pcm: *mut snd_pcm_t, buffer: *const c_void, size: snd_pcm_uframes_t) -> snd_pcm_sframes_t;
}

type Complain = unsafe extern "C" fn(*const c_char, c_int, *const c_char, c_int, *const c_char);

/// Takes the place of the library's own complaints on standard error.
unsafe extern "C" fn say_nothing(
    _: *const c_char,
    _: c_int,
    _: *const c_char,
    _: c_int,
    _: *const c_char,
) {
}

impl Functions {
    fn load() -> Result<Self, Absent> {
        let absent = |error: libloading::Error| Absent { reason: error.to_string() };
        // SAFETY: loading runs the library's initialisers, which set up its own tables only, and call
        // none of the functions above.
        let library = unsafe { Library::new(NAME) }.map_err(absent)?;
        let functions = Self::find(&library).map_err(absent)?;
        // SAFETY: the function has this type but for the rest of the handler's arguments, which
        // the caller of a C function with a variable list of them clears away itself.
        if let Ok(set) = unsafe {
            library
                .get::<unsafe extern "C" fn(Option<Complain>) -> c_int>("snd_lib_error_set_handler")
        } {
            // SAFETY: the handler touches nothing and lives as long as the program.
            unsafe { set(Some(say_nothing)) };
        }
        // Its functions are called until the program ends.
        std::mem::forget(library);
        Ok(functions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_opens_or_says_what_is_missing() {
        match open() {
            Ok(()) => {
                let mut card = -1;
                // SAFETY: the pointer is valid for the call.
                let code = unsafe { snd_card_next(&raw mut card) };
                assert!(code <= 0 && code != c_int::FAILED, "{code}");
            }
            Err(absent) => {
                assert!(absent.to_string().contains("install the package"), "{absent}");
                assert_eq!(open(), Err(absent));
            }
        }
    }
}
