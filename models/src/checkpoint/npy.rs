//! Single arrays in NumPy's `.npy` format.

use std::io::Cursor;

use ndarray::ArrayD;
use ndarray_npy::{ReadNpyError, ReadNpyExt, ReadableElement};

use super::dtype::DType;
use super::fault::{Fault, Outcome};
use super::source::Source;
use super::tensor::RawTensor;

/// Largest array that is read; these files hold statistics.
const MAX_SIZE: u64 = 1 << 30;

/// Whether the bytes start like this format.
pub(crate) fn matches(head: &[u8]) -> bool {
    head.starts_with(b"\x93NUMPY")
}

/// Reads the array.
pub(crate) fn open(source: &Source) -> Outcome<RawTensor> {
    let bytes = source.read_all(MAX_SIZE)?;
    // The type is in the header: try until it fits.
    try_as::<f32, 4>(&bytes, DType::F32, f32::to_le_bytes)
        .or_else(|| try_as::<f64, 8>(&bytes, DType::F64, f64::to_le_bytes))
        .or_else(|| try_as::<i64, 8>(&bytes, DType::I64, i64::to_le_bytes))
        .or_else(|| try_as::<i32, 4>(&bytes, DType::I32, i32::to_le_bytes))
        .or_else(|| try_as::<i16, 2>(&bytes, DType::I16, i16::to_le_bytes))
        .or_else(|| try_as::<i8, 1>(&bytes, DType::I8, i8::to_le_bytes))
        .or_else(|| try_as::<u8, 1>(&bytes, DType::U8, u8::to_le_bytes))
        .or_else(|| try_as::<bool, 1>(&bytes, DType::Bool, |value| [u8::from(value)]))
        .unwrap_or_else(|| {
            Err(Fault::Unsupported("a NumPy array of a type that is not read".into()))
        })
}

/// `None` when the file has another type.
fn try_as<T: ReadableElement + Copy, const N: usize>(
    bytes: &[u8],
    dtype: DType,
    encode: fn(T) -> [u8; N],
) -> Option<Outcome<RawTensor>> {
    match ArrayD::<T>::read_npy(Cursor::new(bytes)) {
        Ok(array) => {
            let data = array.iter().flat_map(|value| encode(*value)).collect();
            Some(RawTensor::from_bytes(dtype, array.shape().to_vec(), data))
        }
        Err(ReadNpyError::WrongDescriptor(_)) => None,
        Err(error) => Some(Err(Fault::Damaged(format!("broken NumPy array: {error}")))),
    }
}
