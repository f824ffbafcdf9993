//! Numbers that wait on the disk until the end of what they are of is known.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use crate::draft::spool;
use crate::error::{Error, Result};

/// Rows that are read in one go.
const ROWS: usize = 1024;

/// Numbers on their way to the disk.
#[derive(Debug)]
pub struct FloatSpool {
    file: BufWriter<File>,
    count: usize,
}

impl FloatSpool {
    /// Begins a temporary file without a name.
    ///
    /// # Errors
    /// When the folder for temporary files takes none.
    pub fn new() -> io::Result<Self> {
        Ok(Self { file: BufWriter::new(spool()?), count: 0 })
    }

    /// Appends numbers.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn push(&mut self, values: &[f32]) -> io::Result<()> {
        self.count += values.len();
        values.iter().try_for_each(|value| self.file.write_all(&value.to_le_bytes()))
    }

    /// Everything that was appended, as rows of `width` numbers.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn into_rows(self, width: usize) -> io::Result<SpooledRows> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let rows = self.count / width.max(1);
        let mut rows =
            SpooledRows { file: BufReader::new(file), width, rows, left: 0, bytes: Vec::new() };
        rows.rewind()?;
        Ok(rows)
    }
}

/// A matrix on the disk, read from its first row to its last as often as it is needed.
#[derive(Debug)]
pub struct SpooledRows {
    file: BufReader<File>,
    width: usize,
    rows: usize,
    left: usize,
    bytes: Vec<u8>,
}

impl SpooledRows {
    /// Rows and columns.
    #[must_use]
    pub fn dim(&self) -> (usize, usize) {
        (self.rows, self.width)
    }

    /// Goes back to the first row.
    ///
    /// # Errors
    /// When the disk can't be read.
    pub fn rewind(&mut self) -> io::Result<()> {
        self.left = self.rows;
        self.file.seek(SeekFrom::Start(0)).map(drop)
    }

    /// Replaces `rows` by the next rows, a thousand or so; false when there are none.
    ///
    /// # Errors
    /// When the disk can't be read.
    pub fn next_into(&mut self, rows: &mut Vec<f32>) -> io::Result<bool> {
        rows.clear();
        let count = self.left.min(ROWS);
        self.left -= count;
        self.bytes.resize(4 * count * self.width, 0);
        self.file.read_exact(&mut self.bytes)?;
        let (values, _) = self.bytes.as_chunks::<4>();
        rows.extend(values.iter().map(|&value| f32::from_le_bytes(value)));
        Ok(count > 0)
    }

    /// Shows all rows to `take`, from the first on.
    ///
    /// # Errors
    /// When the disk can't be read, and what `take` says.
    pub fn each(&mut self, mut take: impl FnMut(&mut [f32]) -> Result<()>) -> Result<()> {
        let of_disk = |error| Error::io("temporary file", error);
        self.rewind().map_err(of_disk)?;
        let (mut rows, width) = (Vec::new(), self.width.max(1));
        while self.next_into(&mut rows).map_err(of_disk)? {
            rows.chunks_exact_mut(width).try_for_each(&mut take)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_often_as_wanted() {
        let mut spool = FloatSpool::new().expect("a file");
        let values: Vec<f32> = (0..3 * 2500).map(|n| n as f32).collect();
        values.chunks(700).for_each(|part| spool.push(part).expect("room"));
        let mut rows = spool.into_rows(3).expect("written");
        assert_eq!(rows.dim(), (2500, 3));
        for _ in 0..2 {
            let mut found = Vec::new();
            let take = |row: &mut [f32]| {
                found.extend_from_slice(row);
                Ok(())
            };
            rows.each(take).expect("read");
            assert_eq!(found, values);
        }
    }
}
