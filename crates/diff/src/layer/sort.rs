//! Sorts more entries than fit into memory: sorted runs in a temporary file, merged while they are read.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::{BufReader, BufWriter, Read, Write},
};

use super::index;
use crate::{archive::Kept, error::DiffError, source::Blob};

/// Bytes of entries that are sorted in memory at a time, per side.
const RUN: usize = 4 << 20;
/// Bytes of each run that are read at once.
const BUFFER: usize = 8 << 10;
/// What an entry takes in memory besides its texts.
const OVERHEAD: usize = 400;

/// Takes entries in any order.
pub(super) struct Sorter {
    held: Vec<Kept>,
    size: usize,
    runs: Vec<(u64, u64)>,
    file: Option<BufWriter<std::fs::File>>,
    written: u64,
    limit: u64,
}

/// All of them, by path and position. They can be read as often as needed.
pub(super) struct Sorted {
    held: Vec<Kept>,
    runs: Vec<(u64, u64)>,
    file: Option<Blob>,
}

impl Sorter {
    /// `limit`: bytes of the temporary file.
    pub(super) fn new(limit: u64) -> Self {
        Self { held: Vec::new(), size: 0, runs: Vec::new(), file: None, written: 0, limit }
    }

    pub(super) fn add(&mut self, kept: Kept) -> Result<(), DiffError> {
        self.size += OVERHEAD + index::variable_size(&kept.entry);
        self.held.push(kept);
        if self.size >= RUN { self.spill() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<Sorted, DiffError> {
        if self.runs.is_empty() {
            sort(&mut self.held);
        } else {
            self.spill()?;
        }
        let file = match self.file {
            Some(file) => {
                let file = file.into_inner().map_err(|error| writing()(error.into_error()))?;
                Some(Blob::whole(file)?)
            }
            None => None,
        };
        Ok(Sorted { held: self.held, runs: self.runs, file })
    }

    fn spill(&mut self) -> Result<(), DiffError> {
        sort(&mut self.held);
        let file = match &mut self.file {
            Some(file) => file,
            slot => slot.insert(BufWriter::new(tempfile::tempfile().map_err(writing())?)),
        };
        let start = self.written;
        let mut bytes = Vec::new();
        for kept in self.held.drain(..) {
            bytes.clear();
            index::encode(&kept, &mut bytes);
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            file.write_all(&length.to_le_bytes()).and_then(|()| file.write_all(&bytes)).map_err(writing())?;
            self.written += 4 + u64::from(length);
        }
        if self.written > self.limit {
            let what = "the list of a layer's entries".to_owned();
            return Err(DiffError::Limit { what, limit: self.limit, unit: "bytes" });
        }
        self.runs.push((start, self.written - start));
        self.size = 0;
        Ok(())
    }
}

fn writing() -> impl FnOnce(std::io::Error) -> DiffError {
    DiffError::io("sorting the entries of a layer in a temporary file")
}

fn sort(held: &mut [Kept]) {
    held.sort_by(|one, other| order(one).cmp(&order(other)));
}

fn order(kept: &Kept) -> (&[u8], u64) {
    (kept.entry.key(), kept.entry.position)
}

impl Sorted {
    /// Reads them from the first.
    pub(super) fn read(&self) -> Result<Merge<'_>, DiffError> {
        let mut runs = Vec::new();
        if let Some(file) = &self.file {
            runs.extend(
                self.runs.iter().map(|(start, length)| BufReader::with_capacity(BUFFER, file.part(*start, *length))),
            );
        }
        let mut merge = Merge { held: self.held.iter(), runs, heads: BinaryHeap::new() };
        for run in 0..merge.runs.len() {
            merge.refill(run)?;
        }
        Ok(merge)
    }
}

/// Reads entries in order.
pub(super) struct Merge<'a> {
    held: std::slice::Iter<'a, Kept>,
    runs: Vec<BufReader<Blob>>,
    heads: BinaryHeap<Reverse<Head>>,
}

impl Merge<'_> {
    pub(super) fn next(&mut self) -> Result<Option<Kept>, DiffError> {
        let Some(Reverse(head)) = self.heads.pop() else { return Ok(self.held.next().cloned()) };
        self.refill(head.run)?;
        Ok(Some(head.kept))
    }

    fn refill(&mut self, run: usize) -> Result<(), DiffError> {
        let Some(reader) = self.runs.get_mut(run) else { return Ok(()) };
        let mut length = [0; 4];
        match reader.read_exact(&mut length) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other.map_err(writing())?,
        }
        let mut bytes = Vec::new();
        reader.take(u32::from_le_bytes(length).into()).read_to_end(&mut bytes).map_err(writing())?;
        let kept = index::decode(&bytes).ok_or_else(|| writing()(std::io::ErrorKind::InvalidData.into()))?;
        self.heads.push(Reverse(Head { kept, run }));
        Ok(())
    }
}

struct Head {
    kept: Kept,
    run: usize,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        order(&self.kept) == order(&other.kept)
    }
}
impl Eq for Head {}
impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        order(&self.kept).cmp(&order(&other.kept))
    }
}
