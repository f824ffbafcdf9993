//! From the arena to plain trees. A pickle of a few bytes can describe a tree without end, so
//! there is a budget, beyond which values are written as `...`.

use std::borrow::Cow;

use super::node::{Id, Node, Object, Pickle};
use crate::checkpoint::value::Value;

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 64;
/// Attributes of a config container among which its content is looked for.
const MAX_ATTRIBUTES: usize = 32;

/// How much may still be written out.
#[derive(Debug)]
pub(crate) struct TreeBudget {
    nodes: usize,
    bytes: usize,
    /// Nodes above the current one, to notice cycles.
    above: Vec<Id>,
}

impl TreeBudget {
    pub(crate) fn new() -> Self {
        Self { nodes: 1 << 18, bytes: 32 << 20, above: Vec::new() }
    }

    /// A copy of `text`, as far as the budget goes.
    pub(crate) fn text(&mut self, text: &str) -> String {
        match self.spend(text.len()) {
            Some(()) => text.to_owned(),
            None => "...".to_owned(),
        }
    }

    fn spend(&mut self, bytes: usize) -> Option<()> {
        self.nodes = self.nodes.checked_sub(1)?;
        self.bytes = self.bytes.checked_sub(bytes)?;
        Some(())
    }
}

impl Pickle {
    /// The tree below `id`, as far as the budget goes.
    pub(crate) fn value(&self, id: Id, budget: &mut TreeBudget) -> Value {
        let spent = budget.spend(0).is_none();
        if spent || budget.above.len() >= MAX_DEPTH || budget.above.contains(&id) {
            return Value::Str("...".into());
        }
        budget.above.push(id);
        let value = self.describe(id, budget);
        budget.above.pop();
        value
    }

    fn describe(&self, id: Id, budget: &mut TreeBudget) -> Value {
        match self.node(id) {
            Node::None => Value::None,
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(value) => Value::Int(*value),
            Node::Big(bytes) | Node::Bytes(bytes) => Value::Bytes(bytes.len()),
            Node::Float(value) => Value::Float(*value),
            Node::Str(text) | Node::Global(text) => Value::Str(budget.text(text)),
            Node::List(items) | Node::Tuple(items) => Value::List(self.list(items, budget)),
            Node::Dict(_) => Value::Dict(self.fields(id, budget)),
            Node::Storage(slot) => {
                Value::Tensor(slot.dtype, vec![usize::try_from(slot.numel).unwrap_or(usize::MAX)])
            }
            Node::Tensor(spec) => Value::Tensor(spec.dtype, spec.shape.clone()),
            Node::Array(array) => Value::Tensor(array.dtype, array.shape.clone()),
            Node::NumpyType(_) => Value::Str("numpy.dtype".into()),
            Node::Object(object) => self.object(id, object, budget),
        }
    }

    fn object(&self, id: Id, object: &Object, budget: &mut TreeBudget) -> Value {
        if object.class.starts_with("omegaconf.") {
            // Config containers: their content is what counts.
            let content = self.entries(id).take(MAX_ATTRIBUTES).find(|(key, _)| {
                matches!(self.node(*key), Node::Str(name) if matches!(&**name, "_content" | "_val"))
            });
            return content.map_or(Value::None, |(_, content)| self.value(content, budget));
        }
        let mut fields = self.fields(id, budget);
        let mut items = self.list(&object.args, budget);
        items.extend(self.list(&object.list, budget));
        if !items.is_empty() {
            fields.push(("__items__".into(), Value::List(items)));
        }
        match budget.spend(object.class.len()) {
            Some(()) => Value::Object(object.class.to_string(), fields),
            None => Value::Dict(fields),
        }
    }

    fn list(&self, items: &[Id], budget: &mut TreeBudget) -> Vec<Value> {
        let mut values = Vec::new();
        for item in items {
            values.push(self.value(*item, budget));
            if budget.nodes == 0 {
                break;
            }
        }
        values
    }

    fn fields(&self, id: Id, budget: &mut TreeBudget) -> Vec<(String, Value)> {
        let mut fields = Vec::new();
        for (key, value) in self.entries(id) {
            let key = self.key(key);
            if budget.spend(key.len()).is_none() {
                break;
            }
            fields.push((key.into_owned(), self.value(value, budget)));
        }
        fields
    }

    /// Keys and values of a dict, or of an object's items and attributes; none for others.
    pub(crate) fn entries(&self, id: Id) -> impl DoubleEndedIterator<Item = (Id, Id)> {
        let attributes = |id: &Id| match self.node(*id) {
            Node::Dict(pairs) => pairs.as_slice(),
            _ => &[],
        };
        let tables = match self.node(id) {
            Node::Dict(pairs) => [pairs.as_slice(), &[], &[]],
            Node::Object(object) => match object.state.map(|state| (state, self.node(state))) {
                None => [object.dict.as_slice(), &[], &[]],
                // Classes with slots have a pair of dicts as their state.
                Some((_, Node::Tuple(both))) if both.len() == 2 => {
                    [object.dict.as_slice(), attributes(&both[0]), attributes(&both[1])]
                }
                Some((state, _)) => [object.dict.as_slice(), attributes(&state), &[]],
            },
            _ => [[].as_slice(), &[], &[]],
        };
        tables.into_iter().flatten().copied()
    }

    /// Everything directly below a node; the state of an object is one node, however many share it.
    pub(crate) fn children(&self, id: Id) -> impl Iterator<Item = Id> {
        let (no_items, no_pairs) = ([].as_slice(), [].as_slice());
        let (first, second, pairs, state) = match self.node(id) {
            Node::List(items) | Node::Tuple(items) => (items.as_slice(), no_items, no_pairs, None),
            Node::Dict(pairs) => (no_items, no_items, pairs.as_slice(), None),
            Node::Object(o) => (o.args.as_slice(), o.list.as_slice(), o.dict.as_slice(), o.state),
            _ => (no_items, no_items, no_pairs, None),
        };
        let values = pairs.iter().map(|(_, value)| *value);
        first.iter().chain(second).copied().chain(values).chain(state)
    }

    /// A key as text.
    pub(crate) fn key(&self, id: Id) -> Cow<'_, str> {
        match self.node(id) {
            Node::Str(text) | Node::Global(text) => Cow::Borrowed(text),
            Node::Int(value) => value.to_string().into(),
            Node::Bool(value) => value.to_string().into(),
            Node::Float(value) => value.to_string().into(),
            _ => "?".into(),
        }
    }
}
