//! The page of `csign diff` in headless Chromium: attacked, used with the keyboard alone, without scripts, and looked at.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a failure here fails the test, which says what it skips"
)]

use std::{fs, path::PathBuf};

use csign_diff::{
    Cause, CauseKind, Change, Evidence, Hunk, Kind, Line, Node, Options, Report, Side, Value, compare, html, open,
    report::Subject,
};
use csign_tests::{
    peer::{peer, repository},
    planted::plants,
    process::{Bench, Finished},
};

/// Runs one check of `drive.js` against a page; skips, visibly, without the browser.
fn check(name: &str, report: &Report) {
    let (Some(node), Some(chromium)) = (peer("node-peers"), peer("chromium")) else { return };
    let bench = Bench::new();
    let mut page = Vec::new();
    html(report, &mut page).unwrap();
    fs::write(bench.path("page.html"), page).unwrap();
    let pictures = std::env::var_os("PAGE_PICTURES").map_or_else(|| bench.dir().to_owned(), PathBuf::from);
    let mut command = bench.command(node);
    command.arg(repository().join("tests/diff_page/drive.js")).arg(chromium);
    command.arg(bench.path("page.html")).arg(name).arg(pictures);
    let finished = Finished::of(&mut command);
    assert!(finished.code == Some(0) && finished.stdout.contains("passed"), "{finished}");
}

const ATTACK: &str = "<img src=x onerror=\"window.owned=1\"><script>window.owned=1</script></details></code><a href='javascript:window.owned=1'>&amp;\u{202e}";

/// Everything that comes from an image is an attack.
fn hostile() -> Report {
    let text = || ATTACK.to_owned();
    let line = |side| Line { side, text: text() };
    let changes = vec![
        Change::Attribute { name: text(), a: Some(Value::Text(text())), b: None },
        Change::Order { a: vec![text()], b: vec![text()] },
        Change::Lines {
            hunks: vec![Hunk {
                a_line: 1,
                b_line: 1,
                lines: vec![line(Some(Side::A)), Line { side: Some(Side::B), text: format!("{ATTACK}!") }, line(None)],
            }],
            omitted: 0,
        },
        Change::Bytes { offset: 0, differing: 1, a: "3c696d673e".to_owned(), b: text(), from: 0 },
        Change::Unread { why: text() },
    ];
    let kinds = [Kind::Entry, Kind::Member, Kind::Symbol];
    let children =
        kinds.map(|kind| Node { kind, name: text(), changes: changes.clone(), children: Vec::new(), omitted: 0 });
    let root = Node { kind: Kind::Image, name: String::new(), changes, children: children.to_vec(), omitted: 0 };
    let evidence = vec![Evidence { at: vec![text()], a: Some(text()), b: Some(text()) }];
    let cause = Cause { kind: CauseKind::Sources, summary: text(), advice: text(), evidence };
    let subject = Subject { name: text(), digest: text() };
    Report {
        a: subject.clone(),
        b: subject,
        identical: false,
        causes: vec![cause],
        root: Some(root),
        incomplete: vec![text()],
    }
}

/// A real pair of images.
fn planted(name: &str) -> Option<Report> {
    let plant = plants().find(|plant| plant.name == name).unwrap();
    if let Err(program) = plant.is_possible() {
        eprintln!("skipped: there is no {program}");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (plant.write(&directory.path().join("a"), false), plant.write(&directory.path().join("b"), true));
    let options = Options::default();
    let open = |name: &str, path| open(name, path, &options.limits).unwrap();
    Some(compare(&*open("registry.example/team/word-count:v1", &a), &*open("rebuilt", &b), &options).unwrap())
}

#[test]
fn hostile_text_from_images_does_not_become_markup() {
    check("hostile", &hostile());
}

#[test]
fn the_report_is_read_with_the_keyboard_alone() {
    if let Some(report) = planted("patch-release") {
        check("keyboard", &report);
    }
}

#[test]
fn the_report_is_complete_without_scripts() {
    if let Some(report) = planted("lock-file") {
        check("scriptless", &report);
    }
}

/// With `PAGE_PICTURES=DIRECTORY` the pictures are left there.
#[test]
fn the_report_fits_a_small_screen_with_enough_contrast_light_and_dark() {
    if let Some(report) = planted("patch-release") {
        check("screenshot", &report);
    }
}
