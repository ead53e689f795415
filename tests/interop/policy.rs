//! Real cosign and csign decide alike about the same statements and Rego v0 policies, or csign refuses.

use std::fs;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_tests::registry::Registry;
use serde_json::Value;

use crate::scene::{LEGACY, Scene};

/// Policies over the custom predicate `{"foo":"bar"}`, and what both say.
const BOTH: &[(&str, &str)] = &[
    ("allow", "allow = true"),
    ("allow", "allow { json.unmarshal(input.predicate.Data).foo == \"bar\" }"),
    ("allow", "allow { true }\nallow { input.absent }"),
    ("allow", "allow := true { input.subject[_].digest.sha256 }"),
    ("allow", "import rego.v1\nallow if { input.predicateType }"),
    ("allow", "import future.keywords\nallow if { every s in input.subject { s.name } }"),
    ("allow", "import data.signature.verified\ndefault allow = false\nallow { not json.unmarshal(\"x\") }"),
    ("allow", "allow { to_number(\"abc\") }\nallow { true }"),
    ("allow", "f(x) = true { x / 0 }\nallow { not f(1) }"),
    ("allow", "ok { input.a }\nallow { ok with input as {\"a\": true} }"),
    ("allow", "allow { time.parse_rfc3339_ns(input.predicate.Timestamp) > 0; time.now_ns() > 0 }"),
    ("allow", "allow { startswith(crypto.sha256(\"a\"), \"ca9781\"); glob.match(\"a/*\", [\"/\"], \"a/b\") }"),
    ("allow", "allow { regex.match(`^[\\d.]+\\b`, \"1.2\"); semver.compare(\"1.2.3\", \"1.2.4\") == -1 }"),
    ("allow", "allow { print(\"x\"); 1 < \"a\"; {1, 2} - {1} == {2} }"),
    ("refuse", "allow = \"true\""),
    ("refuse", "allow = 1"),
    ("refuse", "allow = {\"a\": true}"),
    ("refuse", "allow[x] { x := true }"),
    ("refuse", "allow.x = true"),
    ("refuse", "allow(x) = true { true }"),
    ("refuse", "allow { input.absent }"),
    ("refuse", "allow { input.predicate.absent != \"x\" }"),
    ("refuse", "allow { input.predicate.Data.foo == \"bar\" }"),
    ("refuse", "allow { json.unmarshal(input.predicate.Data).foo == \"baz\" }"),
    ("refuse", "allow = true { true }\nallow = false { true }"),
    ("refuse", "other = true"),
    ("refuse", "allow if { true }"),
    ("refuse", "allow { x > 1 }"),
    ("refuse", "allow { not foo.bar(1) }"),
    ("refuse", "allow { not count(1, 2, 3) }"),
    ("refuse", "f(n) = x { x := f(n + 1) }\nallow { not f(1) }"),
    ("refuse", "a { b }\nb { a }\nallow { not a }"),
    ("refuse", "f(x) = 1\nf(x) = 2\nallow { not f(1) }"),
    ("refuse", "allow { regex.match(\"^\\\\d$\", \"\u{663}\") }"),
    ("refuse", "allow { x := \"\\q\" }"),
];

/// Policies with which cosign allows and csign does not, on purpose: they reach out of the statement, need a function that
/// is not there, or do not say what their writer meant.
const STRICTER: &[&str] = &[
    "allow = true if { false }",
    "allow { rand.intn(\"a\", 10) >= 0 }",
    "allow { opa.runtime() }",
    "allow { not http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1:1/\"}) }",
    "allow { yaml.unmarshal(\"a: 1\").a == 1 }",
    "bad { walk(input)[_] == \"never\" }\nallow { not bad }",
];

impl Scene {
    fn cosign_attests(&self, kind: &str, predicate: &str) {
        fs::write(self.bench.path("predicate"), predicate).expect("writing the predicate");
        let arguments = ["--key", "builder.key", "--type", kind, "--predicate", "predicate", &self.image];
        self.cosign(["attest"].into_iter().chain(LEGACY).chain(arguments)).success();
    }

    fn cosign_allows(&self, kind: &str, policy: &str) -> bool {
        fs::write(self.bench.path("policy.rego"), policy).expect("writing the policy");
        let arguments = ["verify-attestation", "--insecure-ignore-tlog", "--key", "builder.pub", "--type", kind];
        self.cosign(arguments.into_iter().chain(["--policy", "policy.rego", &self.image])).code == Some(0)
    }

    /// The statement that cosign signed, in `statement.json`.
    fn statement(&self, kind: &str) {
        let arguments = ["verify-attestation", "--insecure-ignore-tlog", "--key", "builder.pub", "--type", kind];
        let envelope = self.cosign(arguments.into_iter().chain([self.image.as_str()])).success();
        let envelope: Value = serde_json::from_str(envelope.trim()).expect("an envelope");
        let payload = envelope["payload"].as_str().expect("a payload");
        let statement = BASE64_STANDARD.decode(payload).expect("base64");
        fs::write(self.bench.path("statement.json"), statement).expect("writing the statement");
    }

    fn csign_allows(&self, policy: &str) -> bool {
        fs::write(self.bench.path("policy.rego"), policy).expect("writing the policy");
        let done = self.csign(["policy", "eval", "policy.rego", "--input", "statement.json"]);
        assert!(matches!(done.code, Some(0..=2)), "{done}");
        done.code == Some(0)
    }
}

#[test]
fn cosign_and_csign_decide_alike_about_a_custom_predicate() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    scene.cosign_attests("custom", "{\"foo\":\"bar\"}\n");
    scene.statement("custom");
    for (word, rules) in BOTH {
        let policy = format!("package signature\n{rules}\n");
        assert_eq!(scene.cosign_allows("custom", &policy), *word == "allow", "cosign: {rules}");
        assert_eq!(scene.csign_allows(&policy), *word == "allow", "csign: {rules}");
    }
    for rules in STRICTER {
        let policy = format!("package signature\n{rules}\n");
        assert!(scene.cosign_allows("custom", &policy), "cosign: {rules}");
        assert!(!scene.csign_allows(&policy), "csign: {rules}");
    }
}

/// Example policies, the type of attestation that each is about, and a predicate that each allows and one that it does not.
const EXAMPLES: &[(&str, &str, &str, &str)] = &[
    ("v0/custom", "custom", r#"{"foo": "bar"}"#, r#"{"foo": "baz"}"#),
    (
        "v1/provenance",
        "slsaprovenance1",
        r#"{"buildDefinition": {"buildType": "t", "externalParameters": {}, "resolvedDependencies": [{"uri": "git+https://github.com/example/app@refs/heads/main"}]},
            "runDetails": {"builder": {"id": "https://cloudbuild.googleapis.com/GoogleHostedWorker"}}}"#,
        r#"{"buildDefinition": {"buildType": "t", "externalParameters": {}, "resolvedDependencies": [{"uri": "git+https://github.com/example/app-evil@main"}]},
            "runDetails": {"builder": {"id": "https://cloudbuild.googleapis.com/GoogleHostedWorker"}}}"#,
    ),
    (
        "v0/vulnerabilities",
        "vuln",
        r#"{"invocation": {"parameters": null, "uri": "", "event_id": "", "builder.id": ""},
            "scanner": {"uri": "s", "version": "1", "db": {"uri": "", "version": ""}, "result": {"Results": [{"Vulnerabilities": [{"VulnerabilityID": "A", "Severity": "LOW"}]}]}},
            "metadata": {"scanStartedOn": "2026-01-01T00:00:00Z", "scanFinishedOn": "2026-01-01T00:01:00Z"}}"#,
        r#"{"invocation": {"parameters": null, "uri": "", "event_id": "", "builder.id": ""},
            "scanner": {"uri": "s", "version": "1", "db": {"uri": "", "version": ""}, "result": {"Results": [{"Vulnerabilities": [{"VulnerabilityID": "A", "Severity": "CRITICAL"}]}]}},
            "metadata": {"scanStartedOn": "2026-01-01T00:00:00Z", "scanFinishedOn": "2026-01-01T00:01:00Z"}}"#,
    ),
    (
        "v1/sbom",
        "spdxjson",
        r#"{"spdxVersion": "SPDX-2.3", "packages": [{"name": "a", "licenseConcluded": "MIT"}]}"#,
        r#"{"spdxVersion": "SPDX-2.3", "packages": [{"name": "a", "licenseConcluded": "SSPL-1.0"}]}"#,
    ),
];

#[test]
fn cosign_and_csign_decide_alike_with_the_example_policies() {
    for (directory, kind, good, bad) in EXAMPLES {
        let path = csign_tests::peer::repository().join("policy").join(directory).join("policy.rego");
        let policy = fs::read_to_string(path).expect("reading the policy");
        for (predicate, allowed) in [(good, true), (bad, false)] {
            let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
            scene.cosign_attests(kind, predicate);
            scene.statement(kind);
            assert_eq!(scene.cosign_allows(kind, &policy), allowed, "cosign: {directory} {predicate}");
            assert_eq!(scene.csign_allows(&policy), allowed, "csign: {directory} {predicate}");
        }
    }
}
