//! Expressions that mean harm, conditions that mean something else than their author thought, and explanations.

use csign_cel::{EvalError, Expression, MAX_CONDITION, MAX_MAPPING, Outcome, ParseError, Variables};
use serde_json::json;

fn variables() -> Variables {
    Variables::new().with(
        "assertion",
        &json!({
            "swname": "CONFIDENTIAL_SPACE", "dbgstat": "enabled", "swversion": ["250800"],
            "google_service_accounts": ["vm@p"], "submods": {"container": {"cmd_override": null}},
        }),
    )
}

fn condition(source: &str) -> Expression {
    Expression::condition(source).unwrap_or_else(|error| panic!("{source}: {error}"))
}

#[test]
fn deep_nesting_is_refused_on_a_small_stack() {
    let texts = [
        "(".repeat(2000),
        "[".repeat(2000),
        "{1:".repeat(1000),
        "true?true:".repeat(400) + "true",
        "!(".repeat(1000),
        "-(".repeat(1000),
        "f(".repeat(1000),
        "assertion".to_owned() + &".a".repeat(1500),
        "assertion".to_owned() + &"[0]".repeat(1000),
        "1".to_owned() + &"+1".repeat(2000),
        "[1]".to_owned() + &".map(x,x)".repeat(400),
        "[1].all(x,".repeat(400),
    ];
    let run = move || {
        for text in texts {
            let refused = Expression::parse(&text, 10_000, &["assertion"]).expect_err("too deep");
            assert!(matches!(refused, ParseError::Depth { .. }), "{refused}");
        }
        // What is just allowed can be evaluated and dropped.
        let deep = "(".repeat(44) + "1" + &"+1".repeat(44) + &")".repeat(44);
        assert!(Expression::parse(&deep, 10_000, &[]).expect("fits").evaluate(&Variables::new()).is_ok());
        let deep = "[".repeat(44) + &"]".repeat(44);
        assert!(Expression::parse(&deep, 10_000, &[]).expect("fits").evaluate(&Variables::new()).is_ok());
        // Long is not deep.
        let long = "true && ".repeat(400) + "false || " + &"! ! !".repeat(100) + "false";
        assert!(Expression::parse(&long, 10_000, &[]).expect("fits").evaluate(&Variables::new()).is_ok());
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).expect("starts").join().expect("does not overflow");
}

#[test]
fn work_beyond_the_bound_is_an_error_and_not_a_long_wait() {
    let digits = "[0,1,2,3,4,5,6,7,8,9]";
    let nested = (0..8).fold("true".to_owned(), |inner, n| format!("{digits}.all(x{n}, {inner})"));
    let doubled = format!("['{}']{}.size() == 1", "a".repeat(100), ".map(x, x + x)".repeat(40));
    let listed = format!("[[0]]{}.size() == 1", ".map(x, x + x)".repeat(40));
    let shared = format!("[0]{0} == [0]{0}", ".map(x, [x, x])".repeat(40));
    let exponential = format!("'{}'.matches('(a*)*b')", "a".repeat(200));
    for source in [nested, doubled, listed, shared] {
        let error = condition(&source).evaluate(&variables()).expect_err("too much work");
        assert!(matches!(error, EvalError::TooMuchWork(_)), "{source}: {error}");
        // Nothing absorbs it.
        let absorbed = condition(&format!("true || ({source}) || true"));
        assert!(absorbed.evaluate(&variables()).is_ok(), "true decides before the work begins");
        let absorbed = condition(&format!("({source}) || true"));
        assert!(absorbed.evaluate(&variables()).is_err(), "{source}");
    }
    assert_eq!(condition(&exponential).holds(&variables()), Ok(false), "no pattern backtracks without end");
    let one = format!("{digits}.all(a, {digits}.all(b, {digits}.all(c, {digits}.all(d, true))))");
    let sum = condition(&vec![one; 12].join(" && "));
    let explanation = sum.explain(&variables());
    assert!(!explanation.admits() && explanation.to_string().contains("steps"), "{explanation}");
    let large = condition("'a'.matches('((a{100}){100}){100}')");
    assert!(matches!(large.evaluate(&variables()), Err(EvalError::Pattern(_))), "a pattern that compiles to megabytes");
}

#[test]
fn lengths_and_names_are_checked_before_anything_runs() {
    let long = format!("true || '{}' == ''", "é".repeat(MAX_CONDITION));
    assert!(matches!(Expression::condition(&long), Err(ParseError::Length { .. })));
    let fits = format!("'{}' == ''", "é".repeat(MAX_CONDITION - 8));
    condition(&fits);
    assert!(Expression::mapping(&format!("'{}'", "x".repeat(MAX_MAPPING - 2))).is_ok());
    assert!(Expression::mapping(&format!("'{}'", "x".repeat(MAX_MAPPING - 1))).is_err());
    assert!(Expression::mapping("attribute.x").is_err(), "a mapping sees the assertion alone");
    assert!(Expression::condition("assertions.x == 1").is_err());
    assert!(Expression::condition("[1].all(x, x == 1) && x == 1").is_err(), "the variable ends with its macro");
}

#[test]
fn a_condition_that_is_no_boolean_is_refused_or_denies() {
    for source in ["'assertion.swname == \"CONFIDENTIAL_SPACE\"'", "1", "[true]", "size('x')", "null", "1 + 1"] {
        assert!(matches!(Expression::condition(source), Err(ParseError::NotBoolean { .. })), "{source}");
    }
    assert_eq!(condition("assertion.swname").holds(&variables()), Err(EvalError::NotBoolean));
    assert!(Expression::condition("").is_err(), "an empty condition is the caller's to handle");
}

#[test]
fn published_mistakes_do_what_they_do_at_google() {
    let holds = |source: &str| condition(source).holds(&variables());
    assert!(holds("int(assertion.swversion) >= 1").is_err(), "swversion is a list");
    assert!(holds("assertion.swversion == '250800'") == Ok(false));
    assert!(holds("'250800' in assertion.swversion") == Ok(true));
    assert!(holds("size(assertion.submods.container.cmd_override) == 0").is_err(), "null has no size");
    assert!(holds("size(assertion.submods.container.env_override) == 0").is_err(), "an absent claim has none either");
    assert!(holds("assertion.submods.confidential_space.support_attributes.debug_mode == false").is_err());
    assert_eq!(holds("assertion.dbgstat == 'enable'"), Ok(false));
    assert_eq!(holds("[].all(k, k == 'the key')"), Ok(true), "of no signatures, all are right");
}

#[test]
fn a_denial_names_the_clause_and_the_values_that_it_saw() {
    let source = "assertion.swname == 'CONFIDENTIAL_SPACE' &&\n  (assertion.dbgstat == 'disabled-since-boot'\n   || \
                  'LATEST' in assertion.submods.confidential_space.support_attributes)\n  && has(assertion.oemid)";
    let explanation = condition(source).explain(&variables());
    assert!(!explanation.admits());
    let sources: Vec<&str> = explanation.clauses.iter().map(|clause| clause.source.as_str()).collect();
    assert_eq!(sources.len(), 3, "{sources:?}");
    assert_eq!(explanation.clauses[0].outcome, Outcome::True);
    assert!(matches!(explanation.clauses[1].outcome, Outcome::Error(_)));
    assert_eq!(explanation.clauses[2].outcome, Outcome::False);
    // A false clause decides, not the error before it.
    let text = explanation.to_string();
    assert!(text.starts_with("has(assertion.oemid) is false; (assertion.dbgstat =="), "{text}");

    let explanation = condition(&source.replace(" && has(assertion.oemid)", "").replace("|| 'LATEST'", "&& 'LATEST'"));
    let explanation = explanation.explain(&variables());
    assert_eq!(explanation.clauses.len(), 3, "parentheses around the same operator group nothing");
    let text = explanation.to_string();
    let wanted = "assertion.dbgstat == 'disabled-since-boot' is false (assertion.dbgstat is \"enabled\"); ";
    assert!(text.starts_with(wanted), "{text}");
    let explanation = condition("assertion.a == 1 || assertion.swname == 'x'").explain(&variables());
    assert!(matches!(explanation.outcome, Outcome::Error(_)));
    let text = explanation.to_string();
    assert!(text.contains("no such key: a") && text.contains("\"CONFIDENTIAL_SPACE\""), "{text}");
    let accounts = condition("assertion.google_service_accounts.exists(a, a == 'x')").explain(&variables());
    assert!(accounts.to_string().contains("is [\"vm@p\"]"), "{accounts}");
}
