//! The functions that conditions and mappings may call.
//!
//! CEL's own: `size`, `contains`, `startsWith`, `endsWith`, `matches`, `int`, `uint`, `double`, `string`, `bytes`,
//! `bool`, `type`, `dyn`. Google's for attributes: `extract`, `lowerAscii`, `upperAscii`, `replace`, `split`, `join`,
//! which `joins` is another name of.

use std::sync::Arc;

use regex_lite::{Regex, RegexBuilder};

use crate::{
    check::Kind,
    error::EvalError,
    eval::{Evaluation, overload},
    number,
    value::Value,
};

/// Largest compiled regular expression, in bytes.
const MAX_PATTERN: usize = 16 * 1024;

/// Steps that compiling a regular expression counts for.
const COMPILING: usize = 2_000;

/// Name, whether it is called on a value, fewest and most arguments besides that value, type of the result.
const FUNCTIONS: [(&str, bool, usize, usize, Kind); 23] = [
    ("size", false, 1, 1, Kind::Int),
    ("size", true, 0, 0, Kind::Int),
    ("contains", true, 1, 1, Kind::Bool),
    ("startsWith", true, 1, 1, Kind::Bool),
    ("endsWith", true, 1, 1, Kind::Bool),
    ("matches", true, 1, 1, Kind::Bool),
    ("matches", false, 2, 2, Kind::Bool),
    ("int", false, 1, 1, Kind::Int),
    ("uint", false, 1, 1, Kind::Uint),
    ("double", false, 1, 1, Kind::Double),
    ("string", false, 1, 1, Kind::String),
    ("bytes", false, 1, 1, Kind::Bytes),
    ("bool", false, 1, 1, Kind::Bool),
    ("type", false, 1, 1, Kind::Type),
    ("dyn", false, 1, 1, Kind::Dynamic),
    ("extract", true, 1, 1, Kind::String),
    ("lowerAscii", true, 0, 0, Kind::String),
    ("upperAscii", true, 0, 0, Kind::String),
    ("replace", true, 2, 3, Kind::String),
    ("split", true, 1, 2, Kind::List),
    ("join", true, 0, 1, Kind::String),
    ("joins", true, 0, 1, Kind::String),
    ("trim", true, 0, 0, Kind::String),
];

pub(crate) fn exists(name: &str, on_value: bool, arguments: usize) -> bool {
    FUNCTIONS
        .iter()
        .any(|(n, on, fewest, most, _)| *n == name && *on == on_value && (fewest..=most).contains(&&arguments))
}

pub(crate) fn kind(name: &str, on_value: bool) -> Kind {
    FUNCTIONS.iter().find(|(n, on, ..)| *n == name && *on == on_value).map_or(Kind::Dynamic, |(.., kind)| *kind)
}

type Result<T = Value> = std::result::Result<T, EvalError>;

/// Calls a function; a value that it is called on comes first in `values`.
pub(crate) fn call(run: &mut Evaluation<'_>, name: &str, on_value: bool, values: &[Value]) -> Result {
    let wrong = || {
        let kinds: Vec<String> = values.iter().map(|value| value.kind().to_string()).collect();
        match kinds.split_first() {
            Some((target, arguments)) if on_value => overload(format!("{target}.{name}({})", arguments.join(", "))),
            _ => overload(format!("{name}({})", kinds.join(", "))),
        }
    };
    run.charge(values.iter().map(length).sum::<usize>() / 16)?;
    match (name, values) {
        ("size", [value]) => size(value).ok_or_else(wrong),
        ("contains", [Value::String(text), Value::String(part)]) => Ok(Value::Bool(text.contains(&**part))),
        ("startsWith", [Value::String(text), Value::String(part)]) => Ok(Value::Bool(text.starts_with(&**part))),
        ("endsWith", [Value::String(text), Value::String(part)]) => Ok(Value::Bool(text.ends_with(&**part))),
        ("matches", [Value::String(text), Value::String(pattern)]) => matches(run, text, pattern),
        ("int" | "uint" | "double" | "string" | "bytes" | "bool", [value]) => convert(name, value).ok_or_else(wrong)?,
        ("type", [value]) => Ok(Value::Type(value.kind())),
        ("dyn", [value]) => Ok(value.clone()),
        ("extract", [Value::String(text), Value::String(template)]) => extract(text, template),
        ("lowerAscii", [Value::String(text)]) => Ok(text_of(text.to_ascii_lowercase())),
        ("upperAscii", [Value::String(text)]) => Ok(text_of(text.to_ascii_uppercase())),
        ("trim", [Value::String(text)]) => Ok(text_of(text.trim())),
        ("replace", [Value::String(text), Value::String(old), Value::String(new)]) => {
            replace(run, text, old, new, usize::MAX)
        }
        ("replace", [Value::String(text), Value::String(old), Value::String(new), Value::Int(limit)]) => {
            replace(run, text, old, new, usize::try_from(*limit).unwrap_or(usize::MAX))
        }
        ("split", [Value::String(text), Value::String(separator)]) => split(run, text, separator, usize::MAX),
        ("split", [Value::String(text), Value::String(separator), Value::Int(limit)]) => {
            split(run, text, separator, usize::try_from(*limit).unwrap_or(usize::MAX))
        }
        ("join" | "joins", [Value::List(parts)]) => join(run, parts, "").ok_or_else(wrong)?,
        ("join" | "joins", [Value::List(parts), Value::String(between)]) => {
            join(run, parts, between).ok_or_else(wrong)?
        }
        _ => Err(wrong()),
    }
}

fn text_of(text: impl Into<Arc<str>>) -> Value {
    Value::String(text.into())
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(elements) => elements.len(),
        _ => 0,
    }
}

/// Strings in code points, bytes in bytes, lists and maps in elements.
fn size(value: &Value) -> Option<Value> {
    let size = match value {
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(elements) => elements.len(),
        Value::Map(members) => members.len(),
        _ => return None,
    };
    Some(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

/// RE2's syntax as far as `regex-lite` has it; any part of the text may match.
fn matches(run: &mut Evaluation<'_>, text: &str, pattern: &str) -> Result {
    if !run.patterns.contains_key(pattern) {
        run.charge(COMPILING)?;
        let compiled: Regex = RegexBuilder::new(pattern)
            .size_limit(MAX_PATTERN)
            .build()
            .map_err(|error| EvalError::Pattern(format!("invalid regular expression: {error}")))?;
        run.patterns.insert(pattern.to_owned(), compiled);
    }
    // Matching takes the product of the text's length and the bounded pattern's at worst.
    run.charge(text.len().max(pattern.len()))?;
    Ok(Value::Bool(run.patterns.get(pattern).is_some_and(|regex| regex.is_match(text))))
}

/// `None` if the function does not take the type, an error if it does not take the value.
fn convert(to: &str, value: &Value) -> Option<Result> {
    let range = || EvalError::Arithmetic("the number is out of range");
    let unreadable = |text: &str, to| EvalError::Conversion { from: format!("{text:?}"), to };
    Some(match (to, value) {
        ("int", Value::Int(_)) | ("uint", Value::Uint(_)) | ("double", Value::Double(_)) => Ok(value.clone()),
        ("string", Value::String(_)) | ("bytes", Value::Bytes(_)) | ("bool", Value::Bool(_)) => Ok(value.clone()),
        ("int", Value::Uint(n)) => i64::try_from(*n).map(Value::Int).map_err(|_| range()),
        ("int", Value::Double(n)) => number::int_of(*n).map(Value::Int).ok_or_else(range),
        ("int", Value::String(text)) => text.parse().map(Value::Int).map_err(|_| unreadable(text, "int")),
        ("uint", Value::Int(n)) => u64::try_from(*n).map(Value::Uint).map_err(|_| range()),
        ("uint", Value::Double(n)) => number::uint_of(*n).map(Value::Uint).ok_or_else(range),
        ("uint", Value::String(text)) => text.parse().map(Value::Uint).map_err(|_| unreadable(text, "uint")),
        #[allow(clippy::cast_precision_loss, reason = "CEL rounds as well")]
        ("double", Value::Int(n)) => Ok(Value::Double(*n as f64)),
        #[allow(clippy::cast_precision_loss, reason = "CEL rounds as well")]
        ("double", Value::Uint(n)) => Ok(Value::Double(*n as f64)),
        ("double", Value::String(text)) => text.parse().map(Value::Double).map_err(|_| unreadable(text, "double")),
        ("string", Value::Int(n)) => Ok(text_of(n.to_string())),
        ("string", Value::Uint(n)) => Ok(text_of(n.to_string())),
        ("string", Value::Double(n)) => Ok(text_of(n.to_string())),
        ("string", Value::Bool(b)) => Ok(text_of(b.to_string())),
        ("string", Value::Bytes(bytes)) => std::str::from_utf8(bytes)
            .map(text_of)
            .map_err(|_| EvalError::Conversion { from: "bytes that are not UTF-8".to_owned(), to: "string" }),
        ("bytes", Value::String(text)) => Ok(Value::Bytes(text.as_bytes().into())),
        ("bool", Value::String(text)) => match &**text {
            "true" | "True" | "TRUE" | "t" | "1" => Ok(Value::Bool(true)),
            "false" | "False" | "FALSE" | "f" | "0" => Ok(Value::Bool(false)),
            _ => Err(unreadable(text, "bool")),
        },
        _ => return None,
    })
}

/// `before{name}after`: what lies between the first `before` and the next `after`; empty if either is not there.
fn extract(text: &str, template: &str) -> Result {
    let parts = template.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?.1)));
    let (before, after) = parts
        .filter(|(before, after)| !before.contains('}') && !after.contains(['{', '}']))
        .ok_or_else(|| EvalError::Pattern(format!("{template:?} is not a template with one name in braces")))?;
    let found = text.split_once(before).map(|(_, rest)| rest);
    let found = match after {
        "" => found,
        _ => found.and_then(|rest| rest.split_once(after)).map(|(inside, _)| inside),
    };
    Ok(text_of(found.unwrap_or_default()))
}

fn replace(run: &mut Evaluation<'_>, text: &str, old: &str, new: &str, limit: usize) -> Result {
    let found = text.matches(old).take(limit).count();
    run.charge(text.len().saturating_add(found.saturating_mul(new.len())) / 16)?;
    Ok(text_of(text.replacen(old, new, limit)))
}

/// An empty separator splits into characters; `limit` is the most parts there may be.
fn split(run: &mut Evaluation<'_>, text: &str, separator: &str, limit: usize) -> Result {
    run.charge(text.len())?;
    if limit == 0 {
        return Ok(Value::List(Arc::from([])));
    }
    let parts: Vec<Value> = if separator.is_empty() {
        let mut parts: Vec<Value> = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next().filter(|_| parts.len() + 1 < limit) {
            parts.push(text_of(&rest[..c.len_utf8()]));
            rest = &rest[c.len_utf8()..];
        }
        if !rest.is_empty() {
            parts.push(text_of(rest));
        }
        parts
    } else {
        text.splitn(limit, separator).map(text_of).collect()
    };
    Ok(Value::List(parts.into()))
}

fn join(run: &mut Evaluation<'_>, parts: &[Value], between: &str) -> Option<Result> {
    let texts: Vec<&str> = parts.iter().map(Value::as_str).collect::<Option<_>>()?;
    let length = texts.iter().map(|text| text.len().saturating_add(between.len())).fold(0, usize::saturating_add);
    Some(run.charge(length / 16).map(|()| text_of(texts.join(between))))
}
