//! A check that runs before shared libraries start.
//!
//! In a working folder that was deleted, oneMKL (inside libtorch, x86-64) ends the program while it
//! is loaded, before `main`, with a message that names neither the folder nor a remedy. Linux' loader
//! calls the functions in `.preinit_array` of a program before the constructors of its libraries.
//!
//! Only for programs: linkers refuse that section in a shared library.

#[cfg(target_os = "linux")]
mod folder {
    use libc::{c_int, c_void};

    /// Exit code of wrong usage (`docs/cli.md`).
    const USAGE: c_int = 2;

    const MESSAGE: &str = "error: the working folder was deleted\n  \
                           help: change to a folder that exists, and run the command again\n";

    #[used]
    // SAFETY: the section holds pointers to functions which the loader calls with the C calling
    // convention, and `check` needs nothing that is set up later.
    #[unsafe(link_section = ".preinit_array")]
    static CHECK: extern "C" fn() = check;

    /// Calls the operating system alone: neither Rust's runtime nor any library is ready yet.
    extern "C" fn check() {
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
