//! Everything in a checkpoint that is no tensor (epochs, hyper-parameters, configs) as a small
//! tree of plain values.

use serde::{Serialize, Serializer};

use super::dtype::DType;

/// A plain value.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    None,
    /// Truth value.
    Bool(bool),
    /// Integer.
    Int(i64),
    /// Float.
    Float(f64),
    /// Text; also the names of classes, functions and devices.
    Str(String),
    /// Raw bytes, of which only the number is kept.
    Bytes(usize),
    /// List, tuple or set.
    List(Vec<Value>),
    /// Dict in its order; keys that are no text are written as text.
    Dict(Vec<(String, Value)>),
    /// An object of an unknown class with its attributes.
    Object(String, Vec<(String, Value)>),
    /// A tensor that is not part of the weights.
    Tensor(DType, Vec<usize>),
}

impl Value {
    /// The entry `key` of a dict or attribute of an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Dict(items) | Self::Object(_, items) => {
                items.iter().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::Dict(items) | Self::Object(_, items) => items.is_empty(),
            Self::List(items) => items.is_empty(),
            _ => false,
        }
    }

    /// The same as JSON; floats that JSON can't hold become text.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        let map = |items: &[(String, Self)]| {
            items.iter().map(|(key, value)| (key.clone(), value.to_json())).collect()
        };
        match self {
            Self::None => Json::Null,
            Self::Bool(value) => Json::from(*value),
            Self::Int(value) => Json::from(*value),
            Self::Float(value) if value.is_finite() => Json::from(*value),
            Self::Float(value) => Json::from(value.to_string()),
            Self::Str(text) => Json::from(text.as_str()),
            Self::Bytes(size) => Json::from(format!("<{size} bytes>")),
            Self::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Self::Dict(items) => Json::Object(map(items)),
            Self::Object(class, items) => {
                let mut fields: serde_json::Map<_, _> = map(items);
                fields.insert("__class__".into(), Json::from(class.as_str()));
                Json::Object(fields)
            }
            Self::Tensor(dtype, shape) => Json::from(format!("<{dtype} tensor {shape:?}>")),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}
