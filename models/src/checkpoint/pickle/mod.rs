//! A reader of Python pickles that executes nothing. Values become nodes of an arena, the few
//! constructors that weights need are rebuilt by name, and a call of anything else is refused.

mod calls;
mod machine;
mod node;
mod numpy;
mod text;
mod tree;

pub(crate) use machine::parse;
pub(crate) use node::{Array, Id, Node, NumpyType, Pickle};
pub(crate) use tree::TreeBudget;
