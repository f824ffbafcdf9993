//! Memory that a kernel writes before anybody reads it.

use std::mem::MaybeUninit;

/// `values` as memory to write to.
///
/// # Safety
/// Nothing but numbers may be written there: memory that was initialized stays so.
pub(crate) unsafe fn as_uninit(values: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    // SAFETY: both types have the same layout, and the caller promises the rest.
    unsafe { &mut *(std::ptr::from_mut(values) as *mut [MaybeUninit<f32>]) }
}
