//! What a command prints: `--flatten`, `--filter` and `--format`, as far as scripts use them.

use std::{cmp::Ordering, fmt::Write as _};

use serde_json::{Map, Value};

use super::yaml;

/// What a command has to show.
#[derive(Debug)]
pub(super) enum Shown {
    Nothing,
    One(Value),
    Many(Vec<Value>),
    /// Text that has no format.
    Text(String),
}

/// A step of a path: a key, a place in a list, or a function.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    At(usize),
    Basename,
}

/// `a.b[0].basename()`
fn path(text: &str) -> Result<Vec<Step>, String> {
    let wrong = || format!("the simulator's gcloud does not know the field {text:?}");
    let mut steps = Vec::new();
    for part in text.split('.') {
        if part == "basename()" {
            steps.push(Step::Basename);
            continue;
        }
        let (key, indices) = part.split_once('[').map_or((part, None), |(key, rest)| (key, Some(rest)));
        let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !plain {
            return Err(wrong());
        }
        steps.push(Step::Key(key.to_owned()));
        for index in indices.into_iter().flat_map(|indices| indices.split('[')) {
            let index = index.strip_suffix(']').and_then(|index| index.parse().ok());
            steps.push(Step::At(index.ok_or_else(wrong)?));
        }
    }
    Ok(steps)
}

fn value(thing: &Value, steps: &[Step]) -> Value {
    let mut current = thing.clone();
    for step in steps {
        current = match (step, &current) {
            (Step::Basename, Value::String(text)) => text.rsplit('/').next().unwrap_or_default().into(),
            (Step::Key(key), Value::Object(members)) => members.get(key).cloned().unwrap_or(Value::Null),
            (Step::At(index), Value::Array(items)) => items.get(*index).cloned().unwrap_or(Value::Null),
            _ => Value::Null,
        };
    }
    current
}

/// A value in a line of `value(…)`.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => {
            let item = |item: &Value| if item.is_object() { python(item) } else { text(item) };
            items.iter().map(item).collect::<Vec<_>>().join(";")
        }
        Value::Object(members) => {
            members.iter().map(|(key, value)| format!("{key}={}", text(value))).collect::<Vec<_>>().join(";")
        }
    }
}

/// As Python shows it: what gcloud does with objects in lists.
fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::String(text) if text.contains('\'') && !text.contains('"') => format!("\"{text}\""),
        Value::String(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        Value::Array(items) => format!("[{}]", items.iter().map(python).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let pair = |(key, value): (&String, &Value)| format!("'{key}': {}", python(value));
            format!("{{{}}}", members.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        scalar => text(scalar),
    }
}

/// One thing for each element of the lists on the path; one without the element where there is no list.
fn flatten(mut things: Vec<Value>, along: &str) -> Result<Vec<Value>, String> {
    let mut keys: Vec<String> = Vec::new();
    for step in along.split("[]").map(|step| step.trim_matches('.')).filter(|step| !step.is_empty()) {
        keys.extend(step.split('.').map(str::to_owned));
        let steps = path(&keys.join("."))?;
        let mut rows = Vec::new();
        for thing in &things {
            let items = match value(thing, &steps) {
                Value::Array(items) if !items.is_empty() => items,
                _ => vec![Value::Null],
            };
            for item in items {
                let mut row = thing.clone();
                put(&mut row, &keys, item);
                rows.push(row);
            }
        }
        things = rows;
    }
    Ok(things)
}

fn put(thing: &mut Value, keys: &[String], item: Value) {
    let Some((first, rest)) = keys.split_first() else { return *thing = item };
    if !thing.is_object() {
        *thing = Value::Object(Map::new());
    }
    if let Some(members) = thing.as_object_mut() {
        put(members.entry(first.clone()).or_insert(Value::Null), rest, item);
    }
}

/// Prints what was found; the error says which format the simulator's gcloud does not have.
pub(super) fn print(shown: Shown, along: Option<&str>, format: Option<&str>) -> Result<String, String> {
    let (things, many) = match shown {
        Shown::Nothing => return Ok(String::new()),
        Shown::Text(text) => return Ok(text),
        Shown::One(thing) => (vec![thing], false),
        Shown::Many(things) => (things, true),
    };
    let (things, many) = match along {
        Some(along) => (flatten(things, along)?, true),
        None => (things, many),
    };
    match format.unwrap_or("yaml") {
        "json" if many => Ok(format!("{:#}\n", Value::Array(things))),
        "json" => Ok(things.first().map(|thing| format!("{thing:#}\n")).unwrap_or_default()),
        "yaml" if many => Ok(things.iter().map(|thing| format!("---\n{}", yaml::write(thing))).collect()),
        "yaml" => Ok(things.first().map(yaml::write).unwrap_or_default()),
        "none" | "disable" => Ok(String::new()),
        other => rows(&things, other),
    }
}

/// `value(a,b)`: a line for each thing, with tabs; `csv(a,b)` and `csv[no-heading](a,b)`: with commas.
fn rows(things: &[Value], format: &str) -> Result<String, String> {
    let unknown =
        || format!("Unknown format [{format}]: the simulator's gcloud has json, yaml, none, value(…) and csv(…).");
    let (kind, fields) = format.strip_suffix(')').and_then(|format| format.split_once('(')).ok_or_else(unknown)?;
    let (separator, heading) = match kind {
        "value" => ("\t", false),
        "csv" => (",", true),
        "csv[no-heading]" => (",", false),
        _ => return Err(unknown()),
    };
    let fields: Vec<&str> = fields.split(',').map(str::trim).collect();
    let paths: Vec<Vec<Step>> = fields.iter().map(|field| path(field)).collect::<Result<_, _>>()?;
    let mut out = String::new();
    if heading {
        let last =
            |field: &&str| field.trim_end_matches(".basename()").rsplit('.').next().unwrap_or_default().to_owned();
        let _ = writeln!(out, "{}", fields.iter().map(last).collect::<Vec<_>>().join(separator));
    }
    for thing in things {
        let cells = paths.iter().map(|steps| text(&value(thing, steps)));
        let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join(separator));
    }
    Ok(out)
}

/// Keeps what meets `--filter`: comparisons joined by AND, each `field=value`, `field!=value`, `field:value` (contains),
/// `field=(a,b)` (one of), `field>=n` and its like.
pub(super) fn filter(things: Vec<Value>, condition: &str) -> Result<Vec<Value>, String> {
    let mut terms = Vec::new();
    for term in split_terms(condition)? {
        terms.push(Term::parse(&term)?);
    }
    Ok(things.into_iter().filter(|thing| terms.iter().all(|term| term.holds(thing))).collect())
}

/// Terms are separated by spaces outside of quotes and parentheses; AND between them may be left out.
fn split_terms(condition: &str) -> Result<Vec<String>, String> {
    let mut terms = vec![String::new()];
    let (mut quote, mut depth) = (None, 0_u32);
    for c in condition.chars() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, c) if c.is_whitespace() && depth == 0 => {
                terms.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(term) = terms.last_mut() {
            term.push(c);
        }
    }
    if quote.is_some() || depth != 0 {
        return Err(format!("the filter does not end: {condition}"));
    }
    terms.retain(|term| !term.is_empty() && term != "AND");
    Ok(terms)
}

struct Term {
    field: Vec<Step>,
    comparison: &'static str,
    values: Vec<String>,
}

impl Term {
    fn parse(term: &str) -> Result<Self, String> {
        let wrong = || format!("the simulator's gcloud does not know the filter {term:?}");
        let places =
            ["!=", ">=", "<=", "=", ":", ">", "<"].into_iter().filter_map(|mark| Some((term.find(mark)?, mark)));
        // The first one in the text; of two that begin there the longer one.
        let (place, comparison) =
            places.min_by_key(|(place, mark)| (*place, std::cmp::Reverse(mark.len()))).ok_or_else(wrong)?;
        let (field, rest) = term.split_at_checked(place).ok_or_else(wrong)?;
        let given = rest.get(comparison.len()..).ok_or_else(wrong)?;
        let list = given.strip_prefix('(').and_then(|given| given.strip_suffix(')'));
        let plain = |value: &str| value.trim().trim_matches(['"', '\'']).to_owned();
        let values = match list {
            Some(list) if list.contains(" OR ") => list.split(" OR ").map(plain).collect(),
            Some(list) => list.split([',', ' ']).filter(|value| !value.trim().is_empty()).map(plain).collect(),
            None => vec![plain(given)],
        };
        Ok(Self { field: path(field).map_err(|_| wrong())?, comparison, values })
    }

    fn holds(&self, thing: &Value) -> bool {
        let found = value(thing, &self.field);
        let candidates = match &found {
            Value::Null => Vec::new(),
            Value::Array(items) => items.iter().map(text).collect(),
            other => vec![text(other)],
        };
        let any = |test: &dyn Fn(&str, &str) -> bool| {
            candidates.iter().any(|candidate| self.values.iter().any(|wanted| test(candidate, wanted)))
        };
        let equal = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        let order = |a: &str, b: &str| match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            _ => a.cmp(b),
        };
        match self.comparison {
            "=" => any(&equal),
            "!=" => !any(&equal),
            ":" => any(&|a, b| b == "*" || a.to_ascii_lowercase().contains(&b.to_ascii_lowercase())),
            ">=" => any(&|a, b| order(a, b) != Ordering::Less),
            "<=" => any(&|a, b| order(a, b) != Ordering::Greater),
            ">" => any(&|a, b| order(a, b) == Ordering::Greater),
            _ => any(&|a, b| order(a, b) == Ordering::Less),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(thing: Value, along: Option<&str>, format: &str) -> String {
        print(Shown::One(thing), along, Some(format)).expect(format)
    }

    #[test]
    fn values_are_what_gcloud_prints() {
        let thing = json!({
            "a": {"b": "x/y/z"}, "list": ["p", "q"], "on": true, "off": false, "map": {"k": "v", "j": 1}, "n": 7,
        });
        for (format, printed) in [
            ("value(a.b)", "x/y/z\n"),
            ("value(a.b.basename(),list,on,off)", "z\tp;q\tTrue\tFalse\n"),
            ("value(list[1],list[5],none.at.all,n)", "q\t\t\t7\n"),
            ("value(map)", "j=1;k=v\n"),
            ("csv(a.b.basename(),n)", "b,n\nz,7\n"),
            ("csv[no-heading](n)", "7\n"),
        ] {
            assert_eq!(shown(thing.clone(), None, format), printed);
        }
        assert!(print(Shown::One(thing), None, Some("table(a)")).is_err());
    }

    #[test]
    fn a_list_is_flattened_into_lines_and_an_absent_one_into_one_empty_line() {
        let policy = json!({"bindings": [
            {"role": "r", "members": ["a", "b"]}, {"role": "s", "members": ["c"], "condition": {"expression": "true"}},
        ]});
        let format = "value(bindings.role,bindings.members,bindings.condition.expression)";
        let along = Some("bindings[].members");
        assert_eq!(shown(policy, along, format), "r\ta\t\nr\tb\t\ns\tc\ttrue\n");
        assert_eq!(shown(json!({"etag": "x"}), along, format), "\t\t\n");
    }

    #[test]
    fn a_filter_keeps_what_meets_all_its_terms_and_an_unknown_one_is_refused() {
        let things = vec![json!({"s": "ENABLED", "n": 1}), json!({"s": "DISABLED", "n": 2}), json!({"n": 3})];
        for (condition, kept) in [
            ("s=ENABLED", vec![1]),
            ("s=(ENABLED,DISABLED)", vec![1, 2]),
            ("s=(ENABLED OR DISABLED) AND n>1", vec![2]),
            ("s:abled n<2", vec![1]),
            ("s!=ENABLED", vec![2, 3]),
            ("s=\"ENABLED\"", vec![1]),
        ] {
            let found = filter(things.clone(), condition).expect(condition);
            assert_eq!(
                found.iter().map(|thing| thing["n"].as_i64().expect("n")).collect::<Vec<_>>(),
                kept,
                "{condition}"
            );
        }
        for unknown in ["s", "s=(A", "s=\"A", "f(x)=1", "NOT s=A"] {
            assert!(filter(things.clone(), unknown).is_err(), "{unknown}");
        }
    }
}
