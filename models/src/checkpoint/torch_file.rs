//! A parsed torch file: the pickle's values together with the storages that its tensors view.
//! Finds the weights in it, whatever they are wrapped in.

use std::collections::HashMap;
use std::sync::Arc;

use super::dtype::DType;
use super::fault::{Budget, Fault, Outcome, within};
use super::pickle::{Array, Id, Node, Pickle, TreeBudget};
use super::state_dict::StateDict;
use super::steps::Step;
use super::storage::{Sign, StorageReader, StorageView, Storages, span};
use super::tensor::RawTensor;
use super::value::Value;

/// Keys under which training code keeps the weights, in the order in which they are tried.
const WRAPPERS: [&str; 13] = [
    "state_dict",
    "state",
    "model_state_dict",
    "model",
    "generator",
    "mossformer",
    "net",
    "network",
    "module",
    "weights",
    "model_state",
    "ema_state_dict",
    "ema",
];

/// Deepest nesting in which weights are looked for.
const MAX_DEPTH: usize = 32;
/// Most tensors of one file.
const MAX_TENSORS: u64 = 1 << 20;
/// Longest name of a tensor.
const MAX_NAME: u64 = 4096;

/// A torch file whose tensors are read when they are used.
#[derive(Debug)]
pub(crate) struct TorchFile {
    pickle: Pickle,
    storages: Arc<Storages>,
    /// Bytes of each storage.
    sizes: Vec<u64>,
    below: Vec<Below>,
    /// Whether there are torch's own tensors, not NumPy arrays alone.
    has_tensors: bool,
    file_size: u64,
}

impl TorchFile {
    /// `sizes` are the bytes of each storage, `file_size` those of the whole file.
    pub(crate) fn new(
        pickle: Pickle,
        reader: Box<dyn StorageReader>,
        sizes: Vec<u64>,
        swap: bool,
        file_size: u64,
    ) -> Outcome<Self> {
        for node in &pickle.nodes {
            if let Node::Tensor(spec) = node {
                let end = span(&spec.shape, spec.offset, &spec.strides);
                let end = end.and_then(|end| (end as u64).checked_mul(spec.dtype.size() as u64));
                if end.is_none_or(|end| end > sizes[spec.storage as usize]) {
                    return Err(Fault::damaged("a tensor is longer than its data in the file"));
                }
            }
        }
        let below = survey(&pickle);
        let has_tensors = pickle.nodes.iter().any(|node| matches!(node, Node::Tensor(_)));
        let storages = Storages::new(reader, swap);
        Ok(Self { pickle, storages, sizes, below, has_tensors, file_size })
    }

    /// The weights, with what is beside them as plain values.
    pub(crate) fn into_state_dict(self) -> Outcome<StateDict> {
        let mut walk = Walk::new(&self);
        let mut root = self.pickle.root;
        for _ in 0..MAX_DEPTH {
            let Some((key, inner)) = self.wrapped(root) else { break };
            for (name, value) in self.pickle.entries(root) {
                if value != inner {
                    walk.beside(&self.pickle.key(name), value);
                }
            }
            walk.state.steps.push(Step::Unwrapped { key });
            root = inner;
        }
        walk.weights(root)
    }

    /// The first wrapper key of a dict whose value holds more tensors than stand beside it.
    fn wrapped(&self, id: Id) -> Option<(String, Id)> {
        let entries = || self.pickle.entries(id);
        let beside = entries().filter(|(_, value)| self.is_tensor(*value)).count();
        WRAPPERS.iter().find_map(|wrapper| {
            let (key, value) = entries().rev().find(
                |(key, _)| matches!(self.pickle.node(*key), Node::Str(name) if &**name == *wrapper),
            )?;
            let wraps =
                self.below[value as usize].tensors as usize > beside && !self.is_tensor(value);
            wraps.then(|| (self.pickle.key(key).into_owned(), value))
        })
    }

    fn is_tensor(&self, id: Id) -> bool {
        matches!(self.pickle.node(id), Node::Tensor(_) | Node::Array(_))
    }

    fn holds_tensors(&self, id: Id) -> bool {
        self.below[id as usize].tensors > 0
    }
}

/// What is below a node.
#[derive(Debug, Clone, Copy, Default)]
struct Below {
    /// Number of tensors, itself included; more than 32 bits hold is the largest number.
    tensors: u32,
    /// Whether tensors with names may be there: in a dict, an object or a list of these.
    is_group: bool,
}

fn survey(pickle: &Pickle) -> Vec<Below> {
    // A walk with a stack of its own: nesting may be deeper than the program's stack. A node is
    // met twice, before and after what is below it.
    let mut below = vec![Below::default(); pickle.nodes.len()];
    let mut seen = vec![false; pickle.nodes.len()];
    let mut stack = vec![(pickle.root, false)];
    let has_names = |id: Id| matches!(pickle.node(id), Node::Dict(_) | Node::Object(_));
    while let Some((id, done)) = stack.pop() {
        if done {
            let mut found = Below::default();
            for child in pickle.children(id) {
                let tensors = below[child as usize].tensors;
                found.tensors = found.tensors.saturating_add(tensors);
                found.is_group |= tensors > 0 && (has_names(id) || has_names(child));
            }
            below[id as usize] = found;
        } else if !std::mem::replace(&mut seen[id as usize], true) {
            match pickle.node(id) {
                Node::Tensor(_) | Node::Array(_) => below[id as usize].tensors = 1,
                _ => {
                    stack.push((id, true));
                    let unseen = pickle.children(id).filter(|child| !seen[*child as usize]);
                    stack.extend(unseen.map(|child| (child, false)));
                }
            }
        }
    }
    below
}

/// Collects the weights of a file. What a small file can ask for again and again is bounded.
struct Walk<'a> {
    file: &'a TorchFile,
    state: StateDict,
    beside: Vec<(String, Value)>,
    tree: TreeBudget,
    names: Budget,
    /// Views may overlap (expanded or tied tensors).
    bytes: Budget,
    /// Storages in the order in which tensors are read.
    reads: Budget,
    last_storage: Option<u32>,
    /// The bytes of NumPy arrays, which several may share.
    arrays: HashMap<Id, Arc<[u8]>>,
}

impl<'a> Walk<'a> {
    fn new(file: &'a TorchFile) -> Self {
        let size = file.file_size;
        Self {
            file,
            state: StateDict::default(),
            beside: Vec::new(),
            tree: TreeBudget::new(),
            names: Budget::new("text in names of tensors", size, 16, 1 << 20),
            bytes: Budget::new("size of all tensors together", size, 16, 64 << 20),
            reads: Budget::new("bytes to read for all tensors", size, 64, 1 << 30),
            last_storage: None,
            arrays: HashMap::new(),
        }
    }

    /// What stands beside the weights: a plain value, or tensors that are left out.
    fn beside(&mut self, key: &str, value: Id) {
        if self.file.holds_tensors(value) || is_training_state(key) {
            let key = self.tree.text(key);
            self.state.steps.push(Step::Skipped { key });
        } else {
            let key = self.tree.text(key);
            self.beside.push((key, self.file.pickle.value(value, &mut self.tree)));
        }
    }

    fn weights(mut self, root: Id) -> Outcome<StateDict> {
        if let Node::Object(object) = self.file.pickle.node(root)
            && object.called
        {
            return Err(Fault::Refused(object.class.to_string()));
        }
        if self.file.is_tensor(root) {
            let tensor = self.tensor(root)?;
            self.state.insert("tensor", tensor);
        }
        self.flatten(root, "", 0)?;
        self.state.extra = Value::Dict(self.beside);
        Ok(self.state)
    }

    fn flatten(&mut self, id: Id, prefix: &str, depth: usize) -> Outcome<()> {
        within("nesting of weights", depth as u64, MAX_DEPTH as u64)?;
        let file = self.file;
        let pickle = &file.pickle;
        if let Node::List(items) | Node::Tuple(items) = pickle.node(id) {
            for (index, item) in items.iter().enumerate() {
                self.entry(&index.to_string(), *item, prefix, depth)?;
            }
            return Ok(());
        }
        for (key, value) in pickle.entries(id) {
            self.entry(&pickle.key(key), value, prefix, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, key: &str, value: Id, prefix: &str, depth: usize) -> Outcome<()> {
        let length = (prefix.len() + key.len() + 1) as u64;
        within("length of a tensor's name", length, MAX_NAME)?;
        self.names.spend(length)?;
        if depth == 0 && self.is_beside(key, value) {
            self.beside(key, value);
            return Ok(());
        }
        // Whole pickled modules keep their parts in these three.
        let hidden = matches!(key, "_parameters" | "_buffers" | "_modules");
        let name = match (hidden, prefix.is_empty()) {
            (true, _) => prefix.to_owned(),
            (false, true) => key.to_owned(),
            (false, false) => format!("{prefix}.{key}"),
        };
        if let Node::Object(object) = self.file.pickle.node(value)
            && object.called
            && (self.file.holds_tensors(value) || object.class.starts_with("torch._"))
        {
            // What the call would make of the tensors is not known.
            return Err(Fault::Refused(object.class.to_string()));
        }
        if self.file.is_tensor(value) {
            let tensor = self.tensor(value)?;
            self.state.insert(name, tensor);
            within("number of tensors", self.state.len() as u64, MAX_TENSORS)?;
        } else if self.file.below[value as usize].is_group {
            self.flatten(value, &name, depth + 1)?;
        } else if depth == 0 {
            self.beside(&name, value);
        }
        Ok(())
    }

    /// Whether an entry beside the weights of a flat file is none of them: states of optimizers and
    /// random generators, and NumPy arrays beside tensors.
    fn is_beside(&self, key: &str, value: Id) -> bool {
        match self.file.pickle.node(value) {
            Node::Tensor(spec) => spec.dtype == DType::U8 && is_training_state(key),
            Node::Array(_) => !key.contains('.') && self.file.has_tensors,
            _ => self.file.holds_tensors(value) && is_training_state(key),
        }
    }

    fn tensor(&mut self, id: Id) -> Outcome<RawTensor> {
        let tensor = match self.file.pickle.node(id) {
            Node::Tensor(spec) => {
                if self.last_storage.replace(spec.storage) != Some(spec.storage) {
                    let size = self.file.sizes[spec.storage as usize];
                    self.reads.spend(size)?;
                }
                let view = StorageView {
                    storages: self.file.storages.clone(),
                    index: spec.storage as usize,
                    offset: spec.offset,
                    strides: spec.strides.clone(),
                    sign: spec.sign,
                };
                RawTensor::in_storage(spec.dtype, spec.shape.clone(), view)
            }
            Node::Array(array) => self.array(array)?,
            _ => return Err(Fault::damaged("a tensor was expected")),
        };
        self.bytes.spend(tensor.byte_len() as u64)?;
        Ok(tensor)
    }

    fn array(&mut self, array: &Array) -> Outcome<RawTensor> {
        let Node::Bytes(bytes) = self.file.pickle.node(array.bytes) else {
            return Err(Fault::damaged("a NumPy array has no bytes"));
        };
        let bytes = self.arrays.entry(array.bytes).or_insert_with(|| bytes.as_ref().into());
        let (dtype, shape) = (array.dtype, array.shape.clone());
        Ok(in_memory(dtype, shape, array.fortran, array.big_endian, bytes.clone()))
    }
}

/// A tensor of NumPy's bytes, which were checked to be as many as the shape says.
pub(crate) fn in_memory(
    dtype: DType,
    shape: Vec<usize>,
    fortran: bool,
    big_endian: bool,
    bytes: Arc<[u8]>,
) -> RawTensor {
    let mut strides = vec![0; shape.len()];
    let mut step = 1usize;
    let order: Box<dyn Iterator<Item = usize>> =
        if fortran { Box::new(0..shape.len()) } else { Box::new((0..shape.len()).rev()) };
    for axis in order {
        strides[axis] = step;
        step = step.saturating_mul(shape[axis]);
    }
    let storages = Storages::new(Box::new(InMemory(bytes)), big_endian);
    let view = StorageView { storages, index: 0, offset: 0, strides, sign: Sign::default() };
    RawTensor::in_storage(dtype, shape, view)
}

/// One storage that is in memory already.
#[derive(Debug)]
struct InMemory(Arc<[u8]>);

impl StorageReader for InMemory {
    fn read(&self, _index: usize) -> Outcome<Arc<[u8]>> {
        Ok(self.0.clone())
    }
}

fn is_training_state(key: &str) -> bool {
    // Longer keys are names of weights.
    if key.len() > 64 {
        return false;
    }
    let key = key.to_ascii_lowercase();
    ["optim", "sched", "scaler", "callbacks", "loops", "amp_state", "rng"]
        .iter()
        .any(|part| key.contains(part))
}

/// The element count that fits `size` bytes; used where a file declares elements.
pub(crate) fn bytes_of(numel: u64, dtype: DType) -> Option<u64> {
    numel.checked_mul(dtype.size() as u64)
}
