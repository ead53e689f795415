//! YAML as gcloud prints it, and as much of it as people hand back to it.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A document: keys sorted, lists not indented.
pub(super) fn write(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(members) => object(&mut text, members, 0, false),
        Value::Array(items) => array(&mut text, items, 0),
        scalar => {
            let _ = writeln!(text, "{}", inline(scalar));
        }
    }
    text
}

fn object(text: &mut String, members: &Map<String, Value>, indent: usize, mut first_is_begun: bool) {
    // The map is sorted by its nature.
    for (key, value) in members {
        if !first_is_begun {
            text.extend(std::iter::repeat_n(' ', indent));
        }
        first_is_begun = false;
        let key = quoted(key);
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                let _ = writeln!(text, "{key}:");
                object(text, inner, indent + 2, false);
            }
            Value::Array(items) if !items.is_empty() => {
                let _ = writeln!(text, "{key}:");
                array(text, items, indent);
            }
            Value::String(long) if long.contains('\n') => {
                let chomp = if long.ends_with('\n') { "|" } else { "|-" };
                let _ = writeln!(text, "{key}: {chomp}");
                for line in long.trim_end_matches('\n').split('\n') {
                    let _ = writeln!(text, "{:width$}{line}", "", width = indent + 2);
                }
            }
            scalar => {
                let _ = writeln!(text, "{key}: {}", inline(scalar));
            }
        }
    }
}

fn array(text: &mut String, items: &[Value], indent: usize) {
    for item in items {
        text.extend(std::iter::repeat_n(' ', indent));
        text.push_str("- ");
        match item {
            Value::Object(members) if !members.is_empty() => object(text, members, indent + 2, true),
            scalar => {
                let _ = writeln!(text, "{}", inline(scalar));
            }
        }
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        // JSON is YAML.
        other => other.to_string(),
    }
}

/// As it is where nobody can take it for something else.
fn quoted(text: &str) -> String {
    let odd = |c: char| !(c.is_alphanumeric() || " _./:@+()=<>,;$-".contains(c));
    let other = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"];
    let plain = text.starts_with(|c: char| c.is_alphanumeric() || "/_(".contains(c))
        && !text.chars().any(odd)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !other.contains(&text.to_ascii_lowercase().as_str())
        && text.parse::<f64>().is_err();
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// Reads JSON, or YAML in block style: maps, lists and scalars, each on its lines. Anchors, tags, flow style and comments
/// in lines are refused.
pub(super) fn read(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with(['{', '[']) {
        return csign_oci::json::from_slice(text.as_bytes()).map_err(|error| error.to_string());
    }
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let content = line.trim_end();
        let bare = content.trim_start();
        if bare.is_empty() || bare == "---" || bare.starts_with('#') {
            continue;
        }
        if bare.starts_with('\t') {
            return Err(format!("line {}: a tab", number + 1));
        }
        lines.push(Line { number: number + 1, indent: content.len() - bare.len(), text: bare.to_owned() });
    }
    if lines.is_empty() {
        return Err("the document is empty".to_owned());
    }
    lines.reverse();
    let indent = lines.last().map_or(0, |line| line.indent);
    let value = block(&mut lines, indent, 0)?;
    match lines.last() {
        Some(line) => Err(line.wrong("it belongs to nothing")),
        None => Ok(value),
    }
}

struct Line {
    number: usize,
    indent: usize,
    text: String,
}

impl Line {
    fn wrong(&self, why: &str) -> String {
        format!("line {}: {why}: {}", self.number, self.text)
    }

    fn is_item(&self) -> bool {
        self.text == "-" || self.text.starts_with("- ")
    }
}

/// Blocks in blocks that are read.
const MAX_DEPTH: usize = 20;

/// Reads the lines of one block; the next one is last.
fn block(lines: &mut Vec<Line>, indent: usize, depth: usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err("too many blocks in blocks".to_owned());
    }
    if lines.last().is_some_and(Line::is_item) { items(lines, indent, depth) } else { members(lines, indent, depth) }
}

fn items(lines: &mut Vec<Line>, indent: usize, depth: usize) -> Result<Value, String> {
    let mut items = Vec::new();
    while let Some(mut line) = lines.pop_if(|line| line.indent == indent && line.is_item()) {
        let content = line.text.strip_prefix('-').unwrap_or_default();
        let bare = content.trim_start();
        if bare.is_empty() {
            let inner = lines.last().map(|next| next.indent).filter(|inner| *inner > indent);
            items.push(inner.map_or(Ok(Value::Null), |inner| block(lines, inner, depth + 1))?);
        } else if key_of(bare).is_some() || bare.starts_with("- ") {
            // What follows the dash begins a block of its own.
            line.indent = indent + 1 + content.len() - bare.len();
            line.text = bare.to_owned();
            let inner = line.indent;
            lines.push(line);
            items.push(block(lines, inner, depth + 1)?);
        } else {
            items.push(scalar(&line, bare)?);
        }
    }
    Ok(Value::Array(items))
}

fn members(lines: &mut Vec<Line>, indent: usize, depth: usize) -> Result<Value, String> {
    let mut members = Map::new();
    while let Some(line) = lines.pop_if(|line| line.indent == indent && !line.is_item()) {
        let Some((key, rest)) = key_of(&line.text) else { return Err(line.wrong("neither a key nor an item")) };
        let value = if rest.is_empty() {
            // A list may stand below its key without being indented.
            let inner = lines.last().filter(|next| next.indent > indent || next.indent == indent && next.is_item());
            match inner.map(|next| next.indent) {
                Some(inner) => block(lines, inner, depth + 1)?,
                None => Value::Null,
            }
        } else {
            scalar(&line, rest)?
        };
        if members.insert(key, value).is_some() {
            return Err(line.wrong("the key is there twice"));
        }
    }
    Ok(Value::Object(members))
}

/// `key: value` or `key:`.
fn key_of(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('\'') {
        let (key, rest) = quoted.split_once("':")?;
        return Some((key.replace("''", "'"), rest.trim()));
    }
    let (key, rest) = text.strip_suffix(':').map(|key| (key, "")).or_else(|| text.split_once(": "))?;
    let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    plain.then(|| (key.to_owned(), rest.trim()))
}

fn scalar(line: &Line, text: &str) -> Result<Value, String> {
    if let Some(inner) = text.strip_prefix('\'') {
        let inner = inner.strip_suffix('\'').ok_or_else(|| line.wrong("the quotes do not end"))?;
        return Ok(inner.replace("''", "'").into());
    }
    if text.starts_with('"') {
        return csign_oci::json::from_slice(text.as_bytes()).map_err(|error| line.wrong(&error.to_string()));
    }
    if text.starts_with(['&', '*', '!', '|', '>', '{', '[', '%', '`']) && text != "[]" && text != "{}" {
        return Err(line.wrong("only maps, lists and plain or quoted scalars are read, one a line"));
    }
    if text.contains(" #") {
        return Err(line.wrong("a comment has to have its own line"));
    }
    Ok(csign_oci::json::from_slice(text.as_bytes()).unwrap_or_else(|_| text.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_reads_as_the_same() {
        let value = json!({
            "auditConfigs": [{"auditLogConfigs": [{"logType": "ADMIN_READ"}, {"exemptedMembers": ["user:a@b.c"], "logType": "X"}], "service": "kms"}],
            "bindings": [{"members": ["user:a@example.com", "principalSet://x/attribute.a/b"], "role": "roles/owner"}],
            "etag": "BwX=", "version": 1, "text": "it's: 'so' # here", "number": "123", "yes": "yes", "no": false,
            "nothing": null, "empty": [], "none": {}, "odd": "*", "dash": "- x",
        });
        let text = write(&value);
        assert!(text.contains("\n- members:\n  - user:a@example.com\n"), "{text}");
        assert_eq!(read(&text).expect("reads"), value, "{text}");
    }

    #[test]
    fn what_is_not_read_is_refused_and_not_guessed() {
        for text in [
            "",
            "a: 1\na: 2\n",
            "a: &x 1\n",
            "a: [1, 2]\n",
            "a: 1\n   b: 2\n",
            "just words\n",
            "a: 'x\n",
            "{\"a\":1,\"a\":2}",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
        let deep: String = (0..50).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(read(&deep).is_err());
    }
}
