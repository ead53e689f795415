use super::*;
use crate::report::{Change, Hunk, Kind, Line, Side, Value};

fn node(kind: Kind, name: &str, changes: Vec<Change>, children: Vec<Node>) -> Node {
    Node { kind, name: name.to_owned(), changes, children, omitted: 0 }
}

fn text_file(name: &str, pairs: &[(&str, &str)]) -> Node {
    let hunk = |(a, b): &(&str, &str)| {
        let line = |side, text: &str| Line { side: Some(side), text: text.to_owned() };
        let both = [(Side::A, *a), (Side::B, *b)].into_iter().filter(|(_, text)| !text.is_empty());
        Hunk { a_line: 1, b_line: 1, lines: both.map(|(side, text)| line(side, text)).collect() }
    };
    node(Kind::Entry, name, vec![Change::Lines { hunks: pairs.iter().map(hunk).collect(), omitted: 0 }], Vec::new())
}

fn attribute(name: &str, a: &str, b: &str) -> Change {
    let text = |text: &str| (!text.is_empty()).then(|| Value::Text(text.to_owned()));
    Change::Attribute { name: name.to_owned(), a: text(a), b: text(b) }
}

fn causes_of(files: Vec<Node>) -> Vec<Cause> {
    let layer = node(Kind::Layer, "layers[0]", vec![attribute("digest", "sha256:1", "sha256:2")], files);
    causes(&node(Kind::Image, "", Vec::new(), vec![layer]))
}

/// The first cause of one line that became another.
fn first(a: &str, b: &str) -> CauseKind {
    causes_of(vec![text_file("/etc/file", &[(a, b)])])[0].kind
}

#[test]
fn one_line_is_enough_for_its_cause() {
    use CauseKind::{DependencyVersion, EmbeddedPath, Locale, Randomness, Sources, Timestamp, Toolchain, UserOrHost};
    let table = [
        ("built 2026-01-02T03:04:05Z", "built 2026-01-02T03:04:06Z", Timestamp),
        ("Date: Fri, 02 Jan 2026 03:04:05 +0000", "Date: Sat, 03 Jan 2026 03:04:05 +0000", Timestamp),
        ("Jan  2 2026 03:04:05", "Jan 12 2026 03:04:05", Timestamp),
        ("epoch = 1767323045", "epoch = 1767323046", Timestamp),
        ("serial = 2767323045", "serial = 2767323046", Sources),
        ("price 1767323045 euro", "cost 1767323046 euro", Sources),
        ("prefix=/home/alice/src", "prefix=/tmp/build.1/src", EmbeddedPath),
        ("see https://a.example/x/y.html", "see https://b.example/x/y.html", Sources),
        ("built by root@one", "built by root@two", UserOrHost),
        ("hostname: alder", "hostname: birch", UserOrHost),
        ("rustc 1.95.0 (59807616e 2026-04-14)", "rustc 1.94.0 (4a4ef493e 2026-03-02)", Toolchain),
        ("/registry/src/x/tiny-1.2.3/src/lib.rs", "/registry/src/x/tiny-1.2.4/src/lib.rs", DependencyVersion),
        ("id 123e4567-e89b-42d3-a456-426614174000", "id 9f1b2c3d-e89b-42d3-a456-426614174000", Randomness),
        ("total 3,5", "total 3.5", Locale),
        ("Fehler: keine Datei", "error: no file", Locale),
        ("commit 0123456789abcdef0123456789abcdef01234567", "commit 1123456789abcdef0123456789abcdef01234567", Sources),
        ("hello", "good night", Sources),
    ];
    let wrong: Vec<_> = table
        .iter()
        .filter(|(a, b, want)| first(a, b) != *want)
        .map(|(a, b, want)| (a, b, want, first(a, b)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_explains_more_files_comes_first_and_digests_explain_nothing() {
    let time = |name: &str| {
        node(
            Kind::Entry,
            name,
            vec![Change::Attribute { name: "mtime".to_owned(), a: Some(Value::Number(1)), b: Some(Value::Number(2)) }],
            Vec::new(),
        )
    };
    let found = causes_of(vec![text_file("/one", &[("hello", "good night")]), time("/two"), time("/three")]);
    let kinds: Vec<CauseKind> = found.iter().map(|cause| cause.kind).collect();
    assert_eq!(kinds, [CauseKind::Timestamp, CauseKind::Sources]);
}

#[test]
fn one_sorted_by_bytes_and_one_as_in_a_dictionary_is_a_locale() {
    let order = |a: &[&str], b: &[&str]| {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        causes_of(vec![node(Kind::Entry, "/list", vec![Change::Order { a: names(a), b: names(b) }], Vec::new())])[0]
            .kind
    };
    assert_eq!(order(&["B", "a", "c"], &["a", "B", "c"]), CauseKind::Locale);
    assert_eq!(order(&["a", "b"], &["b", "a"]), CauseKind::Order);
}

#[test]
fn a_flipped_bit_next_to_another_build_id_is_no_damage() {
    let bytes = || Change::Bytes { offset: 16, differing: 1, a: "74".to_owned(), b: "75".to_owned(), from: 16 };
    let code = || node(Kind::Section, ".text", vec![bytes()], Vec::new());
    let id = node(Kind::Section, ".note.gnu.build-id", vec![attribute("NT_GNU_BUILD_ID", "00", "11")], Vec::new());
    let damaged = causes_of(vec![node(Kind::Entry, "/workload", vec![bytes()], vec![code()])]);
    let built = causes_of(vec![node(Kind::Entry, "/workload", vec![bytes()], vec![id, code()])]);
    assert_eq!((damaged[0].kind, built[0].kind), (CauseKind::Corruption, CauseKind::Sources));
}

#[test]
fn every_cause_has_a_summary_advice_and_evidence() {
    for (a, b) in [("/home/a/x.c", "/home/b/x.c"), ("2026-01-02", "2026-01-03"), ("hello", ""), ("", "hello")] {
        for cause in causes_of(vec![text_file("/etc/file", &[(a, b)])]) {
            assert!(!cause.summary.is_empty() && !cause.advice.is_empty() && !cause.evidence.is_empty(), "{cause:?}");
        }
    }
}

#[test]
fn whatever_differs_has_a_cause() {
    let only_digests = causes(&node(Kind::Image, "", vec![attribute("digest", "1", "2")], Vec::new()));
    assert_eq!(only_digests.len(), 1, "{only_digests:?}");
}

#[test]
fn every_cause_is_explained_in_the_documentation() {
    let document = include_str!("../../../../docs/diff-causes.md");
    for kind in PRECEDENCE {
        let name = serde_json::to_value(kind).unwrap();
        let heading = format!("\n## {}\n", name.as_str().unwrap());
        assert!(document.contains(&heading), "docs/diff-causes.md has no section {heading:?}");
    }
    assert_eq!(document.matches("\n## ").count(), PRECEDENCE.len(), "a section of no cause");
}
