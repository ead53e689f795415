//! CEL values, their equality and order, and how JSON becomes one.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{check::Kind, number};

/// A value. Cloning is cheap: what is large is shared.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A floating-point number; every number of a JSON document is one, as in `google.protobuf.Value`.
    Double(f64),
    /// A text.
    String(Arc<str>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A list.
    List(Arc<[Value]>),
    /// A map.
    Map(Arc<BTreeMap<Key, Value>>),
    /// A type, as `type()` returns it.
    Type(Kind),
}

/// A map's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A boolean.
    Bool(bool),
    /// A signed integer, or an unsigned one that fits: the two are the same key.
    Int(i64),
    /// An unsigned integer that is larger.
    Uint(u64),
    /// A text.
    String(Arc<str>),
}

/// The values of an expression's variables.
#[derive(Clone, Debug, Default)]
pub struct Variables(BTreeMap<String, Value>);

impl Variables {
    /// No variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a variable to a JSON value.
    #[must_use]
    pub fn with(mut self, name: &str, json: &serde_json::Value) -> Self {
        self.0.insert(name.to_owned(), Value::from_json(json));
        self
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

impl Value {
    /// Every number becomes a double: that is how JSON reaches CEL at Google.
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::String(text.as_str().into()),
            serde_json::Value::Array(elements) => Self::List(elements.iter().map(Self::from_json).collect()),
            serde_json::Value::Object(members) => {
                let members = members.iter().map(|(k, v)| (Key::String(k.as_str().into()), Self::from_json(v)));
                Self::Map(Arc::new(members.collect()))
            }
        }
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// The value as a key of a map; a double is the key of the integer that it equals.
    pub(crate) fn as_key(&self) -> Option<Key> {
        match self {
            Self::Bool(value) => Some(Key::Bool(*value)),
            Self::Int(n) => Some(Key::Int(*n)),
            Self::Uint(n) => Some(i64::try_from(*n).map_or(Key::Uint(*n), Key::Int)),
            Self::Double(n) => number::int_of(*n)
                .filter(|int| number::compare(&Self::Int(*int), self) == Some(std::cmp::Ordering::Equal))
                .map(Key::Int),
            Self::String(text) => Some(Key::String(text.clone())),
            _ => None,
        }
    }
}

impl Key {
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(n) => Value::Int(*n),
            Self::Uint(n) => Value::Uint(*n),
            Self::String(text) => Value::String(text.clone()),
        }
    }
}

/// Longest text of a value that is shown to people, in characters.
const SHOWN: usize = 160;

/// The value as CEL would write it, cut when it gets long.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.show(&mut text);
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{}…", text.get(..end).unwrap_or_default()),
            None => f.write_str(&text),
        }
    }
}

impl Value {
    /// Stops as soon as there is more than will be shown: a value can be much larger than what it is made of.
    fn show(&self, out: &mut String) {
        use fmt::Write as _;
        if out.len() > 4 * SHOWN {
            return;
        }
        let _ = match self {
            Self::Null => out.write_str("null"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Int(n) => write!(out, "{n}"),
            Self::Uint(n) => write!(out, "{n}u"),
            Self::Double(n) => write!(out, "{n}"),
            Self::String(text) => write!(out, "{:?}", text.chars().take(SHOWN + 1).collect::<String>()),
            Self::Bytes(bytes) => write!(out, "{} bytes", bytes.len()),
            Self::Type(kind) => write!(out, "{kind}"),
            Self::List(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if out.len() > 4 * SHOWN {
                        break;
                    }
                    out.push_str(if index == 0 { "" } else { ", " });
                    element.show(out);
                }
                out.write_char(']')
            }
            Self::Map(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if out.len() > 4 * SHOWN {
                        break;
                    }
                    out.push_str(if index == 0 { "" } else { ", " });
                    key.value().show(out);
                    out.push_str(": ");
                    value.show(out);
                }
                out.write_char('}')
            }
        };
    }
}
