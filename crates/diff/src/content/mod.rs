//! What differs inside of two files.

use std::io::{Read, Seek};

use crate::{
    error::DiffError,
    limits::Limits,
    report::{Change, Node},
};

/// A file's bytes: in memory or on disk.
pub trait Content: Read + Seek + Send {
    /// How many there are.
    fn len(&self) -> u64;

    /// Are there none?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Says what differs in two files, which do differ: changes of the file itself, and things in it that differ.
///
/// # Errors
/// Reading fails, or writing temporary files does. A damaged or hostile file is no error.
pub(crate) fn compare(
    _name: &str,
    a: &mut dyn Content,
    b: &mut dyn Content,
    _limits: &Limits,
) -> Result<(Vec<Change>, Vec<Node>), DiffError> {
    let (mut offset, mut differing, mut first) = (0_u64, 0_u64, None);
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let bounded = |content: &mut dyn Content, buffer: &mut Vec<u8>| -> std::io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match content.read(&mut buffer[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    };
    loop {
        let count = bounded(a, &mut left)?.min(bounded(b, &mut right)?);
        if count == 0 {
            break;
        }
        for (at, _) in left[..count].iter().zip(&right[..count]).enumerate().filter(|(_, (x, y))| x != y) {
            differing += 1;
            first.get_or_insert(offset + at as u64);
        }
        offset += count as u64;
    }
    let offset = first.unwrap_or(offset);
    Ok((vec![Change::Bytes { offset, differing, a: String::new(), b: String::new(), from: offset }], Vec::new()))
}
