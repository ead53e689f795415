//! Findings as SARIF 2.1.0, which code hosts show beside the lines that they are about.

use serde_json::{Value, json};

use crate::{
    finding::Finding,
    rule::{Rule, rules},
};

/// One run of csign `version`, with all rules and these findings.
pub fn sarif(findings: &[Finding], version: &str) -> Value {
    let described: Vec<Value> = rules().map(describe).collect();
    let results: Vec<Value> = findings.iter().map(result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "csign lint", "semanticVersion": version, "rules": described}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn describe(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.explanation},
        "help": {"text": rule.fix},
        "defaultConfiguration": {"level": rule.severity.name()},
        "properties": {"tags": [rule.area]},
    })
}

fn result(finding: &Finding) -> Value {
    let index = rules().position(|rule| rule.id == finding.rule);
    let mut location = json!({"artifactLocation": {"uri": uri(&finding.file)}});
    if let Some(line) = finding.line {
        location["region"] = json!({"startLine": line});
    }
    let mut location = json!({"physicalLocation": location});
    if !finding.pointer.is_empty() {
        location["logicalLocations"] = json!([{"fullyQualifiedName": finding.pointer}]);
    }
    json!({
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.severity.name(),
        "message": {"text": format!("{}. Fix: {}", finding.message, finding.fix)},
        "locations": [location],
    })
}

/// A path as a URI reference (RFC 3986): what has a meaning there is escaped.
fn uri(path: &str) -> String {
    let mut out = String::new();
    for (index, byte) in path.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            // Before a slash a colon would end a scheme.
            b'@' | b':' if index > 0 && path.get(..index).is_some_and(|before| before.contains('/')) => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
