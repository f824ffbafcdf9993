//! A tensor as it lies in a file: type, shape and where its bytes are. The bytes are read when
//! they are asked for. Nothing here needs libtorch.

use std::sync::Arc;

use super::dtype::DType;
use super::fault::{Fault, Outcome};
use super::source::ByteSource;
use super::storage::StorageView;

/// A tensor: element type, shape, and little-endian contiguous bytes.
#[derive(Debug, Clone)]
pub struct RawTensor {
    dtype: DType,
    shape: Vec<usize>,
    data: Data,
}

#[derive(Debug, Clone)]
enum Data {
    /// In memory.
    Bytes(Arc<[u8]>),
    /// Contiguous little-endian bytes of a file.
    File(ByteSource),
    /// A strided view of a torch storage.
    Storage(StorageView),
}

impl RawTensor {
    /// From little-endian contiguous bytes.
    ///
    /// # Errors
    /// [`Fault::Damaged`] when the number of bytes does not fit type and shape.
    pub fn from_bytes(dtype: DType, shape: Vec<usize>, bytes: Vec<u8>) -> Outcome<Self> {
        Self::from_shared(dtype, shape, bytes.into())
    }

    /// As [`RawTensor::from_bytes`], without a copy.
    pub(crate) fn from_shared(dtype: DType, shape: Vec<usize>, bytes: Arc<[u8]>) -> Outcome<Self> {
        let expected = byte_len(dtype, &shape)?;
        if expected != bytes.len() {
            return Err(Fault::Damaged(format!(
                "a {dtype} tensor of shape {shape:?} needs {expected} bytes, {} are there",
                bytes.len()
            )));
        }
        Ok(Self { dtype, shape, data: Data::Bytes(bytes) })
    }

    /// A float tensor from its elements.
    ///
    /// # Errors
    /// [`Fault::Damaged`] when the number of elements does not fit the shape.
    pub fn from_f32(shape: Vec<usize>, values: &[f32]) -> Outcome<Self> {
        Self::from_bytes(DType::F32, shape, DType::F32.encode_f32(values))
    }

    /// A tensor whose contiguous bytes are all of `source`.
    pub(crate) fn in_file(dtype: DType, shape: Vec<usize>, source: ByteSource) -> Outcome<Self> {
        if byte_len(dtype, &shape)? as u64 != source.len() {
            return Err(Fault::damaged(format!(
                "a {dtype} tensor of shape {shape:?} does not fill {} bytes",
                source.len()
            )));
        }
        Ok(Self { dtype, shape, data: Data::File(source) })
    }

    /// A view of a torch storage; the view was checked to lie inside it.
    pub(crate) fn in_storage(dtype: DType, shape: Vec<usize>, view: StorageView) -> Self {
        Self { dtype, shape, data: Data::Storage(view) }
    }

    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Shape; empty for a scalar.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    #[must_use]
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of bytes of the contiguous data.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.numel() * self.dtype.size()
    }

    /// The contiguous little-endian bytes.
    ///
    /// # Errors
    /// When the file can't be read or is damaged.
    pub fn bytes(&self) -> Outcome<Arc<[u8]>> {
        match &self.data {
            Data::Bytes(bytes) => Ok(bytes.clone()),
            Data::File(source) => Ok(source.read_at(0, self.byte_len())?.into()),
            Data::Storage(view) => view.read(self.dtype, &self.shape),
        }
    }

    /// The stretch of a file that holds the contiguous bytes, where there is one.
    pub(crate) fn in_one_file(&self) -> Option<&ByteSource> {
        match &self.data {
            Data::File(source) => Some(source),
            Data::Bytes(_) | Data::Storage(_) => None,
        }
    }

    /// All elements as `f32`; a complex element gives its real and its imaginary part.
    ///
    /// # Errors
    /// When the file can't be read or is damaged.
    pub fn to_f32_vec(&self) -> Outcome<Vec<f32>> {
        let bytes = self.bytes()?;
        let mut values = Vec::with_capacity(bytes.len() / self.dtype.unit());
        self.dtype.extend_f32(&bytes, &mut values);
        Ok(values)
    }

    /// The same values with another float type. Tensors that are no floats stay as they are.
    ///
    /// # Errors
    /// When the file can't be read or is damaged.
    pub fn to_float(&self, dtype: DType) -> Outcome<Self> {
        if !self.dtype.is_float() || self.dtype == dtype || !dtype.is_float() {
            return Ok(self.clone());
        }
        Self::from_bytes(dtype, self.shape.clone(), dtype.encode_f32(&self.to_f32_vec()?))
    }

    /// A complex tensor as pairs of floats in a new last dimension; others stay as they are.
    ///
    /// # Errors
    /// When the file can't be read or is damaged.
    pub fn complex_as_pairs(&self) -> Outcome<Self> {
        if self.dtype != DType::Complex64 {
            return Ok(self.clone());
        }
        let mut shape = self.shape.clone();
        shape.push(2);
        Self::from_shared(DType::F32, shape, self.bytes()?)
    }

    /// Whether both are surely the same data, without reading it.
    pub(crate) fn same_place(&self, other: &Self) -> bool {
        self.dtype == other.dtype
            && self.shape == other.shape
            && match (&self.data, &other.data) {
                (Data::Bytes(a), Data::Bytes(b)) => a == b,
                (Data::Storage(a), Data::Storage(b)) => a.same_place(b),
                _ => false,
            }
    }
}

/// Bytes of a contiguous tensor, checked against overflow.
pub(crate) fn byte_len(dtype: DType, shape: &[usize]) -> Outcome<usize> {
    shape
        .iter()
        .try_fold(dtype.size(), |n, d| n.checked_mul(*d))
        .filter(|n| isize::try_from(*n).is_ok())
        .ok_or_else(|| Fault::Damaged(format!("a tensor has the impossible shape {shape:?}")))
}
