//! A grid of tokens of any width, and the windows that a transformer fills it by.

use tch::Tensor;

use crate::error::{Error, Result};

/// Tokens, row after row. A row is a block of bands, a column a block of frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grid {
    tokens: Vec<i64>,
    rows: usize,
    columns: usize,
}

impl Grid {
    /// The same token everywhere.
    pub(super) fn of(token: i64, rows: usize, columns: usize) -> Self {
        Self { tokens: vec![token; rows * columns], rows, columns }
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Sets every token that `is_chosen` chooses by its row and column.
    pub(super) fn set(&mut self, token: i64, is_chosen: impl Fn(usize, usize) -> bool) {
        let columns = self.columns;
        for (place, own) in self.tokens.iter_mut().enumerate() {
            if is_chosen(place / columns, place % columns) {
                *own = token;
            }
        }
    }

    /// The tokens of the columns from `first` on, row after row.
    pub(super) fn window(&self, first: usize, width: usize) -> Vec<i64> {
        let rows = self.tokens.chunks_exact(self.columns);
        rows.flat_map(|row| row[first..first + width].to_vec()).collect()
    }

    /// Replaces the columns from `first` on, but for the `kept` first of them.
    pub(super) fn put(&mut self, first: usize, kept: usize, window: &[i64]) {
        let width = window.len() / self.rows.max(1);
        let rows = self.tokens.chunks_exact_mut(self.columns);
        for (row, new) in rows.zip(window.chunks_exact(width)) {
            row[first + kept..first + width].copy_from_slice(&new[kept..]);
        }
    }

    /// `[1, rows, width]` of the columns from `first` on.
    pub(super) fn tensor(&self, first: usize, width: usize) -> Tensor {
        let size = [1, self.rows as i64, width as i64];
        Tensor::from_slice(&self.window(first, width)).view(size)
    }
}

/// First columns of windows of `width` that cover `columns`, each of which begins at least `overlap`
/// columns in front of the end of the one before it. The last one ends with the columns.
///
/// # Errors
/// [`Error::Config`] for an overlap of a whole window.
pub(super) fn windows(columns: usize, width: usize, overlap: usize) -> Result<Vec<usize>> {
    if overlap >= width {
        let reason = format!("{overlap} columns for windows of {width}");
        return Err(Error::config("overlap", reason));
    }
    let last = columns.saturating_sub(width);
    let inner = (0..last).step_by(width - overlap);
    Ok(inner.chain([last]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_all_columns_and_overlap() {
        assert_eq!(windows(3, 6, 2).expect("fits"), [0]);
        assert_eq!(windows(6, 6, 2).expect("fits"), [0]);
        assert_eq!(windows(7, 6, 2).expect("fits"), [0, 1]);
        assert_eq!(windows(15, 6, 2).expect("fits"), [0, 4, 8, 9]);
        for columns in 1..60 {
            let starts = windows(columns, 6, 2).expect("fits");
            assert!(starts.windows(2).all(|pair| pair[1] > pair[0] && pair[1] + 2 <= pair[0] + 6));
            assert_eq!(starts.last(), Some(&columns.saturating_sub(6)));
        }
        assert!(windows(9, 6, 6).is_err());
    }

    #[test]
    fn windows_are_taken_out_and_put_back() {
        let mut grid = Grid::of(9, 2, 5);
        grid.put(1, 1, &[0, 1, 2, 3, 4, 5]);
        assert_eq!(grid.window(0, 5), [9, 9, 1, 2, 9, 9, 9, 4, 5, 9]);
        grid.set(7, |row, column| row == 1 && column < 3);
        assert_eq!(grid.window(1, 2), [9, 1, 7, 7]);
        assert_eq!(grid.tensor(3, 2).size(), [1, 2, 2]);
    }
}
