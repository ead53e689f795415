//! What a policy decides, and that nothing but a `true` from `data.signature.allow` allows.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use csign_policy::{Decision, Policy, PolicyError, Reason, RegoVersion, Source, Trouble};

const STATEMENT: &str = r#"{"_type":"https://in-toto.io/Statement/v0.1",
"subject":[{"name":"registry.example/app","digest":{"sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}],
"predicateType":"https://cosign.sigstore.dev/attestation/v1",
"predicate":{"Data":"{\"foo\":\"bar\",\"n\":1}\n","Timestamp":"2026-11-24T05:51:35Z"}}"#;

fn parse(source: &str) -> Result<Policy, PolicyError> {
    Policy::parse("p.rego", source, RegoVersion::Auto)
}

fn decide(source: &str) -> Decision {
    let policy = parse(source).unwrap_or_else(|error| panic!("{error}\n{source}"));
    policy.evaluate(STATEMENT.as_bytes(), 1_800_000_000).expect("an evaluation")
}

fn rule(body: &str) -> Decision {
    decide(&format!("package signature\n{body}\n"))
}

#[track_caller]
fn reasons(decision: Decision) -> Vec<Reason> {
    match decision {
        Decision::Refused { reasons } => reasons,
        Decision::Allowed => panic!("allowed"),
    }
}

#[track_caller]
fn trouble(decision: Decision) -> Trouble {
    reasons(decision).first().expect("a reason").trouble
}

#[test]
fn only_the_boolean_true_allows() {
    assert_eq!(rule("allow { true }"), Decision::Allowed);
    assert_eq!(rule("allow = true"), Decision::Allowed);
    for value in [r#""true""#, "1", r#"{"a": true}"#, "[true]", "null", "{true}"] {
        assert_eq!(trouble(rule(&format!("allow = {value}"))), Trouble::Value, "{value}");
    }
    assert_eq!(trouble(rule("allow = false")), Trouble::Value);
    assert_eq!(trouble(rule("allow[x] { x := true }")), Trouble::Value);
    assert_eq!(trouble(rule("allow = x { x := input }")), Trouble::Value);
    assert_eq!(trouble(rule("allow { input.nothing }")), Trouble::Condition);
    assert_eq!(trouble(rule("allow.a = true")), Trouble::Value);
    assert_eq!(trouble(decide("package signature.allow\na = true\n")), Trouble::Value);
}

#[test]
fn two_values_of_allow_refuse() {
    assert_eq!(trouble(rule("allow = true { true }\nallow = false { true }")), Trouble::Error);
}

#[test]
fn a_policy_without_the_rule_refuses() {
    assert_eq!(trouble(rule("allowed = true")), Trouble::NoRule);
    assert_eq!(trouble(decide("package other\nallow = true\n")), Trouble::NoRule);
    assert_eq!(trouble(rule("allow(x) = true { x }")), Trouble::NoRule);
}

#[test]
fn the_input_is_the_whole_statement_and_a_custom_predicate_is_text() {
    assert_eq!(rule(r#"allow { json.unmarshal(input.predicate.Data).foo == "bar" }"#), Decision::Allowed);
    assert_eq!(
        rule(r#"allow { is_string(input.predicate.Data); input._type; input.subject[_].digest.sha256 }"#),
        Decision::Allowed
    );
    assert_eq!(trouble(rule(r#"allow { input.predicate.Data.foo == "bar" }"#)), Trouble::Condition);
}

#[test]
fn a_policy_written_for_cosign_works_unchanged() {
    let policy = |predicate_type: &str| {
        format!(
            "package signature\nimport data.signature.verified\ndefault allow = false\nallow {{\n\
             \tinput.predicateType == \"{predicate_type}\"\n\tdata_ := json.unmarshal(input.predicate.Data)\n\
             \tdata_.foo == \"bar\"\n}}\n"
        )
    };
    assert_eq!(decide(&policy("https://cosign.sigstore.dev/attestation/v1")), Decision::Allowed);
    let old = policy("cosign.sigstore.dev/attestation/v1");
    let reasons = reasons(decide(&old));
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert_eq!(
        reasons.iter().map(ToString::to_string).collect::<String>(),
        "p.rego:5:2: data.signature.allow needs input.predicateType == \"cosign.sigstore.dev/attestation/v1\"\n  \
         input.predicateType is \"https://cosign.sigstore.dev/attestation/v1\""
    );
    let older = STATEMENT.replace("https://cosign", "cosign");
    assert_eq!(parse(&old).expect("a policy").evaluate(older.as_bytes(), 0).expect("a decision"), Decision::Allowed);
}

#[test]
fn rego_v1_needs_its_import_or_is_asked_for() {
    let v1 = "package signature\nimport rego.v1\nallow if input.predicateType\n";
    assert_eq!(decide(v1), Decision::Allowed);
    let bare = "package signature\nallow if { input.predicateType }\n";
    assert!(parse(bare).is_err());
    let policy = Policy::parse("p.rego", bare, RegoVersion::V1).expect("Rego v1");
    assert_eq!(policy.evaluate(STATEMENT.as_bytes(), 0).expect("a decision"), Decision::Allowed);
    assert!(matches!(Policy::parse("p.rego", v1, RegoVersion::V0), Err(PolicyError::Version { .. })));
    let v0 = "package signature\nallow { true }\n";
    match Policy::parse("p.rego", v0, RegoVersion::V1) {
        Err(PolicyError::Syntax { place, other_version: true, .. }) => assert_eq!((place.line, place.column), (2, 7)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_rule_that_lost_its_if_does_not_allow_everything() {
    for source in [
        "allow if { false }",
        "allow if false",
        "allow",
        "allow = true if { false }",
        "allow := true if { false }",
        "allow contains true if { false }",
        "f(x)\nallow { f(1) }",
        "f(x) = true if { false }\nallow { f(1) }",
    ] {
        assert!(parse(&format!("package signature\n{source}\n")).is_err(), "{source}");
    }
}

#[test]
fn a_call_of_a_function_that_does_not_exist_is_found_before_anything_runs() {
    for call in [
        "foo.bar(1)",
        "http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1:1/\"})",
        "rand.intn(\"a\", 2)",
        "opa.runtime()",
        "uuid.rfc4122(\"a\")",
        "net.lookup_ip_addr(\"a\")",
        "data.signature.nothing(1)",
    ] {
        for body in [format!("allow {{ not {call} }}"), format!("allow {{ count([1 | {call}]) == 0 }}")] {
            let error = parse(&format!("package signature\n{body}\n")).expect_err(call);
            assert!(matches!(error, PolicyError::UnknownFunction { .. }), "{error}");
            assert!(error.to_string().starts_with("p.rego:2:"), "{error}");
        }
    }
}

#[test]
fn a_call_with_a_wrong_number_of_arguments_is_found_before_anything_runs() {
    // `walk` with one argument iterates in OPA and yields nothing here, which `not` would turn into true.
    for call in ["count(1, 2, 3)", "json.unmarshal()", "f(1, 2, 3)", "walk(input)"] {
        let error = parse(&format!("package signature\nf(x) = x\nallow {{ not {call} }}\n")).expect_err(call);
        assert!(matches!(error, PolicyError::Arguments { .. }), "{error}");
    }
    assert_eq!(rule("allow { walk(input, [_, v]); v == input.predicateType }"), Decision::Allowed);
}

#[test]
fn recursion_is_found_before_anything_runs() {
    for source in [
        "f(n) = x { x := f(n + 1) }\nallow { not f(1) }",
        "f(n) = x { x := g(n) }\ng(n) = x { x := f(n) }\nallow { not f(1) }",
        "a { b }\nb { a }\nallow { not a }",
        "a { data.signature.a }\nallow { not a }",
        "a { count(data.signature) > 0 }\nallow { not a }",
        "f(n) = x { p[n]; x := 1 }\np[f(1)] = 1 { true }\nallow { not p[1] }",
        "f(x) = y { y := count(x) with count as f }\nallow { not f([]) }",
    ] {
        let error = parse(&format!("package signature\n{source}\n")).expect_err(source);
        assert!(matches!(error, PolicyError::Recursion { .. }), "{error}");
    }
    // A variable of the same name is no recursion.
    assert_eq!(
        rule("data_ { data_ := json.unmarshal(input.predicate.Data); data_.foo }\nallow { data_ }"),
        Decision::Allowed
    );
}

#[test]
fn a_variable_that_nothing_binds_is_found_before_anything_runs() {
    for body in ["x > 1", "not foo.bar", "not x"] {
        assert!(
            matches!(parse(&format!("package signature\nallow {{ {body} }}\n")), Err(PolicyError::Syntax { .. })),
            "{body}"
        );
    }
}

#[test]
fn a_policy_that_takes_too_long_is_refused_even_inside_not() {
    let range = "numbers.range(1, 10000)[_]";
    for source in [
        format!("allow {{ not f(1) }}\nf(n) = x {{ x := count([1 | {range}; {range}; {range}]) }}"),
        // The second definition has a value, and the interpreter would forget the first one's failure.
        format!(
            "allow {{ not f(1) }}\nf(n) = 0 {{ count([1 | {range}; {range}; {range}]) == 1 }}\nf(n) = false {{ n == 1 }}"
        ),
        "allow { count(numbers.range(1, 30000000)) > 0 }".to_owned(),
        "allow { not f(1) }\nf(n) = 0 { count(numbers.range(1, 30000000)) == 1 }\nf(n) = false { n == 1 }".to_owned(),
    ] {
        let policy = parse(&format!("package signature\n{source}\n")).expect("a policy").with_steps(200_000);
        let decision = policy.evaluate(STATEMENT.as_bytes(), 0).expect("an evaluation");
        assert_eq!(trouble(decision), Trouble::Steps, "{source}");
    }
}

#[test]
fn the_same_steps_run_out_on_every_machine() {
    let source = "package signature\nallow { count([1 | numbers.range(1, 1000)[_]]) == 1000 }\n";
    let allowed = |steps| {
        parse(source).expect("a policy").with_steps(steps).evaluate(STATEMENT.as_bytes(), 0).expect("an evaluation")
            == Decision::Allowed
    };
    let enough = (1..400).map(|n| n * 160).find(|steps| allowed(*steps)).expect("enough steps");
    assert!((0..5).all(|_| allowed(enough) && !allowed(enough - 160)));
}

#[test]
fn a_source_that_would_exhaust_the_parser_is_refused_before_it_is_parsed() {
    let deep = |open: &str, close: &str, n: usize| format!("x := {}1{}", open.repeat(n), close.repeat(n));
    for body in [
        deep("[", "]", 3000),
        deep("{", "}", 40),
        deep("{1: ", "}", 20),
        deep("(", ")", 200),
        deep("-", "", 900),
        deep("- ", "", 900),
        deep("{1 | ", "}", 20),
    ] {
        let error = parse(&format!("package signature\nallow {{ {body} }}\n")).expect_err(&body);
        assert!(matches!(error, PolicyError::TooDeep { .. }), "{error}");
    }
    let large = format!("package signature\nallow {{ true }}\n#{}", "x".repeat(300_000));
    assert!(matches!(parse(&large), Err(PolicyError::TooLarge { .. })));
}

#[test]
fn expressions_and_rules_that_would_exhaust_the_stack_are_refused() {
    let sum = format!("package signature\nallow {{ 1{} > 0 }}\n", "\n+1".repeat(10_000));
    let path = format!("package signature\nallow {{ input{} }}\n", ".a".repeat(4_000));
    let rules: String = (1..3000).map(|n| format!("r{n} {{ r{} }}\n", n - 1)).collect();
    let rules = format!("package signature\nr0 {{ true }}\n{rules}allow {{ r2999 }}\n");
    let functions: String = (1..1500).map(|n| format!("f{n}(x) = y {{ y := f{}(x) }}\n", n - 1)).collect();
    let functions = format!("package signature\nf0(x) = x\n{functions}allow {{ f1499(1) }}\n");
    for source in [sum, path, rules, functions] {
        assert!(matches!(parse(&source), Err(PolicyError::TooDeep { .. })), "{:.60}", source);
    }
}

#[test]
fn rules_as_deep_as_they_may_be_have_room() {
    let rules: String = (1..60).map(|n| format!("f{n}(x) = y {{ y := [f{}([[[x]]])] }}\n", n - 1)).collect();
    let source = format!("package signature\nf0(x) = x\n{rules}allow {{ f59(1) }}\nallow {{ count(f59(1)) == 1 }}\n");
    // On a small stack, since the evaluation brings its own.
    let decision = std::thread::Builder::new().stack_size(128 << 10).spawn(move || decide(&source));
    assert_eq!(decision.expect("a thread").join().expect("no overflow"), Decision::Allowed);
}

#[test]
fn time_is_what_the_caller_says() {
    assert_eq!(rule("allow { time.now_ns() == 1800000000000000000 }"), Decision::Allowed);
    let fresh = "allow { time.now_ns() - time.parse_rfc3339_ns(input.predicate.Timestamp) < 0 }";
    assert_eq!(trouble(rule(fresh)), Trouble::Condition);
    assert_eq!(rule(r#"allow { not time.parse_rfc3339_ns("yesterday") }"#), Decision::Allowed);
    assert_eq!(rule(r#"allow { startswith(crypto.sha256("a"), "ca978112") }"#), Decision::Allowed);
}

#[test]
fn a_digit_of_another_script_is_no_digit() {
    assert_eq!(trouble(rule("allow { regex.match(`^\\d$`, \"\u{663}\") }")), Trouble::Condition);
    assert_eq!(rule(r"allow { regex.match(`^\d$`, `3`) }"), Decision::Allowed);
}

#[test]
fn a_function_that_fails_is_undefined_as_in_cosign() {
    assert_eq!(
        rule(
            r#"allow { to_number("abc") }
allow { true }"#
        ),
        Decision::Allowed
    );
    assert_eq!(rule(r#"allow { not json.unmarshal("x") }"#), Decision::Allowed);
    assert_eq!(trouble(rule(r#"allow { to_number("abc") }"#)), Trouble::Condition);
}

#[test]
fn an_expression_that_compares_something_absent_does_not_hold() {
    assert_eq!(trouble(rule(r#"allow { input.predicate.absent != "x" }"#)), Trouble::Condition);
}

#[test]
fn a_statement_that_two_readers_could_read_differently_is_refused() {
    let policy = parse("package signature\nallow = true\n").expect("a policy");
    for statement in [r#"{"a":1,"a":2}"#, r#"{"a":"#, "", "{} {}", "\u{feff}{}"] {
        assert!(matches!(policy.evaluate(statement.as_bytes(), 0), Err(PolicyError::Statement(_))), "{statement}");
    }
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    assert!(matches!(policy.evaluate(deep.as_bytes(), 0), Err(PolicyError::Statement(_))));
}

#[test]
fn files_see_each_other() {
    let sources = [
        Source { name: "a.rego", text: "package signature\nimport data.lib.names\nallow { names.good(input) }\n" },
        Source { name: "b.rego", text: "package lib.names\nimport rego.v1\ngood(x) if x.predicateType\n" },
    ];
    let policy = Policy::parse_all(&sources, RegoVersion::Auto).expect("a policy");
    assert_eq!(policy.evaluate(STATEMENT.as_bytes(), 0).expect("a decision"), Decision::Allowed);
    assert!(policy.allows());
    let versions: Vec<_> = policy.modules().iter().map(|module| module.version).collect();
    assert_eq!(versions, [RegoVersion::V0, RegoVersion::V1]);
}

#[test]
fn files_that_other_systems_wrote_are_read() {
    assert_eq!(decide("\u{feff}package signature\r\nallow {\r\n  true\r\n}\r\n"), Decision::Allowed);
    assert_eq!(
        decide("# METADATA\n# title: x\npackage signature\nallow { print(\"hello\"); trace(\"x\") }\n"),
        Decision::Allowed
    );
}

#[test]
fn a_rule_on_both_sides_of_with_is_refused_since_its_value_would_be_forgotten() {
    for body in [
        "not ok with input as f(name)",
        "not ok with input as {\"a\": name}",
        "not ok with input as g",
        "x := [1 | not ok with input as f(name)]; x == [1]",
    ] {
        let source = format!(
            "package signature\nname = \"a\"\ng = {{\"a\": name}}\nf(x) = {{\"a\": x}}\nok {{ input.a == name }}\nallow {{ {body} }}\n"
        );
        assert!(matches!(parse(&source), Err(PolicyError::With { .. })), "{body}");
    }
    let bound = "name = \"a\"\nok { input.a == name }\nallow { x := {\"a\": name}; ok with input as x }";
    assert_eq!(rule(bound), Decision::Allowed);
    let apart = "mock = {\"a\": \"a\"}\nok { input.a == \"a\" }\nallow { ok with input as mock }";
    assert_eq!(rule(apart), Decision::Allowed);
    let own = parse("package signature\nallow { time.now_ns() == 1 with time.now_ns as 1 }\n");
    assert!(matches!(own, Err(PolicyError::Replaced { .. })), "{own:?}");
}

#[test]
fn a_policy_can_be_asked_by_several_threads() {
    let policy = parse("package signature\nallow { json.unmarshal(input.predicate.Data).n == 1 }\n").expect("a policy");
    std::thread::scope(|scope| {
        let asked: Vec<_> =
            (0..4).map(|_| scope.spawn(|| policy.evaluate(STATEMENT.as_bytes(), 0).expect("a decision"))).collect();
        for thread in asked {
            assert_eq!(thread.join().expect("a thread"), Decision::Allowed);
        }
    });
}
