//! How many threads a kernel is to use.

/// As many as libtorch's own operations do, so that one setting holds for both.
#[must_use]
pub fn threads() -> usize {
    at_least_one(tch::get_num_threads())
}

fn at_least_one(threads: i32) -> usize {
    usize::try_from(threads).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::at_least_one;

    #[test]
    fn there_is_one_at_least() {
        assert_eq!([-1, 0, 1, 7].map(at_least_one), [1, 1, 1, 7]);
    }
}
