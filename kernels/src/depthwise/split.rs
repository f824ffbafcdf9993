//! Rows of a job on several threads.

use std::ops::Range;

use crate::threads::in_threads;

/// Multiplications that are worth a thread: some ten times what starting one costs.
const WORTH_A_THREAD: usize = 1 << 20;

/// Calls `part` with ranges that make up `0..rows`, on at most `threads` threads, of which the
/// caller's is one; `work` is the cost of a row in multiplications.
pub(super) fn split(rows: usize, work: usize, threads: usize, part: impl Fn(Range<usize>) + Sync) {
    let useful = rows.saturating_mul(work) / WORTH_A_THREAD;
    let threads = threads.min(useful).min(rows).max(1);
    let bound = |i: usize| (rows as u128 * i as u128 / threads as u128) as usize;
    in_threads(threads, (0..threads).map(|i| bound(i)..bound(i + 1)), part);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn parts_make_up_the_whole() {
        for (rows, work, threads) in
            [(1, 1, 4), (7, 1 << 30, 3), (2, 1 << 30, 8), (100, 1 << 18, 4)]
        {
            let seen = Mutex::new(Vec::new());
            split(rows, work, threads, |range| {
                seen.lock().expect("nobody panics").push(range);
            });
            let mut seen = seen.into_inner().expect("nobody panics");
            seen.sort_by_key(|range| range.start);
            assert!(seen.len() <= threads);
            let all: Vec<usize> = seen.into_iter().flatten().collect();
            assert_eq!(all, (0..rows).collect::<Vec<_>>());
        }
    }
}
