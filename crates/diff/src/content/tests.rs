use std::io::{Cursor, Write as _};

use flate2::{Compression, GzBuilder, write::GzEncoder};

use super::*;
use crate::report::{Kind, Line, Side};

fn differences(name: &str, a: &[u8], b: &[u8]) -> (Vec<Change>, Vec<Node>) {
    compare(name, &mut Cursor::new(a.to_vec()), &mut Cursor::new(b.to_vec()), &Limits::default()).unwrap()
}

fn attribute_of<'c>(changes: &'c [Change], wanted: &str) -> Option<(Option<&'c Value>, Option<&'c Value>)> {
    changes.iter().find_map(|change| match change {
        Change::Attribute { name, a, b } if name == wanted => Some((a.as_ref(), b.as_ref())),
        _ => None,
    })
}

fn side(changes: &[Change], wanted: Side) -> Vec<&str> {
    let hunks = changes.iter().filter_map(|change| match change {
        Change::Lines { hunks, .. } => Some(hunks),
        _ => None,
    });
    let lines = hunks.flatten().flat_map(|hunk| &hunk.lines);
    lines.filter(|line| line.side == Some(wanted)).map(|line| line.text.as_str()).collect()
}

fn unread(changes: &[Change]) -> Option<&str> {
    changes.iter().find_map(|change| match change {
        Change::Unread { why } => Some(why.as_str()),
        _ => None,
    })
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("line {number} of a text\n")).collect()
}

fn tar_of(members: &[(&str, &[u8], u64)]) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for (name, content, mtime) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(*mtime);
        out.append_data(&mut header, name, *content).unwrap();
    }
    out.into_inner().unwrap()
}

fn gzip(bytes: &[u8], level: u32, mtime: u32) -> Vec<u8> {
    let mut out: GzEncoder<Vec<u8>> = GzBuilder::new().mtime(mtime).write(Vec::new(), Compression::new(level));
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

#[test]
fn a_line_in_a_long_text_is_found_with_its_number_and_its_neighbours() {
    let mut lines = numbered(100_000);
    let a = lines.concat();
    lines[70_000] = "changed\n".to_owned();
    lines.insert(90_000, "new\n".to_owned());
    let (changes, _) = differences("notes", a.as_bytes(), lines.concat().as_bytes());
    let [Change::Lines { hunks, omitted: 0 }] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!(
        hunks.iter().map(|hunk| (hunk.a_line, hunk.b_line)).collect::<Vec<_>>(),
        [(69_998, 69_998), (89_998, 89_998)]
    );
    assert_eq!(hunks[0].lines.len(), 8);
    assert_eq!(hunks[0].lines[4], Line { side: Some(Side::B), text: "changed".to_owned() });
    assert_eq!(hunks[1].lines[3], Line { side: Some(Side::B), text: "new".to_owned() });
}

#[test]
fn a_hostile_line_is_cut_around_its_difference_and_escaped() {
    let mut a = b"x".repeat(3 << 20);
    let b = [a.as_slice(), b"\xff end"].concat();
    a.extend_from_slice(b" end");
    let (changes, _) = differences("notes", &a, &b);
    let Some(Change::Lines { hunks, .. }) = changes.first() else { panic!("{changes:?}") };
    assert!(hunks.iter().flat_map(|hunk| &hunk.lines).all(|line| line.text.chars().count() <= TEXT + 2));
    assert!(side(&changes, Side::B).iter().any(|line| line.contains("\\xff end")), "{changes:?}");
}

#[test]
fn the_same_lines_in_another_order_are_an_order() {
    let lines = numbered(50);
    let mut reversed = lines.clone();
    reversed.reverse();
    let (changes, _) = differences("list", lines.concat().as_bytes(), reversed.concat().as_bytes());
    assert!(matches!(changes.as_slice(), [Change::Order { a, .. }] if !a.is_empty()), "{changes:?}");
}

#[test]
fn json_is_compared_by_pointer_and_named_elements_by_their_names() {
    let a = br#"{"parties":[{"name":"one","key":1},{"name":"two","key":2}],"a/b":true}"#;
    let b = br#"{"parties":[{"name":"zero"},{"name":"one","key":1},{"name":"two","key":3}],"a/b":false}"#;
    let (changes, _) = differences("contract.json", a, b);
    let names: Vec<&str> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Attribute { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["/a~1b", "/parties/[two]/key", "/parties/[zero]"]);
}

#[test]
fn json_that_names_a_member_twice_is_compared_as_text() {
    let (changes, _) = differences("x.json", br#"{"a":1,"a":2}"#, br#"{"a":1,"a":1}"#);
    assert_eq!(side(&changes, Side::A), [r#"{"a":1,"a":2}"#]);
}

#[test]
fn json_that_is_only_written_differently_says_so() {
    let (changes, _) = differences("x.json", br#"{"a":1,"b":2}"#, b"{\"b\": 2, \"a\": 1}\n");
    assert!(attribute_of(&changes, "serialization").is_some(), "{changes:?}");
}

#[test]
fn members_of_a_compressed_archive_are_compared_by_name() {
    let a = gzip(&tar_of(&[("one", b"first", 1), ("two", b"same", 1), ("gone", b"", 1)]), 6, 0);
    let b = gzip(&tar_of(&[("two", b"same", 2), ("one", b"second", 1)]), 6, 77);
    let (changes, children) = differences("src/all.tar.gz", &a, &b);
    assert_eq!(attribute_of(&changes, "gzip.mtime"), Some((Some(&Value::Number(0)), Some(&Value::Number(77)))));
    let [archive] = children.as_slice() else { panic!("{children:?}") };
    assert_eq!((archive.kind, archive.name.as_str()), (Kind::Member, "all.tar"));
    assert!(matches!(archive.changes.as_slice(), [Change::Order { .. }]), "{archive:?}");
    let names: Vec<&str> = archive.children.iter().map(|child| child.name.as_str()).collect();
    assert_eq!(names, ["one", "two", "gone"]);
    assert_eq!(side(&archive.children[0].changes, Side::B), ["second"]);
    assert!(attribute_of(&archive.children[1].changes, "mtime").is_some());
    assert_eq!(archive.children[2].changes, [Change::Only { side: Side::A }]);
}

#[test]
fn another_level_of_compression_is_only_that() {
    let text = numbered(500).concat();
    let (changes, children) = differences("x.gz", &gzip(text.as_bytes(), 1, 0), &gzip(text.as_bytes(), 9, 0));
    assert!(changes.contains(&Change::CompressionOnly) && children.is_empty(), "{changes:?}");
}

#[test]
fn a_decompression_bomb_is_stopped_and_the_bytes_are_compared() {
    let bomb = |last: u8| gzip(&[vec![0; 3 << 20], vec![last]].concat(), 9, 0);
    let limits = Limits { spool: 1 << 20, ..Limits::default() };
    let (changes, _) = compare("x.gz", &mut Cursor::new(bomb(1)), &mut Cursor::new(bomb(2)), &limits).unwrap();
    assert!(unread(&changes).unwrap().contains("unpacks to more"), "{changes:?}");
    assert!(changes.iter().any(|change| matches!(change, Change::Bytes { .. })));
}

#[test]
fn archives_in_archives_are_opened_to_a_bound() {
    let nested = |content: &[u8]| (0..9).fold(content.to_vec(), |inner, _| tar_of(&[("inner", &inner, 0)]));
    let (_, children) = differences("x.tar", &nested(b"a"), &nested(b"b"));
    let mut deepest = &children[0];
    while let Some(child) = deepest.children.first() {
        deepest = child;
    }
    assert!(unread(&deepest.changes).unwrap().contains("other archives"), "{deepest:?}");
}

#[test]
fn what_claims_a_format_and_breaks_it_is_compared_as_bytes() {
    for magic in [&b"\x7fELF\x02\x01\x01"[..], b"!<arch>\n", b"PK\x03\x04", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"] {
        let (a, b) = ([magic, b"\0\0 one of them"].concat(), [magic, b"\0\0 two of them"].concat());
        let (changes, _) = differences("x", &a, &b);
        assert!(unread(&changes).is_some(), "{magic:?}: {changes:?}");
        assert!(changes.iter().any(|change| matches!(change, Change::Bytes { .. })), "{magic:?}: {changes:?}");
    }
}

#[test]
fn strings_that_differ_in_unknown_data_are_listed() {
    let data = |text: &str| [&[0, 1, 2, 3][..], text.as_bytes(), &[0; 9], b"the same everywhere", &[0xff; 5]].concat();
    let (changes, _) = differences("x", &data("built on Monday"), &data("built on Tuesday"));
    assert_eq!(side(&changes, Side::A), ["built on Monday"]);
    assert_eq!(side(&changes, Side::B), ["built on Tuesday"]);
}

#[test]
fn another_format_is_said_to_be_one() {
    let (changes, _) = differences("x", b"some text\n", &tar_of(&[]).repeat(3));
    assert!(attribute_of(&changes, "format").is_some() && changes.len() == 2, "{changes:?}");
}

#[test]
fn a_binary_that_claims_more_sections_than_anyone_has_costs_no_memory() {
    let elf = |last: u8| {
        let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
        header.extend([0; 16]);
        header.extend(64_u64.to_le_bytes());
        // No number of sections in the header: it stands in the size of the first one.
        header.extend(b"\0\0\0\0\x40\0\x38\0\0\0\x40\0\0\0\0\0");
        let mut section = [0; 64];
        section[32..40].copy_from_slice(&0xffff_ff00_u64.to_le_bytes());
        [&header[..], &section, &[0; 100], &[last]].concat()
    };
    let (changes, _) = differences("workload", &elf(1), &elf(2));
    assert!(unread(&changes).is_some_and(|why| why.contains("too many")), "{changes:?}");
    assert!(changes.iter().any(|change| matches!(change, Change::Bytes { .. })), "{changes:?}");
}

#[test]
fn strings_put_together_in_another_way_are_an_order_and_a_new_word_is_a_line() {
    let data = |text: &str| [&[0, 1, 2, 3][..], text.as_bytes(), &[0; 9]].concat();
    let (changes, _) = differences("x", &data("alphabravocharlie\0delta"), &data("delta\0charliealphabravo"));
    assert!(changes.iter().any(|change| matches!(change, Change::Order { .. })), "{changes:?}");
    let (changes, _) = differences("x", &data("alphabravocharlie\0delta"), &data("delta\0charlieechobravo"));
    assert_eq!(side(&changes, Side::B), ["charlieechobravo"]);
}
