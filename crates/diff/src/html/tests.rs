use super::*;
use crate::report::{Change, Hunk, Kind, Line, Node, Side};

const ATTACK: &str =
    "</code></details><script>alert(1)</script><img src=x onerror=alert(1)>\" onclick='x' \u{202e}evil";

fn hostile() -> Report {
    let line = |side| Line { side, text: ATTACK.to_owned() };
    let hunk = Hunk {
        a_line: 1,
        b_line: 1,
        lines: vec![line(None), line(Some(Side::A)), Line { side: Some(Side::B), text: format!("{ATTACK}!") }],
    };
    let changes = vec![
        Change::Attribute { name: ATTACK.to_owned(), a: Some(crate::report::Value::Text(ATTACK.to_owned())), b: None },
        Change::Order { a: vec![ATTACK.to_owned()], b: vec![ATTACK.to_owned()] },
        Change::Bytes { offset: 0, differing: 1, a: "3c7363726970743e".to_owned(), b: ATTACK.to_owned(), from: 0 },
        Change::Lines { hunks: vec![hunk], omitted: 1 },
        Change::Unread { why: ATTACK.to_owned() },
    ];
    let child = Node { kind: Kind::Entry, name: ATTACK.to_owned(), changes, children: Vec::new(), omitted: 3 };
    let root = Node { kind: Kind::Image, name: String::new(), changes: Vec::new(), children: vec![child], omitted: 0 };
    let evidence = vec![Evidence { at: vec![ATTACK.to_owned()], a: Some(ATTACK.to_owned()), b: None }];
    let cause =
        Cause { kind: CauseKind::EmbeddedPath, summary: ATTACK.to_owned(), advice: ATTACK.to_owned(), evidence };
    let subject = Subject { name: ATTACK.to_owned(), digest: ATTACK.to_owned() };
    Report {
        a: subject.clone(),
        b: subject,
        identical: false,
        causes: vec![cause],
        root: Some(root),
        incomplete: vec![ATTACK.to_owned()],
    }
}

fn page(report: &Report) -> String {
    let mut out = Vec::new();
    html(report, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn hostile_text_does_not_become_markup() {
    let page = page(&hostile());
    assert_eq!(page.matches("<script").count(), 1, "only our own");
    for never in ["<img", "onclick='", "\u{202e}", "</code></details><"] {
        assert!(!page.contains(never), "{never:?}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("\\u{202e}"));
}

#[test]
fn the_page_loads_nothing_and_allows_only_its_own_script() {
    let page = page(&hostile());
    assert!(page.contains("default-src 'none'") && !page.contains("unsafe-inline"));
    for never in ["src=", "@import", "url(", "http://", "https://"] {
        assert!(!page.replace("&lt;img src=x", "").contains(never), "{never}");
    }
}

#[test]
fn a_tree_of_any_size_makes_a_page_of_bounded_size() {
    let mut report = hostile();
    let root = report.root.as_mut().unwrap();
    let child = root.children[0].clone();
    root.children = vec![child; 20_000];
    let page = page(&report);
    assert!(page.len() < 20 << 20 && page.contains("The page is full"), "{}", page.len());
}
