//! Rows that wait on the disk until the loudest band of the whole signal is known.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use formant_audio_core::draft::spool;
use formant_audio_core::features::SecondPass;
use ndarray::Array2;

use super::rows::RowWriter;
use crate::failure::Failure;

/// Rows that are completed in one go.
const ROWS: usize = 1024;

/// The rows of the first pass.
pub(super) struct FirstPass {
    second: SecondPass,
    spool: BufWriter<File>,
    values: usize,
    loudest: f32,
}

impl FirstPass {
    pub(super) fn new(second: SecondPass) -> Result<Self, Failure> {
        let spool = BufWriter::new(spool().map_err(failure)?);
        Ok(Self { second, spool, values: 0, loudest: f32::NEG_INFINITY })
    }

    /// Appends rows.
    pub(super) fn push(&mut self, values: &[f32]) -> Result<(), Failure> {
        self.values += values.len();
        self.loudest = values.iter().fold(self.loudest, |loudest, &value| loudest.max(value));
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.spool.write_all(&bytes).map_err(failure)
    }

    /// Completes all rows, of `bins` values each, and passes them on.
    pub(super) fn finish(&mut self, bins: usize, writer: &mut RowWriter) -> Result<(), Failure> {
        self.spool.flush().map_err(failure)?;
        let mut file = self.spool.get_ref();
        file.seek(SeekFrom::Start(0)).map_err(failure)?;
        let mut reader = BufReader::new(file);
        let mut left = self.values;
        while left > 0 {
            let count = left.min(ROWS * bins);
            let mut bytes = vec![0; 4 * count];
            reader.read_exact(&mut bytes).map_err(failure)?;
            let (values, _) = bytes.as_chunks::<4>();
            let values = values.iter().map(|&value| f32::from_le_bytes(value)).collect();
            let mut rows = Array2::from_shape_vec((count / bins, bins), values)
                .map_err(|error| Failure::internal("features", error))?;
            self.second.apply(self.loudest, &mut rows);
            writer.push(rows.as_slice().unwrap_or_default())?;
            left -= count;
        }
        Ok(())
    }
}

fn failure(error: io::Error) -> Failure {
    Failure::output("temporary file".as_ref(), &error)
}
