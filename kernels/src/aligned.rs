//! Memory whose first number begins a line of the caches, so that no vector or row of a tile needs two.

use std::ops::{Deref, DerefMut};

/// Numbers of a line.
const LINE: usize = 16;

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; LINE]);

/// A list of numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Aligned {
    lines: Vec<Line>,
    len: usize,
}

impl Aligned {
    /// Makes it `len` zeros.
    pub(crate) fn clear(&mut self, len: usize) {
        self.lines.clear();
        self.lines.resize(len.div_ceil(LINE), Line([0; LINE]));
        self.len = len;
    }
}

impl Deref for Aligned {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        // SAFETY: lines are arrays one behind the other, and have `len` numbers in all at least.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u32] {
        // SAFETY: as above; nobody else sees them.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_begin_with_a_line() {
        let mut list = Aligned::default();
        assert!(list.is_empty());
        for len in [1, 16, 1000, 3] {
            list.clear(len);
            list[len - 1] = 7;
            assert!(list.len() == len && list.as_ptr().addr() % 64 == 0);
            assert_eq!(list.clone().iter().sum::<u32>(), 7);
        }
    }
}
