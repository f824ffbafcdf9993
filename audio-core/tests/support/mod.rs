//! Reading of stored reference numbers.
#![allow(dead_code, reason = "each test program uses a part")]

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use ndarray::{Array2, ArrayView2};
use safetensors::{Dtype, SafeTensors};

/// The front-end goldens of the repository, and those of the folder that `FORMANT_GOLDENS` names.
pub(crate) fn golden_folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let bundled = root.join("tests/goldens/features");
    // A relative folder is one of the workspace, wherever the test program is started.
    let extra = std::env::var_os("FORMANT_GOLDENS").map(|folder| {
        let folder = root.join(folder).join("features");
        assert!(folder.is_dir(), "FORMANT_GOLDENS: {} is no folder", folder.display());
        folder
    });
    std::iter::once(bundled).chain(extra).collect()
}

/// One file of tensors.
pub(crate) struct Goldens {
    name: String,
    bytes: Vec<u8>,
}

impl Goldens {
    pub(crate) fn open(path: &Path) -> Self {
        let bytes = std::fs::read(path).and_then(|bytes| match path.extension() {
            Some(gz) if gz == "gz" => {
                let mut unpacked = Vec::new();
                GzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).map(|_| unpacked)
            }
            _ => Ok(bytes),
        });
        let bytes = bytes.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { name: path.display().to_string(), bytes }
    }

    /// Every stored copy of `file`, plain or as `<file>.gz`; a folder need not have all that
    /// others have.
    pub(crate) fn all(file: &str) -> Vec<Self> {
        let paths = golden_folders()
            .into_iter()
            .flat_map(|folder| [folder.join(file), folder.join(format!("{file}.gz"))]);
        let found: Vec<Self> =
            paths.filter(|path| path.is_file()).map(|path| Self::open(&path)).collect();
        assert!(!found.is_empty(), "no {file} in {:?}", golden_folders());
        found
    }

    /// Every stored set of a front end, whatever its number of bands: files named `prefix`, the
    /// bands, `suffix`.
    pub(crate) fn of_bands(prefix: &str, suffix: &str) -> Vec<Self> {
        let is_meant = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let bands = name.strip_prefix(prefix).and_then(|rest| {
                let rest = rest.strip_suffix(".gz").unwrap_or(rest);
                rest.strip_suffix(".safetensors").and_then(|rest| rest.strip_suffix(suffix))
            });
            bands
                .is_some_and(|bands| !bands.is_empty() && bands.bytes().all(|b| b.is_ascii_digit()))
        };
        let mut paths: Vec<PathBuf> = golden_folders()
            .iter()
            .flat_map(|folder| std::fs::read_dir(folder).expect("a folder of goldens"))
            .map(|entry| entry.expect("an entry").path())
            .filter(is_meant)
            .collect();
        paths.sort();
        assert!(!paths.is_empty(), "no {prefix}N{suffix} in {:?}", golden_folders());
        paths.iter().map(|path| Self::open(path)).collect()
    }

    /// A dimension of a tensor, counted from its end: 0 for the last.
    pub(crate) fn length(&self, key: &str, from_end: usize) -> usize {
        let (shape, _) = self.tensor(key);
        shape[shape.len() - 1 - from_end]
    }

    /// Shape and values of a tensor.
    pub(crate) fn tensor(&self, key: &str) -> (Vec<usize>, Vec<f32>) {
        let file = SafeTensors::deserialize(&self.bytes).expect("a safetensors file");
        let tensor =
            file.tensor(key).unwrap_or_else(|error| panic!("{} {key}: {error}", self.name));
        let bytes = tensor.data();
        let values = match tensor.dtype() {
            Dtype::F32 => bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
            Dtype::U8 => bytes.iter().map(|&b| f32::from(b)).collect(),
            Dtype::I32 => bytes
                .chunks_exact(4)
                .map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32)
                .collect(),
            Dtype::I64 => bytes
                .chunks_exact(8)
                .map(|b| i64::from_le_bytes(b.try_into().expect("eight bytes")) as f32)
                .collect(),
            other => panic!("{} {key}: {other:?} is not read here", self.name),
        };
        (tensor.shape().to_vec(), values)
    }

    pub(crate) fn values(&self, key: &str) -> Vec<f32> {
        self.tensor(key).1
    }

    /// A tensor as `[frames, bins]`; leading dimensions of one are dropped.
    pub(crate) fn matrix(&self, key: &str) -> Array2<f32> {
        let (shape, values) = self.tensor(key);
        let columns = *shape.last().expect("at least one dimension");
        let rows = values.len() / columns;
        assert!(shape.len() < 2 || shape[shape.len() - 2] == rows, "{key} is a batch: {shape:?}");
        Array2::from_shape_vec((rows, columns), values).expect("shape fits")
    }

    /// Item `item` of a batch, as `[rows, columns]`.
    pub(crate) fn batch_item(&self, key: &str, item: usize) -> Array2<f32> {
        let (shape, values) = self.tensor(key);
        let (rows, columns) = (shape[shape.len() - 2], shape[shape.len() - 1]);
        let start = item * rows * columns;
        Array2::from_shape_vec((rows, columns), values[start..start + rows * columns].to_vec())
            .expect("shape fits")
    }
}

/// Assert that no element differs by more than `tolerance`.
pub(crate) fn assert_close(
    what: &str,
    found: ArrayView2<f32>,
    expected: ArrayView2<f32>,
    tolerance: f32,
) {
    assert_eq!(found.dim(), expected.dim(), "{what}: shape");
    let mut worst = (0.0f32, (0, 0));
    for ((at, a), b) in found.indexed_iter().zip(expected) {
        let difference = (a - b).abs();
        assert!(!difference.is_nan(), "{what}: NaN at {at:?}");
        if difference > worst.0 {
            worst = (difference, at);
        }
    }
    assert!(
        worst.0 <= tolerance,
        "{what}: {:.3e} at {:?} is over {tolerance:.1e}",
        worst.0,
        worst.1
    );
}

/// As [`assert_close`] for logarithms of band powers, `unit` times the natural logarithm. A value
/// may be off by more than `tolerance` only as far as single precision explains it: a transform
/// rounds each bin's amplitude by a share, `rounding`, of the loudest, so that bands 80 dB and more
/// below it consist of rounding to a good part (torchaudio is off by 4e-4 from its own
/// double-precision run there).
pub(crate) fn assert_close_log(
    what: &str,
    found: ArrayView2<'_, f32>,
    expected: ArrayView2<'_, f32>,
    tolerance: f32,
    unit: f32,
    rounding: f32,
) {
    assert_eq!(found.dim(), expected.dim(), "{what}: shape");
    let amplitude = |value: f32| (value / (2.0 * unit)).exp();
    for (frame, (a, b)) in found.rows().into_iter().zip(expected.rows()).enumerate() {
        let loudest = b.iter().fold(0.0f32, |max, &x| max.max(amplitude(x)));
        for (bin, (&a, &b)) in a.iter().zip(b).enumerate() {
            let close = (a - b).abs() <= tolerance
                || (amplitude(a) - amplitude(b)).abs() <= rounding * loudest;
            assert!(close, "{what}: {a} is not {b} in frame {frame}, bin {bin}");
        }
    }
}

/// As [`assert_close`] for one row of numbers.
pub(crate) fn assert_close_slice(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    let row = |values: &[f32]| Array2::from_shape_vec((1, values.len()), values.to_vec());
    let (found, expected) = (row(found).expect("one row"), row(expected).expect("one row"));
    assert_close(what, found.view(), expected.view(), tolerance);
}
