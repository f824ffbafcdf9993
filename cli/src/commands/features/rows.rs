//! Feature matrices as files: rows go in as they come, or wait on the disk, so that length costs no
//! memory.

use std::cell::RefCell;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use formant_audio_core::features::{FeatureConfig, LogBase};
use formant_audio_core::plot::{MatrixOptions, render_matrix};
use formant_audio_core::spool::{FloatSpool, SpooledRows};
use ndarray::{Array1, arr0};
use ndarray_npy::{NpzWriter, WriteNpyError, WriteNpyExt};

use super::FeatureFormat;
use crate::draft::Draft;
use crate::failure::Failure;
use crate::outputs::Target;
use crate::table;

/// Room for an NPY header, which is written when the number of rows is known.
const NPY_HEADER: usize = 128;

/// A feature file under construction.
pub(super) struct RowWriter {
    target: Target,
    format: FeatureFormat,
    bins: usize,
    rows: usize,
    file: BufWriter<Draft>,
    /// Rows of a format that begins with their number.
    waiting: Option<FloatSpool>,
}

/// Facts that some formats hold beside the matrix.
pub(super) struct Facts<'a> {
    pub(super) title: &'a str,
    pub(super) config: &'a FeatureConfig,
}

impl RowWriter {
    /// Begins a file of rows with `bins` numbers.
    pub(super) fn new(
        target: &Target,
        format: FeatureFormat,
        bins: usize,
    ) -> Result<Self, Failure> {
        let waits = matches!(format, FeatureFormat::Npz | FeatureFormat::Png);
        let waiting = waits.then(FloatSpool::new).transpose();
        let mut writer = Self {
            target: target.clone(),
            format,
            bins: bins.max(1),
            rows: 0,
            file: BufWriter::new(Draft::new(target)?),
            waiting: waiting.map_err(|error| of_spool(&error))?,
        };
        if format == FeatureFormat::Npy {
            writer.put(&[0; NPY_HEADER])?;
        }
        Ok(writer)
    }

    /// Appends rows, one after the other in `values`.
    pub(super) fn push(&mut self, values: &[f32]) -> Result<(), Failure> {
        self.rows += values.len() / self.bins;
        if let Some(waiting) = &mut self.waiting {
            return waiting.push(values).map_err(|error| of_spool(&error));
        }
        if self.format == FeatureFormat::Csv {
            let fields = |row: &[f32]| row.iter().map(ToString::to_string).collect::<Vec<_>>();
            let bytes = table::rows(b',', values.chunks_exact(self.bins).map(fields))?;
            return self.put(&bytes);
        }
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.put(&bytes)
    }

    /// Completes the file; the number of rows.
    pub(super) fn finish(mut self, facts: &Facts<'_>) -> Result<usize, Failure> {
        let waiting = self.waiting.take().map(|spool| spool.into_rows(self.bins));
        let waiting = waiting.transpose().map_err(|error| of_spool(&error))?;
        match waiting {
            Some(rows) if self.format == FeatureFormat::Npz => {
                npz(rows, facts.config, &mut self.file)
                    .map_err(|error| Draft::failure(&self.target, &error))?;
            }
            Some(rows) => {
                let bytes = picture(rows, facts)?;
                self.put(&bytes)?;
            }
            None if self.format == FeatureFormat::Npy => {
                let header = npy_header(self.rows, self.bins);
                let rewind = self.file.seek(SeekFrom::Start(0));
                rewind.map_err(|error| Draft::failure(&self.target, &error))?;
                self.put(&header)?;
            }
            None => {}
        }
        let draft = self.file.into_inner();
        draft.map_err(|error| Draft::failure(&self.target, error.error()))?.commit()?;
        Ok(self.rows)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|error| Draft::failure(&self.target, &error))
    }
}

fn of_spool(error: &io::Error) -> Failure {
    Failure::output("temporary file".as_ref(), error)
}

/// Version 1.0 of the NPY format: magic, length of the rest, a Python literal, padding.
fn npy_header(rows: usize, bins: usize) -> [u8; NPY_HEADER] {
    let mut header = [b' '; NPY_HEADER];
    header[..8].copy_from_slice(b"\x93NUMPY\x01\x00");
    header[8..10].copy_from_slice(&((NPY_HEADER - 10) as u16).to_le_bytes());
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {bins}), }}");
    // At most 98 bytes, even for the largest counts.
    header[10..10 + text.len()].copy_from_slice(text.as_bytes());
    header[NPY_HEADER - 1] = b'\n';
    header
}

/// A matrix on the disk, as an array of an archive.
struct Member(RefCell<SpooledRows>);

impl WriteNpyExt for Member {
    fn write_npy<W: Write>(&self, mut writer: W) -> Result<(), WriteNpyError> {
        let mut matrix = self.0.borrow_mut();
        let (rows, bins) = matrix.dim();
        writer.write_all(&npy_header(rows, bins))?;
        let mut values = Vec::new();
        while matrix.next_into(&mut values)? {
            values.iter().try_for_each(|value| writer.write_all(&value.to_le_bytes()))?;
        }
        Ok(writer.flush()?)
    }
}

fn npz(
    matrix: SpooledRows,
    config: &FeatureConfig,
    file: &mut (impl Write + Seek),
) -> io::Result<()> {
    // All settings, for programs that take the matrix: bytes of JSON.
    let front_end = Array1::from_vec(serde_json::to_vec(config).map_err(io::Error::other)?);
    let mut archive = NpzWriter::new_compressed(file);
    let write = || {
        archive.add_array("features", &Member(RefCell::new(matrix)))?;
        archive.add_array("sample_rate", &arr0(i64::from(config.sample_rate)))?;
        archive.add_array("hop_length", &arr0(config.hop_length as i64))?;
        archive.add_array("front_end", &front_end)
    };
    write().map_err(io::Error::other)?;
    archive.finish().map(drop).map_err(io::Error::other)
}

fn picture(matrix: SpooledRows, facts: &Facts<'_>) -> Result<Vec<u8>, Failure> {
    let config = facts.config;
    let bins = match (config.cepstrum.is_some(), config.mel.is_some()) {
        (true, _) => "coefficient",
        (false, true) => "mel",
        (false, false) => "bin",
    };
    let plain = config.cepstrum.is_none() && config.affine.is_none();
    let unit = match &config.log {
        Some(log) if plain && log.base == LogBase::Ten && log.factor >= 10.0 => "dB",
        Some(log) if plain && log.base == LogBase::E => "ln",
        _ => "",
    };
    let options = MatrixOptions {
        bin_hz: bin_hz(config),
        seconds_per_frame: Some(config.hop_length as f64 / f64::from(config.sample_rate.max(1))),
        bins: bins.to_owned(),
        unit: unit.to_owned(),
        ..MatrixOptions::default()
    };
    Ok(render_matrix(facts.title, matrix, &options)?.to_png()?)
}

/// The frequency of each bin, where bins are frequencies.
fn bin_hz(config: &FeatureConfig) -> Vec<f64> {
    match &config.mel {
        _ if config.cepstrum.is_some() => Vec::new(),
        Some(mel) => mel.centres(config.sample_rate),
        None => {
            let step = f64::from(config.sample_rate) / config.n_fft.max(1) as f64;
            (0..=config.n_fft / 2).map(|bin| bin as f64 * step).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_have_frequencies_where_they_are_some() {
        let by_name = |name| formant_audio_core::features::presets::by_name(name).expect("one");
        let mfcc = by_name("kaldi-mfcc");
        assert_eq!(bin_hz(&mfcc), Vec::<f64>::new());
        let mel = FeatureConfig { cepstrum: None, ..mfcc };
        let centres = bin_hz(&mel);
        assert_eq!(centres.len(), mel.mel.as_ref().expect("mel").n_mels);
        assert!(centres.is_sorted() && centres[0] > 0.0);
        let plain = FeatureConfig { mel: None, ..mel };
        assert_eq!(bin_hz(&plain).last(), Some(&f64::from(plain.sample_rate / 2)));
    }

    #[test]
    fn npy_headers_have_their_size() {
        let header = npy_header(usize::MAX, usize::MAX);
        assert_eq!(header[NPY_HEADER - 1], b'\n');
        let text = String::from_utf8_lossy(&npy_header(3, 80)[10..]).into_owned();
        assert!(text.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 80), }"));
    }
}
