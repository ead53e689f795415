//! A token taken apart without verification: to show it and to compare it. The signature is left out of everything here,
//! so that nothing that is printed can be used as a token.

use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use csign_attestation::{LIMITS, RootPin, Token};
use csign_oci::json;
use csign_trust::report::{printable, table};
use serde_json::{Map, Value, json};

use crate::{context::read_up_to, failure::Failure};

/// Characters of one value in a table.
const WIDTH: usize = 160;
/// Claims that are times in seconds since 1970.
const TIMES: [&str; 3] = ["exp", "iat", "nbf"];

/// Header and claims of a token that nobody has verified.
pub(crate) struct Parts {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
}

/// Reads a token from a file or stdin. An error never quotes it.
pub(crate) fn read_token(path: &Path) -> Result<Token, Failure> {
    let bytes = read_up_to(path, LIMITS.token_bytes as u64)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::usage(format_args!("{} is not a token: it is not UTF-8", path.display())))?;
    Ok(Token::new(&text))
}

impl Parts {
    pub(crate) fn of(token: &Token) -> Result<Self, Failure> {
        let malformed = |what: &str| Failure::usage(format_args!("this is not a token: {what}"));
        let parts: Vec<&str> = token.expose().split('.').collect();
        let [header, payload, _signature] = parts.as_slice() else {
            return Err(malformed("it does not have three parts with dots between them"));
        };
        let object = |part: &str, name: &str| {
            let bytes = BASE64_URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| malformed(&format!("its {name} is not base64url without padding")))?;
            // The parser's own words could quote the claims, which is harmless here and may be of use.
            match json::value_from_slice(&bytes) {
                Ok(Value::Object(object)) => Ok(object),
                Ok(_) => Err(malformed(&format!("its {name} is not an object"))),
                Err(error) => Err(malformed(&format!("its {name} is not JSON: {error}"))),
            }
        };
        Ok(Self { header: object(header, "header")?, claims: object(payload, "payload")? })
    }

    /// The certificates as their number and the root's sha256; everything else as it is.
    pub(super) fn shown_header(&self) -> Map<String, Value> {
        let mut header = self.header.clone();
        if let Some(Value::Array(chain)) = header.get("x5c") {
            let root = chain.last().and_then(Value::as_str).and_then(|text| BASE64_STANDARD.decode(text).ok());
            let root = root.map(|der| RootPin::of(&der).to_string());
            header.insert("x5c".to_owned(), json!({"certificates": chain.len(), "rootSha256": root}));
        }
        header
    }

    /// One row for each header member and claim.
    pub(super) fn rows(&self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        for (name, value) in self.shown_header() {
            flatten(&format!("header.{name}"), &value, &mut rows);
        }
        for (name, value) in &self.claims {
            flatten(name, value, &mut rows);
        }
        rows
    }

    pub(super) fn table(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .rows()
            .into_iter()
            .map(|(name, value)| vec![printable(&name, WIDTH), printable(&with_time(&name, &value), WIDTH)])
            .collect();
        table(&["CLAIM", "VALUE"], &rows)
    }
}

/// A time as a person reads it, beside the number.
fn with_time(name: &str, value: &str) -> String {
    let time = TIMES.contains(&name).then(|| value.parse().ok()).flatten();
    let time = time.and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok());
    match time.and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok()) {
        Some(text) => format!("{value} ({text})"),
        None => value.to_owned(),
    }
}

/// Objects become dotted names, arrays of plain values one value, arrays of objects numbered names. The depth is bounded
/// by the JSON parser.
fn flatten(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (member, value) in members {
                flatten(&format!("{name}.{member}"), value, rows);
            }
        }
        Value::Array(values) if values.iter().any(|value| value.is_object() || value.is_array()) => {
            for (index, value) in values.iter().enumerate() {
                flatten(&format!("{name}[{index}]"), value, rows);
            }
        }
        Value::Array(values) => rows.push((name.to_owned(), values.iter().map(plain).collect::<Vec<_>>().join(", "))),
        other => rows.push((name.to_owned(), plain(other))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
