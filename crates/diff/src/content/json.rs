//! JSON by pointer. Elements that have names are matched by them, so that one that is inserted does not change all that
//! follow. A document that names a member twice is compared as text.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{CHILDREN, Content, Difference, Failure, attribute, shortened, text, window::range};
use crate::report::{Change, Kind, Node, Value};

/// Longer documents are compared as text.
const BOUND: u64 = 1 << 20;

pub(super) fn compare(a: &mut dyn Content, b: &mut dyn Content) -> Result<Difference, Failure> {
    let (Some(of_a), Some(of_b)) = (parse(a)?, parse(b)?) else { return text::compare(a, b) };
    let mut found = Found::default();
    found.values("", &of_a, &of_b);
    if found.difference.is_empty() {
        // The same document, written in another way.
        return text::compare(a, b).map(|mut lines| {
            let same = "the document is the same, it is written differently";
            lines.changes.insert(0, attribute("serialization", None::<Value>, Some(same)));
            lines
        });
    }
    Ok(found.difference)
}

fn parse(content: &mut dyn Content) -> Result<Option<Json>, Failure> {
    let length = content.len();
    if length > BOUND {
        return Ok(None);
    }
    let bytes = range(content, 0, length, BOUND)?;
    Ok(csign_oci::json::value_from_slice(&bytes).ok())
}

#[derive(Default)]
struct Found {
    difference: Difference,
}

impl Found {
    fn values(&mut self, pointer: &str, a: &Json, b: &Json) {
        match (a, b) {
            _ if a == b => {}
            (Json::Object(a), Json::Object(b)) => {
                let of_b = b.iter().filter(|(name, _)| !a.contains_key(*name));
                for name in a.keys().chain(of_b.map(|(name, _)| name)) {
                    self.member(&format!("{pointer}/{}", escape(name)), a.get(name), b.get(name));
                }
            }
            (Json::Array(a), Json::Array(b)) => self.arrays(pointer, a, b),
            _ => self.member(pointer, Some(a), Some(b)),
        }
    }

    fn member(&mut self, pointer: &str, a: Option<&Json>, b: Option<&Json>) {
        match (a, b) {
            (Some(a), Some(b)) if a.is_object() && b.is_object() || a.is_array() && b.is_array() => {
                self.values(pointer, a, b);
            }
            _ if a == b => {}
            _ if self.difference.changes.len() < CHILDREN => {
                self.difference.changes.push(attribute(pointer, a.map(value), b.map(value)));
            }
            _ => self.difference.omitted += 1,
        }
    }

    fn arrays(&mut self, pointer: &str, a: &[Json], b: &[Json]) {
        let sorted = |array: &[Json]| {
            let mut texts: Vec<String> = array.iter().map(Json::to_string).collect();
            texts.sort();
            texts
        };
        if a.len() == b.len() && sorted(a) == sorted(b) {
            let moved = a.iter().zip(b).filter(|(a, b)| a != b);
            let (a, b) = moved.take(24).map(|(a, b)| (short(a), short(b))).unzip();
            let changes = vec![Change::Order { a, b }];
            self.difference.child(Node {
                kind: Kind::Document,
                name: pointer.to_owned(),
                changes,
                children: vec![],
                omitted: 0,
            });
            return;
        }
        if let (Some(of_a), Some(of_b)) = (named(a), named(b)) {
            let of_a_only = a.iter().filter_map(name_of);
            for name in of_a_only.chain(b.iter().filter_map(name_of).filter(|name| !of_a.contains_key(name))) {
                let pointer = format!("{pointer}/[{}]", escape(name));
                self.member(&pointer, of_a.get(name).copied(), of_b.get(name).copied());
            }
            return;
        }
        for index in 0..a.len().max(b.len()) {
            self.member(&format!("{pointer}/{index}"), a.get(index), b.get(index));
        }
    }
}

/// The elements by name, if each has one of its own.
fn named(array: &[Json]) -> Option<BTreeMap<&str, &Json>> {
    let by_name: BTreeMap<&str, &Json> =
        array.iter().map(|element| Some((name_of(element)?, element))).collect::<Option<_>>()?;
    (by_name.len() == array.len() && !array.is_empty()).then_some(by_name)
}

fn name_of(element: &Json) -> Option<&str> {
    element.get("name").or_else(|| element.get("id")).and_then(Json::as_str)
}

/// RFC 6901, section 3.
fn escape(name: &str) -> String {
    shortened(name).replace('~', "~0").replace('/', "~1")
}

fn value(json: &Json) -> Value {
    match json.as_i64() {
        Some(number) => Value::Number(number),
        None => Value::Text(short(json)),
    }
}

fn short(json: &Json) -> String {
    json.as_str().map_or_else(|| shortened(&json.to_string()), shortened)
}
