//! Archives by member: names, attributes, order, and what is in the members.

mod read_ar;
mod read_tar;
mod read_zip;

use std::collections::HashMap;

use super::{Content, Context, Difference, Failure, bytes, differing, window::Slice};
use crate::report::{Change, Kind, Side, Value};

/// Members of one archive that are looked at.
const MEMBERS: usize = 8 << 10;
/// Bytes of all names in it.
const NAMES: usize = 1 << 20;
/// Names of moved members that are listed.
const MOVED: usize = 24;

pub(super) use self::{read_ar::compare as ar, read_tar::compare as tar, read_zip::compare as zip};

/// One member as its archive describes it.
#[derive(Debug)]
struct Member {
    name: String,
    /// In the words of the format; both sides have the same in the same order.
    attributes: Vec<(&'static str, Option<Value>)>,
    /// Where its content lies in the archive.
    start: u64,
    len: u64,
}

/// All members, within bounds.
#[derive(Debug, Default)]
struct Members {
    list: Vec<Member>,
    names: usize,
}

impl Members {
    fn push(&mut self, member: Member) -> Result<(), Failure> {
        self.names += member.name.len();
        if self.list.len() == MEMBERS || self.names > NAMES {
            return Err(Failure::format(format!("it has more members than the {MEMBERS} that are looked at")));
        }
        self.list.push(member);
        Ok(())
    }
}

/// Opens both sides' content of a member and compares it.
type Inner<'f> = dyn FnMut(&Member, &mut dyn Content, &Member, &mut dyn Content) -> Result<Difference, Failure> + 'f;

/// Compares the members of `a` with those of `b` that have the same names; of several with one name the first with the
/// first.
fn members(
    (a, of_a): (&mut dyn Content, Members),
    (b, of_b): (&mut dyn Content, Members),
    inner: &mut Inner<'_>,
) -> Result<Difference, Failure> {
    let mut difference = Difference::default();
    let keys_a = keys(&of_a.list);
    let keys_b = keys(&of_b.list);
    let index_b: HashMap<_, _> = keys_b.iter().zip(&of_b.list).collect();
    let index_a: HashMap<_, _> = keys_a.iter().zip(&of_a.list).collect();
    let common_a = keys_a.iter().filter(|key| index_b.contains_key(key));
    let common_b = keys_b.iter().filter(|key| index_a.contains_key(key));
    let moved: Vec<_> = common_a.zip(common_b).filter(|(a, b)| a != b).take(MOVED).collect();
    if !moved.is_empty() {
        let (a, b) = moved.into_iter().map(|(a, b)| (super::shortened(a.0), super::shortened(b.0))).unzip();
        difference.changes.push(Change::Order { a, b });
    }
    for (key, member) in keys_a.iter().zip(&of_a.list) {
        let Some(other) = index_b.get(key) else {
            difference.child(only(member, Side::A));
            continue;
        };
        let pairs = member.attributes.iter().zip(&other.attributes);
        let mut within: Difference = Difference {
            changes: pairs.filter_map(|(a, b)| differing(a.0, a.1.clone(), b.1.clone())).collect(),
            ..Difference::default()
        };
        let content = inner(member, a, other, b)?;
        within.changes.extend(content.changes);
        within.children = content.children;
        within.omitted = content.omitted;
        if !within.is_empty() {
            difference.child(within.into_node(Kind::Member, super::shortened(&member.name)));
        }
    }
    for (key, member) in keys_b.iter().zip(&of_b.list) {
        if !index_a.contains_key(key) {
            difference.child(only(member, Side::B));
        }
    }
    Ok(difference)
}

/// Content that lies in the archive as it is.
fn stored(
    context: Context<'_>,
    of_a: &Member,
    a: &mut dyn Content,
    of_b: &Member,
    b: &mut dyn Content,
) -> Result<Difference, Failure> {
    let (mut a, mut b) = (Slice::new(a, of_a.start, of_a.len)?, Slice::new(b, of_b.start, of_b.len)?);
    if bytes::scan(&mut a, &mut b)?.first.is_none() {
        return Ok(Difference::default());
    }
    Ok(context.deeper().difference(&of_a.name, &mut a, &mut b)?)
}

/// A name, and how many members before had the same.
fn keys(list: &[Member]) -> Vec<(&str, u32)> {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    list.iter()
        .map(|member| {
            let count = seen.entry(&member.name).or_default();
            *count += 1;
            (member.name.as_str(), *count)
        })
        .collect()
}

fn only(member: &Member, side: Side) -> crate::report::Node {
    Difference::from(Change::Only { side }).into_node(Kind::Member, super::shortened(&member.name))
}
