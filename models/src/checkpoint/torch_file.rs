//! A parsed torch file: the pickle's values together with the storages that its tensors view.
//! Finds the weights in it, whatever they are wrapped in.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::dtype::DType;
use super::fault::{Fault, Outcome, within};
use super::pickle::{Array, Id, Node, Pickle, TreeBudget};
use super::state_dict::StateDict;
use super::steps::Step;
use super::storage::{StorageReader, StorageView, Storages, span};
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
/// Most text in names of tensors, and in one of them.
const MAX_NAMES: u64 = 32 << 20;
const MAX_NAME: u64 = 4096;

/// A torch file whose tensors are read when they are used.
#[derive(Debug)]
pub(crate) struct TorchFile {
    pickle: Pickle,
    storages: Arc<Storages>,
    /// Which nodes are tensors or have some below.
    holds: Vec<bool>,
    arrays: HashMap<Id, RawTensor>,
    /// Bytes that all tensors together may have.
    budget: u64,
    names: u64,
}

impl TorchFile {
    /// `sizes` are the bytes of each storage, `file_size` those of the whole file.
    pub(crate) fn new(
        pickle: Pickle,
        reader: Box<dyn StorageReader>,
        sizes: &[u64],
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
        // Views may overlap (expanded or tied tensors), but not without bound.
        let budget = file_size.saturating_mul(16).saturating_add(64 << 20);
        let storages = Storages::new(reader, swap);
        let holds = holding(&pickle);
        Ok(Self { pickle, storages, holds, arrays: HashMap::new(), budget, names: 0 })
    }

    /// The weights, with what is beside them as plain values.
    pub(crate) fn into_state_dict(mut self) -> Outcome<StateDict> {
        let mut steps = Vec::new();
        let mut beside = Vec::new();
        let mut tree = TreeBudget::new();
        let mut root = self.pickle.root;
        for _ in 0..MAX_DEPTH {
            let Some((key, inner)) = self.wrapped(root) else { break };
            for (name, value) in self.pickle.entries(root) {
                let name = self.pickle.key(name);
                if name == key {
                    continue;
                }
                if self.holds_tensors(value) || is_training_state(&name) {
                    steps.push(Step::Skipped { key: name });
                } else {
                    beside.push((name, self.pickle.value(value, &mut tree)));
                }
            }
            steps.push(Step::Unwrapped { key });
            root = inner;
        }
        let mut tensors = IndexMap::new();
        if self.is_tensor(root) {
            let tensor = self.tensor(root)?;
            tensors.insert("tensor".into(), tensor);
        }
        self.flatten(root, "", 0, &mut tensors, &mut beside, &mut tree)?;
        Ok(StateDict { tensors, extra: Value::Dict(beside), steps, ..StateDict::default() })
    }

    /// The first wrapper key of a dict whose value holds tensors.
    fn wrapped(&self, id: Id) -> Option<(String, Id)> {
        let entries = self.pickle.entries(id);
        if entries.iter().any(|(_, value)| self.is_tensor(*value)) {
            return None; // these are the weights
        }
        WRAPPERS.iter().find_map(|wrapper| {
            let (key, value) = entries.iter().rev().find(
                |(key, _)| matches!(self.pickle.node(*key), Node::Str(name) if &**name == *wrapper),
            )?;
            self.holds_tensors(*value).then(|| (self.pickle.key(*key), *value))
        })
    }

    fn is_tensor(&self, id: Id) -> bool {
        matches!(self.pickle.node(id), Node::Tensor(_) | Node::Array(_))
    }

    fn holds_tensors(&self, id: Id) -> bool {
        self.holds[id as usize]
    }

    fn flatten(
        &mut self,
        id: Id,
        prefix: &str,
        depth: usize,
        tensors: &mut IndexMap<String, RawTensor>,
        beside: &mut Vec<(String, Value)>,
        tree: &mut TreeBudget,
    ) -> Outcome<()> {
        within("nesting of weights", depth as u64, MAX_DEPTH as u64)?;
        for (key, value) in self.pickle.entries(id) {
            let key = self.pickle.key(key);
            // Whole pickled modules keep their parts in these three.
            let hidden = matches!(key.as_str(), "_parameters" | "_buffers" | "_modules");
            let name = match (hidden, prefix.is_empty()) {
                (true, _) => prefix.to_owned(),
                (false, true) => key,
                (false, false) => format!("{prefix}.{key}"),
            };
            within("length of a tensor's name", name.len() as u64, MAX_NAME)?;
            self.names += name.len() as u64 + 1;
            within("text in names of tensors", self.names, MAX_NAMES)?;
            if self.is_tensor(value) {
                let tensor = self.tensor(value)?;
                tensors.insert(name, tensor);
                within("number of tensors", tensors.len() as u64, MAX_TENSORS)?;
            } else if self.holds_tensors(value)
                && matches!(self.pickle.node(value), Node::Dict(_) | Node::Object(_))
            {
                self.flatten(value, &name, depth + 1, tensors, beside, tree)?;
            } else if depth == 0 {
                beside.push((name, self.pickle.value(value, tree)));
            }
        }
        Ok(())
    }

    fn tensor(&mut self, id: Id) -> Outcome<RawTensor> {
        let tensor = match self.pickle.node(id) {
            Node::Tensor(spec) => {
                let view = StorageView {
                    storages: self.storages.clone(),
                    index: spec.storage as usize,
                    offset: spec.offset,
                    strides: spec.strides.clone(),
                };
                RawTensor::in_storage(spec.dtype, spec.shape.clone(), view)
            }
            Node::Array(array) => {
                if let Some(tensor) = self.arrays.get(&id) {
                    return Ok(tensor.clone());
                }
                let tensor = self.array(array)?;
                self.arrays.insert(id, tensor.clone());
                tensor
            }
            _ => return Err(Fault::damaged("a tensor was expected")),
        };
        let size = tensor.byte_len() as u64;
        self.budget = self.budget.checked_sub(size).ok_or(Fault::Limit {
            what: "size of all tensors together",
            found: size,
            limit: self.budget,
        })?;
        Ok(tensor)
    }

    fn array(&self, array: &Array) -> Outcome<RawTensor> {
        let Node::Bytes(bytes) = self.pickle.node(array.bytes) else {
            return Err(Fault::damaged("a NumPy array has no bytes"));
        };
        let mut strides = vec![0; array.shape.len()];
        let mut step = 1usize;
        let order: Box<dyn Iterator<Item = usize>> = if array.fortran {
            Box::new(0..array.shape.len())
        } else {
            Box::new((0..array.shape.len()).rev())
        };
        for axis in order {
            strides[axis] = step;
            step = step.saturating_mul(array.shape[axis]);
        }
        let storages = Storages::new(Box::new(InMemory(bytes.to_vec())), array.big_endian);
        let view = StorageView { storages, index: 0, offset: 0, strides };
        let data = view.read(array.dtype, &array.shape)?;
        RawTensor::from_shared(array.dtype, array.shape.clone(), data)
    }
}

/// For every node, whether there are tensors below it.
fn holding(pickle: &Pickle) -> Vec<bool> {
    // A walk with a stack of its own: nesting may be deeper than the program's stack. A node is
    // met twice, before and after what is below it.
    let mut holds = vec![false; pickle.nodes.len()];
    let mut seen = vec![false; pickle.nodes.len()];
    let mut stack = vec![(pickle.root, false)];
    while let Some((id, done)) = stack.pop() {
        let children = pickle.children(id);
        if done {
            holds[id as usize] = children.iter().any(|child| holds[*child as usize]);
        } else if !std::mem::replace(&mut seen[id as usize], true) {
            match pickle.node(id) {
                Node::Tensor(_) | Node::Array(_) => holds[id as usize] = true,
                _ => {
                    stack.push((id, true));
                    stack.extend(children.iter().map(|child| (*child, false)));
                }
            }
        }
    }
    holds
}

/// One storage that is in memory already.
#[derive(Debug)]
struct InMemory(Vec<u8>);

impl StorageReader for InMemory {
    fn read(&self, _index: usize) -> Outcome<Vec<u8>> {
        Ok(self.0.clone())
    }
}

fn is_training_state(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["optim", "sched", "scaler", "callbacks", "loops", "amp_state", "rng"]
        .iter()
        .any(|part| key.contains(part))
}

/// The element count that fits `size` bytes; used where a file declares elements.
pub(crate) fn bytes_of(numel: u64, dtype: DType) -> Option<u64> {
    numel.checked_mul(dtype.size() as u64)
}
