//! Work that is shared by threads which end with it.
//!
//! libtorch's own operations run on the threads of GNU OpenMP, which for some milliseconds after
//! each of them keep their cores busy in waiting for the next. Threads beside them would wait for
//! a core in turn, so that work goes to those threads where a program has them.

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Calls `work` with every one of `parts`, on at most `threads` threads, of which the caller's is
/// one. Each takes the next part when it is done with one.
pub(crate) fn in_threads<P: Send>(
    threads: usize,
    parts: impl Iterator<Item = P> + Send,
    work: impl Fn(P) + Sync,
) {
    let parts = Mutex::new(parts.fuse());
    let take = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    everywhere(threads, &|| {
        while let Some(part) = take() {
            work(part);
        }
    });
}

/// As [`in_threads`] for work that can fail: the first error of any part.
pub(crate) fn try_in_threads<P: Send, E: Send>(
    threads: usize,
    parts: impl Iterator<Item = P> + Send,
    work: impl Fn(P) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let failed = Mutex::new(None);
    in_threads(threads, parts, |part| {
        if let Err(error) = work(part) {
            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Runs `work` on `threads` threads at the same time, or on fewer where the system gives no more,
/// and returns when all are done.
fn everywhere(threads: usize, work: &(dyn Fn() + Sync)) {
    if threads <= 1 {
        return work();
    }
    match gomp_parallel() {
        Some(parallel) => in_openmp(parallel, threads, work),
        None => beside(threads, work),
    }
}

/// Runs `work` here and on new threads.
fn beside(threads: usize, work: &(dyn Fn() + Sync)) {
    std::thread::scope(|scope| {
        for _ in 1..threads {
            let builder = std::thread::Builder::new().name("kernel".to_owned());
            // A system that gives no more threads only makes this slower.
            if builder.spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
}

/// `GOMP_parallel(function, data, threads, flags)`: calls the function with the data on a team of
/// threads, and returns when all have.
type GompParallel = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, u32, u32);

/// OpenMP's function where the program has it: GNU's, or that of another library in its name.
fn gomp_parallel() -> Option<GompParallel> {
    static FOUND: OnceLock<Option<GompParallel>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        #[cfg(target_os = "linux")]
        {
            let program = libloading::os::unix::Library::this();
            // SAFETY: the function of that name has this type in every version of OpenMP's binary
            // interface for GNU's compilers since 4.0, and libraries of the program stay open.
            let symbol = unsafe { program.get::<GompParallel>(b"GOMP_parallel\0") };
            symbol.ok().map(|symbol| *symbol)
        }
        #[cfg(not(target_os = "linux"))]
        {
            None
        }
    })
}

/// What [`call`] finds at its pointer.
struct Call<'a> {
    work: &'a (dyn Fn() + Sync),
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// Runs the work of a [`Call`]; a panic must not leave it.
extern "C" fn call(data: *mut c_void) {
    // SAFETY: `in_openmp` passes a pointer to a `Call` that lives until all threads are done.
    let call = unsafe { &*data.cast_const().cast::<Call<'_>>() };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call.work)) {
        call.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
    }
}

fn in_openmp(parallel: GompParallel, threads: usize, work: &(dyn Fn() + Sync)) {
    let data = Call { work, panic: Mutex::new(None) };
    let threads = u32::try_from(threads).unwrap_or(u32::MAX);
    // SAFETY: `call` takes a pointer to `data`, which may be shared by threads, and which
    // outlives the call; it does not unwind.
    unsafe { parallel(call, (&raw const data).cast_mut().cast(), threads, 0) };
    if let Some(panic) = data.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
        resume_unwind(panic);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_part_is_done_once() {
        for threads in [1, 2, 7] {
            let done: Vec<AtomicUsize> = (0..100).map(|_| AtomicUsize::new(0)).collect();
            in_threads(threads, done.iter(), |part| {
                part.fetch_add(1, Ordering::Relaxed);
            });
            assert!(done.iter().all(|part| part.load(Ordering::Relaxed) == 1));
            let found = try_in_threads(threads, 0..100, |part| match part {
                55 => Err(part),
                _ => Ok(()),
            });
            assert_eq!(found, Err(55));
        }
    }

    #[test]
    fn panics_reach_the_caller() {
        // OpenMP's threads, where this program has them, and others.
        for way in [everywhere, beside] {
            let fails = || way(3, &|| panic!("as it must"));
            assert!(catch_unwind(AssertUnwindSafe(fails)).is_err());
            let runs = AtomicUsize::new(0);
            way(3, &|| {
                runs.fetch_add(1, Ordering::Relaxed);
            });
            assert!((1..=3).contains(&runs.load(Ordering::Relaxed)));
        }
    }

    /// With libtorch in the program its threads are found.
    #[test]
    #[cfg(all(feature = "tch", target_os = "linux"))]
    fn libtorchs_threads_are_used() {
        tch::set_num_threads(2);
        let _ = tch::Tensor::ones([10], tch::kind::FLOAT_CPU).sum(tch::Kind::Float);
        assert!(gomp_parallel().is_some());
    }
}
