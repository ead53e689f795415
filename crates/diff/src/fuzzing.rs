//! For fuzzing: what looks into files that anybody may have written.

use std::io::Cursor;

use crate::{
    content::compare,
    limits::Limits,
    report::{Change, Node},
};

/// Compares two files.
///
/// # Panics
/// When memory cannot be read.
pub fn contents(name: &str, a: &[u8], b: &[u8]) -> (Vec<Change>, Vec<Node>) {
    let compared = compare(name, &mut Cursor::new(a.to_vec()), &mut Cursor::new(b.to_vec()), &Limits::default());
    compared.unwrap_or_else(|error| panic!("memory cannot be read: {error}"))
}

/// Compares a file with a copy of it in which one byte is another one, and says whether both could be looked into as what
/// their first bytes say.
pub fn damaged_copy(bytes: &[u8]) -> bool {
    let mut copy = bytes.to_vec();
    // Near the end, and in the middle: neither is in a magic number.
    let Some(byte) = copy.iter_mut().rev().nth(bytes.len() / 3) else { return false };
    *byte = byte.wrapping_add(1);
    let (changes, children) = contents("file", bytes, &copy);
    let backwards = contents("file", &copy, bytes);
    assert_eq!((changes.len(), children.len()), (backwards.0.len(), backwards.1.len()), "it depends on the order");
    assert!(!changes.is_empty() || !children.is_empty(), "a difference was not found");
    bytes.len() > 16 && !changes.iter().any(|change| matches!(change, Change::Unread { .. }))
}
