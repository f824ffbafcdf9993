//! What runs before shared libraries start: a check, and the answer to `--version`.
//!
//! In a working folder that was deleted, oneMKL (inside libtorch, x86-64) ends the program while it
//! is loaded, before `main`, with a message that names neither the folder nor a remedy. Linux' loader
//! calls the functions in `.preinit_array` of a program before the constructors of its libraries.
//!
//! Those of libtorch take a quarter of a second, which nobody wants to wait for a version.
//!
//! Only for programs: linkers refuse that section in a shared library.

#[cfg(target_os = "linux")]
mod folder {
    use libc::{c_char, c_int, c_void};

    /// Exit code of wrong usage (`docs/cli.md`).
    const USAGE: c_int = 2;

    const MESSAGE: &str = "error: the working folder was deleted\n  \
                           help: change to a folder that exists, and run the command again\n";

    #[used]
    // SAFETY: the section holds pointers to functions which the loader calls with the C calling
    // convention and the arguments of `main`, and `check` needs nothing that is set up later.
    #[unsafe(link_section = ".preinit_array")]
    static CHECK: extern "C" fn(c_int, *const *const c_char) = check;

    const VERSION: &str = concat!("formant ", env!("CARGO_PKG_VERSION"), "\n");

    /// Whether the only argument is `--version` or `-V`.
    fn asks_for_version(count: c_int, arguments: *const *const c_char) -> bool {
        // Other C libraries than GNU's call these functions without arguments.
        if !cfg!(target_env = "gnu") || count != 2 || arguments.is_null() {
            return false;
        }
        // SAFETY: the loader gives the program's arguments as `main` gets them: `count` pointers to
        // strings that end with NUL, and `strcmp` reads two such strings.
        unsafe {
            let asked = *arguments.add(1);
            let is = |text: &core::ffi::CStr| libc::strcmp(asked, text.as_ptr()) == 0;
            !asked.is_null() && (is(c"--version") || is(c"-V"))
        }
    }

    /// Calls the operating system alone: neither Rust's runtime nor any library is ready yet.
    extern "C" fn check(count: c_int, arguments: *const *const c_char) {
        if asks_for_version(count, arguments) {
            let text = VERSION.as_bytes();
            // SAFETY: the pointer and the length are those of one string, and `_exit` takes a number.
            unsafe {
                let written = libc::write(libc::STDOUT_FILENO, text.as_ptr().cast(), text.len());
                if usize::try_from(written) == Ok(text.len()) {
                    libc::_exit(0);
                }
            }
            // What is wrong with standard output is told by the program itself.
        }
        let mut path = [0_u8; libc::PATH_MAX as usize];
        // SAFETY: `getcwd` writes at most as many bytes as it is told that the buffer has; its result
        // is compared with null and not used otherwise; `errno` belongs to this thread.
        let gone = unsafe {
            libc::getcwd(path.as_mut_ptr().cast(), path.len()).is_null()
                && *libc::__errno_location() == libc::ENOENT
        };
        if gone {
            let text = MESSAGE.as_bytes();
            // SAFETY: the pointer and the length are those of one string, and `_exit` takes a number.
            unsafe {
                libc::write(libc::STDERR_FILENO, text.as_ptr().cast::<c_void>(), text.len());
                libc::_exit(USAGE);
            }
        }
    }
}
