//! How many threads a kernel is to use.

/// As many as libtorch's own operations do, so that one setting holds for both.
#[must_use]
pub fn threads() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_is_one_at_least() {
        assert!(super::threads() >= 1);
    }
}
