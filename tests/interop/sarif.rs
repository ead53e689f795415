//! SARIF in the eyes of its public schema: what `csign lint --sarif` writes is valid, and broken documents are not.

use std::fs;

use csign_lint::{Document, lint, sarif};
use csign_tests::{
    peer::{peer, repository},
    process::Bench,
};
use serde_json::{Value, json};

#[test]
fn findings_are_valid_sarif() {
    let Some(python) = peer("python-peers") else { return };
    let bench = Bench::new();
    let script = repository().join("tests/interop/validate.py");
    let validate = |document: &Value| {
        let path = bench.path("lint.sarif");
        fs::write(&path, document.to_string()).unwrap();
        bench.run(&python, [script.as_os_str(), "sarif".as_ref(), path.as_os_str()])
    };
    let provider = json!({"attributeMapping": {"google.subject": "assertion.sub"}, "attributeCondition": "true"});
    let document = Document::read("a b/c:d/é.json", provider.to_string().as_bytes(), None).unwrap();
    let findings = lint(&[document], None);
    assert!(findings.len() > 3, "{findings:?}");
    let written = sarif(&findings, env!("CARGO_PKG_VERSION"));
    assert_eq!(validate(&written).success().trim(), "valid");
    type Damage = fn(&mut Value);
    let damage: [Damage; 5] = [
        |document| document["version"] = json!("2.0.0"),
        |document| document["runs"][0]["results"][0]["level"] = json!("fatal"),
        |document| document["runs"][0]["results"][0]["ruleIndex"] = json!(0),
        |document| {
            document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"] = json!({"startLine": 0})
        },
        |document| document["runs"][0]["results"][0]["unknown"] = json!(1),
    ];
    for (number, damage) in damage.iter().enumerate() {
        let mut broken = written.clone();
        damage(&mut broken);
        let refused = validate(&broken);
        assert_eq!(refused.code, Some(1), "damage {number} was not found: {refused}");
        assert!(!refused.stdout.contains("No module"), "{refused}");
    }
}
