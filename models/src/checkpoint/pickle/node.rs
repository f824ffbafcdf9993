//! The arena of values that a pickle describes. Nodes refer to each other by number, so sharing
//! costs nothing and neither depth nor cycles can hurt.

use std::collections::HashMap;

use crate::checkpoint::dtype::DType;
use crate::checkpoint::fault::{Budget, Fault, Outcome, within};
use crate::checkpoint::storage::Sign;

/// Number of a node.
pub(crate) type Id = u32;

/// More nodes than any honest checkpoint has; about half a gigabyte of memory.
pub(super) const MAX_NODES: u64 = 8 << 20;

/// Most bytes that calls in a pickle may copy for each byte of the pickle, where a tensor needs
/// about one, and what every pickle may copy.
const COPIED_PER_BYTE: u64 = 16;
const COPIED_ALWAYS: u64 = 1 << 20;

/// Longest name of a storage; torch counts them.
const MAX_KEY: u64 = 4096;

/// Most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 32;

/// One value.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits, little-endian two's complement.
    Big(Box<[u8]>),
    Float(f64),
    Str(Box<str>),
    Bytes(Box<[u8]>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, `module.name`; never looked up.
    Global(Box<str>),
    Storage(StorageSlot),
    Tensor(Box<TensorSpec>),
    NumpyType(NumpyType),
    Array(Box<Array>),
    /// An instance of a class that is not known: carried, never constructed.
    Object(Box<Object>),
}

/// A torch storage that the pickle refers to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StorageSlot {
    /// Number in [`Pickle::storage_keys`].
    pub(crate) index: u32,
    pub(crate) dtype: DType,
    /// First element, for the views of the oldest format.
    pub(crate) base: u64,
    /// Number of elements.
    pub(crate) numel: u64,
}

/// A strided view of a storage, checked to lie inside the declared size.
#[derive(Debug, Clone)]
pub(crate) struct TensorSpec {
    pub(crate) storage: u32,
    pub(crate) dtype: DType,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    pub(crate) sign: Sign,
}

/// An element type of NumPy: kind letter with size such as `f8`, and byte order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NumpyType {
    pub(crate) code: [u8; 2],
    pub(crate) big_endian: bool,
}

/// A NumPy array.
#[derive(Debug, Clone)]
pub(crate) struct Array {
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    pub(crate) fortran: bool,
    pub(crate) big_endian: bool,
    /// A [`Node::Bytes`] of the right length.
    pub(crate) bytes: Id,
}

/// What a pickle says about an instance of an unknown class.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) class: Box<str>,
    /// Whether it is the result of a call, which was not made.
    pub(crate) called: bool,
    pub(crate) args: Vec<Id>,
    pub(crate) state: Option<Id>,
    pub(crate) list: Vec<Id>,
    pub(crate) dict: Vec<(Id, Id)>,
}

/// A parsed pickle.
#[derive(Debug, Default)]
pub(crate) struct Pickle {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: Id,
    /// Names of the storages, in order of appearance.
    pub(crate) storage_keys: Vec<String>,
    storage_index: HashMap<String, u32>,
    copies: Budget,
}

impl Pickle {
    /// An empty arena for a pickle of `size` bytes.
    pub(super) fn of_size(size: usize) -> Self {
        let what = "bytes that a pickle copies";
        let copies = Budget::new(what, size as u64, COPIED_PER_BYTE, COPIED_ALWAYS);
        Self { copies, ..Self::default() }
    }

    /// The node with a number that this arena gave out.
    pub(crate) fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    pub(crate) fn add(&mut self, node: Node) -> Outcome<Id> {
        within("number of values in a pickle", self.nodes.len() as u64, MAX_NODES)?;
        self.nodes.push(node);
        Ok(self.nodes.len() as Id - 1) // at most MAX_NODES
    }

    /// Accounts for `bytes` that a call copies.
    pub(crate) fn charge(&mut self, bytes: usize) -> Outcome<()> {
        self.copies.spend(bytes as u64)
    }

    /// The number of the storage that the text node `key` names.
    pub(crate) fn storage(&mut self, key: Id) -> Outcome<u32> {
        let key = self.str(key)?;
        within("length of a storage's name", key.len() as u64, MAX_KEY)?;
        if let Some(index) = self.storage_index.get(key) {
            return Ok(*index);
        }
        let (key, index) = (key.to_owned(), self.storage_keys.len() as u32); // fewer than nodes
        self.storage_keys.push(key.clone());
        self.storage_index.insert(key, index);
        Ok(index)
    }

    /// The number of the storage called `key`, if a tensor uses it.
    pub(crate) fn find_storage(&self, key: &str) -> Option<usize> {
        self.storage_index.get(key).map(|index| *index as usize)
    }

    pub(crate) fn str(&self, id: Id) -> Outcome<&str> {
        match self.node(id) {
            Node::Str(text) => Ok(text),
            _ => Err(Fault::damaged("a pickle has another value where a text belongs")),
        }
    }

    pub(crate) fn int(&self, id: Id) -> Outcome<i64> {
        match self.node(id) {
            Node::Int(value) => Ok(*value),
            Node::Bool(value) => Ok(i64::from(*value)),
            _ => Err(Fault::damaged("a pickle has another value where an integer belongs")),
        }
    }

    pub(crate) fn items(&self, id: Id) -> Outcome<&[Id]> {
        match self.node(id) {
            Node::Tuple(items) | Node::List(items) => Ok(items),
            _ => Err(Fault::damaged("a pickle has another value where a sequence belongs")),
        }
    }

    /// Sizes or strides: integers that are not negative.
    pub(crate) fn sizes(&self, id: Id) -> Outcome<Vec<usize>> {
        let items = self.items(id)?;
        if items.len() > MAX_DIMENSIONS {
            return Err(Fault::damaged("a tensor has an impossible number of dimensions"));
        }
        items
            .iter()
            .map(|item| {
                usize::try_from(self.int(*item)?)
                    .map_err(|_| Fault::damaged("a tensor has a negative size or stride"))
            })
            .collect()
    }
}
