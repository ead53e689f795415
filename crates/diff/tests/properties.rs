//! Any image against itself in another dress is the same content; against one change of it, that change is found and
//! nothing else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use csign_diff::Options;
use proptest::{collection::vec, prelude::*, sample::Index};
use support::*;

/// Entries with paths of their own, some directories and links among them; the first is always a file with content.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let one = (0..6_u8, vec(any::<u8>(), 0..3000), 0..0o1000_u32, 0..3_u64, 0..2_000_000_000_u64);
    vec(one, 1..12).prop_map(|all| {
        let entry = |(at, (kind, content, mode, uid, mtime)): (usize, (u8, Vec<u8>, u32, u64, u64))| {
            let path = format!("d{}/entry{at}", at % 3);
            let entry = match kind {
                _ if at == 0 => file(&path, [content, b"content".to_vec()].concat()),
                0 => directory(&path),
                1 => link(&path, tar::EntryType::Symlink, "somewhere"),
                2 => link(&path, tar::EntryType::Link, "d0/entry0"),
                3 => file(&path, content.repeat(500)),
                _ => file(&path, content),
            };
            Entry { mode, uid, mtime, ..entry }
        };
        all.into_iter().enumerate().map(entry).collect()
    })
}

fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![
        Just(Compression::None),
        (1..=9_u32, 0..2_u32).prop_map(|(level, mtime)| Compression::Gzip { level, mtime }),
        Just(Compression::GzipTwice),
        Just(Compression::Zstd),
    ]
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![Just(Form::Layout), compression().prop_map(Form::Archive), Just(Form::Docker)]
}

/// One change of one entry: what it does, and how the line ends that must be found.
#[derive(Clone, Copy, Debug)]
enum Mutation {
    Mode,
    Uid,
    Owner,
    Mtime,
    Attribute,
    Byte,
    Append,
    Remove,
    Add,
    Move,
}

const MUTATIONS: [Mutation; 10] = [
    Mutation::Mode,
    Mutation::Uid,
    Mutation::Owner,
    Mutation::Mtime,
    Mutation::Attribute,
    Mutation::Byte,
    Mutation::Append,
    Mutation::Remove,
    Mutation::Add,
    Mutation::Move,
];

/// Applies it; gives the path that is concerned and the words that may be said about it.
fn mutate(entries: &mut Vec<Entry>, mutation: Mutation, at: Index) -> (String, &'static [&'static str]) {
    let at = at.index(entries.len());
    // Only a file has bytes; the first one has.
    let bytes_at = if entries[at].content.is_empty() { 0 } else { at };
    match mutation {
        Mutation::Mode => entries[at].mode ^= 0o100,
        Mutation::Uid => entries[at].uid += 1,
        Mutation::Owner => entries[at].uname = "someone".to_owned(),
        Mutation::Mtime => entries[at].mtime += 1,
        Mutation::Attribute => entries[at].xattr = Some("note".to_owned()),
        Mutation::Byte => *entries[bytes_at].content.last_mut().unwrap() ^= 1,
        Mutation::Append => entries[bytes_at].content.push(0),
        Mutation::Remove => {
            let path = entries.remove(at).path;
            return (path, &["only A", "type", "mode", "size", "link"]);
        }
        Mutation::Add => {
            entries.insert(at, file("added", "x"));
            return ("added".to_owned(), &["only B", "type", "mode", "size"]);
        }
        Mutation::Move => {
            let entry = entries.remove(at);
            entries.push(entry);
            return (String::new(), &["order"]);
        }
    }
    match mutation {
        Mutation::Mode => (entries[at].path.clone(), &["mode"]),
        Mutation::Uid => (entries[at].path.clone(), &["uid"]),
        Mutation::Owner => (entries[at].path.clone(), &["uname"]),
        Mutation::Mtime => (entries[at].path.clone(), &["mtime"]),
        Mutation::Attribute => (entries[at].path.clone(), &["xattr.user.note", "format"]),
        Mutation::Append => (entries[bytes_at].path.clone(), &["size", "content"]),
        _ => (entries[bytes_at].path.clone(), &["content"]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_image_in_another_dress_is_the_same_content(
        entries in entries(),
        compressions in (compression(), compression()),
        forms in (form(), form()),
    ) {
        let bytes = archive(&entries);
        let (a, b) = (Image::of(vec![(bytes.clone(), compressions.0)]), Image::of(vec![(bytes, compressions.1)]));
        let report = compare_as((&a, forms.0), (&b, forms.1), &Options::default()).unwrap();
        if report.identical {
            prop_assert_eq!(a.digest(), b.digest());
            return Ok(());
        }
        let foreign = ["compression", "gzip.", "zstd.", "only"];
        for line in essence(&report) {
            prop_assert!(!line.contains("]/") && foreign.iter().any(|word| line.contains(word)), "{}", line);
        }
        let same = lines(&report).iter().any(|line| line.ends_with("compression only"));
        prop_assert_eq!(same, compressions.0 != compressions.1 && a.blobs()[1].1 != b.blobs()[1].1);
    }

    #[test]
    fn one_change_is_found_and_nothing_else(
        entries in entries(),
        which in 0..MUTATIONS.len(),
        at in any::<Index>(),
        compressions in (compression(), compression()),
        form in form(),
    ) {
        let mut changed = entries.clone();
        let (path, words) = mutate(&mut changed, MUTATIONS[which], at);
        let image = |entries: &[Entry], compression| Image::of(vec![(archive(entries), compression)]);
        let (a, b) = (image(&entries, compressions.0), image(&changed, compressions.1));
        let report = compare_as((&a, form), (&b, form), &Options::default()).unwrap();
        if entries == changed {
            // The last one was moved to the end.
            prop_assert!(essence(&report).iter().all(|line| !line.contains("]/") && !line.contains("order")));
            return Ok(());
        }
        let place = if path.is_empty() { "/layers[0]".to_owned() } else { format!("/layers[0]/{path}") };
        let found = essence(&report);
        let of_the_layer = |line: &&String| !line.contains("]/") && (line.contains("compression") || line.contains("gzip.") || line.contains("zstd."));
        let about: Vec<&String> = found.iter().filter(|line| !of_the_layer(line)).collect();
        prop_assert!(!about.is_empty(), "{:?}", found);
        for line in about {
            let rest = line.strip_prefix(&place);
            prop_assert!(rest.is_some(), "{} is not about {}", line, place);
            let rest = rest.unwrap();
            // What is said about content is another test's business.
            let inner = words.contains(&"content") && !rest.trim_start().starts_with(|c: char| "mugtfx".contains(c));
            prop_assert!(inner || words.iter().any(|word| rest.trim_start().starts_with(word)), "{}", line);
        }
    }
}
