//! NumPy scalars, element types and arrays in a pickle.

use super::machine::Machine;
use super::node::{Array, Id, Node, NumpyType};
use crate::checkpoint::dtype::DType;
use crate::checkpoint::fault::{Fault, Outcome};
use crate::checkpoint::tensor::byte_len;

impl NumpyType {
    /// From a code such as `f4`; what is longer or shorter is a type whose values are not decoded.
    pub(crate) fn of_code(code: &str, big_endian: bool) -> Self {
        let code = match code.as_bytes() {
            [kind, size] => [*kind, *size],
            _ => *b"??",
        };
        Self { code, big_endian }
    }

    pub(crate) fn dtype(self) -> Option<DType> {
        Some(match &self.code {
            b"f8" => DType::F64,
            b"f4" => DType::F32,
            b"f2" => DType::F16,
            b"i8" => DType::I64,
            b"i4" => DType::I32,
            b"i2" => DType::I16,
            b"i1" => DType::I8,
            b"u1" => DType::U8,
            b"b1" => DType::Bool,
            b"c8" => DType::Complex64,
            _ => return None,
        })
    }

    fn scalar(self, bytes: &[u8]) -> Option<Node> {
        let mut wide = [0; 8];
        let target = wide.get_mut(..bytes.len())?;
        target.copy_from_slice(bytes);
        if self.big_endian {
            target.reverse();
        }
        let unsigned = u64::from_le_bytes(wide);
        let shift = 64 - 8 * bytes.len().max(1);
        let signed = (unsigned << shift).cast_signed() >> shift;
        Some(match (self.code[0], bytes.len()) {
            (b'f', 8) => Node::Float(f64::from_le_bytes(wide)),
            (b'f', 4) => Node::Float(f64::from(f32::from_bits(unsigned as u32))),
            (b'f', 2) => Node::Float(half::f16::from_bits(unsigned as u16).to_f64()),
            (b'i', 1 | 2 | 4 | 8) => Node::Int(signed),
            (b'u', 1 | 2 | 4) => Node::Int(signed & ((1 << (8 * bytes.len())) - 1)),
            (b'u', 8) => match i64::try_from(unsigned) {
                Ok(value) => Node::Int(value),
                Err(_) => Node::Float(unsigned as f64),
            },
            (b'b', 1) => Node::Bool(unsigned != 0),
            _ => return None,
        })
    }
}

impl Machine<'_> {
    pub(super) fn numpy_type(&mut self, code: Id) -> Outcome<Id> {
        let kind = NumpyType::of_code(self.pickle.str(code)?, false);
        self.pickle.add(Node::NumpyType(kind))
    }

    /// State of an element type: `(3, '<', ...)`.
    pub(super) fn numpy_order(&mut self, target: Id, state: Id) -> Outcome<()> {
        let order = self.pickle.items(state)?.get(1).copied();
        let big = matches!(order.map(|id| self.pickle.str(id)), Some(Ok(">")));
        if let Node::NumpyType(kind) = &mut self.pickle.nodes[target as usize] {
            kind.big_endian = big;
        }
        Ok(())
    }

    fn as_numpy_type(&self, id: Id) -> Outcome<NumpyType> {
        match self.pickle.node(id) {
            Node::NumpyType(kind) => Ok(*kind),
            _ => Err(Fault::damaged("a NumPy value has no element type")),
        }
    }

    pub(super) fn numpy_scalar(&mut self, kind: Id, value: Option<Id>) -> Outcome<Id> {
        let kind = self.as_numpy_type(kind)?;
        let Some(value) = value else { return self.pickle.add(Node::None) };
        let decoded = match self.pickle.node(value) {
            Node::Bytes(bytes) => kind.scalar(bytes),
            _ => None,
        };
        // What is no number (text, dates) stays as it is stored.
        decoded.map_or(Ok(value), |node| self.pickle.add(node))
    }

    /// State of an array: `(version, shape, type, fortran, bytes)`.
    pub(super) fn numpy_state(&mut self, target: Id, state: Id) -> Outcome<()> {
        let items = self.pickle.items(state)?;
        let [_, shape, kind, fortran, bytes] = *items else {
            return Err(Fault::damaged("a NumPy array has a malformed state"));
        };
        let fortran = matches!(self.pickle.node(fortran), Node::Bool(true) | Node::Int(1));
        let array = self.numpy_array(shape, kind, bytes, fortran)?;
        self.pickle.nodes[target as usize] = self.pickle.node(array).clone();
        Ok(())
    }

    pub(super) fn is_fortran(&self, order: Id) -> bool {
        self.pickle.str(order).is_ok_and(|order| order == "F")
    }

    pub(super) fn numpy_array(
        &mut self,
        shape: Id,
        kind: Id,
        bytes: Id,
        fortran: bool,
    ) -> Outcome<Id> {
        let shape = self.pickle.sizes(shape)?;
        let kind = self.as_numpy_type(kind)?;
        let Some(dtype) = kind.dtype() else {
            // Arrays of text or objects are no weights.
            return self.pickle.add(Node::None);
        };
        let Node::Bytes(data) = self.pickle.node(bytes) else {
            return Err(Fault::damaged("a NumPy array has no bytes"));
        };
        if byte_len(dtype, &shape)? != data.len() {
            return Err(Fault::Damaged(format!(
                "a NumPy array of shape {shape:?} and type {dtype} has {} bytes",
                data.len()
            )));
        }
        let array = Array { dtype, shape, fortran, big_endian: kind.big_endian, bytes };
        self.pickle.add(Node::Array(Box::new(array)))
    }
}
