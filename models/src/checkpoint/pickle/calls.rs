//! Calls in a pickle: what the few known constructors mean. No other call is made: those of modules
//! that have no part in weights are refused by name, the rest becomes opaque objects, of which
//! weights must not be made.

use super::machine::Machine;
use super::node::{Id, Node, Object, StorageSlot, TensorSpec};
use crate::checkpoint::dtype::DType;
use crate::checkpoint::fault::{Fault, Outcome};
use crate::checkpoint::storage::{Sign, span};
use crate::checkpoint::tensor::byte_len;

/// Modules whose classes are never part of weights, not even as opaque objects.
const FORBIDDEN: [&str; 22] = [
    "os",
    "posix",
    "nt",
    "subprocess",
    "sys",
    "builtins",
    "runpy",
    "importlib",
    "shutil",
    "socket",
    "pty",
    "ctypes",
    "pickle",
    "marshal",
    "webbrowser",
    "commands",
    "code",
    "asyncio",
    "operator",
    "types",
    "multiprocessing",
    "signal",
];

/// Longest name of a class or function.
const MAX_NAME: usize = 1000;

/// Longest chain of rebuild functions inside each other; torch makes two.
const MAX_CHAIN: usize = 8;

impl Machine<'_> {
    /// A class or function by name, with the spellings of older versions brought up to date.
    pub(super) fn global(&mut self, module: &str, name: &str) -> Outcome<Id> {
        let module = match module {
            "__builtin__" => "builtins".to_owned(),
            "copy_reg" => "copyreg".to_owned(),
            _ => match module.strip_prefix("numpy.core") {
                Some(rest) => format!("numpy._core{rest}"),
                None => module.to_owned(),
            },
        };
        if module.len() + name.len() > MAX_NAME {
            return Err(Fault::damaged("a class name in a pickle is absurdly long"));
        }
        self.pickle.charge(module.len() + name.len())?;
        self.pickle.add(Node::Global(format!("{module}.{name}").into()))
    }

    fn name_of(&self, callable: Id) -> Outcome<String> {
        match self.pickle.node(callable) {
            Node::Global(name) => Ok(name.to_string()),
            Node::Object(object) => Err(Fault::Refused(format!("an instance of {}", object.class))),
            _ => Err(Fault::damaged("a pickle calls something that is no function")),
        }
    }

    /// `callable(*args)`.
    pub(super) fn reduce(&mut self, callable: Id, args: Id) -> Outcome<Id> {
        self.call(callable, args, 0)
    }

    fn call(&mut self, callable: Id, args: Id, depth: usize) -> Outcome<Id> {
        let name = self.name_of(callable)?;
        let args = self.pickle.items(args)?.to_vec();
        self.pickle.charge(size_of_val(args.as_slice()))?;
        let first = args.first().copied();
        let need = |n: usize| {
            args.get(n).copied().ok_or_else(|| Fault::Damaged(format!("{name} lacks arguments")))
        };
        match name.as_str() {
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => {
                let sign = self.sign(args.get(6).copied());
                self.tensor(&[need(0)?, need(1)?, need(2)?, need(3)?], None, sign)
            }
            "torch._utils._rebuild_tensor_v3" => {
                let sign = self.sign(args.get(7).copied());
                self.tensor(&[need(0)?, need(1)?, need(2)?, need(3)?], Some(need(6)?), sign)
            }
            "torch._utils._rebuild_parameter"
            | "torch._utils._rebuild_parameter_with_state"
            | "torch.jit._pickle.restore_type_tag"
            | "torch.jit._pickle.build_intlist"
            | "torch.jit._pickle.build_doublelist"
            | "torch.jit._pickle.build_boollist"
            | "torch.jit._pickle.build_tensorlist" => need(0),
            "torch._tensor._rebuild_from_type_v2" if depth < MAX_CHAIN => {
                self.call(need(0)?, need(2)?, depth + 1)
            }
            "torch._utils._rebuild_qtensor" | "torch._utils._rebuild_sparse_tensor" => {
                Err(Fault::Unsupported(format!(
                    "it holds quantised or sparse tensors ({name}), which are not read; save dense \
                     float weights"
                )))
            }
            "torch.Size" | "builtins.tuple" => self.sequence(first, Node::Tuple),
            "builtins.list" | "builtins.set" | "builtins.frozenset" | "collections.deque" => {
                self.sequence(first, Node::List)
            }
            "collections.OrderedDict" | "collections.Counter" | "builtins.dict" => self.dict(first),
            "collections.defaultdict" => self.dict(args.get(1).copied()),
            "builtins.bytearray" | "builtins.bytes" if first.is_none() => {
                self.pickle.add(Node::Bytes(Box::default()))
            }
            "builtins.bytearray" | "builtins.bytes" if args.len() == 1 => need(0),
            "builtins.complex" | "builtins.slice" | "builtins.range" => {
                self.pickle.add(Node::Tuple(args))
            }
            "torch.device"
            | "pathlib.PosixPath"
            | "pathlib.PurePosixPath"
            | "pathlib.WindowsPath"
            | "pathlib.PureWindowsPath"
            | "pathlib.Path"
            | "pathlib._local.PosixPath"
            | "pathlib._local.WindowsPath" => self.joined(&name, &args),
            "_codecs.encode" => self.encode(need(0)?),
            "numpy.dtype" => self.numpy_type(need(0)?),
            "numpy._core.multiarray.scalar" => self.numpy_scalar(need(0)?, args.get(1).copied()),
            "numpy._core.multiarray._reconstruct" => self.opaque("numpy.ndarray", Vec::new()),
            "numpy._core.numeric._frombuffer" => {
                self.numpy_array(need(2)?, need(1)?, need(0)?, self.is_fortran(need(3)?))
            }
            "copyreg._reconstructor" => {
                let class = self.name_of(need(0)?)?;
                self.instance(&class, Vec::new())
            }
            "copyreg.__newobj__" => {
                let class = self.name_of(need(0)?)?;
                self.instance(&class, args[1..].to_vec())
            }
            // A class inside another one, or a method: a name, as any other.
            "builtins.getattr" => self.attribute(need(0)?, need(1)?),
            // Members of enumerations, dates, `functools.partial`: a class or function with its
            // arguments, which say what hyper-parameters were.
            _ => {
                allow(&name)?;
                let object = self.opaque(&name, args)?;
                if let Node::Object(object) = &mut self.pickle.nodes[object as usize] {
                    object.called = true;
                }
                Ok(object)
            }
        }
    }

    fn attribute(&mut self, owner: Id, name: Id) -> Outcome<Id> {
        let owner = self.name_of(owner)?;
        let name = self.pickle.str(name)?;
        if name.len() > MAX_NAME {
            return Err(Fault::damaged("a class name in a pickle is absurdly long"));
        }
        let name = name.to_owned();
        self.global(&owner, &name)
    }

    /// `class.__new__(class, *args)`.
    pub(super) fn new_object(&mut self, class: Id, args: Id, keywords: Option<Id>) -> Outcome<Id> {
        let name = self.name_of(class)?;
        let mut args = self.pickle.items(args)?.to_vec();
        match name.as_str() {
            "collections.OrderedDict" | "collections.defaultdict" | "builtins.dict" => {
                return self.dict(None);
            }
            "torch.Size" => return self.sequence(args.first().copied(), Node::Tuple),
            _ => args.extend(keywords),
        }
        self.pickle.charge(size_of_val(args.as_slice()))?;
        self.instance(&name, args)
    }

    fn instance(&mut self, class: &str, args: Vec<Id>) -> Outcome<Id> {
        if class != "builtins.object" {
            allow(class)?;
        }
        self.opaque(class, args)
    }

    fn opaque(&mut self, class: &str, args: Vec<Id>) -> Outcome<Id> {
        self.pickle.charge(class.len())?;
        let (list, dict) = (Vec::new(), Vec::new());
        let object = Object { class: class.into(), called: false, args, state: None, list, dict };
        self.pickle.add(Node::Object(Box::new(object)))
    }

    /// `target.__setstate__(state)`, or its attributes.
    pub(super) fn build(&mut self, target: Id, state: Id) -> Outcome<()> {
        match self.pickle.node(target) {
            Node::Object(object) if &*object.class == "numpy.ndarray" => {
                self.numpy_state(target, state)
            }
            Node::NumpyType(_) => self.numpy_order(target, state),
            Node::Object(_) => {
                if let Node::Object(object) = &mut self.pickle.nodes[target as usize] {
                    object.state = Some(state);
                }
                Ok(())
            }
            // Attributes of a dict (`_metadata` of state dicts) or of a parameter say nothing
            // about the weights.
            Node::Dict(_) | Node::Tensor(_) | Node::Storage(_) | Node::List(_) => Ok(()),
            _ => Err(Fault::damaged("a pickle sets the state of a plain value")),
        }
    }

    /// What torch stores outside the pickle: `("storage", class, key, location, numel, view?)`.
    pub(super) fn persistent(&mut self, id: Id) -> Outcome<Id> {
        let items = self.pickle.items(id)?.to_vec();
        let odd = || Fault::damaged("a reference to a torch storage is malformed");
        let kind = self.pickle.str(*items.first().ok_or_else(odd)?)?;
        if kind == "module" {
            return items.get(1).copied().ok_or_else(odd);
        }
        let [_, class, key, _, numel, rest @ ..] = items.as_slice() else { return Err(odd()) };
        let class = self.name_of(*class)?;
        let dtype = class
            .strip_prefix("torch.")
            .and_then(|name| DType::from_torch(name.strip_prefix("storage.").unwrap_or(name)));
        let dtype = dtype.ok_or_else(|| {
            Fault::Unsupported(format!("it holds tensors of type {class}, which are not read"))
        })?;
        let mut numel = u64::try_from(self.pickle.int(*numel)?).map_err(|_| odd())?;
        let mut base = 0;
        if let Some(view) = rest.first()
            && let Node::Tuple(view) = self.pickle.node(*view)
        {
            let [_, start, size] = view.as_slice() else { return Err(odd()) };
            base = u64::try_from(self.pickle.int(*start)?).map_err(|_| odd())?;
            numel = u64::try_from(self.pickle.int(*size)?).map_err(|_| odd())?;
        }
        let index = self.pickle.storage(*key)?;
        self.pickle.add(Node::Storage(StorageSlot { index, dtype, base, numel }))
    }

    /// The entries `conj` and `neg` of a tensor's metadata: its numbers are stored without them.
    fn sign(&self, metadata: Option<Id>) -> Sign {
        let mut sign = Sign::default();
        let Some(Node::Dict(entries)) = metadata.map(|id| self.pickle.node(id)) else {
            return sign;
        };
        for (key, value) in entries {
            let set = matches!(self.pickle.node(*value), Node::Bool(true) | Node::Int(1));
            match self.pickle.str(*key) {
                Ok("conj") => sign.conjugated = set,
                Ok("neg") => sign.negated = set,
                _ => {}
            }
        }
        sign
    }

    fn tensor(&mut self, args: &[Id; 4], dtype: Option<Id>, sign: Sign) -> Outcome<Id> {
        let Node::Storage(slot) = *self.pickle.node(args[0]) else {
            return Err(Fault::damaged("a tensor is built from something that is no storage"));
        };
        let (dtype, numel) = match dtype {
            None => (slot.dtype, slot.numel),
            Some(id) => {
                let name = self.name_of(id)?;
                let found = name.strip_prefix("torch.").and_then(DType::from_torch);
                let dtype = found.ok_or_else(|| {
                    Fault::Unsupported(format!(
                        "it holds tensors of type {name}, which are not read"
                    ))
                })?;
                (dtype, slot.numel.saturating_mul(slot.dtype.size() as u64) / dtype.size() as u64)
            }
        };
        let shape = self.pickle.sizes(args[2])?;
        let mut strides = self.pickle.sizes(args[3])?;
        let outside = || Fault::damaged("a tensor reaches beyond the end of its storage");
        if shape.len() != strides.len() {
            return Err(Fault::damaged("a tensor has more sizes than strides or the reverse"));
        }
        byte_len(dtype, &shape)?;
        // The stride along a dimension of one element is never used.
        strides.iter_mut().zip(&shape).filter(|(_, dim)| **dim == 1).for_each(|(s, _)| *s = 0);
        let offset = usize::try_from(self.pickle.int(args[1])?).map_err(|_| outside())?;
        let end = span(&shape, offset, &strides).ok_or_else(outside)?;
        if end as u64 > numel {
            return Err(outside());
        }
        let base = usize::try_from(slot.base).map_err(|_| outside())?;
        let offset = offset.checked_add(base).ok_or_else(outside)?;
        self.pickle.charge(size_of_val(shape.as_slice()) * 2)?;
        let spec = TensorSpec { storage: slot.index, dtype, offset, shape, strides, sign };
        self.pickle.add(Node::Tensor(Box::new(spec)))
    }

    fn sequence(&mut self, items: Option<Id>, wrap: fn(Vec<Id>) -> Node) -> Outcome<Id> {
        let items = match items {
            Some(id) => self.pickle.items(id)?.to_vec(),
            None => Vec::new(),
        };
        self.pickle.charge(size_of_val(items.as_slice()))?;
        self.pickle.add(wrap(items))
    }

    fn dict(&mut self, source: Option<Id>) -> Outcome<Id> {
        let mut pairs = Vec::new();
        match source.map(|id| self.pickle.node(id)) {
            None => {}
            Some(Node::Dict(items)) => pairs.clone_from(items),
            Some(Node::List(items) | Node::Tuple(items)) => {
                for item in items {
                    match self.pickle.items(*item)? {
                        [key, value] => pairs.push((*key, *value)),
                        _ => return Err(Fault::damaged("a dict is built from odd pairs")),
                    }
                }
            }
            Some(_) => return Err(Fault::damaged("a dict is built from a plain value")),
        }
        self.pickle.charge(size_of_val(pairs.as_slice()))?;
        self.pickle.add(Node::Dict(pairs))
    }

    /// `cuda` + 0 -> `cuda:0`; path parts with slashes.
    fn joined(&mut self, name: &str, args: &[Id]) -> Outcome<Id> {
        let separator = if name == "torch.device" { ":" } else { "/" };
        let mut text = String::new();
        for arg in args {
            if !text.is_empty() && !text.ends_with('/') {
                text.push_str(separator);
            }
            match self.pickle.node(*arg) {
                Node::Int(index) => text.push_str(&index.to_string()),
                _ => text.push_str(self.pickle.str(*arg)?),
            }
            if text.len() > MAX_NAME {
                return Err(Fault::damaged("a path in a pickle is absurdly long"));
            }
        }
        self.pickle.charge(text.len())?;
        self.pickle.add(Node::Str(text.into()))
    }

    /// `codecs.encode(text, "latin1")`: how protocol 2 writes bytes.
    fn encode(&mut self, text: Id) -> Outcome<Id> {
        self.pickle.charge(self.pickle.str(text)?.len())?;
        let bytes: Option<Vec<u8>> =
            self.pickle.str(text)?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
        let bytes = bytes.ok_or_else(|| Fault::damaged("bytes in a pickle are no latin-1 text"))?;
        self.pickle.add(Node::Bytes(bytes.into()))
    }
}

/// Refuses a class or function of a module that has no part in weights.
fn allow(name: &str) -> Outcome<()> {
    let module = name.split('.').next().unwrap_or_default();
    if FORBIDDEN.contains(&module) && name != "types.SimpleNamespace" {
        return Err(Fault::Refused(name.to_owned()));
    }
    Ok(())
}
