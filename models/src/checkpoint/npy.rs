//! Single arrays in NumPy's `.npy` format: a header that is a Python dict, then the numbers. See
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use super::fault::{Fault, Outcome, within};
use super::pickle::NumpyType;
use super::source::Source;
use super::tensor::{RawTensor, byte_len};
use super::torch_file::in_memory;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Largest header; that of a plain type has a hundred bytes.
const MAX_HEADER: u64 = 64 << 10;
/// Most dimensions, as in NumPy.
const MAX_DIMENSIONS: usize = 64;

/// Whether the bytes start like this format.
pub(crate) fn matches(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// Reads the array.
pub(crate) fn open(source: &Source) -> Outcome<RawTensor> {
    let version = source.read_at(MAGIC.len() as u64, 2)?[0];
    let width = if version == 1 { 2 } else { 4 };
    let mut size = [0; 4];
    size[..width].copy_from_slice(&source.read_at(8, width)?);
    let size = u64::from(u32::from_le_bytes(size));
    within("size of the NumPy header", size, MAX_HEADER)?;
    let start = 8 + width as u64;
    let header = source.read_at(start, size as usize)?;
    let header = parse(&String::from_utf8_lossy(&header))
        .ok_or_else(|| Fault::damaged("the header of the NumPy array is broken"))?;
    let dtype = header.kind.dtype().ok_or_else(|| {
        Fault::Unsupported("a NumPy array of a type that is not read; save it as float32".into())
    })?;
    let expected = byte_len(dtype, &header.shape)?;
    let found = source.len() - start - size;
    if expected as u64 != found {
        return Err(Fault::Damaged(format!(
            "the NumPy array needs {expected} bytes, {found} are there"
        )));
    }
    let bytes = source.read_at(start + size, expected)?;
    Ok(in_memory(dtype, header.shape, header.fortran, header.kind.big_endian, bytes.into()))
}

struct Header {
    kind: NumpyType,
    fortran: bool,
    shape: Vec<usize>,
}

/// The three entries of a header such as
/// `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
fn parse(text: &str) -> Option<Header> {
    let entry = |name: &str| -> Option<&str> {
        let (_, value) = text.split_once(&format!("'{name}'"))?;
        Some(value.trim_start().strip_prefix(':')?.trim_start())
    };
    let code = entry("descr")?.strip_prefix('\'')?.split('\'').next()?;
    let kind =
        NumpyType::of_code(code.trim_start_matches(['<', '>', '|', '=']), code.starts_with('>'));
    let fortran = match entry("fortran_order")? {
        order if order.starts_with("True") => true,
        order if order.starts_with("False") => false,
        _ => return None,
    };
    let sizes = entry("shape")?.strip_prefix('(')?.split(')').next()?;
    let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape: Vec<usize> = sizes.map(|size| size.parse().ok()).collect::<Option<_>>()?;
    (shape.len() <= MAX_DIMENSIONS).then_some(Header { kind, fortran, shape })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::dtype::DType;

    fn file(header: &str, data: &[u8]) -> Outcome<RawTensor> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        open(&Source::Bytes(bytes.into()))
    }

    #[test]
    fn arrays_of_both_orders_and_both_ends() {
        let values = |order: &str, code: &str, data: &[u8]| {
            let header =
                format!("{{'descr': '{code}', 'fortran_order': {order}, 'shape': (2, 2), }}");
            let tensor = file(&header, data).expect("sound");
            assert_eq!((tensor.dtype(), tensor.shape()), (DType::I16, &[2, 2][..]));
            tensor.to_f32_vec().expect("reads")
        };
        assert_eq!(values("False", "<i2", &[1, 0, 2, 0, 3, 0, 4, 0]), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(values("True", "<i2", &[1, 0, 2, 0, 3, 0, 4, 0]), [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(values("False", ">i2", &[0, 1, 0, 2, 0, 3, 0, 4]), [1.0, 2.0, 3.0, 4.0]);
        let scalar = file("{'descr': '|b1', 'fortran_order': False, 'shape': ()}", &[1]);
        assert_eq!(scalar.expect("sound").to_f32_vec().expect("reads"), [1.0]);
    }

    #[test]
    fn u1_no_memory_for_an_array_that_is_not_there() {
        for shape in ["(1099511627776,)", "(4294967296, 4294967296)", "(2, 3)", "(-1,)", "(x,)"] {
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
            assert!(matches!(file(&header, &[0; 8]), Err(Fault::Damaged(_))), "{shape}");
        }
        let text = "{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }";
        assert!(matches!(file(text, &[0; 16]), Err(Fault::Unsupported(_))));
        assert!(matches!(file("{}", &[]), Err(Fault::Damaged(_))));
    }
}
