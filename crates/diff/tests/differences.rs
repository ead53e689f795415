//! Every kind of difference between two images is named, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use csign_diff::{Limits, Options};
use serde_json::json;
use support::*;

fn base() -> Vec<Entry> {
    vec![
        directory("etc"),
        file("etc/hosts", "127.0.0.1 localhost\n"),
        file("etc/message", "hello\n"),
        link("etc/link", tar::EntryType::Symlink, "message"),
        link("etc/hard", tar::EntryType::Link, "etc/hosts"),
        file("program", vec![7; 3000]),
    ]
}

fn changed(change: impl FnOnce(&mut Vec<Entry>)) -> Vec<String> {
    let mut entries = base();
    change(&mut entries);
    essence(&compare(&Image::of_entries(&base()), &Image::of_entries(&entries)))
}

#[test]
fn each_property_of_an_entry_is_named_by_its_own_word() {
    assert_eq!(changed(|_| {}), Vec::<String>::new());
    assert_eq!(changed(|all| all[1].mode = 0o600), ["/layers[0]/etc/hosts mode 420 384"]);
    assert_eq!(changed(|all| all[1].uid = 7), ["/layers[0]/etc/hosts uid 0 7"]);
    assert_eq!(changed(|all| all[1].gid = 8), ["/layers[0]/etc/hosts gid 0 8"]);
    assert_eq!(changed(|all| all[1].uname = "me".to_owned()), ["/layers[0]/etc/hosts uname root me"]);
    assert_eq!(changed(|all| all[0].mtime += 1), ["/layers[0]/etc mtime 1700000000 1700000001"]);
    assert_eq!(changed(|all| all[3].link = "hosts".to_owned()), ["/layers[0]/etc/link link message hosts"]);
    assert_eq!(
        changed(|all| all[1].xattr = Some("x".to_owned())),
        ["/layers[0]/etc/hosts format ustar pax", "/layers[0]/etc/hosts xattr.user.note - x"]
    );
    assert_eq!(
        changed(|all| all[2] = link("etc/message", tar::EntryType::Symlink, "hosts")),
        [
            "/layers[0]/etc/message type file symbolic link",
            "/layers[0]/etc/message size 6 0",
            "/layers[0]/etc/message link - hosts"
        ]
    );
    assert_eq!(changed(|all| all[5].path = "./program".to_owned()), ["/layers[0]/program path program ./program"]);
}

#[test]
fn what_one_side_only_has_is_named_with_its_side() {
    let added = changed(|all| all.insert(2, file("etc/new", "abc")));
    assert_eq!(
        added,
        [
            "/layers[0]/etc/new only B",
            "/layers[0]/etc/new type - file",
            "/layers[0]/etc/new mode - 420",
            "/layers[0]/etc/new size - 3"
        ]
    );
    let removed = changed(|all| drop(all.remove(0)));
    assert_eq!(removed[0], "/layers[0]/etc only A");
    let whiteout = changed(|all| all.push(file("etc/.wh.hosts", "")));
    assert_eq!(whiteout[1], "/layers[0]/etc/.wh.hosts type - whiteout");
    let twice = changed(|all| all.push(file("program", vec![7; 3000])));
    assert_eq!(twice[0], "/layers[0]/program only B");
}

#[test]
fn entries_in_another_order_are_named_and_their_content_is_still_compared() {
    assert_eq!(
        changed(|all| all.swap(1, 2)),
        [r#"/layers[0] order ["/etc/hosts"] ["/etc/hosts"]"#],
        "only the order differs"
    );
    let both = changed(|all| {
        all.rotate_left(1);
        all.iter_mut().find(|entry| entry.path == "program").unwrap().content[2000] = 8;
    });
    assert_eq!(both, [r#"/layers[0] order ["/etc"] ["/etc"]"#, "/layers[0]/program bytes 2000"]);
}

#[test]
fn a_file_that_is_larger_than_memory_may_be_is_compared_to_its_end() {
    let large: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 253) as u8).collect();
    let mut other = large.clone();
    *other.last_mut().unwrap() ^= 1;
    for first in [file("a", "x"), file("b", "y")] {
        // In order, and out of it.
        let a = Image::of_entries(&[file("a", "x"), file("large", large.clone())]);
        let b = Image::of_entries(&[first, file("large", other.clone())]);
        let found = essence(&compare(&a, &b));
        assert!(found.contains(&"/layers[0]/large bytes 2999999".to_owned()), "{found:?}");
    }
}

#[test]
fn another_compression_of_the_same_content_is_called_so() {
    let bytes = archive(&base());
    let plain = |compression| Image::of(vec![(bytes.clone(), compression)]);
    let found = |compression| essence(&compare(&plain(GZIP), &plain(compression)));
    assert_eq!(
        found(Compression::Gzip { level: 6, mtime: 5 }),
        ["/layers[0] compression only", "/layers[0] gzip.mtime 0 5"]
    );
    assert_eq!(found(Compression::Gzip { level: 1, mtime: 0 })[0], "/layers[0] compression only");
    assert!(found(Compression::GzipTwice).contains(&"/layers[0] gzip.members 1 2".to_owned()));
    for (compression, name) in [(Compression::None, "none"), (Compression::Zstd, "zstd")] {
        let found = found(compression);
        let compression = format!("/layers[0] compression gzip {name}");
        assert_eq!(found, ["/layers[0] compression only".to_owned(), compression]);
    }
}

#[test]
fn a_layer_put_in_the_middle_leaves_the_others_what_they_are() {
    let layer = |name: &str, content: &str| (archive(&[file(name, content)]), GZIP);
    let a = Image::of(vec![layer("a", "1"), layer("b", "2"), layer("c", "3")]);
    let mut b = Image::of(vec![layer("a", "1"), layer("new", "x"), layer("b", "2"), layer("c", "4")]);
    b.config["history"] =
        json!([{"created_by": "step 0"}, {"created_by": "more"}, {"created_by": "step 1"}, {"created_by": "step 2"}]);
    let found = essence(&compare(&a, &b));
    let want = ["/config /history/1/created_by - more", "/layers[1] only B", "/layers[2] / layers[3]/c lines"];
    for want in want {
        assert!(found.iter().any(|line| line.starts_with(want)), "{want}: {found:#?}");
    }
    assert_eq!(
        found.iter().filter(|line| !line.contains(" digest ") && !line.contains(" size ")).count(),
        3,
        "{found:#?}"
    );
}

#[test]
fn configuration_and_manifest_are_compared_by_member() {
    let a = Image::of_entries(&base());
    let mut b = a.clone();
    b.config["config"]["Labels"]["a"] = json!("2");
    b.config["created"] = json!("2024-01-01T00:00:00Z");
    b.annotations.push(("org.example/x".to_owned(), "y".to_owned()));
    assert_eq!(
        essence(&compare(&a, &b)),
        [
            "/manifest /annotations/org.example~1x - y",
            "/config /config/Labels/a 1 2",
            "/config /created - 2024-01-01T00:00:00Z"
        ]
    );
    let mut pretty = a.clone();
    pretty.pretty = true;
    let found = essence(&compare(&a, &pretty));
    assert!(found.iter().all(|line| line.contains("serialization")) && found.len() == 2, "{found:?}");
}

#[test]
fn the_same_digest_is_the_same_image_and_nothing_is_read() {
    let image = Image::of_entries(&base());
    let directory = tempfile::tempdir().unwrap();
    let path = image.write(directory.path(), "a", Form::Layout);
    // Not even what is damaged: the digest says what should be there.
    let layer = path.join("blobs/sha256").join(image.blobs()[1].0.digest.hex());
    std::fs::write(layer, "damaged").unwrap();
    let report = compare_paths(&path, &path, &Options::default()).unwrap();
    assert!(report.identical && report.root.is_none());
    assert_eq!(report.a.digest, image.digest().to_string());
}

#[test]
fn every_form_of_one_image_is_that_image() {
    let image = Image::of_entries(&base());
    let forms = [Form::Layout, Form::Archive(Compression::None), Form::Archive(GZIP), Form::Archive(Compression::Zstd)];
    for form in forms {
        let report = compare_as((&image, Form::Layout), (&image, form), &Options::default()).unwrap();
        assert!(report.identical, "{form:?}");
    }
    // What docker saves has no manifest, so its digest is nobody's.
    let report = compare_as((&image, Form::Layout), (&image, Form::Docker), &Options::default()).unwrap();
    assert!(!report.identical);
    assert_eq!(lines(&report), ["/manifest only A"]);
    let report = compare_as((&image, Form::Docker), (&image, Form::Docker), &Options::default()).unwrap();
    assert!(report.identical);
}

#[test]
fn a_configuration_that_lies_about_its_layers_is_named() {
    let a = Image::of_entries(&base());
    let mut b = Image::of_entries(&base()[1..]);
    let want = b.config["rootfs"]["diff_ids"][0].take();
    b.config["rootfs"]["diff_ids"][0] = json!(format!("sha256:{}", "0".repeat(64)));
    let found = lines(&compare(&a, &b));
    assert!(found.iter().any(|line| line.contains("diffId in the configuration")), "{want}: {found:#?}");
}

#[test]
fn what_is_left_out_of_the_report_is_counted() {
    let entries = |content: &str| (0..30).map(|at| file(&format!("f{at:02}"), content)).collect::<Vec<_>>();
    let limits = Limits { children: 10, files: 3, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    for reversed in [false, true] {
        let mut other = entries("2");
        if reversed {
            other.reverse();
        }
        let (a, b) = (Image::of_entries(&entries("1")), Image::of_entries(&other));
        let found = essence(&compare_as((&a, Form::Layout), (&b, Form::Layout), &options).unwrap());
        assert!(found.contains(&"/layers[0] omitted 20".to_owned()), "{found:#?}");
        assert_eq!(found.iter().filter(|line| line.contains("unread")).count(), 7, "{found:#?}");
    }
}

#[test]
fn when_files_have_many_differences_in_them_no_more_are_looked_into() {
    let inner = |content: &str| archive(&[file("x", content), file("y", content)]);
    let entries = |content: &str| (0..4).map(|at| file(&format!("{at}.tar"), inner(content))).collect::<Vec<_>>();
    let options = Options { limits: Limits { nodes: 3, ..Limits::default() }, ..Options::default() };
    let (a, b) = (Image::of_entries(&entries("1")), Image::of_entries(&entries("2")));
    let found = essence(&compare_as((&a, Form::Layout), (&b, Form::Layout), &options).unwrap());
    let unread: Vec<&String> = found.iter().filter(|line| line.contains("unread")).collect();
    assert!(unread.len() == 2 && unread[0].starts_with("/layers[0]/2.tar"), "{found:#?}");
}
