//! What the CEL specification says of every operator and macro that conditions use, as expressions and their values.

use csign_cel::{EvalError, Expression, ParseError, Value, Variables};
use serde_json::json;

fn variables() -> Variables {
    let assertion = json!({
        "text": "gcpcs", "number": 7, "half": 0.5, "yes": true, "nothing": null, "list": ["a", "b"], "empty": [],
        "map": {"k": "v", "null": null}, "swversion": ["250800"],
    });
    Variables::new().with("assertion", &assertion)
}

fn parse(source: &str) -> Expression {
    Expression::parse(source, 4096, &["assertion"]).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn evaluate(source: &str) -> Result<Value, EvalError> {
    parse(source).evaluate(&variables())
}

/// Both sides have the same value and the same type.
fn same(cases: &[(&str, &str)]) {
    for (source, wanted) in cases {
        let value = evaluate(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(Ok(value), evaluate(wanted), "{source}");
    }
}

fn fail(sources: &[&str]) {
    for source in sources {
        assert!(evaluate(source).is_err(), "{source} has the value {:?}", evaluate(source));
    }
}

#[test]
fn literals_and_their_escapes() {
    same(&[
        ("0x10", "16"),
        ("-0x10", "-16"),
        ("1u + 0xFu", "16u"),
        ("-9223372036854775808 + 9223372036854775807", "-1"),
        ("1e2", "100.0"),
        (".5", "0.5"),
        ("1.5E+1", "15.0"),
        ("'a' + \"b\"", "'ab'"),
        (r"'\x41\u0042\U00000043\104\n'", "'ABCD\\n'"),
        (r"r'\n' == '\\n'", "true"),
        ("'''it's\n''' == \"it's\\n\"", "true"),
        ("b'\\xff' == b'\\377'", "true"),
        ("size(b'é')", "2"),
        ("[1, 2,]", "[1, 2]"),
        ("{'a': 1,}.a", "1"),
        ("true // a comment", "true"),
        ("type(null) == null_type && type(1) == int && type(type(1)) == type", "true"),
    ]);
    for source in [
        "9223372036854775808",
        "18446744073709551616u",
        "1.",
        "1u8",
        "0x",
        "'a",
        "'a\nb'",
        r"'\q'",
        r"'\ud800'",
        r"'\x4'",
        "b'\\u0041'",
        "1e",
        "a b",
        "",
        "(1",
        "[1",
        "{1}",
        "in",
        "if",
        "1 +",
        "x.",
        "f(1,)",
        "has(1)",
        "has(assertion)",
        "assertion.in",
        "[1].all(1, true)",
        "@",
        "1 ? 2",
        "true ? false ? 1 : 2 : 3",
        "'\\400'",
    ] {
        assert!(
            matches!(Expression::parse(source, 4096, &["assertion"]), Err(ParseError::Syntax { .. })),
            "{source:?}"
        );
    }
}

#[test]
fn logic_absorbs_errors_on_both_sides_when_the_rest_decides() {
    same(&[
        ("false && assertion.absent", "false"),
        ("assertion.absent && false", "false"),
        ("1 && false", "false"),
        ("false && 'x'", "false"),
        ("true || assertion.absent", "true"),
        ("assertion.absent || true", "true"),
        ("'x' || true", "true"),
        ("assertion.absent && assertion.absent && false", "false"),
        ("(assertion.absent || false) && false", "false"),
        ("!false", "true"),
        ("!!true", "true"),
        ("!!!true", "false"),
        ("true || false && false", "true"),
        ("true ? 1 : assertion.absent", "1"),
        ("false ? 1/0 : 2", "2"),
        ("true ? (false ? 1 : 2) : 3", "2"),
    ]);
    fail(&[
        "true && assertion.absent",
        "assertion.absent && true",
        "false || assertion.absent",
        "assertion.absent || false",
        "true && 1",
        "false || 'x'",
        "!assertion.text",
        "!assertion.absent",
        "assertion.absent ? 1 : 2",
        "assertion.text ? 1 : 2",
        "!!assertion.text",
    ]);
}

#[test]
fn equality_is_between_all_types_and_between_numbers_by_value() {
    same(&[
        ("1 == 1.0 && 1u == 1 && 1.0 == 1u", "true"),
        ("9007199254740993 == 9007199254740992.0", "false"),
        ("9007199254740993 > 9007199254740992.0", "true"),
        ("18446744073709551615u == -1", "false"),
        ("1 == '1'", "false"),
        ("null == null", "true"),
        ("null == 0 || null == false || null == ''", "false"),
        ("[1, 'a'] == [1.0, 'a']", "true"),
        ("[1] == [1, 2]", "false"),
        ("{'a': 1, 'b': 2} == {'b': 2u, 'a': 1.0}", "true"),
        ("{'a': 1} == {'a': 1, 'b': 2}", "false"),
        ("0.0/0.0 == 0.0/0.0", "false"),
        ("0.0/0.0 != 0.0/0.0", "true"),
        ("0.0 == -0.0", "true"),
        ("b'a' == 'a'", "false"),
        ("assertion.number == 7", "true"),
        ("assertion.swversion == '250800'", "false"),
    ]);
    fail(&["assertion.absent == 1", "1 == assertion.absent", "assertion.absent != null"]);
}

#[test]
fn order_is_between_numbers_of_any_type_and_within_other_types() {
    same(&[
        ("1 < 2 && 1 < 1.5 && 1u < 2 && -1 < 0u", "true"),
        ("1 <= 1 && 1 >= 1.0 && !(1 > 1)", "true"),
        ("'a' < 'b' && 'B' < 'a' && '' < 'a'", "true"),
        ("false < true", "true"),
        ("b'a' < b'b'", "true"),
        ("0.0/0.0 < 1.0 || 0.0/0.0 >= 1.0", "false"),
        ("9223372036854775807 < 9223372036854775808.0", "true"),
        ("-9223372036854775808 >= -9223372036854775808.0", "true"),
        ("18446744073709551615u < 18446744073709551616.0", "true"),
    ]);
    fail(&["1 < 'a'", "null < null", "[1] < [2]", "'a' < b'b'", "assertion.swversion >= 1", "true < 1"]);
}

#[test]
fn arithmetic_keeps_types_apart_and_never_wraps() {
    same(&[
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("-7 % 2", "-1"),
        ("7u % 4u", "3u"),
        ("1.0 / 4.0", "0.25"),
        ("1 + 2 * 3 - 4", "3"),
        ("(1 + 2) * 3", "9"),
        ("10 - 3 - 2", "5"),
        ("--5", "5"),
        ("-(-5)", "5"),
        ("[1] + [2]", "[1, 2]"),
        ("b'a' + b'b'", "b'ab'"),
        ("1.0 / 0.0 > 1e308", "true"),
    ]);
    fail(&[
        "1 + 1u",
        "1 + 1.0",
        "'a' + 1",
        "1 / 0",
        "1 % 0",
        "1u / 0u",
        "9223372036854775807 + 1",
        "0u - 1u",
        "-9223372036854775808 / -1",
        "-(-9223372036854775808)",
        "1.5 % 1.0",
        "-1u",
        "-'a'",
        "null + null",
        "true + true",
        "assertion.number + 1",
        "9223372036854775807 * 2",
        "-9223372036854775808 % -1",
    ]);
}

#[test]
fn membership_in_lists_and_maps() {
    same(&[
        ("'a' in assertion.list", "true"),
        ("'c' in assertion.list", "false"),
        ("'a' in []", "false"),
        ("1 in [1.0]", "true"),
        ("'1' in [1]", "false"),
        ("'k' in assertion.map", "true"),
        ("'v' in assertion.map", "false"),
        ("'null' in assertion.map", "true"),
        ("1.0 in {1: 'x'} && 1u in {1: 'x'}", "true"),
        ("null in {1: 'x'}", "false"),
    ]);
    fail(&["'a' in 'abc'", "'a' in assertion.nothing", "'a' in assertion.absent", "assertion.absent in ['a']"]);
}

#[test]
fn selection_and_has_on_present_null_and_absent_fields() {
    same(&[
        ("assertion.map.k", "'v'"),
        ("assertion['map']['k']", "'v'"),
        ("assertion.list[1]", "'b'"),
        ("assertion.list[1.0]", "'b'"),
        ("[1, 2][0u]", "1"),
        ("{1: 'a', 2u: 'b', true: 'c'}[2]", "'b'"),
        ("has(assertion.map)", "true"),
        ("has(assertion.absent)", "false"),
        ("has(assertion.nothing)", "true"),
        ("assertion.nothing == null", "true"),
        ("!has(assertion.absent) || assertion.absent == null || size(assertion.absent) == 0", "true"),
        ("!has(assertion.nothing) || assertion.nothing == null || size(assertion.nothing) == 0", "true"),
        ("!has(assertion.empty) || assertion.empty == null || size(assertion.empty) == 0", "true"),
        ("!has(assertion.list) || assertion.list == null || size(assertion.list) == 0", "false"),
    ]);
    fail(&[
        "assertion.absent",
        "assertion.absent.x",
        "has(assertion.absent.x)",
        "has(assertion.text.x)",
        "assertion.text.x",
        "assertion.nothing.x",
        "has(assertion.nothing.x)",
        "assertion.list[2]",
        "assertion.list[-1]",
        "assertion.list['a']",
        "assertion.list[0.5]",
        "assertion.list.x",
        "assertion.map['absent']",
        "{'a': 1, 'a': 2}",
        "{1: 1, 1u: 2}",
        "{1.0: 1}",
        "{null: 1}",
        "size(assertion.nothing) == 0",
        "size(assertion.absent) == 0",
        "int(assertion.swversion) >= 1",
    ]);
}

#[test]
fn macros_absorb_errors_as_the_operators_do() {
    same(&[
        ("[].all(x, false)", "true"),
        ("[].exists(x, true)", "false"),
        ("[1, 2].all(x, x > 0)", "true"),
        ("[1, 2].exists(x, x > 1)", "true"),
        ("[1, 'a', 3].exists(x, x > 2)", "true"),
        ("['a', 3].all(x, x > 5)", "false"),
        ("[1, 2, 2].exists_one(x, x == 1)", "true"),
        ("[1, 2, 2].exists_one(x, x == 2)", "false"),
        ("[].exists_one(x, true)", "false"),
        ("[1, 2, 3].filter(x, x % 2 == 1)", "[1, 3]"),
        ("[1, 2, 3].map(x, x * x)", "[1, 4, 9]"),
        ("[1, 2, 3].map(x, x > 1, x * x)", "[4, 9]"),
        ("{'a': 1, 'b': 2}.exists(k, k == 'b')", "true"),
        ("{'a': 1, 'b': 2}.map(k, k)", "['a', 'b']"),
        ("[1].all(x, [2].all(x, x == 2) && x == 1)", "true"),
        ("[1].all(assertion, assertion == 1)", "true"),
        ("assertion.list.all(x, x in ['a', 'b', 'c'])", "true"),
    ]);
    fail(&[
        "['a', 1].all(x, x > 0)",
        "['a', 1].exists(x, x > 1)",
        "[1, 'a'].exists_one(x, x > 0)",
        "['a'].filter(x, x > 1)",
        "[1].all(x, 'a')",
        "'abc'.all(c, true)",
        "assertion.nothing.exists(x, true)",
        "assertion.absent.all(x, true)",
        "[0].map(x, 1 / x)",
    ]);
}

#[test]
fn functions_on_strings_and_conversions() {
    same(&[
        ("size('aé') + 'aé'.size() + size([1]) + size({'a': 1}) + size(b'a')", "7"),
        ("'abc'.contains('') && 'abc'.contains('bc') && !'abc'.contains('x')", "true"),
        ("'abc'.startsWith('ab') && 'abc'.endsWith('bc')", "true"),
        ("'abc'.matches('b')", "true"),
        ("matches('abc', '^b')", "false"),
        ("'sha256:00ff'.matches('^sha256:[0-9a-f]{4}$')", "true"),
        (r"'٣'.matches(r'\d')", "false"),
        ("int('7') + int(7.9) + int(7u)", "21"),
        ("int(-7.9)", "-7"),
        ("uint('7') + uint(7) + uint(7.9)", "21u"),
        ("double('1e2') + double(1) + double(1u)", "102.0"),
        ("string(1) + string(1u) + string(true) + string(b'x')", "'11truex'"),
        ("bytes('a') == b'a' && bool('true') && !bool('0')", "true"),
        ("int(assertion.number)", "7"),
        ("dyn(1) == 1", "true"),
        ("'ABC é'.lowerAscii() + 'abc é'.upperAscii()", "'abc éABC é'"),
        ("'a-b-c'.replace('-', '+') + 'a-b-c'.replace('-', '', 1)", "'a+b+cab-c'"),
        ("'a,b,c'.split(',')", "['a', 'b', 'c']"),
        ("'a,b,c'.split(',', 2)", "['a', 'b,c']"),
        ("'ab'.split('') + 'a,b'.split(',', 0) + 'ab'.split('', 1)", "['a', 'b', 'ab']"),
        ("['a', 'b'].join('-') + ['a', 'b'].join()", "'a-bab'"),
        ("' a '.trim()", "'a'"),
    ]);
    fail(&[
        "size(1)",
        "size(null)",
        "'a'.contains(1)",
        "'a'.matches('(')",
        "int('x')",
        "int('')",
        "int(1e19)",
        "int([1])",
        "uint(-1)",
        "uint(-0.5)",
        "bool('maybe')",
        "bool(1)",
        "string(b'\\xff')",
        "string(null)",
        "[1].join('')",
        "int(0.0/0.0)",
        "'a'.replace('a', 1)",
        "int(true)",
        "assertion.nothing.startsWith('x')",
    ]);
    for source in ["nope(1)", "'a'.nope()", "size()", "size(1, 2)", "'a'.contains()", "has()", "timestamp('x')"] {
        assert!(Expression::parse(source, 4096, &[]).is_err(), "{source}");
    }
}

#[test]
fn extract_takes_what_lies_between_the_first_marks() {
    same(&[
        ("'projects/p/zones/z/instances/i'.extract('/zones/{zone}/')", "'z'"),
        ("'projects/p/zones/z/instances/i'.extract('/instances/{i}')", "'i'"),
        ("'projects/p/zones/z'.extract('{start}/zones')", "'projects/p'"),
        ("'projects/p'.extract('{all}')", "'projects/p'"),
        ("'projects/p'.extract('/zones/{zone}/')", "''"),
        ("'projects/p'.extract('projects/{p}/')", "''"),
        ("'a=1;a=2;'.extract('a={x};')", "'1'"),
        ("'a=;'.extract('a={x};')", "''"),
    ]);
    fail(&["'a'.extract('a')", "'a'.extract('{x')", "'a'.extract('x}{')", "'a'.extract('{a}{b}')", "'a'.extract(1)"]);
}

#[test]
fn a_quoted_text_is_a_literal_of_itself() {
    for text in ["", "a\"b\\c", "\n\r\0\u{7f}", "é\u{1F600}", "\\\" || true || \""] {
        assert_eq!(evaluate(&csign_cel::quote(text)).expect("a literal").as_str(), Some(text));
    }
}
