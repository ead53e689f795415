//! `csign diff` as a program: exit statuses, outputs, and what it says when it cannot compare.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use csign_oci::{Access, ContainerConfig, LayerBuilder, Layout, assemble};
use serde_json::Value;

fn layout(directory: &Path, name: &str, content: &str) {
    let mut layer = LayerBuilder::new();
    layer.file("etc/message", Access::root(0o644), content).unwrap();
    let image = assemble(ContainerConfig::default(), vec![(layer.build().unwrap(), "test")]).unwrap();
    let builder = Layout::create(directory.join(name)).unwrap();
    let descriptor = builder.add_image(&image).unwrap();
    builder.finish(vec![descriptor]).unwrap();
}

fn csign(directory: &Path, arguments: &[&str], status: i32) -> (String, String) {
    let mut command = Command::new(std::path::absolute(env!("CARGO_BIN_EXE_csign")).unwrap());
    let Output { status: got, stdout, stderr } =
        command.arg("diff").args(arguments).current_dir(directory).output().unwrap();
    let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(got.code(), Some(status), "{arguments:?}\n{out}{err}");
    (out, err)
}

#[test]
fn the_exit_status_says_same_different_wrong_call_or_could_not_compare() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    layout(at, "a", "one");
    layout(at, "b", "two");
    layout(at, "damaged", "three");
    for entry in fs::read_dir(at.join("damaged/blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        }
    }
    fs::write(at.join("file"), "no image").unwrap();
    assert!(csign(at, &["a", "a"], 0).0.contains("the same"));
    let (out, err) = csign(at, &["a", "b"], 1);
    assert!(out.contains("/etc/message") && err.is_empty(), "{out}{err}");
    assert!(csign(at, &["a", "file"], 2).1.contains("file is no image"));
    assert!(csign(at, &["a", "missing"], 2).1.contains("neither a file nor a directory nor a reference"));
    assert!(csign(at, &["a", "./missing"], 2).1.contains("./missing"));
    assert!(csign(at, &["a", "b", "--platform", "linux"], 2).1.contains("OS/ARCHITECTURE"));
    assert!(csign(at, &["a", "b", "--platform", "linux/arm64"], 2).1.contains("not for linux/arm64"));
    let (out, err) = csign(at, &["a", "damaged"], 3);
    assert!(out.is_empty() && err.contains("has the digest"), "{out}{err}");
    let (_, err) = csign(at, &["a", "b", "--max-unpacked", "100"], 3);
    assert!(err.contains("larger than the limit of 100 bytes") && err.contains("hint:"), "{err}");
    assert!(csign(at, &["a", "127.0.0.1:1/x/y:z"], 3).1.contains("127.0.0.1:1"));
}

#[test]
fn json_and_the_page_say_what_the_text_says() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    layout(at, "a", "one\n");
    layout(at, "b", "<b>two</b>\n");
    let (json, _) = csign(at, &["a", "b", "--output", "json", "--html", "page.html"], 1);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["identical"], false);
    assert_eq!(report["root"]["children"][0]["children"][0]["name"], "/etc/message");
    let page = fs::read_to_string(at.join("page.html")).unwrap();
    assert!(page.contains("/etc/message") && !page.contains("<b>"), "{page}");
    // The same again: nothing depends on the clock or on threads.
    for _ in 0..3 {
        assert_eq!(csign(at, &["a", "b", "--output", "json"], 1).0, json);
    }
}
