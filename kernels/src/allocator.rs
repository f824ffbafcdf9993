//! How the C library's allocator treats large blocks: by default glibc gives each one back to the
//! system when it is freed and gets fresh, zeroed pages for the next. A network asks for the same
//! large blocks in every layer, so that zeroing pages takes a sixth of its time.

/// Lets the program keep large freed blocks for its next ones. Meant for programs, at their start,
/// not for libraries, since it concerns all of the process; returns whether it took effect.
///
/// Only glibc is known to need it; elsewhere nothing happens. Up to 2 GiB of freed memory at the
/// end of the heap stay with the process.
#[must_use]
pub fn keep_large_blocks() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const MORE_AT_ONCE: i32 = 64 << 20;
        let set = |parameter, value| {
            // SAFETY: mallopt takes two integers and may be called at any time; it only changes
            // how the allocator gets its memory.
            unsafe { libc::mallopt(parameter, value) == 1 }
        };
        // No block of its own for any size, nothing given back, few requests to the system.
        set(libc::M_MMAP_MAX, 0)
            && set(libc::M_TRIM_THRESHOLD, i32::MAX)
            && set(libc::M_TOP_PAD, MORE_AT_ONCE)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    {
        false
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_freed_block_is_used_again() {
        let kept = super::keep_large_blocks();
        assert_eq!(kept, cfg!(all(target_os = "linux", target_env = "gnu")));
        // Other tests allocate meanwhile, so that only most of the blocks must lie where one was.
        let place = |_| {
            let block = Vec::<u8>::with_capacity(16 << 20);
            block.as_ptr().addr()
        };
        let places: std::collections::BTreeSet<usize> = (0..64).map(place).collect();
        assert!(!kept || places.len() < 32, "{} places", places.len());
    }
}
