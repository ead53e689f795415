//! Both layers entry by entry, while both have the same paths in the same order: one pass, nothing is hashed or kept.

use super::{
    Context,
    difference::{Contents, Found},
    spool::Spool,
};
use crate::{
    archive::{Entry, Input, Tail, Walker},
    error::DiffError,
};

/// A comparison on its way.
pub(super) struct Lockstep<'a, 'c, I> {
    pub(super) a: &'a mut Walker<I>,
    pub(super) b: &'a mut Walker<I>,
    pub(super) found: &'a mut Found<'c>,
    pub(super) context: &'a Context<'c>,
}

/// How far it came.
pub(super) enum Outcome {
    /// To the end of both.
    Together((Tail, Tail)),
    /// These entries are the first that do not belong together; their content is unread.
    Apart(Box<(Option<Entry>, Option<Entry>)>),
}

impl<I: Input> Lockstep<'_, '_, I> {
    pub(super) fn run(&mut self) -> Result<Outcome, DiffError> {
        let mut spool = Spool::default();
        loop {
            match (self.a.next()?, self.b.next()?) {
                (None, None) => return Ok(Outcome::Together((self.a.tail()?, self.b.tail()?))),
                (Some(a), Some(b)) if a.key() == b.key() => {
                    let contents = self.contents(&a, &b, &mut spool)?;
                    self.found.pair(&a, &b, a.name(), contents)?;
                }
                apart => return Ok(Outcome::Apart(Box::new(apart))),
            }
        }
    }

    /// Whatever both have in common is kept until they turn out to be the same.
    fn contents(&mut self, a: &Entry, b: &Entry, spool: &mut Spool) -> Result<Contents, DiffError> {
        if a.kind != b.kind && !(a.is_file() && b.is_file()) {
            return Ok(Contents::Same);
        }
        let unread = self.unread(a, b);
        spool.clear();
        loop {
            let (left, right) = (self.a.data()?, self.b.data()?);
            let count = left.len().min(right.len());
            if count == 0 && left.len() == right.len() {
                return Ok(Contents::Same);
            }
            let (Some(one), Some(other)) = (left.get(..count), right.get(..count)) else { continue };
            if count == 0 || one != other {
                break;
            }
            if unread.is_none() {
                spool.push(one)?;
            }
            self.a.consume(count);
            self.b.consume(count);
        }
        if let Some(why) = unread {
            return Ok(Contents::Unread(why));
        }
        self.context.files.set(self.context.files.get().saturating_sub(1));
        let mut other = spool.copy()?;
        let mut one = std::mem::take(spool);
        rest(self.a, &mut one)?;
        rest(self.b, &mut other)?;
        Ok(Contents::Different(one, other))
    }

    /// Why these two will not be looked into, if they differ.
    fn unread(&self, a: &Entry, b: &Entry) -> Option<String> {
        let limits = self.context.limits;
        reason(a.size.max(b.size), self.context.files.get() > 0 && self.found.has_room(), limits)
    }
}

/// Why a file of this size will not be looked into.
pub(super) fn reason(size: u64, has_room: bool, limits: &crate::limits::Limits) -> Option<String> {
    if !has_room {
        return Some("the content differs; it was not looked into, since so many files differ".to_owned());
    }
    (size > limits.spool).then(|| {
        format!("the content differs; with {size} bytes it is larger than the limit of {} bytes", limits.spool)
    })
}

fn rest<I: Input>(walker: &mut Walker<I>, spool: &mut Spool) -> Result<(), DiffError> {
    loop {
        let held = walker.data()?;
        if held.is_empty() {
            return Ok(());
        }
        spool.push(held)?;
        let count = held.len();
        walker.consume(count);
    }
}
