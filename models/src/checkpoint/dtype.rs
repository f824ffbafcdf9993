//! Element types of stored tensors, and conversion of elements to `f32` and to half precision.

use half::{bf16, f16};
use serde::{Deserialize, Serialize};

/// Type of the elements of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// IEEE half.
    F16,
    /// bfloat16.
    BF16,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
    /// 16-bit integer.
    I16,
    /// 8-bit integer.
    I8,
    /// Byte.
    U8,
    /// One byte, 0 or 1.
    Bool,
    /// Two 32-bit floats: real and imaginary part.
    Complex64,
}

impl DType {
    /// All types.
    pub(super) fn all() -> [Self; 11] {
        use DType::{BF16, Bool, Complex64, F16, F32, F64, I8, I16, I32, I64, U8};
        [F64, F32, F16, BF16, I64, I32, I16, I8, U8, Bool, Complex64]
    }

    /// Bytes of one element.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::Complex64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Bytes that change their order together between machines of different endianness.
    pub(crate) fn unit(self) -> usize {
        if self == Self::Complex64 { 4 } else { self.size() }
    }

    /// Whether it holds complex numbers.
    #[must_use]
    pub fn is_complex(self) -> bool {
        self == Self::Complex64
    }

    /// Whether it holds real floating-point numbers.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::BF16)
    }

    /// Name as shown to users: `f32`, `complex64`, ...
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::Bool => "bool",
            Self::Complex64 => "complex64",
        }
    }

    /// From the name of a torch dtype or storage class: `float32`, `FloatStorage`, `long`, ...
    pub(crate) fn from_torch(name: &str) -> Option<Self> {
        Some(match name {
            "DoubleStorage" | "float64" | "double" => Self::F64,
            "FloatStorage" | "float32" | "float" => Self::F32,
            "HalfStorage" | "float16" | "half" => Self::F16,
            "BFloat16Storage" | "bfloat16" => Self::BF16,
            "LongStorage" | "int64" | "long" => Self::I64,
            "IntStorage" | "int32" | "int" => Self::I32,
            "ShortStorage" | "int16" | "short" => Self::I16,
            "CharStorage" | "int8" => Self::I8,
            "ByteStorage" | "UntypedStorage" | "uint8" => Self::U8,
            "BoolStorage" | "bool" => Self::Bool,
            "ComplexFloatStorage" | "complex64" | "cfloat" => Self::Complex64,
            _ => return None,
        })
    }

    /// Appends the little-endian elements in `bytes` to `out` as `f32`; complex ones give two.
    pub(crate) fn extend_f32(self, bytes: &[u8], out: &mut Vec<f32>) {
        macro_rules! each {
            ($n:literal, $from:expr) => {
                out.extend(bytes.as_chunks::<$n>().0.iter().map(|c| $from(*c)))
            };
        }
        match self {
            Self::F64 => each!(8, |c| f64::from_le_bytes(c) as f32),
            Self::F32 | Self::Complex64 => each!(4, f32::from_le_bytes),
            Self::F16 => each!(2, |c| f16::from_le_bytes(c).to_f32()),
            Self::BF16 => each!(2, |c| bf16::from_le_bytes(c).to_f32()),
            Self::I64 => each!(8, |c| i64::from_le_bytes(c) as f32),
            Self::I32 => each!(4, |c| i32::from_le_bytes(c) as f32),
            Self::I16 => each!(2, |c| f32::from(i16::from_le_bytes(c))),
            Self::I8 => each!(1, |c| f32::from(i8::from_le_bytes(c))),
            Self::U8 | Self::Bool => each!(1, |c: [u8; 1]| f32::from(c[0])),
        }
    }

    /// The little-endian bytes of `values` in this type, which must be a float type.
    pub(crate) fn encode_f32(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
            Self::BF16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
            Self::F64 => values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
