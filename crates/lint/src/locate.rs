//! The line on which a JSON pointer's value begins.

use std::collections::BTreeMap;

/// Most values that are located; findings beyond them have no line.
const MAX_VALUES: usize = 200_000;

/// Lines by JSON pointer, of a text that is JSON: what is not is located as far as it goes.
pub(crate) fn json(text: &str) -> BTreeMap<String, u32> {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0, line: 1, found: BTreeMap::new() };
    scanner.value(&mut String::new(), 0);
    scanner.found
}

/// Lines by pointer of a TOML document.
pub(crate) fn toml(text: &str) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    if let Ok(table) = toml::de::DeTable::parse(text) {
        table_lines(text, table.get_ref(), "", &mut found);
    }
    found
}

fn table_lines(text: &str, table: &toml::de::DeTable<'_>, at: &str, found: &mut BTreeMap<String, u32>) {
    for (key, value) in table {
        let at = format!("{at}/{}", escape(key.get_ref()));
        found.insert(at.clone(), line_of(text, key.span().start));
        value_lines(text, value.get_ref(), &at, found);
    }
}

fn value_lines(text: &str, value: &toml::de::DeValue<'_>, at: &str, found: &mut BTreeMap<String, u32>) {
    match value {
        toml::de::DeValue::Table(table) => table_lines(text, table, at, found),
        toml::de::DeValue::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                let at = format!("{at}/{index}");
                found.insert(at.clone(), line_of(text, element.span().start));
                value_lines(text, element.get_ref(), &at, found);
            }
        }
        _ => {}
    }
}

fn line_of(text: &str, byte: usize) -> u32 {
    let before = text.as_bytes().iter().take(byte).filter(|b| **b == b'\n').count();
    u32::try_from(before + 1).unwrap_or(u32::MAX)
}

/// A reference token of RFC 6901.
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u32,
    found: BTreeMap<String, u32>,
}

impl Scanner<'_> {
    /// Values nested deeper than serde_json reads are not looked into.
    fn value(&mut self, pointer: &mut String, depth: usize) {
        self.space();
        if depth > 128 || self.found.len() >= MAX_VALUES {
            self.at = self.bytes.len();
            return;
        }
        self.found.insert(pointer.clone(), self.line);
        match self.bytes.get(self.at) {
            Some(b'{') => self.members(pointer, depth, b'}'),
            Some(b'[') => self.members(pointer, depth, b']'),
            Some(b'"') => drop(self.string()),
            _ => {
                while self.bytes.get(self.at).is_some_and(|b| !b",]} \t\r\n".contains(b)) {
                    self.at += 1;
                }
            }
        }
    }

    fn members(&mut self, pointer: &mut String, depth: usize, end: u8) {
        self.at += 1;
        let length = pointer.len();
        for index in 0_usize.. {
            self.space();
            let before = self.at;
            match self.bytes.get(self.at) {
                None => return,
                Some(b) if *b == end => {
                    self.at += 1;
                    return;
                }
                Some(b',') => {
                    self.at += 1;
                    self.space();
                }
                Some(_) => {}
            }
            if end == b'}' {
                let name = self.string();
                pointer.push_str(&format!("/{}", escape(&name)));
                self.space();
                self.at += usize::from(self.bytes.get(self.at) == Some(&b':'));
            } else {
                pointer.push_str(&format!("/{index}"));
            }
            self.value(pointer, depth + 1);
            pointer.truncate(length);
            if self.at == before {
                return;
            }
        }
    }

    fn string(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        while let Some(b) = self.bytes.get(self.at) {
            self.at += if *b == b'\\' { 2 } else { 1 };
            if *b == b'"' {
                break;
            }
        }
        let quoted = self.bytes.get(start..self.at.min(self.bytes.len())).unwrap_or_default();
        serde_json::from_slice(quoted).unwrap_or_default()
    }

    fn space(&mut self) {
        while let Some(b) = self.bytes.get(self.at).filter(|b| b.is_ascii_whitespace()) {
            self.line = self.line.saturating_add(u32::from(*b == b'\n'));
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_value_of_a_document_has_its_line() {
        let lines = super::json("{\n \"a\": [1,\n  {\"b/c\": \"x\\\"y\"}\n ],\n \"d\": null\n}");
        let of = |pointer: &str| lines.get(pointer).copied();
        assert_eq!((of(""), of("/a"), of("/a/0")), (Some(1), Some(2), Some(2)));
        assert_eq!((of("/a/1/b~1c"), of("/d"), of("/e")), (Some(3), Some(5), None));
    }

    #[test]
    fn what_is_no_json_ends_the_search() {
        for text in ["", "{", "[1", "{\"a\"", "{\"a\":", "[,]", "]", "\"", "{1:2}", "[[[["] {
            super::json(text);
        }
    }

    #[test]
    fn keys_and_tables_of_toml_have_their_lines() {
        let lines = super::toml("a = 1\n[b]\nc = 2\n[[d]]\ne = 3\n");
        assert_eq!((lines.get("/a"), lines.get("/b/c"), lines.get("/d/0/e")), (Some(&1), Some(&3), Some(&5)));
    }
}
