//! The recent samples of a signal that may never end.

/// Samples of a signal that are in memory.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The samples.
    pub samples: &'a [f32],
    /// Position of the first of them in the signal.
    pub base: usize,
    /// Length of the signal, or of what there is of it so far.
    pub length: usize,
}

impl<'a> Known<'a> {
    /// A signal that is completely in memory.
    #[must_use]
    pub fn whole(samples: &'a [f32]) -> Self {
        Self { samples, base: 0, length: samples.len() }
    }
}

/// A queue of samples that remembers positions and forgets the past in strides, so that pushing
/// single samples stays cheap and the memory bounded.
#[derive(Debug, Clone, Default)]
pub struct History {
    samples: Vec<f32>,
    base: usize,
}

/// Unused samples that are tolerated before the rest is moved to the front.
const STRIDE: usize = 1 << 13;

impl History {
    /// Append samples.
    pub fn extend(&mut self, samples: impl IntoIterator<Item = f32>) {
        self.samples.extend(samples);
    }

    /// Samples that were ever appended.
    #[must_use]
    pub fn received(&self) -> usize {
        self.base + self.samples.len()
    }

    /// What is in memory of a signal of `length` samples.
    #[must_use]
    pub fn known(&self, length: usize) -> Known<'_> {
        Known { samples: &self.samples, base: self.base, length }
    }

    /// Samples before position `keep` are no longer needed.
    pub fn forget(&mut self, keep: usize) {
        let unused = keep.saturating_sub(self.base).min(self.samples.len());
        if unused > STRIDE.max(self.samples.len() / 2) || unused == self.samples.len() {
            self.samples.drain(..unused);
            self.base += unused;
        }
    }

    /// Back to the start of a signal; the buffer stays allocated.
    pub fn clear(&mut self) {
        self.samples.clear();
        self.base = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_stays_bounded() {
        let mut history = History::default();
        for n in 0..1_000_000usize {
            history.extend([n as f32]);
            history.forget((n + 1).saturating_sub(400));
            let known = history.known(history.received());
            assert!(known.base + 400 >= n.saturating_sub(STRIDE));
        }
        assert_eq!(history.received(), 1_000_000);
        assert!(history.samples.capacity() <= 4 * STRIDE);
        let known = history.known(1_000_000);
        assert_eq!(known.samples.last(), Some(&999_999.0));
        assert_eq!(known.samples[0], known.base as f32);
    }
}
