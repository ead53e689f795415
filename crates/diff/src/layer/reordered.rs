//! Layers whose entries are not in the same order, or not the same: both are indexed, paired by path, and files that
//! differ are read once more.

use std::{
    collections::HashMap,
    io::{BufWriter, Write as _},
    thread,
};

use csign_oci::Digest;
use sha2::{Digest as _, Sha256};

use super::{
    Context, Side,
    difference::{Contents, Found},
    index::index,
    lockstep::reason,
    order,
    sort::{Merge, Sorted},
    spool::Spool,
    stream::Stream,
};
use crate::{
    archive::{Entry, Kept, Tail, Walker},
    error::DiffError,
    report::{self, Change},
    source::Blob,
};

/// How many names of moved entries are listed.
const NAMES: usize = 20;

/// A pair whose content has to be read again.
struct Wanted {
    a: Kept,
    b: Kept,
    name: String,
}

/// Pairs that need a closer look, and the positions of all pairs.
type Joined = (Vec<Wanted>, Vec<(u32, u32)>);

/// Compares the rest of two layers, from the entries `first` on.
pub(super) fn compare(
    sides: (Side<'_>, Side<'_>),
    walkers: (&mut Walker<Stream>, &mut Walker<Stream>),
    first: (Option<Entry>, Option<Entry>),
    found: &mut Found<'_>,
    context: &Context<'_>,
) -> Result<(Tail, Tail), DiffError> {
    let limits = context.limits;
    let (a, b) = thread::scope(|scope| {
        let a = scope.spawn(|| index(walkers.0, first.0, limits));
        let b = index(walkers.1, first.1, limits);
        (a.join().unwrap_or_else(|_| Err(DiffError::Interrupted(sides.0.what.to_owned()))), b)
    });
    let ((a, tail_a), (b, tail_b)) = (a?, b?);
    let (wanted, positions) = join(&a, &b, found, context)?;
    let moved = order::moved(positions);
    if !moved.is_empty() {
        found.changes.push(order_change(&moved, &a)?);
    }
    if !wanted.is_empty() {
        look_into(sides, wanted, found, context)?;
    }
    Ok((tail_a, tail_b))
}

/// Pairs by path; of several of one path the first with the first. What only one has, and what differs besides content,
/// is found at once.
fn join(a: &Sorted, b: &Sorted, found: &mut Found<'_>, context: &Context<'_>) -> Result<Joined, DiffError> {
    let (mut left, mut right) = (Numbered::new(a)?, Numbered::new(b)?);
    let (mut wanted, mut positions): (Vec<Wanted>, _) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    loop {
        let order = match (&left.next, &right.next) {
            (None, None) => return Ok((wanted, positions)),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((a, of_a)), Some((b, of_b))) => (a.entry.key(), of_a).cmp(&(b.entry.key(), of_b)),
        };
        let one = if order.is_le() { left.take()? } else { None };
        let other = if order.is_ge() { right.take()? } else { None };
        match (one, other) {
            (Some((a, count)), Some((b, _))) => {
                positions.push((position(&a.entry), position(&b.entry)));
                let name = name(&a.entry, count);
                if a.content == b.content || (a.entry.kind != b.entry.kind && !(a.entry.is_file() && b.entry.is_file()))
                {
                    found.pair(&a.entry, &b.entry, name, Contents::Same)?;
                    continue;
                }
                let has_room = context.files.get() > 0 && found.has_room();
                let size = a.entry.size.max(b.entry.size);
                match reason(size.saturating_add(bytes), has_room, context.limits) {
                    Some(why) => found.pair(&a.entry, &b.entry, name, Contents::Unread(why))?,
                    None => {
                        bytes = bytes.saturating_add(size);
                        context.files.set(context.files.get() - 1);
                        found.reserve();
                        wanted.push(Wanted { a, b, name });
                    }
                }
            }
            (Some((a, count)), None) => found.only(report::Side::A, &a.entry, name(&a.entry, count)),
            (None, Some((b, count))) => found.only(report::Side::B, &b.entry, name(&b.entry, count)),
            (None, None) => {}
        }
    }
}

/// Entries by path, those of one path numbered.
struct Numbered<'a> {
    merge: Merge<'a>,
    next: Option<(Kept, u64)>,
}

impl<'a> Numbered<'a> {
    fn new(sorted: &'a Sorted) -> Result<Self, DiffError> {
        let mut merge = sorted.read()?;
        let next = merge.next()?.map(|kept| (kept, 1));
        Ok(Self { merge, next })
    }

    fn take(&mut self) -> Result<Option<(Kept, u64)>, DiffError> {
        let Some((taken, count)) = self.next.take() else { return Ok(None) };
        self.next = self.merge.next()?.map(|kept| {
            let count = if kept.entry.key() == taken.entry.key() { count + 1 } else { 1 };
            (kept, count)
        });
        Ok(Some((taken, count)))
    }
}

/// A path that an archive has twice is told apart by its number.
fn name(entry: &Entry, count: u64) -> String {
    if count == 1 { entry.name() } else { format!("{}#{count}", entry.name()) }
}

fn position(entry: &Entry) -> u32 {
    u32::try_from(entry.position).unwrap_or(u32::MAX)
}

fn order_change(moved: &[(u32, u32)], a: &Sorted) -> Result<Change, DiffError> {
    let in_a: Vec<u32> = moved.iter().take(NAMES).map(|(a, _)| *a).collect();
    let mut names = HashMap::new();
    let mut merge = a.read()?;
    while let Some(kept) = merge.next()? {
        let at = position(&kept.entry);
        if in_a.binary_search(&at).is_ok() {
            names.insert(at, kept.entry.name());
        }
    }
    let mut in_b: Vec<(u32, u32)> = moved.iter().take(NAMES).copied().collect();
    in_b.sort_by_key(|(_, b)| *b);
    let named = |at: &u32| names.get(at).cloned().unwrap_or_default();
    Ok(Change::Order { a: in_a.iter().map(named).collect(), b: in_b.iter().map(|(a, _)| named(a)).collect() })
}

/// Reads both layers once more and looks into the files that differ.
fn look_into(
    (a, b): (Side<'_>, Side<'_>),
    wanted: Vec<Wanted>,
    found: &mut Found<'_>,
    context: &Context<'_>,
) -> Result<(), DiffError> {
    let of = |side: fn(&Wanted) -> &Kept| {
        wanted
            .iter()
            .enumerate()
            .map(|(at, wanted)| (side(wanted).entry.position, (at, side(wanted).content)))
            .collect()
    };
    let (mut left, mut right) = thread::scope(|scope| {
        let one = Stream::start(scope, a.source.blob(a.descriptor)?, a, context);
        let other = Stream::start(scope, b.source.blob(b.descriptor)?, b, context);
        let (of_a, of_b) = (of(|wanted| &wanted.a), of(|wanted| &wanted.b));
        let limits = context.limits;
        let one = scope.spawn(move || extract(Walker::new(one, limits, a.what), &of_a, a.what));
        let right = extract(Walker::new(other, limits, b.what), &of_b, b.what)?;
        let left = one.join().map_err(|_| DiffError::Interrupted(a.what.to_owned()))??;
        Ok::<_, DiffError>((left, right))
    })?;
    for (at, Wanted { a, b, name }) in wanted.into_iter().enumerate() {
        let both = (left.remove(&at), right.remove(&at));
        let (Some(one), Some(other)) = both else { return Err(DiffError::Interrupted(name)) };
        found.release();
        found.pair(&a.entry, &b.entry, name, Contents::Different(Spool::on_disk(one), Spool::on_disk(other)))?;
    }
    Ok(())
}

/// The content of the entries at these positions, all in one temporary file; each must be what it was before.
fn extract(
    mut walker: Walker<Stream>,
    wanted: &HashMap<u64, (usize, Digest)>,
    what: &str,
) -> Result<HashMap<usize, Blob>, DiffError> {
    let writing = || DiffError::io("writing a temporary file");
    let mut file = BufWriter::new(tempfile::tempfile().map_err(writing())?);
    let (mut ranges, mut end) = (Vec::new(), 0_u64);
    while ranges.len() < wanted.len() {
        let Some(entry) = walker.next()? else { return Err(DiffError::Interrupted(what.to_owned())) };
        let Some((at, want)) = wanted.get(&entry.position) else { continue };
        let (start, mut hasher) = (end, Sha256::new());
        loop {
            let held = walker.data()?;
            if held.is_empty() {
                break;
            }
            hasher.update(held);
            file.write_all(held).map_err(writing())?;
            let count = held.len();
            end += count as u64;
            walker.consume(count);
        }
        let got = Digest::from_bytes(hasher.finalize().into());
        if got != *want {
            return Err(DiffError::Mismatch { what: format!("{} in {what}", entry.name()), want: *want, got });
        }
        ranges.push((*at, start, end - start));
    }
    let file = Blob::whole(file.into_inner().map_err(|error| writing()(error.into_error()))?)?;
    Ok(ranges.into_iter().map(|(at, start, length)| (at, file.part(start, length))).collect())
}
