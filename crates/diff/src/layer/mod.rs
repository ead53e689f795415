//! Compares two layers: entry by entry while both have the same order, else by an index of their entries.

pub(crate) mod difference;
mod index;
mod lockstep;
mod order;
mod reordered;
mod sort;
mod spool;
mod stream;

use std::{cell::Cell, thread};

use csign_oci::Descriptor;

use crate::{
    archive::Walker,
    error::DiffError,
    limits::Limits,
    report::{Change, Node},
    source::Source,
};

use self::{
    difference::Found,
    lockstep::{Lockstep, Outcome},
    stream::Stream,
};

pub(crate) use self::stream::Facts;

/// What comparing one image shares.
pub(crate) struct Context<'a> {
    pub(crate) limits: &'a Limits,
    /// Hears how many more bytes of the layers were read.
    pub(crate) progress: &'a (dyn Fn(u64) + Sync),
    /// How many more files may be looked into.
    pub(crate) files: Cell<usize>,
    /// How many more nodes within files the report may have.
    pub(crate) nodes: Cell<usize>,
}

/// One layer of one image.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) descriptor: &'a Descriptor,
    /// For messages: `layers[1] of image`.
    pub(crate) what: &'a str,
}

/// What was found.
pub(crate) struct Compared {
    pub(crate) changes: Vec<Change>,
    pub(crate) children: Vec<Node>,
    pub(crate) omitted: u64,
    /// Of each side, if it could be decompressed to its end.
    pub(crate) facts: (Option<Facts>, Option<Facts>),
    /// Why one of them could not be read as a layer.
    pub(crate) unread: Option<String>,
}

/// Compares two layers, which have different digests. Both are held against their digests whatever is in them.
pub(crate) fn compare(a: Side<'_>, b: Side<'_>, context: &Context<'_>) -> Result<Compared, DiffError> {
    thread::scope(|scope| {
        // Fetching goes side by side, too.
        let fetched = scope.spawn(|| a.source.blob(a.descriptor));
        let of_b = b.source.blob(b.descriptor);
        let of_a = fetched.join().map_err(|_| DiffError::Interrupted(a.what.to_owned()))?;
        let (one, other) = (Stream::start(scope, of_a?, a, context), Stream::start(scope, of_b?, b, context));
        let mut left = Walker::new(one, context.limits, a.what);
        let mut right = Walker::new(other, context.limits, b.what);
        let mut found = Found::new(context);
        let mut lockstep = Lockstep { a: &mut left, b: &mut right, found: &mut found, context };
        let outcome = lockstep.run();
        let tails = match outcome {
            Ok(Outcome::Together(tails)) => Ok(tails),
            Ok(Outcome::Apart(first)) => {
                reordered::compare((a, b), (&mut left, &mut right), *first, &mut found, context)
            }
            Err(error) => Err(error),
        };
        let (tails, unread) = match tails {
            Ok(tails) => (Some(tails), None),
            Err(error) if error.is_malformed() => (None, Some(error.to_string())),
            Err(error) => return Err(error),
        };
        let facts = (left.into_input().finish()?, right.into_input().finish()?);
        Ok(found.compared(tails, facts, unread))
    })
}
