//! Images that were made to mislead, to crash or to exhaust whoever compares them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{fs, path::PathBuf};

use csign_diff::{DiffError, Limits, Options, Report};
use csign_oci::Digest;
use serde_json::json;
use support::*;

/// Compares a good image with one whose layer is `bytes` as they are, digests right.
fn against(bytes: Vec<u8>, limits: Limits) -> Result<Report, DiffError> {
    let good = Image::of_entries(&[file("a", "1"), file("b", "2")]);
    let bad = Image::of(vec![(bytes, Compression::None)]);
    let options = Options { limits, ..Options::default() };
    let other = compare_as((&bad, Form::Layout), (&good, Form::Layout), &options);
    let one = compare_as((&good, Form::Layout), (&bad, Form::Layout), &options);
    assert_eq!(one.is_ok(), other.is_ok(), "which side it is on makes a difference");
    one
}

/// The images differ, whatever their layers are; the layer could not be read, and both are said.
fn unread(bytes: Vec<u8>) -> String {
    let report = against(bytes, Limits::default()).unwrap();
    assert!(!report.identical);
    assert_eq!(report.incomplete.len(), 1, "{:?}", lines(&report));
    report.incomplete[0].clone()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    GZIP.compress(bytes)
}

#[test]
fn truncated_and_damaged_layers_with_the_right_digest_are_reported_as_unread() {
    let content: Vec<u8> = (0..50_000_u32).map(|at| (at * at % 251) as u8).collect();
    let good = gzipped(&archive(&[file("a", content.clone())]));
    assert!(unread(good[..good.len() / 2].to_vec()).contains("gzip: it ends in the middle"));
    assert!(unread(good[..good.len() - 4].to_vec()).contains("gzip: it ends before its checksum"));
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(unread(flipped).contains("gzip: its checksum or length is wrong"));
    assert!(unread([good.clone(), b"garbage".to_vec()].concat()).contains("what follows its end is no gzip"));
    let zstd = Compression::Zstd.compress(&archive(&[file("a", content.clone())]));
    assert!(unread(zstd[..zstd.len() / 2].to_vec()).contains("zstd"));
    let plain = archive(&[file("a", content)]);
    assert!(unread(plain[..3000].to_vec()).contains("the archive ends within a file"));
    assert!(unread(plain[..700].to_vec()).contains("the archive ends within a file"));
    assert!(unread(plain[..300].to_vec()).contains("the archive ends within a header"));
    let mut sum = plain;
    sum[0] = b'b';
    assert!(unread(sum).contains("checksum is wrong"));
    assert!(unread(vec![b'x'; 5000]).contains("checksum is no number"));
}

#[test]
fn content_that_is_not_what_its_digest_says_is_an_error_not_a_difference() {
    let directory = tempfile::tempdir().unwrap();
    let image = Image::of_entries(&[file("a", "1")]);
    let other = Image::of_entries(&[file("a", "2")]).write(directory.path(), "other", Form::Layout);
    for (at, (descriptor, bytes)) in image.blobs().iter().enumerate() {
        let path = image.write(directory.path(), &format!("bad{at}"), Form::Layout);
        let blob = path.join("blobs/sha256").join(descriptor.digest.hex());
        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let attacks: [Option<Vec<u8>>; 3] = [Some(damaged), Some([bytes.as_slice(), b"more"].concat()), None];
        for attack in attacks {
            match &attack {
                Some(bytes) => fs::write(&blob, bytes).unwrap(),
                None => fs::remove_file(&blob).unwrap(),
            }
            for (a, b) in [(&path, &other), (&other, &path)] {
                let error = compare_paths(a, b, &Options::default()).unwrap_err();
                let expected = matches!(
                    error,
                    DiffError::Mismatch { .. } | DiffError::Size { .. } | DiffError::Oci { .. } | DiffError::Io { .. }
                );
                assert!(expected, "{}: {error}", descriptor.media_type);
            }
        }
    }
}

#[test]
fn a_damaged_gzip_with_a_wrong_digest_is_a_wrong_digest() {
    let directory = tempfile::tempdir().unwrap();
    let image = Image::of_entries(&[file("a", "1")]);
    let other = Image::of_entries(&[file("a", "2")]).write(directory.path(), "other", Form::Layout);
    let path = image.write(directory.path(), "bad", Form::Layout);
    let (descriptor, bytes) = &image.blobs()[1];
    let mut bytes = bytes.clone();
    bytes[20] ^= 0xff;
    fs::write(path.join("blobs/sha256").join(descriptor.digest.hex()), bytes).unwrap();
    let error = compare_paths(&path, &other, &Options::default()).unwrap_err();
    assert!(matches!(error, DiffError::Mismatch { .. }), "{error}");
}

#[test]
fn bombs_end_at_the_limits() {
    let limit = |what: &str, bytes: Vec<u8>, limits: Limits| {
        let error = against(bytes, limits).unwrap_err();
        assert!(matches!(error, DiffError::Limit { .. }), "{what}: {error}");
    };
    let small = Limits { unpacked: 1 << 20, ..Limits::default() };
    limit("zeros", gzipped(&archive(&[file("zeros", vec![0; 4 << 20])])), small);
    limit("zeros after the end", gzipped(&[archive(&[file("a", "1")]), vec![0; 4 << 20]].concat()), small);
    let many: Vec<Entry> = (0..100).map(|at| file(&format!("f{at}"), "")).collect();
    limit("entries", archive(&many), Limits { entries: 50, ..Limits::default() });
    let mut builder = tar::Builder::new(Vec::new());
    let note = "x".repeat(3 << 20);
    builder.append_pax_extensions([("comment", note.as_bytes())]).unwrap();
    limit("an extended header", builder.into_inner().unwrap(), Limits::default());
    // Global headers that add up.
    let mut global = Vec::new();
    for at in 0..4 {
        let record = format!("900000 {at:099}={}", "x".repeat(900_000));
        let record = format!("{}\n", &record[..899_999]);
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::XGlobalHeader);
        header.set_size(record.len() as u64);
        header.set_path("global").unwrap();
        header.set_cksum();
        global.extend_from_slice(header.as_bytes());
        global.extend_from_slice(record.as_bytes());
        global.resize(global.len().next_multiple_of(512), 0);
    }
    limit("global headers", global, Limits::default());
}

#[test]
fn sizes_that_no_disk_holds_are_no_promise() {
    for size in [u64::MAX >> 1, 1 << 60, 1 << 33] {
        let mut header = tar::Header::new_gnu();
        header.set_path("large").unwrap();
        header.set_size(size);
        header.set_cksum();
        assert!(unread(header.as_bytes().to_vec()).contains("the archive ends within a file"), "{size}");
    }
    let mut header = tar::Header::new_gnu();
    header.set_path("negative").unwrap();
    header.as_mut_bytes()[124..136].copy_from_slice(&[0xff; 12]);
    header.set_cksum();
    assert!(unread(header.as_bytes().to_vec()).contains("no size"));
}

#[test]
fn paths_are_names_and_nothing_is_ever_written_to_them() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    let paths = ["../../../../../../tmp/victim".to_owned(), victim.display().to_string(), "a/../../b".to_owned()];
    for path in paths {
        let entries = |content: &str| [file(&path, content), link("l", tar::EntryType::Symlink, &path)];
        let found = essence(&compare(&Image::of_entries(&entries("1")), &Image::of_entries(&entries("2"))));
        assert_eq!(found, [format!("/layers[0]/{} lines", path.trim_start_matches('/'))]);
    }
    assert!(!victim.exists());
}

#[test]
fn no_name_or_value_reaches_the_terminal_as_it_is() {
    let evil = "\u{1b}[2J\u{1b}]0;x\u{7}\r\u{9b}1m\u{202e}gnp\u{200b}\u{2066}\n+ fake";
    let image = |content: &str| {
        let mut entry = file(evil, content);
        entry.xattr = Some(format!("{evil}{content}"));
        let mut image = Image::of_entries(&[entry]);
        image.config["config"]["Labels"][evil] = json!(format!("{evil}{content}"));
        image.annotations.push((evil.to_owned(), content.to_owned()));
        image
    };
    for (a, b) in [(image("1"), image("2")), (image("1"), Image::of_entries(&[]))] {
        let report = compare(&a, &b);
        let text = csign_diff::text(&report, &csign_diff::Style { color: false, lines: 1000 });
        assert!(text.contains("u{1b}[2J") && text.contains("u{202e}"), "{text}");
        let hidden = |c: &char| (c.is_control() && *c != '\n') || "\u{202e}\u{200b}\u{2066}".contains(*c);
        assert_eq!(text.chars().find(hidden), None, "{text}");
        assert!(!text.contains("\n+ fake"), "{text}");
    }
}

#[test]
fn a_pipe_in_place_of_a_blob_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let image = Image::of_entries(&[file("a", "1")]);
    let other = Image::of_entries(&[file("a", "2")]).write(directory.path(), "other", Form::Layout);
    let path = image.write(directory.path(), "pipe", Form::Layout);
    let blob = path.join("blobs/sha256").join(image.blobs()[1].0.digest.hex());
    fs::remove_file(&blob).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&blob).status().unwrap().success());
    let error = compare_paths(&path, &other, &Options::default()).unwrap_err();
    assert!(matches!(error, DiffError::NotAnImage { .. }), "{error}");
}

#[test]
fn an_archive_of_an_image_that_names_files_outside_of_itself_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("archive");
    let refused = |files: &[Entry]| {
        fs::write(&path, archive(files)).unwrap();
        compare_paths(&path, &path, &Options::default()).unwrap_err()
    };
    let list = |layer: &str| file("manifest.json", json!([{"Config": "c", "Layers": [layer]}]).to_string());
    let config = file("c", "{}");
    for layer in ["/etc/passwd", "../../etc/passwd"] {
        assert!(matches!(refused(&[config.clone(), list(layer)]), DiffError::NotAnImage { .. }), "{layer}");
    }
    let to = |target: &str| link("l", tar::EntryType::Symlink, target);
    for target in ["/etc/passwd", "../../../etc/passwd", "l"] {
        assert!(matches!(refused(&[config.clone(), to(target), list("l")]), DiffError::NotAnImage { .. }), "{target}");
    }
    let twice = json!([{"Config": "c", "Layers": []}, {"Config": "c", "Layers": []}]).to_string();
    assert!(refused(&[config.clone(), file("manifest.json", twice)]).to_string().contains("2 images"));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(refused(&[config.clone(), file("manifest.json", deep)]), DiffError::Oci { .. }));
    let double = r#"[{"Config":"c","Config":"c","Layers":[]}]"#;
    assert!(refused(&[config, file("manifest.json", double)]).to_string().contains("duplicate member"));
    assert!(matches!(refused(&[file("x", "y")]), DiffError::NotAnImage { .. }));
    fs::write(&path, "no archive at all").unwrap();
    let error = compare_paths(&path, &path, &Options::default()).unwrap_err();
    assert!(matches!(error, DiffError::NotAnImage { .. }) && error.is_usage(), "{error}");
}

#[test]
fn an_index_that_holds_itself_or_too_many_others_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, manifests: serde_json::Value| -> PathBuf {
        let path = Image::of_entries(&[file("a", "1")]).write(directory.path(), name, Form::Layout);
        let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        let digest = Digest::of(&index);
        fs::write(path.join("blobs/sha256").join(digest.hex()), &index).unwrap();
        let kind = "application/vnd.oci.image.index.v1+json";
        let outer =
            json!({"schemaVersion": 2, "manifests": [{"mediaType": kind, "digest": digest, "size": index.len()}]});
        fs::write(path.join("index.json"), outer.to_string()).unwrap();
        path
    };
    let empty = write("empty", json!([]));
    let one = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": Digest::of("x"), "size": 1});
    let many = write("many", json!(vec![one; 300]));
    let error = compare_paths(&many, &empty, &Options::default()).unwrap_err();
    assert!(matches!(error, DiffError::Limit { unit: "platforms", .. }), "{error}");
    // No index can name its own digest; a chain of others is as good.
    let mut inner = json!([]);
    for level in 0..5 {
        let text = json!({"schemaVersion": 2, "manifests": inner}).to_string();
        let digest = Digest::of(&text);
        fs::write(directory.path().join(digest.hex()), &text).unwrap();
        inner = json!([{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": text.len()}]);
        assert!(level < 5);
    }
    let deep = write("deep", inner);
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), deep.join("blobs/sha256").join(entry.file_name())).unwrap();
        }
    }
    let error = compare_paths(&deep, &empty, &Options::default()).unwrap_err();
    assert!(matches!(error, DiffError::Limit { unit: "levels", .. }), "{error}");
}

#[test]
fn a_manifest_that_two_readers_would_read_differently_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let good = Image::of_entries(&[file("a", "1")]);
    let other = Image::of_entries(&[file("a", "2")]).write(directory.path(), "other", Form::Layout);
    let manifest = String::from_utf8(good.blobs().last().unwrap().1.clone()).unwrap();
    let both = manifest.replacen('{', r#"{"manifests":[],"#, 1);
    let twice = manifest.replacen('{', r#"{"schemaVersion":2,"#, 1);
    for (at, text) in [both, twice].into_iter().enumerate() {
        let path = good.write(directory.path(), &format!("bad{at}"), Form::Layout);
        let digest = Digest::of(&text);
        fs::write(path.join("blobs/sha256").join(digest.hex()), &text).unwrap();
        let entry =
            json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": text.len()});
        fs::write(path.join("index.json"), json!({"schemaVersion": 2, "manifests": [entry]}).to_string()).unwrap();
        assert!(compare_paths(&path, &other, &Options::default()).is_err(), "{text}");
    }
}

#[test]
fn one_pair_of_layers_named_a_hundred_times_is_read_once() {
    let layers = |content: &str| vec![(archive(&[file("a", content)]), GZIP); 100];
    let read = std::sync::atomic::AtomicU64::new(0);
    let count = |bytes| {
        read.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    };
    let options = Options { progress: &count, ..Options::default() };
    let (a, b) = (Image::of(layers("1")), Image::of(layers("2")));
    let report = compare_as((&a, Form::Layout), (&b, Form::Layout), &options).unwrap();
    assert_eq!(report.root.unwrap().children.iter().filter(|node| node.name.starts_with("layers")).count(), 100);
    let once: u64 = [&a, &b].iter().map(|image| image.blobs()[1].0.size).sum();
    assert_eq!(read.into_inner(), once);
    let options = Options { limits: Limits { layers: 99, ..Limits::default() }, ..Options::default() };
    let error = compare_as((&a, Form::Layout), (&b, Form::Layout), &options).unwrap_err();
    assert!(matches!(error, DiffError::Limit { unit: "layers", .. }), "{error}");
}
