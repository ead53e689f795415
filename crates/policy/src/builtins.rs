//! Functions of Rego that are csign's own: those that the interpreter lacks or that would give it no bound, the caller's
//! time, and regular expressions as OPA reads them.

use regorus::{
    LimitError, Value,
    unstable::{BUILTINS, BuiltinFcn, Expr, Ref, Source, Span},
};
use sha2::{Digest as _, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    limits::{self, MAX_RANGE},
    regex_syntax,
};

/// A function that must not go on. It ends the evaluation, where a function that fails is only undefined.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("a range of more than {MAX_RANGE} numbers")]
    Range,
    #[error("{0}")]
    Limit(LimitError),
}

/// The functions whose first argument is a regular expression.
const REGULAR: [&str; 7] = [
    "regex.find_all_string_submatch_n",
    "regex.find_n",
    "regex.is_valid",
    "regex.match",
    "regex.replace",
    "regex.split",
    "regex.template_match",
];
const RANGES: [&str; 2] = ["numbers.range", "numbers.range_step"];

/// How many arguments one of csign's own functions takes.
pub(crate) fn arity(name: &str) -> Option<usize> {
    match name {
        "time.now_ns" => Some(0),
        "time.parse_rfc3339_ns" | "crypto.sha256" => Some(1),
        _ => None,
    }
}

/// Gives the interpreter these functions. `now` is in seconds since 1970.
pub(crate) fn add(engine: &mut regorus::Engine, now: u64) {
    let nanoseconds = now.saturating_mul(1_000_000_000);
    extend(engine, "time.now_ns", 0, move |_| Ok(Value::from(nanoseconds)));
    extend(engine, "time.parse_rfc3339_ns", 1, |arguments| Ok(parse_time(arguments)));
    extend(engine, "crypto.sha256", 1, |arguments| Ok(sha256(arguments)));
    for (name, builtin) in RANGES.iter().filter_map(|name| Some((*name, *BUILTINS.get(*name)?))) {
        extend(engine, name, builtin.1, move |arguments| range(name, builtin, arguments));
    }
    for (name, builtin) in REGULAR.iter().filter_map(|name| Some((*name, *BUILTINS.get(*name)?))) {
        extend(engine, name, builtin.1, move |arguments| regular(name, builtin, arguments));
    }
}

fn extend<F>(engine: &mut regorus::Engine, name: &str, arity: u8, run: F)
where
    F: Fn(&[Value]) -> Result<Value, Stopped> + Clone + Send + Sync + 'static,
{
    let run = move |arguments: Vec<Value>| {
        run(&arguments).map_err(|stopped| {
            limits::exhaust();
            anyhow::Error::new(stopped)
        })
    };
    // The only error is a name that is taken, and each is added once to an engine.
    let _ = engine.add_extension(name.to_owned(), arity, Box::new(run));
}

fn text(arguments: &[Value]) -> Option<&str> {
    match arguments.first() {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn parse_time(arguments: &[Value]) -> Value {
    text(arguments)
        .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
        .and_then(|time| i64::try_from(time.unix_timestamp_nanos()).ok())
        .map_or(Value::Undefined, Value::from)
}

fn sha256(arguments: &[Value]) -> Value {
    text(arguments).map_or(Value::Undefined, |text| {
        let hex: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        Value::from(hex)
    })
}

fn range(name: &str, builtin: BuiltinFcn, arguments: &[Value]) -> Result<Value, Stopped> {
    let end = |index: usize| arguments.get(index).and_then(|value| value.as_i64().ok());
    match (end(0), end(1)) {
        (Some(from), Some(to)) if from.checked_sub(to).is_some_and(|size| size.unsigned_abs() <= MAX_RANGE) => {
            original(name, builtin, arguments)
        }
        (Some(_), Some(_)) => Err(Stopped::Range),
        _ => Ok(Value::Undefined),
    }
}

fn regular(name: &str, builtin: BuiltinFcn, arguments: &[Value]) -> Result<Value, Stopped> {
    let mut arguments = arguments.to_vec();
    if let Some(pattern) = text(&arguments).map(regex_syntax::as_opa_reads_it)
        && let Some(first) = arguments.first_mut()
    {
        *first = Value::from(pattern);
    }
    original(name, builtin, &arguments)
}

/// Calls the interpreter's own function. It wants to know where its arguments are written, for messages only.
fn original(name: &str, builtin: BuiltinFcn, arguments: &[Value]) -> Result<Value, Stopped> {
    let Ok(source) = Source::from_contents(name.to_owned(), name.to_owned()) else { return Ok(Value::Undefined) };
    let span = Span { source, line: 1, col: 1, start: 0, end: 0 };
    let written = || Ref::new(Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 });
    let places: Vec<_> = arguments.iter().map(|_| written()).collect();
    match (builtin.0)(&span, &places, arguments, false) {
        Ok(value) => Ok(value),
        Err(error) => {
            error.downcast_ref::<LimitError>().map_or(Ok(Value::Undefined), |limit| Err(Stopped::Limit(*limit)))
        }
    }
}
