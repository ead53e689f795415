//! A refusal says which expression did not hold, and what the statement has there.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use csign_policy::{Decision, Policy, RegoVersion, TestOutcome};

const STATEMENT: &str = r#"{"predicateType":"https://slsa.dev/provenance/v1","subject":[{"name":"a"},{"name":"b"}],
"predicate":{"Data":"{\"foo\":\"baz\"}","builder":{"id":"https://evil.example"},"list":[1,2]}}"#;

#[track_caller]
fn explain(source: &str) -> String {
    let policy = Policy::parse("p.rego", source, RegoVersion::Auto).unwrap_or_else(|error| panic!("{error}"));
    match policy.evaluate(STATEMENT.as_bytes(), 0).expect("an evaluation") {
        Decision::Allowed => panic!("allowed"),
        Decision::Refused { reasons } => reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn it_names_the_expression_the_line_and_the_value() {
    let text = explain(
        "package signature\nallow {\n  input.subject\n  input.predicate.builder.id == \"https://good.example\"\n}\n",
    );
    assert_eq!(
        text,
        "p.rego:4:3: data.signature.allow needs input.predicate.builder.id == \"https://good.example\"\n  \
         input.predicate.builder.id is \"https://evil.example\""
    );
}

#[test]
fn it_says_what_is_absent() {
    let text = explain("package signature\nimport rego.v1\nallow if {\n\tinput.predicate.buildType != \"x\"\n}\n");
    assert!(text.contains("needs input.predicate.buildType != \"x\""), "{text}");
    assert!(text.ends_with("input.predicate.buildType is undefined"), "{text}");
}

#[test]
fn it_follows_variables_to_the_input() {
    let text = explain(
        "package signature\ndefault allow = false\nallow {\n  p := json.unmarshal(input.predicate.Data)\n  q := p.foo\n  q == \"bar\"\n}\n",
    );
    assert!(text.starts_with("p.rego:6:3: data.signature.allow needs q == \"bar\"\n  q is \"baz\""), "{text}");
    assert!(text.contains(r#"input.predicate.Data is "{\"foo\":\"baz\"}""#), "{text}");
}

#[test]
fn it_follows_rules_into_the_rule_that_refused() {
    let text = explain(
        "package signature\nimport rego.v1\nallow if {\n\ttrusted_builder\n}\ntrusted_builder if {\n\tinput.predicate.builder.id in [\"https://good.example\"]\n}\n",
    );
    assert!(text.contains("p.rego:4:2: data.signature.allow needs trusted_builder"), "{text}");
    assert!(text.contains("p.rego:7:2: data.signature.trusted_builder needs input.predicate.builder.id in"), "{text}");
    assert!(text.contains("input.predicate.builder.id is \"https://evil.example\""), "{text}");
}

#[test]
fn every_body_that_could_have_allowed_has_its_reason() {
    let text = explain(
        "package signature\nallow { input.a == 1 }\nallow { input.b == 2 }\nallow { input.subject[_].name == \"c\" }\n",
    );
    assert_eq!(text.matches("needs").count(), 3, "{text}");
    assert!(text.contains("input.subject[_].name is \"a\" or \"b\""), "{text}");
}

#[test]
fn it_shows_counts_functions_negations_and_loops() {
    let text = explain("package signature\nallow { count(input.subject) == 1 }\n");
    assert!(text.contains("count(input.subject) is 2"), "{text}");
    let text = explain("package signature\nallow { not startswith(input.predicateType, \"https\") }\n");
    assert!(text.contains("input.predicateType is \"https://slsa.dev/provenance/v1\""), "{text}");
    let text = explain("package signature\nimport rego.v1\nallow if every s in input.subject { s.name == \"a\" }\n");
    assert!(text.contains("needs every s in input.subject { s.name == \"a\" }"), "{text}");
}

#[test]
fn a_statement_before_its_variable_is_blamed_too() {
    let text = explain("package signature\nallow {\n  id == \"good\"\n  input.predicate.builder.id = id\n}\n");
    assert!(text.contains("needs id == \"good\""), "{text}");
}

#[test]
fn the_messages_of_deny_are_shown_and_decide_nothing_by_themselves() {
    let deny = "deny[msg] { msg := sprintf(\"builder %v\", [input.predicate.builder.id]) }\n";
    let text = explain(&format!("package signature\nallow {{ count(deny) == 0 }}\n{deny}"));
    assert!(text.contains("count(deny) is 1"), "{text}");
    assert!(text.contains("data.signature.deny says \"builder https://evil.example\""), "{text}");
    let policy = Policy::parse("p.rego", &format!("package signature\nallow = true\n{deny}"), RegoVersion::Auto);
    let decision = policy.expect("a policy").evaluate(STATEMENT.as_bytes(), 0).expect("a decision");
    assert_eq!(decision, Decision::Allowed);
}

#[test]
fn what_the_statement_says_cannot_write_to_the_terminal_or_fill_it() {
    let statement = format!(r#"{{"a":"\u001b[31m\n{}"}}"#, "x".repeat(5000));
    let policy = Policy::parse("p.rego", "package signature\nallow { input.a == 1 }\n", RegoVersion::Auto);
    let decision = policy.expect("a policy").evaluate(statement.as_bytes(), 0).expect("a decision");
    let text = format!("{decision:?}");
    assert!(!text.contains('\u{1b}') && text.len() < 1000, "{text}");
}

#[test]
fn a_failed_test_says_why() {
    let source = "package signature\nallow { input.a == 1 }\ntest_good { allow with input as {\"a\": 1} }\n\
                  test_bad { allow with input as {\"a\": 2} }\ntest_worse { 1 == 2 }\ntodo_test_later { false }\n\
                  test_value = 1\n";
    let runs = Policy::parse("p.rego", source, RegoVersion::Auto).expect("a policy").run_tests().expect("a run");
    let outcomes: Vec<_> = runs.iter().map(|run| (run.test.as_str(), run.place.line, run.outcome)).collect();
    assert_eq!(
        outcomes,
        [
            ("data.signature.test_good", 3, TestOutcome::Passed),
            ("data.signature.test_bad", 4, TestOutcome::Failed),
            ("data.signature.test_worse", 5, TestOutcome::Failed),
            ("data.signature.todo_test_later", 6, TestOutcome::Skipped),
            ("data.signature.test_value", 7, TestOutcome::Failed),
        ]
    );
    let text: String = runs.iter().flat_map(|run| &run.reasons).map(|reason| format!("{reason}\n")).collect();
    assert!(text.contains("p.rego:2:9: data.signature.allow needs input.a == 1\n  input.a is 2"), "{text}");
}

#[test]
fn explanations_come_out_alike_each_time() {
    let source = "package signature\nallow { x := input.subject[_]; x.name == \"c\"; input.predicate.list[_] > 2 }\n";
    let first = explain(source);
    assert!((0..5).all(|_| explain(source) == first));
}
