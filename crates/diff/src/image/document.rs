//! What differs in two JSON documents: a member at a time, named by its JSON pointer (RFC 6901).

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::{
    layer::difference::pairs,
    limits::Limits,
    report::{Change, Kind, Node, Value},
};

/// Bytes of one value that are shown.
const SHOWN: usize = 400;

/// Differences of one document.
#[derive(Default)]
pub(super) struct Differences {
    changes: Vec<Change>,
    omitted: u64,
    limit: usize,
    /// Pointers of what is compared elsewhere.
    elsewhere: &'static [&'static str],
}

/// Of two manifests; configuration and layers have nodes of their own.
pub(super) fn manifest(bytes: (&[u8], &[u8]), a: &Json, b: &Json, limits: &Limits) -> Differences {
    Differences::of(bytes, a, b, limits, &["/layers", "/config/digest", "/config/size"])
}

/// Of two indexes; the images have nodes of their own.
pub(super) fn index(bytes: (&[u8], &[u8]), a: &Json, b: &Json, limits: &Limits) -> Differences {
    let mut found = Differences::of(bytes, a, b, limits, &["/manifests"]);
    let descriptors = |json: &Json| json.get("manifests").and_then(Json::as_array).cloned().unwrap_or_default();
    let (a, b) = (descriptors(a), descriptors(b));
    let digest = |one: &Json| one.get("digest").and_then(Json::as_str).unwrap_or_default().to_owned();
    let names = |all: &[Json]| all.iter().map(digest).collect::<Vec<_>>();
    let sorted = |all: &[Json]| {
        let mut all = names(all);
        all.sort();
        all
    };
    if sorted(&a) == sorted(&b) && names(&a) != names(&b) {
        found.changes.push(Change::Order { a: names(&a), b: names(&b) });
    }
    found
}

/// Of two configurations; the layers' digests have nodes of their own.
pub(super) fn config(bytes: (&[u8], &[u8]), a: &Json, b: &Json, limits: &Limits) -> Differences {
    Differences::of(bytes, a, b, limits, &["/rootfs/diff_ids"])
}

impl Differences {
    /// The two differ, and that is all that can be said.
    pub(super) fn unread(why: &str) -> Self {
        Self { changes: vec![Change::Unread { why: why.to_owned() }], ..Self::default() }
    }

    fn of(bytes: (&[u8], &[u8]), a: &Json, b: &Json, limits: &Limits, elsewhere: &'static [&'static str]) -> Self {
        let mut found = Self { limit: limits.children, elsewhere, ..Self::default() };
        found.walk("", Some(a), Some(b));
        if bytes.0 != bytes.1 && (a == b || style(bytes.0) != style(bytes.1)) {
            let text = |bytes| Some(Value::Text(describe(bytes)));
            found.changes.push(Change::Attribute {
                name: "serialization".to_owned(),
                a: text(bytes.0),
                b: text(bytes.1),
            });
        }
        found
    }

    pub(super) fn into_node(self, kind: Kind, name: &str) -> Option<Node> {
        let Self { changes, omitted, .. } = self;
        let node = Node { kind, name: name.to_owned(), changes, children: Vec::new(), omitted };
        (!node.changes.is_empty()).then_some(node)
    }

    fn walk(&mut self, pointer: &str, a: Option<&Json>, b: Option<&Json>) {
        if a == b || self.elsewhere.contains(&pointer) {
            return;
        }
        match (a, b) {
            (Some(Json::Object(_)), Some(Json::Object(_)) | None) | (None, Some(Json::Object(_))) => {
                let empty = serde_json::Map::new();
                let members = |json: Option<&Json>| json.and_then(Json::as_object).unwrap_or(&empty).clone();
                let (in_a, in_b) = (members(a), members(b));
                // An object without members has no leaf that would show it.
                if in_a.is_empty() && in_b.is_empty() {
                    return self.leaf(pointer, a, b);
                }
                let mut names: Vec<&String> = in_a.keys().chain(in_b.keys()).collect();
                names.sort();
                names.dedup();
                for name in names {
                    let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                    self.walk(&pointer, in_a.get(name), in_b.get(name));
                }
            }
            (Some(Json::Array(a)), Some(Json::Array(b))) => {
                if pointer.ends_with("/Env")
                    && let (Some(a), Some(b)) = (variables(a), variables(b))
                {
                    return self.environment(pointer, a, b);
                }
                self.arrays(pointer, a, b);
            }
            _ => self.leaf(pointer, a, b),
        }
    }

    /// What both have at the beginning and at the end stays what it is when something is put in the middle.
    fn arrays(&mut self, pointer: &str, a: &[Json], b: &[Json]) {
        let start = a.iter().zip(b).take_while(|(one, other)| one == other).count();
        let (rest_a, rest_b) = (a.get(start..).unwrap_or_default(), b.get(start..).unwrap_or_default());
        let end = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(one, other)| one == other).count();
        let (count_a, count_b) = (rest_a.len() - end, rest_b.len() - end);
        for at in 0..count_a.max(count_b) {
            let of = |rest: &[Json], count| (at < count).then(|| rest.get(at).cloned()).flatten();
            let (one, other) = (of(rest_a, count_a), of(rest_b, count_b));
            self.walk(&format!("{pointer}/{}", start + at), one.as_ref(), other.as_ref());
        }
    }

    fn environment(&mut self, pointer: &str, a: Vec<(String, Value)>, b: Vec<(String, Value)>) {
        let names = |all: &[(String, Value)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let order = (names(&a), names(&b));
        let named = |(name, value): (String, Value)| (format!("{pointer}/{name}"), value);
        for change in pairs(a.into_iter().map(named).collect(), b.into_iter().map(named).collect()) {
            self.add(change);
        }
        let in_both = |one: &[String], other: &[String]| -> Vec<String> {
            one.iter().filter(|name| other.contains(name)).cloned().collect()
        };
        let (a, b) = (in_both(&order.0, &order.1), in_both(&order.1, &order.0));
        if a != b {
            let text = |names: Vec<String>| Some(Value::Text(shown(&names.join(" "))));
            self.add(Change::Attribute { name: format!("{pointer} (order)"), a: text(a), b: text(b) });
        }
    }

    fn leaf(&mut self, pointer: &str, a: Option<&Json>, b: Option<&Json>) {
        let name = if pointer.is_empty() { "/" } else { pointer };
        self.add(Change::Attribute { name: shown(name), a: a.map(value), b: b.map(value) });
    }

    fn add(&mut self, change: Change) {
        if self.changes.len() < self.limit {
            self.changes.push(change);
        } else {
            self.omitted += 1;
        }
    }
}

/// `NAME=VALUE` each; nothing if one is no such thing, or a name comes twice.
fn variables(array: &[Json]) -> Option<Vec<(String, Value)>> {
    let mut seen = BTreeMap::new();
    let mut out = Vec::new();
    for entry in array {
        let (name, value) = entry.as_str()?.split_once('=')?;
        if seen.insert(name, ()).is_some() {
            return None;
        }
        out.push((shown(name), Value::Text(shown(value))));
    }
    Some(out)
}

pub(super) fn value(json: &Json) -> Value {
    match json {
        Json::Number(number) if number.as_i64().is_some() => Value::Number(number.as_i64().unwrap_or_default()),
        Json::String(text) => Value::Text(shown(text)),
        other => Value::Text(shown(&other.to_string())),
    }
}

fn shown(text: &str) -> String {
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    // Two long values that start alike must not look alike.
    let start = text.get(..text.floor_char_boundary(SHOWN / 2)).unwrap_or_default();
    format!("{start}… ({} bytes, {})", text.len(), csign_oci::Digest::of(text))
}

/// Is there white space between the members, and does a line end follow?
fn style(bytes: &[u8]) -> (bool, bool) {
    let spaced = bytes.windows(2).any(|pair| matches!(pair, [b'{' | b',' | b'[', b' ' | b'\n' | b'\r' | b'\t']));
    (spaced, bytes.ends_with(b"\n"))
}

fn describe(bytes: &[u8]) -> String {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    let members = serde_json::from_slice::<Members>(bytes).map(|members| members.0.join(", ")).unwrap_or_default();
    shown(&format!("{} bytes, {lines} line ends, members {members}", bytes.len()))
}

/// The members of an object in the order of the text.
struct Members(Vec<String>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut names = Vec::new();
                while let Some((name, serde::de::IgnoredAny)) = map.next_entry::<String, _>()? {
                    names.push(name);
                }
                Ok(Members(names))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn names(a: &str, b: &str) -> Vec<String> {
        let (one, other) = (serde_json::from_str(a).unwrap(), serde_json::from_str(b).unwrap());
        let found = config((a.as_bytes(), b.as_bytes()), &one, &other, &Limits::default());
        found
            .changes
            .iter()
            .map(|change| match change {
                Change::Attribute { name, a, b } => {
                    let text = |side: &Option<Value>| match side {
                        Some(Value::Text(text)) => text.clone(),
                        Some(Value::Number(number)) => number.to_string(),
                        None => "-".to_owned(),
                    };
                    format!("{name}: {} {}", text(a), text(b))
                }
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn labels_and_variables_are_named_one_by_one() {
        let a = r#"{"config":{"Env":["A=1","B=2"],"Labels":{"x/y":"1"}}}"#;
        let b = r#"{"config":{"Env":["B=2","A=3","C="],"Labels":{"x/y":"2","n":"0"}}}"#;
        assert_eq!(
            names(a, b),
            [
                "/config/Env/A: 1 3",
                "/config/Env/C: - ",
                "/config/Env (order): A B B A",
                "/config/Labels/n: - 0",
                "/config/Labels/x~1y: 1 2",
            ]
        );
    }

    #[test]
    fn what_is_put_in_the_middle_of_a_list_is_the_only_difference() {
        let (a, b) = (r#"{"history":[1,2,3,4]}"#, r#"{"history":[1,2,9,3,4]}"#);
        assert_eq!(names(a, b), ["/history/2: - 9"]);
        assert_eq!(names(r#"{"x":{"y":{}}}"#, r#"{"x":{}}"#), ["/x/y: {} -"]);
    }

    #[test]
    fn the_same_members_in_other_bytes_are_another_serialization() {
        let found = names(r#"{"a":1,"b":2}"#, "{\n  \"b\": 2,\n  \"a\": 1\n}");
        assert_eq!(found, ["serialization: 13 bytes, 0 line ends, members a, b 22 bytes, 3 line ends, members b, a"]);
    }
}
