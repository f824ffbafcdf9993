//! How a process ends: not in the middle of a write, and at once when it has to.

/// Ends the process at once: neither destructors of static objects nor handlers registered with
/// `atexit` run. Threads inside libtorch would otherwise find its tables gone, and report that as an
/// error of their own. What buffers hold is lost; flush them first.
pub fn leave(status: u8) -> ! {
    #[cfg(unix)]
    {
        // SAFETY: _exit takes an integer, may be called from any thread at any time, and touches no
        // memory of the program.
        unsafe { libc::_exit(status.into()) }
    }
    #[cfg(not(unix))]
    {
        std::process::exit(status.into())
    }
}

/// Lets writes beyond the limit of a file's size fail with an error. By default the signal that goes
/// with it ends the process. Meant for programs, at their start, not for libraries.
pub fn fail_oversized_writes() {
    #[cfg(unix)]
    {
        // SAFETY: ignoring a signal runs no code of the program.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        }
    }
}
