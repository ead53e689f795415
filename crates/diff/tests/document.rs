//! The examples of docs/diff.md are what comes out. `UPDATE_REFERENCE=1` writes them anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{env, fs, path::Path};

use csign_diff::{Style, text};
use serde_json::json;
use support::*;

#[test]
fn the_examples_of_the_document_are_what_comes_out() {
    let entries = [directory("etc"), file("etc/message", "hello\n")];
    let a = Image::of_entries(&entries);
    let mut more = entries.to_vec();
    more[1].mode = 0o600;
    more.push(file("etc/more", "text\n"));
    let mut b = Image::of_entries(&more);
    b.config["config"]["Labels"]["org.example/b"] = json!("2");
    let mut report = compare(&a, &b);
    (report.a.name, report.b.name) = ("expected".to_owned(), "image".to_owned());
    // They have a document of their own.
    report.causes.clear();
    let json = serde_json::to_string_pretty(&report.root).unwrap();
    let text = text(&report, &Style { color: false, lines: 100 });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/diff.md");
    let document = fs::read_to_string(&path).unwrap();
    let document_now = example(&example(&document, "json", &json), "text", &text);
    if env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(&path, &document_now).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap() == document_now,
        "UPDATE_REFERENCE=1 writes docs/diff.md anew:\n{json}\n{text}"
    );
}

/// The document with this example in its place.
fn example(document: &str, name: &str, content: &str) -> String {
    let (before, rest) = document.split_once(&format!("<!-- example: {name} -->\n```")).unwrap();
    let (language, rest) = rest.split_once('\n').unwrap();
    let (_, after) = rest.split_once("```\n").unwrap();
    format!("{before}<!-- example: {name} -->\n```{language}\n{}\n```\n{after}", content.trim_end())
}
