//! Views of matrices in memory of `f32`.

use std::mem::MaybeUninit;

use crate::error::{Error, Result};
use crate::uninit::as_uninit;

/// A matrix that is read, `[rows, columns]`, with any strides.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    size: [usize; 2],
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// `size` is `[rows, columns]`, `strides` are the elements from one row and from one column to
    /// the next.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] when the strides lead outside of `values`.
    pub fn new(values: &'a [f32], size: [usize; 2], strides: [usize; 2]) -> Result<Self> {
        check_bounds(values.len(), size, strides)?;
        Ok(Self { values, size, strides })
    }

    /// Rows without gaps.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] when there are fewer `values`.
    pub fn dense(values: &'a [f32], size: [usize; 2]) -> Result<Self> {
        Self::new(values, size, [size[1], 1])
    }

    /// Rows and columns in each other's place.
    #[must_use]
    pub fn transposed(self) -> Self {
        let ([rows, columns], [row, column]) = (self.size, self.strides);
        Self { size: [columns, rows], strides: [column, row], ..self }
    }

    /// `[rows, columns]`.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// `rows` from row `row` and `columns` from column `column` on.
    ///
    /// # Panics
    /// When they are not inside of the matrix.
    #[must_use]
    pub fn part(self, [row, rows]: [usize; 2], [column, columns]: [usize; 2]) -> Self {
        assert!(row + rows <= self.size[0] && column + columns <= self.size[1]);
        let size = [rows, columns];
        let values = match size.contains(&0) {
            true => &[],
            false => &self.values[row * self.strides[0] + column * self.strides[1]..],
        };
        Self { values, size, strides: self.strides }
    }

    /// The elements of row `row`, one after the other `column_stride` apart, and that stride.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> (&'a [f32], usize) {
        (self.values.get(row * self.strides[0]..).unwrap_or_default(), self.strides[1])
    }
}

/// A matrix that is written to, `[rows, columns]`, whose columns are neighbours.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    pub(super) values: &'a mut [MaybeUninit<f32>],
    /// Whether `values` are numbers already, so that a product can be added to them.
    pub(super) initialized: bool,
    size: [usize; 2],
    stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// `size` is `[rows, columns]`, `stride` the elements from one row to the next.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] when the rows lead outside of `values`, [`Error::Overlap`] when they
    /// share places.
    pub fn new(values: &'a mut [f32], size: [usize; 2], stride: usize) -> Result<Self> {
        check_bounds(values.len(), size, [stride, 1])?;
        if size[0] > 1 && stride < size[1] {
            return Err(Error::Overlap { shape: [1, size[0], size[1]], strides: [0, stride, 1] });
        }
        // SAFETY: products write numbers to a matrix, and nothing else.
        Ok(Self { values: unsafe { as_uninit(values) }, initialized: true, size, stride })
    }

    /// Rows without gaps in memory that need not be initialized: a product writes every element.
    /// No product can be added to it ([`super::Start::Output`]).
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] when there are fewer `values`.
    pub fn uninit(values: &'a mut [MaybeUninit<f32>], size: [usize; 2]) -> Result<Self> {
        check_bounds(values.len(), size, [size[1], 1])?;
        Ok(Self { values, initialized: false, size, stride: size[1] })
    }

    /// Rows without gaps.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] when there are fewer `values`.
    pub fn dense(values: &'a mut [f32], size: [usize; 2]) -> Result<Self> {
        Self::new(values, size, size[1])
    }

    /// `[rows, columns]`.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Elements from one row to the next.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }
}

fn check_bounds(len: usize, size: [usize; 2], strides: [usize; 2]) -> Result<()> {
    let last = || {
        let rows = (size[0] - 1).checked_mul(strides[0])?;
        rows.checked_add((size[1] - 1).checked_mul(strides[1])?)
    };
    if size.contains(&0) || last().is_some_and(|last| last < len) {
        return Ok(());
    }
    let [rows, columns] = size;
    Err(Error::OutOfBounds { shape: [1, rows, columns], strides: [0, strides[0], strides[1]], len })
}
