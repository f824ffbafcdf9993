//! Torch storages: flat runs of elements in a file, of which tensors are strided views. Several
//! tensors may share a storage, so the one read last is kept.

use std::sync::{Arc, Mutex, PoisonError};

use super::dtype::DType;
use super::fault::{Fault, Outcome};
use super::tensor::byte_len;

/// Gives the bytes of a storage by its number.
pub(crate) trait StorageReader: std::fmt::Debug + Send + Sync {
    /// Reads storage `index` whole.
    fn read(&self, index: usize) -> Outcome<Arc<[u8]>>;
}

/// The storages of one file.
#[derive(Debug)]
pub(crate) struct Storages {
    reader: Box<dyn StorageReader>,
    swap: bool,
    last: Mutex<Option<(usize, Arc<[u8]>)>>,
}

impl Storages {
    /// `swap` says that numbers are stored big-endian.
    pub(crate) fn new(reader: Box<dyn StorageReader>, swap: bool) -> Arc<Self> {
        Arc::new(Self { reader, swap, last: Mutex::new(None) })
    }

    fn get(&self, index: usize) -> Outcome<Arc<[u8]>> {
        // A poisoned lock only means that another reader panicked; the cache stays valid.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((kept, bytes)) if *kept == index => Ok(bytes.clone()),
            _ => {
                let bytes = self.reader.read(index)?;
                *last = Some((index, bytes.clone()));
                Ok(bytes)
            }
        }
    }
}

/// How the numbers of a tensor differ from those that are stored for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sign {
    /// Imaginary parts have the opposite sign.
    pub(crate) conjugated: bool,
    /// All numbers have the opposite sign.
    pub(crate) negated: bool,
}

impl Sign {
    /// Gives little-endian elements their sign. torch has these flags for complex tensors and for
    /// views of them alone, so that other types stay as they are.
    fn apply(self, dtype: DType, bytes: &mut [u8]) {
        if !dtype.is_float() && !dtype.is_complex() {
            return;
        }
        for (place, number) in bytes.chunks_exact_mut(dtype.unit()).enumerate() {
            let imaginary = dtype.is_complex() && place % 2 == 1;
            if self.negated != (self.conjugated && imaginary)
                && let Some(last) = number.last_mut()
            {
                *last ^= 0x80;
            }
        }
    }
}

/// Where a tensor lies in a storage, in elements.
#[derive(Debug, Clone)]
pub(crate) struct StorageView {
    pub(crate) storages: Arc<Storages>,
    pub(crate) index: usize,
    pub(crate) offset: usize,
    pub(crate) strides: Vec<usize>,
    pub(crate) sign: Sign,
}

impl StorageView {
    pub(crate) fn same_place(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.storages, &other.storages)
            && (self.index, self.offset, &self.strides, self.sign)
                == (other.index, other.offset, &other.strides, other.sign)
    }

    /// The elements in row-major order, little-endian.
    pub(crate) fn read(&self, dtype: DType, shape: &[usize]) -> Outcome<Arc<[u8]>> {
        let total = byte_len(dtype, shape)?;
        if total == 0 {
            return Ok(Arc::default());
        }
        let storage = self.storages.get(self.index)?;
        let size = dtype.size();
        let end = span(shape, self.offset, &self.strides).and_then(|n| n.checked_mul(size));
        if end.is_none_or(|end| end > storage.len()) {
            return Err(Fault::damaged("a tensor reaches beyond the end of its storage"));
        }
        let swap = self.storages.swap && dtype.unit() > 1;
        let as_stored = !swap && self.sign == Sign::default();
        if as_stored && total == storage.len() && is_contiguous(shape, &self.strides) {
            return Ok(storage); // the usual case: a storage for each tensor
        }
        let mut out = Vec::with_capacity(total);
        if is_contiguous(shape, &self.strides) {
            let first = self.offset * size;
            out.extend_from_slice(&storage[first..first + total]);
        } else {
            gather(&storage, size, self.offset, shape, &self.strides, &mut out);
        }
        if swap {
            out.chunks_exact_mut(dtype.unit()).for_each(<[u8]>::reverse);
        }
        self.sign.apply(dtype, &mut out);
        Ok(out.into())
    }
}

/// One more than the largest element index of a view, or `None` on overflow. Zero elements need
/// no storage.
pub(crate) fn span(shape: &[usize], offset: usize, strides: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    let mut last = offset;
    for (dim, stride) in shape.iter().zip(strides) {
        last = last.checked_add((dim - 1).checked_mul(*stride)?)?;
    }
    last.checked_add(1)
}

fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(dim, stride)| {
        let fits = *dim == 1 || *stride == expected;
        expected *= dim;
        fits
    })
}

fn gather(
    storage: &[u8],
    size: usize,
    offset: usize,
    shape: &[usize],
    strides: &[usize],
    out: &mut Vec<u8>,
) {
    // An odometer over the indices; `at` is the element that they select.
    let mut index = vec![0; shape.len()];
    let mut at = offset;
    loop {
        out.extend_from_slice(&storage[at * size..(at + 1) * size]);
        let mut axis = shape.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
}
